"""Measures the controller while a thousand runs go on and nothing happens."""

import asyncio
import os
import time
from pathlib import Path

from tests.benchmark import cluster, load, measure, objects, recording, subjects
from tests.benchmark.measure import Measurement, Plan
from tests.benchmark.profiling import Kind
from tests.support import executions, processes, procfs

_STARTED_LIMIT_S = 300.0
_LOOK_S = 2.0
_CALM_S = 10.0
_CALM_LIMIT_S = 600.0
_MINUTE_S = 60.0
_FOREVER_S = 86_400.0
_PERCENT = 100
_MEGA = 1_000_000
# Longer than the measurement: that a run stands still is something that happens.
_SECTIONS: subjects.Sections = {
    "limits": {"stallAfter": "1h"},
    "controller": {"leaderElection": True},
}


def take(plan: Plan, crd: Path) -> Measurement:
    """Start `plan.size` runs that do not end, then watch the controller for `plan.limit_s`."""
    load_average = os.getloadavg()[0]
    with (
        cluster.fresh(crd) as base,
        recording.store(plan.audit_of_subject, base) as records,
        subjects.tekton(base, mode="full", duration_s=_FOREVER_S) as tekton,
        subjects.running(
            plan.subject,
            base,
            {**records.sections, **_SECTIONS},
            profile=plan.profile_of(Kind.MEMORY),
        ) as subject,
    ):
        asyncio.run(load.create(base.way, plan.size))
        _wait_running(base, plan.size, (tekton, subject.process))
        _wait_calm(base, subject)
        before = procfs.read(subject.process.pid)
        with measure.sampled(plan, subject.process):
            time.sleep(plan.limit_s)
        after = procfs.read(subject.process.pid)
        own = [each for each in base.audit.refresh() if each.agent.startswith(subject.agent)]
        figures = {
            "cpu_percent": (after.cpu_s - before.cpu_s) / plan.limit_s * _PERCENT,
            "requests_per_minute": len(own) / plan.limit_s * _MINUTE_S,
            "rss_mb": after.rss_bytes / _MEGA,
        }
        return measure.measurement(plan, load_average, figures, own)


def _wait_calm(base: cluster.Cluster, subject: subjects.Running) -> None:
    """Wait until all progress is written: while runs start, it gives way to them."""
    deadline = time.monotonic() + _CALM_LIMIT_S
    base.audit.refresh()
    asked = True
    while asked:
        if time.monotonic() > deadline:
            raise processes.Failed("the controller does not come to rest")
        time.sleep(_CALM_S)
        new = (each for each in base.audit.refresh() if each.agent.startswith(subject.agent))
        asked = any(each.resource != "leases" for each in new)


def _wait_running(base: cluster.Cluster, size: int, running: tuple[processes.Process, ...]) -> None:
    deadline = time.monotonic() + _STARTED_LIMIT_S
    left = size
    while left and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        for process in running:
            process.check()
        items = base.stack.api.json("GET", objects.EXECUTIONS)["items"]
        left = size - sum(executions.phase(item) == "Running" for item in items)
    if left:
        raise processes.Failed(f"{left} of {size} executions are not running")

"""Measures the index check of the lock: who may start, by the cache, with many executions in it.

It is the check that every start goes through, in a process of its own, without a cluster: the
other side of each request that it would make counts it, and a free target must make none.
"""

import asyncio
import gc
import math
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from tests import builders
from tests.benchmark.measure import Measurement, Plan
from workflowexecution import cli, settings
from workflowexecution.api import names
from workflowexecution.reconciler import admission, tools, view
from workflowexecution.runtime import clock, resource, store
from workflowexecution.wiring import policy

_PAST = 20
_ROUNDS = 5000
_MICRO = 1_000_000
# Of the others, so many in each hundred.
_PENDING, _RUNNING = 2, 3
# Long after every cooldown.
_ENDED = -86_400.0
_FREE, _WORKED = "bench/deployment/free", "bench/deployment/worked"


class CountingServer:
    """The API server as the check sees it: answers that nothing is there, and counts."""

    def __init__(self) -> None:
        self.requests = 0

    async def read(self, key: resource.ObjectKey) -> dict[str, Any] | None:
        """Count a live read."""
        self.requests += 1
        return None

    async def list_target(self, label: str) -> list[dict[str, Any]]:
        """Count a live list."""
        self.requests += 1
        return []

    async def in_force(self) -> bool:
        """Count a look at the admission policy."""
        self.requests += 1
        return True


def take(plan: Plan, crd: Path) -> Measurement:
    """Measure the check with `plan.size` executions in the cache; no CRD takes part."""
    del crd
    load_average = os.getloadavg()[0]
    gc.set_threshold(*cli.GC_THRESHOLDS)
    figures = asyncio.run(_measured(plan.size))
    return Measurement(
        scenario=plan.scenario,
        subject=plan.subject.value,
        tekton=plan.tekton,
        size=plan.size,
        load_average=load_average,
        figures={name: round(value, 6) for name, value in figures.items()},
        requests={},
    )


async def _measured(size: int) -> dict[str, float]:
    server, cache = CountingServer(), store.StoreWriter[view.Execution](view.indexes())
    project = view.projection("", "")
    cache.replace(project(raw) for raw in _stored(size))
    check = admission.Admission(_tools(server, cache)).check
    figures: dict[str, float] = {}
    for name, target in (("free", _FREE), ("past", _WORKED)):
        seen = project(_execution(f"asks-{name}", target, "Pending"))
        cache.apply(seen)
        took_us = []
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            obstacle = await check(seen)
            took_us.append((time.perf_counter() - begun) * _MICRO)
            assert obstacle is None, obstacle
        took_us.sort()
        figures[f"{name}_p50_us"] = statistics.median(took_us)
        figures[f"{name}_p99_us"] = took_us[math.ceil(0.99 * _ROUNDS) - 1]
    return {**figures, "live_reads": server.requests, "cached": len(cache)}


def _tools(server: CountingServer, cache: store.Store[view.Execution]) -> tools.Tools:
    # What the check has no use for must not be there.
    absent = cast("Any", None)
    settled = policy.of(settings.Settings())
    return tools.Tools(
        executions=cache,
        engine=absent,
        writer=absent,
        reader=server,
        project=view.projection("", "", whole=True),
        guard=server,
        clock=clock.ServerClock(),
        policies=lambda: settled,
        busy=lambda: False,
        wake=lambda key: None,
        observers=(),
        events=absent,
        metrics=absent,
        audit=absent,
        marks=absent,
    )


def _stored(size: int) -> Iterator[dict[str, Any]]:
    """Executions on targets of their own, most of them over, and those of the worked target."""
    for number in range(_PAST):
        yield _execution(f"past-{number}", _WORKED, "Completed")
    for number in range(size - _PAST - 2):
        share = number % 100
        running = "Running" if share < _PENDING + _RUNNING else "Completed"
        phase = "Pending" if share < _PENDING else running
        yield _execution(f"other-{number:06}", f"bench/deployment/other-{number}", phase)


def _execution(name: str, target: str, phase: str) -> dict[str, Any]:
    raw = builders.raw_execution(name)
    raw["metadata"] |= {"uid": f"uid-{name}", "finalizers": [names.FINALIZER]}
    raw["spec"]["targetResource"] = target
    raw["status"] = {"phase": phase}
    if phase == "Completed":
        raw["status"] |= {
            "outcome": "Success",
            "completionTime": builders.stamp(_ENDED),
            "pipelineRunRef": {"name": "wfe", "uid": f"run-{name}"},
        }
    return raw

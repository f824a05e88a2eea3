"""Measures starts of the controller in a cluster that has a history."""

import collections
import dataclasses
import os
import time
from collections.abc import Iterable
from pathlib import Path

from tests.benchmark import cluster, measure, recording, seed, subjects
from tests.benchmark.auditlog import Request
from tests.benchmark.measure import Measurement, Plan
from tests.support import procfs
from tests.support.processes import Failed

_AFTER_START_S = 10.0
_LATE_S = 30.0
_AGE_S = 3600.0
_EXTRA_RUNS = 50_000
_MEGA = 1_000_000
_READS = frozenset({"get", "list", "watch"})


@dataclasses.dataclass(frozen=True)
class History:
    """What is in the cluster when the controller starts.

    Attributes:
        extra_runs: runs of 8 KB beside those of the executions, of another making.
        retention: how long the controller keeps runs.
        age_s: for how long the executions have been over.
        watched_s: for how long the controller is watched once it is ready.
    """

    extra_runs: int = 0
    retention: str = "2h"
    age_s: float = 0.0
    watched_s: float = _AFTER_START_S


def take(plan: Plan, crd: Path) -> Measurement:
    """Measure a start with finished executions and their runs, all within retention."""
    return _take(plan, crd, History())


def take_crowded(plan: Plan, crd: Path) -> Measurement:
    """Measure the same among 50,000 runs that are not the controller's."""
    return _take(plan, crd, History(extra_runs=_EXTRA_RUNS))


def take_late(plan: Plan, crd: Path) -> Measurement:
    """Measure a start after so long an absence that every run is due to be deleted.

    Raises:
        Failed: none was deleted.
    """
    found = _take(plan, crd, History(retention="5m", age_s=_AGE_S, watched_s=_LATE_S))
    if not found.figures["deletions_per_s"]:
        raise Failed("no run was deleted")
    return found


def _take(plan: Plan, crd: Path, history: History) -> Measurement:
    load_average = os.getloadavg()[0]
    with cluster.fresh(crd) as base, recording.store(plan.audit_of_subject, base) as records:
        seed.fill(base, plan.size, extra_runs=history.extra_runs, age_s=history.age_s)
        base.audit.refresh()
        sections = {**records.sections, "execution": {"runRetention": history.retention}}
        with subjects.running(plan.subject, base, sections, profile=plan.profile) as subject:
            time.sleep(history.watched_s)
            usage = procfs.read(subject.process.pid)
            requests = base.audit.refresh()
            own = [each for each in requests if each.agent.startswith(subject.agent)]
            figures = {
                "ready_s": subject.ready_s,
                "cpu_s": usage.cpu_s,
                "peak_mb": usage.peak_bytes / _MEGA,
                "rss_mb": usage.rss_bytes / _MEGA,
                "writes": sum(each.verb not in _READS for each in own),
                "deletions_per_s": deletions_per_s(own),
            }
            return measure.measurement(plan, load_average, figures, own)


def deletions_per_s(requests: Iterable[Request]) -> float:
    """Return the deletions of the second with the most of them."""
    seconds = collections.Counter(
        int(each.received) for each in requests if each.verb == "delete" and each.succeeded
    )
    return max(seconds.values(), default=0)

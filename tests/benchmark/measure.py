"""Takes one measurement: one subject, one load, one fresh cluster."""

import contextlib
import dataclasses
import math
import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.benchmark import auditlog, cluster, load, profiling, recording, subjects
from tests.benchmark.auditlog import Request
from tests.benchmark.profiling import Kind, Profile
from tests.benchmark.recording import Audit
from tests.benchmark.subjects import Subject
from tests.support import numbered, processes, procfs

_REST_S = 2.0
_SETTLED_S = 1.5
_SETTLE_LIMIT_S = 300.0
"""The line of Kubernetes events alone may take minutes after a large burst."""
_PACE = 0.95
_DELETE_LIMIT_S = 120.0
_MILLI = 1000
_MEGA = 1_000_000


@dataclasses.dataclass(frozen=True)
class Plan:
    """One measurement to be taken.

    Attributes:
        scenario: its name in results.
        tekton: `plain` or `full`.
        rate: executions a second; 0 is a burst.
        profile: of the controller, if one is to be taken.
        run_duration_s: the pause that the simulated Tekton makes within each run.
        whole_life: goes on to delete everything, to count requests to the end.
        audit: where the controller's audit records go.
    """

    scenario: str
    subject: Subject
    size: int
    tekton: str = "plain"
    rate: float = 0.0
    run_duration_s: float = 0.0
    limit_s: float = 180.0
    whole_life: bool = False
    audit: Audit = Audit.LOG
    profile: Profile | None = None

    def profile_of(self, kind: Kind) -> Profile | None:
        """Return the profile to be taken, if it is of this kind: the controller's alone."""
        if self.subject is not Subject.CONTROLLER or self.profile is None:
            return None
        return self.profile if self.profile.kind is kind else None

    @property
    def audit_of_subject(self) -> Audit:
        """Return where its records go: the floors leave none."""
        return self.audit if self.subject is Subject.CONTROLLER else Audit.OFF


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What was measured; units are in the names of the figures, `cpu_ms` is for each execution.

    Attributes:
        requests: how many for each execution, by verb and resource.
        load_average: of the machine, before the measurement began.
        audit: where audit records went; the floors have none.
    """

    scenario: str
    subject: str
    tekton: str
    size: int
    load_average: float
    figures: Mapping[str, float]
    requests: Mapping[str, float]
    audit: str = Audit.LOG.value


def take(plan: Plan, crd: Path) -> Measurement:
    """Take a measurement under load."""
    load_average = os.getloadavg()[0]
    with (
        cluster.fresh(crd) as base,
        recording.store(plan.audit_of_subject, base) as records,
        subjects.tekton(base, mode=plan.tekton, duration_s=plan.run_duration_s) as tekton,
        subjects.running(
            plan.subject, base, records.sections, profile=plan.profile_of(Kind.MEMORY)
        ) as subject,
    ):
        processes_beside = {**base.pids, **records.pids, "tekton": tekton.pid}
        watched = {**processes_beside, "subject": subject.process.pid}
        time.sleep(_REST_S)
        procfs.reset_peak(subject.process.pid)
        base.audit.refresh()
        before = {name: procfs.read(pid) for name, pid in watched.items()}
        shape = load.Shape(size=plan.size, rate=plan.rate, limit_s=plan.limit_s)
        with sampled(plan, subject.process):
            course = load.run(base.way, shape, check=lambda: _check(tekton, subject.process))
        requests = settle(base.audit, subject)
        _check(tekton, subject.process)
        after = {name: procfs.read(pid) for name, pid in watched.items()}
        own = [request for request in requests if request.agent.startswith(subject.agent)]
        figures = {
            **speed(plan, course),
            **latencies(course, requests),
            **_usage(before, after, plan.size),
            **records.figures(plan.size),
            "requests": len(own) / plan.size,
            "refused_requests": sum(not request.succeeded for request in own) / plan.size,
        }
        if plan.whole_life:
            left = load.delete_all(base.way, plan.size, limit_s=_DELETE_LIMIT_S)
            later = settle(base.audit, subject)
            own_later = [each for each in later if each.agent.startswith(subject.agent)]
            own += own_later
            if left:
                raise processes.Failed(f"{left} of {plan.size} executions are not deleted")
            figures["requests_whole_life"] = len(own) / plan.size
        return measurement(plan, load_average, figures, own)


def measurement(
    plan: Plan, load_average: float, figures: Mapping[str, float], own: Sequence[Request]
) -> Measurement:
    """Return what was measured, as it is kept."""
    return Measurement(
        scenario=plan.scenario,
        subject=plan.subject.value,
        tekton=plan.tekton,
        size=plan.size,
        load_average=load_average,
        figures={name: round(value, 6) for name, value in figures.items()},
        audit=plan.audit_of_subject.value,
        requests={
            kind: round(count / plan.size, 4) for kind, count in auditlog.by_kind(own).items()
        },
    )


def sampled(plan: Plan, process: processes.Process) -> contextlib.AbstractContextManager[None]:
    """Sample where the time of a process goes within the block, if that is wished."""
    profile = plan.profile_of(Kind.TIME)
    return profiling.sampled(process.pid, profile) if profile else contextlib.nullcontext()


def _check(*running: processes.Process) -> None:
    for process in running:
        process.check()


def settle(audit: auditlog.AuditLog, subject: subjects.Running) -> list[Request]:
    """Wait until the subject asks for nothing more; return all that was asked since the last.

    Raises:
        Failed: it goes on asking, so that what it takes is not known.
    """
    requests: list[Request] = []
    deadline = time.monotonic() + _SETTLE_LIMIT_S
    while time.monotonic() < deadline:
        time.sleep(_SETTLED_S)
        subject.process.check()
        new = audit.refresh()
        requests += new
        own = (each for each in new if each.agent.startswith(subject.agent))
        # A lease is renewed for ever.
        if all(each.resource == "leases" for each in own):
            return requests
    raise processes.Failed(f"{subject.agent} still asks after {_SETTLE_LIMIT_S:.0f} s")


def speed(plan: Plan, course: load.Course) -> dict[str, float]:
    """Return how many ended, and how fast.

    Raises:
        Failed: they were not created at the rate of the plan.
    """
    first = min(course.sent.values())
    last = max(course.terminal.values(), default=first)
    duration = last - first
    created_per_s = len(course.sent) / (course.created - first)
    if created_per_s < plan.rate * _PACE:
        raise processes.Failed(f"created {created_per_s:.1f} a second, not {plan.rate:.0f}")
    return {
        "finished": len(course.terminal),
        "completed": sum(phase == "Completed" for phase in course.phases.values()),
        "duration_s": duration,
        "created_per_s": created_per_s,
        "finished_per_s": len(course.terminal) / duration if duration else 0.0,
    }


def latencies(course: load.Course, requests: Iterable[Request]) -> dict[str, float]:
    """Latencies of the start by the apiserver's own clock, of the end as a watcher sees it.

    The audit log does not tell which status write was the last one; the watch does.
    """
    created: dict[str, float] = {}
    runs: dict[str, float] = {}
    for request in requests:
        if request.succeeded and request.kind == "create workflowexecutions":
            created[request.name] = request.answered
        elif request.succeeded and request.kind == "create pipelineruns":
            runs[request.name] = request.answered
    starts = [
        max(runs[run] - created[name], 0.0)
        for number in course.sent
        if (name := numbered.name(number)) in created and (run := numbered.run_name(number)) in runs
    ]
    ends = [
        max(terminal - course.run_done[number], 0.0)
        for number, terminal in course.terminal.items()
        if number in course.run_done
    ]
    return {**_quantiles("start", starts), **_quantiles("end", ends)}


def _quantiles(name: str, values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    return {
        f"{name}_p50_s": statistics.median(ordered),
        f"{name}_p99_s": ordered[math.ceil(0.99 * len(ordered)) - 1],
        f"{name}_max_s": ordered[-1],
    }


def _usage(
    before: Mapping[str, procfs.Usage], after: Mapping[str, procfs.Usage], size: int
) -> dict[str, float]:
    cpu_ms = {
        name: (usage.cpu_s - before[name].cpu_s) / size * _MILLI for name, usage in after.items()
    }
    own = cpu_ms.pop("subject")
    others = {f"{name.replace('-', '_')}_cpu_ms": value for name, value in cpu_ms.items()}
    return {
        "cpu_ms": own,
        **others,
        "rest_mb": before["subject"].rss_bytes / _MEGA,
        "peak_mb": after["subject"].peak_bytes / _MEGA,
    }

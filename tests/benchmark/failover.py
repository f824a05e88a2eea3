"""Measures what a load notices when the leader of two replicas is killed in the midst of it."""

import collections
import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmark import cluster, load, measure, recording, subjects
from tests.benchmark.auditlog import Request
from tests.benchmark.measure import Measurement, Plan
from tests.support.processes import Failed

_LEASE = (
    "/apis/coordination.k8s.io/v1/namespaces/kubernaut-system/leases/workflowexecution.kubernaut.ai"
)
_SECTIONS = {"controller": {"leaderElection": True}}
_KILL_AFTER_S = 10.0


@dataclasses.dataclass
class Killer:
    """Ends the leader without any warning, once, some seconds into the load."""

    base: cluster.Cluster
    replicas: Sequence[subjects.Running]
    begun: float = dataclasses.field(default_factory=time.time)
    killed: float = 0.0

    def look(self) -> None:
        """Do it when it is time; whoever else has ended has failed."""
        if not self.killed and time.time() - self.begun >= _KILL_AFTER_S:
            leader = self.base.stack.api.json("GET", _LEASE)["spec"]["holderIdentity"]
            victim = next(it for it in self.replicas if leader.endswith(f"-{it.process.pid}"))
            os.kill(victim.process.pid, signal.SIGKILL)
            self.killed = time.time()
            self.replicas = [it for it in self.replicas if it is not victim]
        for replica in self.replicas:
            replica.process.check()


def take(plan: Plan, crd: Path) -> Measurement:
    """Measure a load at a rate, with two replicas of which the leader is killed."""
    load_average = os.getloadavg()[0]
    with contextlib.ExitStack() as held:
        base = held.enter_context(cluster.fresh(crd))
        records = held.enter_context(recording.store(plan.audit_of_subject, base))
        held.enter_context(subjects.tekton(base, mode=plan.tekton, duration_s=0.0))
        sections = {**records.sections, **_SECTIONS}
        replicas = [
            held.enter_context(subjects.running(plan.subject, base, sections, name=name))
            for name in ("first", "second")
        ]
        base.audit.refresh()
        killer = Killer(base, replicas)
        shape = load.Shape(size=plan.size, rate=plan.rate, limit_s=plan.limit_s)
        course = load.run(base.way, shape, check=killer.look)
        requests = measure.settle(base.audit, killer.replicas[-1])
        own = [each for each in requests if each.agent.startswith(killer.replicas[-1].agent)]
        figures = {
            **measure.speed(plan, course),
            **measure.latencies(course, requests),
            "without_leader_s": without_leader_s(
                own, killed=killer.killed, heir=f"-{killer.replicas[-1].process.pid})"
            ),
            "runs_created_twice": _doubles(own),
        }
        return measure.measurement(plan, load_average, figures, own)


def without_leader_s(requests: Sequence[Request], *, killed: float, heir: str) -> float:
    """Seconds from the death of the leader to the next run that was created.

    Args:
        requests: of both replicas.
        killed: when the leader was, in seconds since the epoch; 0 if it was not.
        heir: how the User-Agent of the other replica ends.

    Raises:
        Failed: no leader was killed while there was something to do.
    """
    runs = _runs(requests)
    inherited = [it.received for it in runs if it.agent.endswith(heir)]
    if not killed or len(inherited) in {0, len(runs)}:
        raise Failed(f"of {len(runs)} runs the second leader has created {len(inherited)}")
    return min(inherited) - killed


def _runs(requests: Sequence[Request]) -> list[Request]:
    """The creates of runs that the API server did."""
    return [it for it in requests if it.kind == "create pipelineruns" and it.succeeded]


def _doubles(requests: Sequence[Request]) -> int:
    """Executions for which more than one run was created: their names are their own."""
    created = collections.Counter(it.name for it in _runs(requests))
    return sum(count - 1 for count in created.values())

"""One walk through the rules: the program, its cluster and the model of the rules, side by side.

Every step is done to the cluster and told to the model; when all is quiet again both must say the
same of every execution and every run.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from tests.component import hands, rules_model, rules_objects, world
from tests.fake import kinds
from tests.fake.cluster import FakeCluster
from workflowexecution.api import names
from workflowexecution.domain import locking

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from tests.component.rules_objects import Execution, Run
    from tests.fake.statuses import JsonObject

# Spellings of a target; the first is the canonical one.
TARGETS = (
    ("payment/deployment/api", "payment/Deployment/api", "payment/DEPLOYMENT/api"),
    ("node/worker-1", "Node/worker-1"),
)
WORKFLOWS = ("restart", "scale")
_LOCKS = {locking.run_name(spellings[0]) for spellings in TARGETS}
QUIET_S = 4.0
LONG_QUIET_S = 40.0
"""Where nothing wakes the program: it looks again after half a minute at the latest."""
_NEAR_S = 3.0
_CONDITIONS = {
    rules_objects.End.SUCCEEDED: hands.SUCCEEDED,
    rules_objects.End.FAILED: hands.FAILED,
    rules_objects.End.CANCELLED: hands.CANCELLED,
}


class Walk:
    """Does a step on both sides, and compares."""

    def __init__(self, folder: Path) -> None:
        self.rules = rules_model.Rules()
        self._folder = folder
        self._cluster = FakeCluster(now=world.virtual_now, bookmark_interval_s=3600.0)
        self._surroundings = contextlib.AsyncExitStack()
        self._program = contextlib.AsyncExitStack()
        self._count = 0
        self._begun: dict[Run, str] = {}

    async def begin(self) -> None:
        """Start cluster and program."""
        await self._surroundings.enter_async_context(self._cluster)
        self._here = world.World(self._cluster, self._folder)
        # Of one life to the next only the connections stay, which take long to make.
        self._way = await self._surroundings.enter_async_context(self._here.way())
        self._here.install_policies()
        self._hands = hands.Hands(self._cluster)
        self._witness = hands.Witness(self._cluster)
        await self._start()
        await self._quieten(QUIET_S)

    async def end(self) -> None:
        """Stop both."""
        await self._program.aclose()
        await self._surroundings.aclose()

    async def _start(self) -> None:
        flags = {
            "execution__defaultTimeout": "24h",
            "execution__suspend": self.rules.suspended,
            "limits__watchIdle": "24h",
        }
        await self._program.enter_async_context(self._here.program(self._way, **flags))

    # Steps.

    async def ask(self, spellings: list[tuple[int, int, int]], *, faulty: bool = False) -> None:
        """Create executions in one moment, each of (target, spelling, workflow)."""
        await self.calm()
        for target, spelling, workflow in spellings:
            names = TARGETS[target]
            self._ask(names[0], names[spelling % len(names)], WORKFLOWS[workflow], faulty=faulty)
        await self._quieten(QUIET_S)

    def _ask(self, target: str, spelled: str, workflow: str, *, faulty: bool) -> None:
        name = f"e{self._count}"
        self._count += 1
        reference = {"workflowId": workflow, "version": "1", "containerImage": "r/w:1"}
        wrong = {"TARGET_RESOURCE": "x"} if faulty else {}
        spec = {"targetResource": spelled, "workflowRef": reference, "parameters": wrong}
        uid = self._here.ask(name, spec=spec)["metadata"]["uid"]
        execution = rules_objects.Execution(
            uid=uid, name=name, target=target, workflow=workflow,
            asked_at=self._now(), faulty=faulty,
        )  # fmt: skip
        self.rules.asked(execution)

    async def begins(self, run: Run, *, worked: bool, stubborn: bool) -> None:
        """Tekton makes the run's task."""
        await self.calm()
        stored = self._stored(run)
        self._begun[run] = stored["metadata"]["uid"]
        self._hands.begin(stored, worked=worked, stubborn=stubborn)
        self.rules.begins(run, worked=worked, stubborn=stubborn)
        await self._quieten(QUIET_S)

    async def ends(self, run: Run, end: rules_objects.End, *, lingers: bool) -> None:
        """Tekton says the run's end."""
        await self.calm()
        self._hands.end(self._stored(run), _CONDITIONS[end], lingers=lingers)
        self.rules.ends(run, end, lingers=lingers)
        await self._quieten(QUIET_S)

    async def copies(self, run: Run, asked: tuple[int, int]) -> None:
        """Somebody copies a run and another asks for its target; then Tekton ends the copy.

        It is told to at once, also beside the run that it is one of, which goes on.
        """
        await self.calm()
        stored = self._stored(run)
        name = f"{stored['metadata']['name']}-r-{self._count}"
        kept = {key: stored["metadata"][key] for key in ("namespace", "labels", "annotations")}
        spec = {key: value for key, value in stored["spec"].items() if key != "status"}
        made = {key: stored[key] for key in ("apiVersion", "kind")}
        copy = self._cluster.create({**made, "metadata": {**kept, "name": name}, "spec": spec})
        known = self.rules.copied(run)
        await self._quieten(QUIET_S)
        there = self._cluster.get(kinds.PIPELINE_RUNS, world.NAMESPACE, name) or {}
        assert self.rules.asleep or there["spec"]["status"] == "Cancelled"
        spellings = next(names for names in TARGETS if names[0] == run.owner.target)
        spelled, workflow = spellings[asked[0] % len(spellings)], WORKFLOWS[asked[1]]
        self._ask(spellings[0], spelled, workflow, faulty=False)
        await self._quieten(QUIET_S)
        self._hands.end(copy, hands.CANCELLED)
        self._cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, name)
        self.rules.copy_goes(known)
        await self._quieten(QUIET_S)

    async def pod_ends(self, run: Run) -> None:
        """The last pod of a run ends."""
        await self.calm(LONG_QUIET_S)
        self._hands.end_pod(self._begun[run])
        self.rules.pod_ends(run)
        await self._quieten(LONG_QUIET_S)

    async def vanishes(self, run: Run) -> None:
        """Somebody deletes a run."""
        await self.calm(LONG_QUIET_S)
        name = locking.run_name(run.owner.target)
        self._cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, name, propagation="Background")
        self.rules.vanishes(run)
        await self._quieten(LONG_QUIET_S)

    async def cancels(self, it: Execution) -> None:
        """Somebody cancels an execution."""
        await self.calm()
        asked = {"spec": {"cancel": {"requestedBy": "jane", "reason": "not now"}}}
        self._cluster.patch(kinds.EXECUTIONS, world.TEAM, it.name, asked)
        self.rules.cancels(it)
        await self._quieten(QUIET_S)

    async def clears(self, it: Execution) -> None:
        """Somebody clears an execution."""
        await self.calm()
        self._here.clear(it.name)
        self.rules.clears(it)
        await self._quieten(QUIET_S)

    async def deletes(self, it: Execution) -> None:
        """Somebody deletes an execution."""
        await self.calm(LONG_QUIET_S)
        self._cluster.delete(kinds.EXECUTIONS, world.TEAM, it.name)
        self.rules.deletes(it)
        await self._quieten(LONG_QUIET_S)

    async def while_down(self, step: Coroutine[None, None, None], seconds: float) -> None:
        """Stop the program, take a step and let time pass, and start it again."""
        await self.calm()
        await self._program.aclose()
        self.rules.falls_asleep()
        await step
        await asyncio.sleep(seconds)
        await self._wake(suspended=self.rules.suspended)

    async def restart(self, *, suspended: bool) -> None:
        """Stop the program, and start it with execution.suspend or without."""
        await self.calm()
        await self._program.aclose()
        self.rules.falls_asleep()
        await self._wake(suspended=suspended)

    async def _wake(self, *, suspended: bool) -> None:
        await self.calm(LONG_QUIET_S)
        self.rules.asleep, self.rules.suspended = False, suspended
        await self._start()
        await self._quieten(LONG_QUIET_S)

    async def fail_in_a_row(self, asked: tuple[int, int, int], times: int) -> None:
        """Try a target again and again, as soon as it may be tried, and fail before all work."""
        target = TARGETS[asked[0]][0]
        for _ in range(times):
            ends = [it.next_at for it in self.rules.alive() if it.target == target]
            await asyncio.sleep(max(0.0, max(ends, default=0.0) + _NEAR_S - self._now()))
            await self.ask([asked])
            run = self.rules.executions[-1].run
            if run is None:
                break
            await self.ends(run, rules_objects.End.FAILED, lingers=False)

    async def passes_to_what_is_due(self) -> None:
        """Nothing happens until something falls due."""
        await self.calm()
        coming = [at + late for at, late in self.rules.due() if at > self._now()]
        await self._quieten(min(coming, default=self._now()) + _NEAR_S - self._now())

    async def passes(self, seconds: float) -> None:
        """Nothing happens for a while."""
        await self._quieten(seconds)

    # Both sides.

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def calm(self, ahead_s: float = _NEAR_S) -> None:
        """Wait for a moment from which on nothing falls due for so long."""
        while (left_s := self._left_s(ahead_s)) > 0 or self.rules.now < self._now():
            if left_s > 0:
                await asyncio.sleep(left_s)
            else:
                self.rules.pass_to(self._now())

    def _left_s(self, ahead_s: float) -> float:
        """Seconds until what falls due next, or has just fallen due, can be told for sure."""
        now = self._now()
        near = [at + late for at, late in self.rules.due() if at - ahead_s <= now]
        return max((at + _NEAR_S - now for at in near), default=0.0)

    async def _quieten(self, seconds: float) -> None:
        """Let the program do what it has to do, then compare."""
        self.rules.settle()
        await asyncio.sleep(seconds)
        await self.calm()
        self.compare()

    def compare(self) -> None:
        """Both sides say the same, and no two runs have ever worked on one target."""
        assert self._witness.overlaps == []
        if self.rules.asleep:
            return
        said = {it["metadata"]["name"]: _said(it) for it in self._cluster.items(kinds.EXECUTIONS)}
        ruled = {it.name: _ruled(it) for it in self.rules.alive()}
        apart = _apart(said, ruled)
        assert not apart, f"program and rules differ at {self._now():.0f}: {apart}"
        stored = self._cluster.items(kinds.PIPELINE_RUNS)
        there = {_owner(run) for run in stored if run["metadata"]["name"] in _LOCKS}
        copies = len(stored) - len(there)
        assert copies == len(self.rules.copies), f"at {self._now():.0f} there are {copies} copies"
        runs = {it.owner.uid: it for it in self.rules.runs()}
        lost = there - runs.keys(), [runs[uid] for uid in runs.keys() - there]
        assert not any(lost), f"at {self._now():.0f} there are runs too many or too few: {lost}"

    def _stored(self, run: Run) -> JsonObject:
        found = self._cluster.get(
            kinds.PIPELINE_RUNS, world.NAMESPACE, locking.run_name(run.owner.target)
        )
        assert found is not None
        return found


def _owner(run: JsonObject) -> str:
    return str(run["metadata"]["labels"][names.LABEL_EXECUTION_UID])


def _said(execution: JsonObject) -> dict[str, Any]:
    status = execution.get("status") or {}
    skipped = status.get("skipDetails") or {}
    other = skipped.get("conflictingWorkflow") or skipped.get("recentRemediation") or {}
    details = status.get("failureDetails") or {}
    return {
        "phase": status.get("phase") or rules_objects.PENDING,
        "outcome": status.get("outcome"),
        "reason": skipped.get("reason"),
        "other": other.get("name"),
        "failures": status.get("consecutiveFailures"),
        "harmed": details.get("wasExecutionFailure"),
        "retry_at": _seconds(skipped.get("retryAt")),
        "locked_until": _seconds(status.get("lockedUntil")),
    }


def _ruled(it: Execution) -> dict[str, Any]:
    return {
        "phase": it.phase,
        "outcome": it.outcome,
        "reason": it.reason,
        "other": it.other,
        "failures": it.failures,
        "harmed": it.harmed,
        "retry_at": it.retry_at,
        "locked_until": it.locked_until,
    }


def _apart(
    said: dict[str, dict[str, Any]], ruled: dict[str, dict[str, Any]]
) -> dict[str, tuple[Any, Any]]:
    """Where the two differ, as (program, rules); times in the API are whole seconds."""
    apart: dict[str, tuple[Any, Any]] = {}
    for name in said.keys() | ruled.keys():
        left, right = said.get(name), ruled.get(name)
        if left is None or right is None:
            apart[name] = left, right
            continue
        for field, value in left.items():
            if not _is_same(value, right[field]):
                apart[f"{name}.{field}"] = value, right[field]
    return apart


def _is_same(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right) < 2.0
    return left == right


def _seconds(stamp: str | None) -> float | None:
    return None if stamp is None else world.seconds_of(stamp)

"""One round: a load, mishaps, a death; then quiet, and what must be true."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.chaos import mishaps, trap, verdict
from tests.chaos import stage as stage_module
from tests.chaos.plan import BUSY_S, Plan, Wish
from tests.fake import kinds
from tests.fake.tekton import PARAMETER
from tests.integration import audit, objects, tekton
from workflowexecution.adapters import outbox
from workflowexecution.domain.events import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.stage import Stage

SETTLED_S = 120.0
HEARD_S = 0.3
_LOOK_EVERY_S = 0.05
CANCEL = {"requestedBy": "admin", "reason": "the round wants it"}


@dataclass
class Round:
    """A plan being played.

    Attributes:
        names: of its executions, in the order of the plan's wishes.
        wishes: by those names.
        probes: names of the executions that show that targets are free.
        fired: whether the point was reached, and somebody killed there.
        doubles: audit records that are there twice, by two leaders.
        lost: controllers that ended since they had lost their lease.
        steps: seconds from the beginning to the end of each part.
    """

    stage: Stage
    plan: Plan
    wishes: dict[str, Wish] = field(default_factory=dict)
    probes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    fired: bool = False
    doubles: int = 0
    lost: int = 0
    steps: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._log = audit.AuditLog(self.stage.audit_log)
        self._begun = time.monotonic()
        for number, wish in enumerate(self.plan.wishes):
            self.wishes[f"s{self.plan.seed}-{number}"] = wish

    async def play(self) -> list[str]:
        """Play it; returns what was wrong."""
        await self.stage.set_up(self.plan.cooldown_s)
        self._step("set up")
        self._arm()
        try:
            await self._busy()
            self._step("busy")
            await self._until("the executions come to their ends", self._are_settled)
            self._step("settled")
            await self._probe()
            self._step("probed")
            await self._sweep()
            self._step("swept")
        except AssertionError as error:
            self.problems.append(str(error))
        finally:
            self._disarm()
        if not self.problems:
            await self.stage.set_up(self.plan.cooldown_s)
            self.problems += await verdict.of(self, self._log)
            self._step("judged")
        return self.problems

    def is_deleted(self, name: str) -> bool:
        """Whether an execution was deleted while the round was under way."""
        wish = self.wishes.get(name)
        return wish is not None and wish.delete_s is not None

    def name_of_target(self, number: int) -> str:
        """A target that no other round has."""
        return f"chaos/deployment/s{self.plan.seed}-{number}"

    def _step(self, name: str) -> None:
        self.steps[name] = round(time.monotonic() - self._begun, 2)

    def _arm(self) -> None:
        for name in (trap.ARMED, trap.FIRED, f"{trap.REACHED}-{self.plan.seed}"):
            (self.stage.folder / name).unlink(missing_ok=True)
        if self.plan.point is not None:
            order = f"{self.plan.seed} {self.plan.point} {self.plan.times}"
            made = self.stage.folder / "order"
            made.write_text(order)
            made.rename(self.stage.folder / trap.ARMED)

    def _disarm(self) -> None:
        self.fired = (self.stage.folder / trap.FIRED).exists()
        (self.stage.folder / trap.ARMED).unlink(missing_ok=True)

    async def _busy(self) -> None:
        """What comes by chance; whoever dies meanwhile is started again."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._revive())
            chance = random.Random(self.plan.seed)
            tasks = [
                group.create_task(mishaps.play(self.stage, it, random.Random(chance.random())))
                for it in self.plan.mishaps
            ]
            tasks += [group.create_task(self._wish(*it)) for it in self.wishes.items()]
            await asyncio.gather(*tasks, asyncio.sleep(BUSY_S))
            watching.cancel()

    async def _revive(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(_LOOK_EVERY_S)

    def _look(self) -> None:
        for replica in self.stage.replicas:
            replica.look()

    async def _wish(self, name: str, wish: Wish) -> None:
        """Create an execution, and do to it what is to be done."""
        begun = time.monotonic()
        await asyncio.sleep(wish.at_s)
        body = self._body(name, wish.target, wish.scenario)
        world = self.stage.world
        if wish.told:
            body["metadata"]["labels"] = {"kubernaut.ai/instance": "nobody"}
        made = await world.create(body)
        if wish.told:
            await self._tell(made)
            labels = {"kubernaut.ai/instance": world.instance}
            (await world.change(name, {"metadata": {"labels": labels}})).accept()
        if wish.cancel_s is not None:
            await asyncio.sleep(max(0.0, begun + wish.cancel_s - time.monotonic()))
            await world.change(name, {"spec": {"cancel": CANCEL}})
        if wish.delete_s is not None:
            await asyncio.sleep(max(0.0, begun + wish.delete_s - time.monotonic()))
            await self._delete(name)

    def _body(self, name: str, target: int, scenario: str) -> dict[str, Any]:
        return self.stage.world.execution(
            name,
            targetResource=self.name_of_target(target),
            parameters={PARAMETER: scenario},
            executionConfig={"timeout": "5m", "serviceAccountName": objects.ACCOUNT},
        )

    async def _tell(self, made: dict[str, Any]) -> None:
        """An event of it is there, as a process before would have left it."""
        metadata = made["metadata"]
        key, uid = metadata["name"], metadata["uid"]
        for reason in Reason:
            digest = hashlib.sha256(f"{uid}/{reason.value}".encode()).hexdigest()[:16]
            told = f"{key}.{digest}"
            body = {
                "metadata": {"name": told},
                "involvedObject": {"namespace": self.stage.world.namespace, "name": key},
                "reason": reason.value,
                "count": 1,
            }
            await self.stage.world.api.create(kinds.EVENTS, self.stage.world.namespace, body)

    async def _delete(self, name: str) -> None:
        await self.stage.world.api.delete(kinds.EXECUTIONS, self.stage.world.namespace, name)

    async def _until(self, what: str, so: Callable[[], list[str]]) -> None:
        """Wait until nothing is left, reviving whoever dies.

        Raises:
            AssertionError: something still is.
        """
        deadline = time.monotonic() + SETTLED_S
        while left := so():
            self._look()
            if time.monotonic() > deadline:
                raise AssertionError(f"not so after {SETTLED_S:.0f} s: {what}: {left[:3]}")
            self.stage.news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self.stage.news.wait()

    def _are_settled(self) -> list[str]:
        """What has not come to its end, or not been recorded, or not gone."""
        left = []
        for name, wish in self.wishes.items():
            if name in self.stage.gone:
                continue
            found = self.stage.last.get(name, {})
            status = found.get("status") or {}
            if wish.delete_s is not None:
                left.append(f"{name} is still there: {status}")
            elif status.get("phase") not in stage_module.TERMINAL or not is_recorded(status):
                left.append(f"{name}: {status}")
        return left

    async def _probe(self) -> None:
        """Clear what blocks, then see that each target takes a new execution at once."""
        world = self.stage.world
        for name in self.wishes:
            status = self.stage.last[name].get("status") or {}
            if name in self.stage.gone or not status.get("requiresManualReview"):
                continue
            clearance = {
                "clearedAt": tekton.now(),
                "clearedBy": "admin",
                "clearReason": "the round wants it",
                "clearMethod": "StatusField",
            }
            patch = {"status": {"blockClearance": clearance}}
            place = kinds.EXECUTIONS, world.namespace, name
            (await world.api.patch(*place, patch, subresource="status")).accept()
        await self._until("clearances are recorded", self._are_cleared)
        await self._until_idle()
        for target in range(self.plan.targets):
            name = f"s{self.plan.seed}-probe-{target}"
            self.probes.append(name)
            body = self._body(name, target, "plain")
            body["spec"]["workflowRef"]["workflowId"] = "probe"
            await world.create(body)
        await self._until("targets are free", self._are_probed)

    async def _until_idle(self) -> None:
        """Wait until no pod works: a target is held until then, and the word of it is on its way.

        Raises:
            AssertionError: one still does.
        """
        world, deadline = self.stage.world, time.monotonic() + SETTLED_S
        asked = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}
        while (await world.api.list(kinds.PODS, world.runs, **asked)).accept()["items"]:
            self._look()
            assert time.monotonic() < deadline, "pods go on"
            await asyncio.sleep(_LOOK_EVERY_S)
        await asyncio.sleep(HEARD_S)

    def _are_cleared(self) -> list[str]:
        left = []
        for name in self.wishes:
            status = self.stage.last[name].get("status") or {}
            if name not in self.stage.gone and status.get("blockClearance"):
                recorded = status.get("clearanceRecordedAt") and is_recorded(status)
                left += [] if recorded else [f"{name}: {status}"]
        return left

    def _are_probed(self) -> list[str]:
        left = []
        for name in self.probes:
            status = self.stage.last.get(name, {}).get("status") or {}
            if status.get("phase") in {"Failed", "Skipped"}:
                raise AssertionError(f"a target is not free: {name}: {status}")
            if status.get("phase") != "Completed" or not is_recorded(status):
                left.append(f"{name}: {status}")
        return left

    async def _sweep(self) -> None:
        """Delete every execution: each must go, and its run with it."""
        for name in (*self.wishes, *self.probes):
            if name not in self.stage.gone:
                await self._delete(name)
        await self._until("executions go when they are deleted", self._are_gone)
        world, selector = self.stage.world, f"kubernaut.ai/instance={self.stage.world.instance}"
        deadline = time.monotonic() + SETTLED_S
        while True:
            place = kinds.PIPELINE_RUNS, world.runs
            runs = (await world.api.list(*place, labelSelector=selector)).accept()["items"]
            kept = await self._outbox()
            if not runs and not kept:
                return
            self._look()
            names = [it["metadata"]["name"] for it in runs]
            left = f"runs {names}, outbox {sorted(kept)}"
            assert time.monotonic() < deadline, f"left behind after {SETTLED_S:.0f} s: {left}"
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _outbox(self) -> dict[str, str]:
        """What is still in the outbox."""
        world = self.stage.world
        reply = await world.api.get(kinds.CONFIG_MAPS, world.runs, outbox.NAME)
        return (reply.body.get("data") or {}) if reply.status == 200 else {}

    def _are_gone(self) -> list[str]:
        every = (*self.wishes, *self.probes)
        return [
            f"{it}: {self.stage.last.get(it, {}).get('metadata', {}).get('finalizers')}"
            for it in every
            if it not in self.stage.gone
        ]


def is_recorded(status: dict[str, Any]) -> bool:
    """Whether condition AuditRecorded is True."""
    conditions = status.get("conditions") or []
    return any(it["type"] == "AuditRecorded" and it["status"] == "True" for it in conditions)

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
from tests.chaos.checks import exits
from tests.chaos.plan import AFTER_S, BUSY_S, Mishap, Plan, Wish
from tests.fake import kinds
from tests.fake.tekton import PARAMETER
from tests.integration import audit, objects, tekton
from tests.support.executions import has_ended, is_recorded
from workflowexecution.adapters import outbox
from workflowexecution.domain.events import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from tests.chaos.stage import Stage

SETTLED_S = 120.0
HEARD_S = 0.3
KILLED_S = 6.0
"""From the beginning on: a death that comes later is one of another step."""
SUCCEEDED_S = 8.0
"""From a death on: two leases, since who takes the first may be killed for that."""
_LOOK_EVERY_S = 0.05
_SOON_S = 0.02
CANCEL = {"requestedBy": "admin", "reason": "the round wants it"}


@dataclass
class Round:
    """A plan being played.

    Attributes:
        names: of its executions, in the order of the plan's wishes.
        wishes: by those names.
        probes: targets of the executions that show that these are free, by name.
        holder: who had the lease when it began.
        fired: whether the point was reached, and somebody killed there.
        fired_in: the step in which that was; empty: in none.
        followed: whether a successor took the lease, so that the aftermath was played.
        unmet: codes of the mishaps that met nobody.
        ran: how many runs were created.
        doubles: audit records that are there twice, by two leaders.
        lost: controllers that ended since they had lost their lease.
        steps: seconds from the beginning to the end of each part.
    """

    stage: Stage
    plan: Plan
    wishes: dict[str, Wish] = field(default_factory=dict)
    probes: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    holder: str = ""
    fired: bool = False
    fired_in: str = ""
    followed: bool = False
    unmet: list[str] = field(default_factory=list)
    ran: int | None = None
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
        self._forget()
        self.holder = await self.stage.holder()
        await self.stage.set_up(self.plan.cooldown_s)
        self._step("set up")
        self._arm()
        try:
            await self._busy()
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
        if self.problems:
            self.problems += verdict.of_processes(self)
            return self.problems
        await self.stage.set_up(self.plan.cooldown_s)
        self.problems += await verdict.of(self, self._log)
        self._step("judged")
        return self.problems

    @property
    def mishaps(self) -> tuple[Mishap, ...]:
        """What was played, of the two sets of its plan."""
        return (*self.plan.mishaps, *(self.plan.aftermath if self.followed else ()))

    def name_of_target(self, number: int) -> str:
        """A target that no other round has."""
        return f"chaos/deployment/s{self.plan.seed}-{number}"

    def _step(self, name: str) -> None:
        self.steps[name] = round(time.monotonic() - self._begun, 2)
        self._note_death(name)

    def _note_death(self, step: str) -> None:
        if not self.fired:
            self.fired = (self.stage.folder / trap.FIRED).exists()
            self.fired_in = step if self.fired else ""

    def _forget(self) -> None:
        """Take away what a round before has left in the trap."""
        for name in (trap.ARMED, trap.FIRED, f"{trap.REACHED}-{self.plan.seed}"):
            (self.stage.folder / name).unlink(missing_ok=True)

    def _arm(self) -> None:
        if self.plan.point is not None:
            order = f"{self.plan.seed} {self.plan.point} {self.plan.times}"
            made = self.stage.folder / "order"
            made.write_text(order)
            made.rename(self.stage.folder / trap.ARMED)

    def _disarm(self) -> None:
        self._note_death("broken off")
        (self.stage.folder / trap.ARMED).unlink(missing_ok=True)

    async def _busy(self) -> None:
        """What comes by chance; whoever dies meanwhile is started again."""
        former = await self.stage.holder()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._revive())
            after = group.create_task(self._aftermath(former))
            chance = random.Random(self.plan.seed)
            tasks = [group.create_task(it) for it in self._played(self.plan.mishaps, chance)]
            tasks += [group.create_task(self._wish(*it)) for it in self.wishes.items()]
            await asyncio.gather(*tasks, asyncio.sleep(BUSY_S))
            self._step("busy")
            await after
            if self.followed:
                self._step("after")
            watching.cancel()

    def _played(
        self, planned: tuple[Mishap, ...], chance: random.Random, **how: float
    ) -> Iterator[Coroutine[None, None, None]]:
        """Mishaps to be awaited; what meets nobody is noted."""

        async def play(mishap: Mishap, figures: random.Random) -> None:
            if not await mishaps.play(self.stage, mishap, figures, **how):
                self.unmet.append(mishap.name)

        for mishap in planned:
            yield play(mishap, random.Random(chance.random()))

    async def _aftermath(self, former: str) -> None:
        """What befalls the successor of one who was killed, if there comes to be one."""
        if not self.plan.aftermath or not await self._until_killed():
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SUCCEEDED_S
        while await self.stage.leader() is None or await self.stage.holder() == former:
            if loop.time() > deadline:
                return
            await asyncio.sleep(_SOON_S)
        self.followed = True
        chance = random.Random(f"{self.plan.seed}/after/figures")
        how = {"patience_s": AFTER_S}
        await asyncio.gather(*self._played(self.plan.aftermath, chance, **how))

    async def _until_killed(self) -> bool:
        """Wait for a death for as long as one may come of what is played; whether it came."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not any(end.code == exits.KILLED for it in self.stage.replicas for end in it.ends):
            so_far_s = loop.time() - begun
            if so_far_s > KILLED_S or (so_far_s > BUSY_S and not self._are_settled()):
                return False
            await asyncio.sleep(_SOON_S)
        return True

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
            elif not (has_ended(found) and is_recorded(found)):
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
            self.probes[name] = target
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
            found = self.stage.last[name]
            status = found.get("status") or {}
            if name not in self.stage.gone and status.get("blockClearance"):
                recorded = status.get("clearanceRecordedAt") and is_recorded(found)
                left += [] if recorded else [f"{name}: {status}"]
        return left

    def _are_probed(self) -> list[str]:
        left = []
        for name in self.probes:
            found = self.stage.last.get(name, {})
            status = found.get("status") or {}
            if status.get("phase") in {"Failed", "Skipped"}:
                raise AssertionError(f"a target is not free: {name}: {status}")
            if status.get("phase") != "Completed" or not is_recorded(found):
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

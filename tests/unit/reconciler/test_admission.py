"""Whether a pending execution may start on its target now."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import names
from workflowexecution.api.status import SkipReason
from workflowexecution.reconciler import admission
from workflowexecution.runtime import errors, resource

pytestmark = pytest.mark.looptime

LIST, GET = "list target", "read execution"
OTHER = resource.ObjectKey("payment", "other")
STALE = admission.Wait(admission.STALE_S)
RUNNING: dict[str, Any] = {"phase": "Running"}
# A minute ago by the clock of the world: neither its cooldown nor its block is over.
COMPLETED: dict[str, Any] = {"phase": "Completed", "completionTime": builders.stamp()}
RAN: dict[str, Any] = {
    "phase": "Failed",
    "completionTime": builders.stamp(),
    "pipelineRunRef": {"name": "r", "uid": "r"},
    "failureDetails": {"wasExecutionFailure": True},
}
CLEARED: dict[str, Any] = RAN | {"blockClearance": {"clearedAt": builders.stamp(30)}}


class Door:
    """An execution before its target."""

    def __init__(self, **parts: Any) -> None:  # noqa: ANN401 - as raw_execution
        self.world = fakes.World()
        self.seen = self.world.put(**parts)
        self.admission = admission.Admission(self.world.tools)

    async def check(self) -> admission.Obstacle | None:
        return await self.admission.check(self.seen)

    def uncache(self) -> None:
        """Let the server alone have the other one."""
        self.world.executions.remove(OTHER)

    def unstore(self) -> None:
        """Let the cache alone have the other one."""
        del self.world.writer.stored[OTHER]


def held_by(obstacle: admission.Obstacle | None) -> str:
    assert isinstance(obstacle, admission.Held)
    return obstacle.holder.key.name


def forbidden(obstacle: admission.Obstacle | None) -> SkipReason:
    assert isinstance(obstacle, admission.Forbidden)
    return obstacle.verdict.reason


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(None, id="nobody"),
        pytest.param({"phase": "Skipped", "completionTime": builders.stamp()}, id="skipped"),
        pytest.param({"phase": "Completed", "completionTime": builders.stamp(-300)}, id="long-ago"),
        pytest.param(CLEARED, id="cleared"),
    ],
)
async def test_a_free_target_costs_no_request(status: dict[str, Any] | None) -> None:
    door = Door()
    if status is not None:
        door.world.other("other", status=status)
    assert await door.check() is None
    assert door.world.journal == []


@pytest.mark.requirement("WE-R3", "Prevent parallel/redundant execution")
@pytest.mark.requirement("WE-PRACTICE", "Check resource lock before creating PipelineRun")
@pytest.mark.requirement("BR-WE-009", "Prevent parallel execution on same target resource")
@pytest.mark.parametrize(
    "target", [builders.TARGET, "payment/Deployment/payment-api"], ids=["same", "other-spelling"]
)
async def test_a_running_one_holds_the_target_once_the_server_says_so(target: str) -> None:
    door = Door(spec={"targetResource": target})
    door.world.other("other", status=RUNNING)
    assert held_by(await door.check()) == "other"
    assert door.world.journal == [GET]


async def test_a_running_one_of_another_workflow_or_instance_holds_the_target() -> None:
    door = Door()
    blue = {"labels": {names.LABEL_INSTANCE: "blue"}}
    reference = builders.raw_execution()["spec"]["workflowRef"] | {"workflowId": "scale-up"}
    door.world.other("other", status=RUNNING, metadata=blue, spec={"workflowRef": reference})
    assert held_by(await door.check()) == "other"


async def test_a_running_one_on_another_target_holds_nothing() -> None:
    door = Door()
    door.world.other("other", status=RUNNING, spec={"targetResource": "node/a"})
    assert await door.check() is None


async def test_it_does_not_hold_its_own_target() -> None:
    door = Door(status=RUNNING)
    assert await door.check() is None
    assert await door.admission.check_live(door.seen) is None


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(builders.raw_execution("other", status=COMPLETED), id="ended"),
        pytest.param(
            builders.raw_execution("other", status=RUNNING, metadata={"uid": "new"}), id="another"
        ),
        pytest.param(None, id="gone"),
    ],
)
async def test_it_waits_for_a_cache_that_is_behind(now: dict[str, Any] | None) -> None:
    """Nobody is skipped for one that does not run any more, and nothing starts on a guess."""
    door = Door()
    door.world.other("other", status=RUNNING)
    door.unstore()
    if now is not None:
        door.world.writer.stored[OTHER] = now
    assert await door.check() == STALE


async def test_it_asks_less_and_less_for_a_cache_that_stays_behind() -> None:
    door = Door()
    door.world.other("other", status=RUNNING)
    door.unstore()
    waits = [await door.check() for _ in range(5)]
    assert waits == [admission.Wait(it) for it in (0.5, 1, 2, 4, 4)]
    door.uncache()
    assert await door.check() is None
    door.world.other("other", status=RUNNING)
    door.unstore()
    assert await door.check() == STALE
    door.admission.forget(door.seen.key)
    assert await door.check() == STALE


@pytest.mark.parametrize("status", [RUNNING, COMPLETED, RAN], ids=["running", "completed", "ran"])
async def test_nothing_is_free_because_the_server_does_not_answer(status: dict[str, Any]) -> None:
    door = Door()
    door.world.other("other", status=status)
    door.world.reader.error = errors.TransportError("away")
    with pytest.raises(errors.TransportError):
        await door.check()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(COMPLETED, SkipReason.RECENTLY_REMEDIATED, id="cooldown"),
        pytest.param(RAN, SkipReason.PREVIOUS_EXECUTION_FAILED, id="block"),
    ],
)
async def test_history_forbids_once_the_server_says_so(
    status: dict[str, Any], reason: SkipReason
) -> None:
    door = Door()
    door.world.other("other", status=status)
    assert forbidden(await door.check()) is reason
    assert door.world.journal == [LIST]


async def test_deleting_a_failed_one_frees_the_target_at_once() -> None:
    """Also where the cache does not know of it yet."""
    door = Door()
    door.world.other("other", status=RAN)
    door.unstore()
    assert await door.check() is None
    assert door.world.journal == [LIST, GET]


async def test_another_one_of_the_name_of_a_deleted_one_is_not_taken_for_it() -> None:
    door = Door()
    door.world.other("other", status=RAN)
    door.world.writer.stored[OTHER] = builders.raw_execution("other", metadata={"uid": "new"})
    assert await door.check() is None


async def test_history_without_the_label_counts_too() -> None:
    door = Door()
    door.world.other("other", status=RAN, labelled=False)
    assert forbidden(await door.check()) is SkipReason.PREVIOUS_EXECUTION_FAILED
    assert door.world.journal == [LIST, GET]


async def test_history_that_has_changed_is_taken_as_the_server_has_it() -> None:
    door = Door()
    door.world.other("other", status=RAN)
    door.world.writer.stored[OTHER]["status"] = CLEARED
    assert await door.check() is None
    assert door.world.journal == [LIST]


async def test_several_that_only_the_cache_knows_are_looked_at_until_one_stands() -> None:
    door = Door()
    door.world.other("older", status=RAN, labelled=False)
    door.world.other("other", status=RAN | {"completionTime": builders.stamp(9)}, labelled=False)
    door.unstore()
    obstacle = await door.check()
    assert isinstance(obstacle, admission.Forbidden)
    assert obstacle.verdict.past.name == "older"


async def test_who_holds_the_target_comes_before_what_happened_on_it() -> None:
    door = Door()
    door.world.other("other", status=RAN)
    door.world.other("runner", status=RUNNING)
    door.world.executions.remove(resource.ObjectKey("payment", "runner"))
    assert held_by(await door.check()) == "runner"


async def test_the_server_knows_what_the_cache_lacks() -> None:
    door = Door()
    door.world.other("other", status=RAN)
    door.uncache()
    live = await door.admission.check_live(door.seen)
    assert forbidden(live) is SkipReason.PREVIOUS_EXECUTION_FAILED


async def test_a_label_alone_puts_nobody_on_the_target() -> None:
    door = Door()
    door.world.other("other", status=RUNNING)
    door.world.writer.stored[OTHER]["spec"]["targetResource"] = "node/a"
    door.uncache()
    assert await door.admission.check_live(door.seen) is None


async def test_a_clearance_that_nothing_guards_is_not_honoured() -> None:
    door = Door()
    door.world.other("other", status=CLEARED)
    door.world.guard.guarded = False
    assert forbidden(await door.check()) is SkipReason.PREVIOUS_EXECUTION_FAILED
    door.world.guard.error = errors.TransportError("away")
    with pytest.raises(errors.TransportError):
        await door.check()


async def test_the_older_of_two_goes_first_for_five_seconds() -> None:
    """Then the atomic create decides, after a look at the server."""
    door = Door(metadata={"creationTimestamp": builders.stamp(1)})
    door.world.other("other")
    assert await door.check() == admission.Wait(5.0)
    await asyncio.sleep(3.5)
    assert await door.check() == admission.Wait(1.5)
    assert door.world.journal == []
    await asyncio.sleep(1.5)
    assert await door.check() is None
    assert door.world.journal == [LIST]
    door.admission.forget(fakes.KEY)
    assert await door.check() == admission.Wait(5.0)


async def test_it_learns_from_the_server_what_the_older_has_become() -> None:
    door = Door(metadata={"creationTimestamp": builders.stamp(1)})
    door.world.other("other")
    await door.check()
    door.world.writer.stored[OTHER]["status"] = RUNNING
    await asyncio.sleep(5)
    assert held_by(await door.check()) == "other"


@pytest.mark.parametrize(
    ("metadata", "goes_first"),
    [
        pytest.param({"creationTimestamp": builders.stamp(-1)}, True, id="older"),
        pytest.param({"uid": "a"}, True, id="same-second-lesser-uid"),
        pytest.param({"uid": "z"}, False, id="same-second-greater-uid"),
        pytest.param({"creationTimestamp": builders.stamp(1)}, False, id="younger"),
    ],
)
async def test_age_is_creation_then_uid(metadata: dict[str, Any], goes_first: bool) -> None:
    door = Door(metadata={"uid": "m"})
    door.world.other("other", metadata=metadata)
    assert (await door.check() is not None) is goes_first


FAILING = {"conditions": [{"type": "TektonPipelineCreated", "status": "False"}]}


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param({"spec": {"cancel": {"requestedBy": "a"}}}, id="cancelled"),
        pytest.param({"metadata": {"deletionTimestamp": builders.stamp()}}, id="being-deleted"),
        pytest.param({"status": FAILING}, id="create-failing"),
        pytest.param({"metadata": {"labels": {names.LABEL_INSTANCE: "b"}}}, id="other-instance"),
    ],
)
async def test_an_older_one_that_will_not_start_is_not_waited_for(parts: dict[str, Any]) -> None:
    door = Door()
    older = {"creationTimestamp": builders.stamp(-9)} | parts.pop("metadata", {})
    door.world.other("other", **{**parts, "metadata": older})
    assert await door.check() is None


async def test_a_verdict_is_told_before_an_older_one_is_waited_for() -> None:
    door = Door(metadata={"creationTimestamp": builders.stamp(1)})
    door.world.other("waiting")
    door.world.other("other", status=RAN)
    assert forbidden(await door.check()) is SkipReason.PREVIOUS_EXECUTION_FAILED


async def test_an_older_one_goes_first_although_the_cache_forbade_in_error() -> None:
    door = Door(metadata={"creationTimestamp": builders.stamp(1)})
    door.world.other("waiting")
    door.world.other("other", status=RAN)
    door.unstore()
    assert await door.check() == admission.Wait(5.0)


async def test_others_have_their_turns_while_a_target_of_many_executions_is_looked_at() -> None:
    door = Door()
    for number in range(500):
        door.world.other(f"other-{number}", status=RAN)
    looking = asyncio.create_task(door.check())
    turns = 0
    while not looking.done():
        await asyncio.sleep(0)
        turns += 1
    assert forbidden(await looking) is SkipReason.PREVIOUS_EXECUTION_FAILED
    assert turns >= 10

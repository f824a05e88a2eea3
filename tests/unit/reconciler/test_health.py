"""Health of pods: few requests, one condition, and no flapping."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import tekton
from workflowexecution.api.status import ConditionStatus, ConditionType
from workflowexecution.domain import status
from workflowexecution.reconciler import health
from workflowexecution.runtime import resource

if TYPE_CHECKING:
    from workflowexecution.api.status import Condition
    from workflowexecution.reconciler import tools as common
    from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime
SECOND = resource.ObjectKey("payment", "second")
MOUNT = {
    "metadata": {"creationTimestamp": builders.stamp(2)},
    "reason": "FailedMount",
    "message": "configmap x not found",
}


def task(*steps: dict[str, Any]) -> tekton.TaskRun:
    raw = builders.raw_task("check", condition=("Unknown", "Pending", ""), steps=list(steps))
    return tekton.project_taskrun(raw, tekton.TaskRun)


class Bed:
    """A running execution, one task of which waits for its pod."""

    def __init__(self) -> None:
        self.world = fakes.World()
        self.world.put()
        self.health = health.Health(self.world.tools)
        self.after = self.world.case().status

    async def look(self, child: tekton.TaskRun) -> Result:
        case = self.world.case()
        self.after, result = await self.health.told(case, self.after, [child])
        return result

    @property
    def said(self) -> Condition | None:
        return status.condition(self.after, ConditionType.PODS_HEALTHY)


def _second(bed: Bed) -> common.Case:
    """The case of another execution."""
    case = bed.world.case()
    return dataclasses.replace(case, seen=case.seen._replace(key=SECOND))


async def test_pod_that_cannot_mount_is_warned_of_and_the_warning_lifted() -> None:
    bed = Bed()
    bed.world.engine.pod_events = [MOUNT]
    assert (await bed.look(task())).requeue_after_s == health.LOOK_EVERY_S
    warned = bed.said
    assert warned is not None
    assert warned.status is ConditionStatus.FALSE
    assert "configmap x not found" in warned.message
    await bed.look(task(builders.step(running=True)))
    lifted = bed.said
    assert lifted is not None
    assert lifted.status is ConditionStatus.TRUE


async def test_events_are_asked_for_every_five_seconds_at_most() -> None:
    bed = Bed()
    bed.world.engine.pod_events = [MOUNT]
    await bed.look(task())
    await asyncio.sleep(4)
    again = await bed.look(task())
    assert again.requeue_after_s == pytest.approx(1.0)
    assert len(bed.world.journal) == 1
    assert bed.said is not None
    await asyncio.sleep(1)
    bed.world.engine.pod_events = []
    await bed.look(task())
    assert len(bed.world.journal) == 2
    assert bed.said.status is ConditionStatus.TRUE


async def test_pod_is_not_asked_about_in_its_first_seconds() -> None:
    bed = Bed()
    bed.world.clock.time = builders.NOW
    result = await bed.look(task())
    assert result.requeue_after_s is not None
    assert 0 < result.requeue_after_s <= 6.0
    assert (bed.world.journal, bed.said) == ([], None)


async def test_container_that_cannot_start_costs_no_request() -> None:
    bed = Bed()
    await bed.look(task({**builders.step(ran=False), "waiting": {"reason": "ImagePullBackOff"}}))
    assert bed.said is not None
    assert bed.world.journal == []


async def test_events_that_cannot_be_read_warn_of_nothing_and_are_asked_for_again() -> None:
    bed = Bed()
    bed.world.engine.are_warnings_known = False
    assert (await bed.look(task())).requeue_after_s == health.LOOK_EVERY_S
    assert bed.said is None


async def test_events_that_cannot_be_read_take_nothing_back() -> None:
    bed = Bed()
    bed.world.engine.pod_events = [MOUNT]
    await bed.look(task())
    warned = bed.after
    bed.world.engine.are_warnings_known = False
    for _ in range(2):
        await asyncio.sleep(health.LOOK_EVERY_S)
        await bed.look(task())
        assert bed.after == warned
    bed.world.engine.pod_events = []
    bed.world.engine.are_warnings_known = True
    await asyncio.sleep(health.LOOK_EVERY_S)
    await bed.look(task())
    assert bed.after != warned


async def test_events_of_an_earlier_pod_of_the_same_name_warn_of_nothing() -> None:
    bed = Bed()
    bed.world.engine.pod_events = [MOUNT | {"metadata": {"creationTimestamp": builders.stamp(-9)}}]
    await bed.look(task())
    assert bed.said is None


async def test_a_warning_stays_until_its_pods_were_asked_about_again() -> None:
    """Another leader knows of it by the status alone, and asks about many in turn."""
    bed = Bed()
    bed.world.engine.pod_events = [MOUNT]
    await bed.look(task())
    warned = bed.after
    bed.health = health.Health(bed.world.tools)
    await bed.look(task())
    other = _second(bed)
    after, result = await bed.health.told(other, warned, [task()])
    assert after == warned
    assert result.requeue_after_s == pytest.approx(0.05)
    bed.world.engine.pod_events = []
    await asyncio.sleep(0.05)
    after, _ = await bed.health.told(other, warned, [task()])
    said = status.condition(after, ConditionType.PODS_HEALTHY)
    assert said is not None
    assert said.status is ConditionStatus.TRUE


NEVER_BEGAN = builders.task(
    condition=("False", "TaskRunTimeout", "x"), steps=[builders.step(ran=False)]
)


async def test_a_warning_stays_when_its_task_has_failed_without_having_begun() -> None:
    bed = Bed()
    bed.world.engine.pod_events = [MOUNT]
    await bed.look(task())
    warned = bed.after
    await bed.look(NEVER_BEGAN)
    assert bed.after == warned
    seen = bed.world.put(status={"phase": "Running", "conditions": [WARNED]})
    assert bed.health.due_in_s(seen, [NEVER_BEGAN], bed.world.clock.now()) == math.inf


def pulling(container: str) -> dict[str, Any]:
    """A container's image does not come."""
    path = {"involvedObject": {"fieldPath": f"spec.containers{{{container}}}"}}
    return MOUNT | path | {"reason": "BackOff", "message": "Back-off pulling image"}


@pytest.mark.parametrize(
    ("container", "warned"), [("step-change", True), ("step-look", False)], ids=["waits", "begun"]
)
async def test_second_step_without_an_image_is_warned_of_though_the_first_has_begun(
    container: str, warned: bool
) -> None:
    bed = Bed()
    bed.world.engine.pod_events = [pulling(container)]
    starting = {**builders.step("change", ran=False), "waiting": {"reason": "PodInitializing"}}
    await bed.look(task(builders.step("look", running=True), starting))
    assert (bed.said is not None) is warned


async def test_a_pod_that_runs_leaves_nothing_behind() -> None:
    bed = Bed()
    assert (await bed.look(task(builders.step(running=True)))).requeue_after_s is None
    assert bed.said is None


PULLS = {**builders.step(ran=False), "waiting": {"reason": "ErrImagePull"}}
WARNED = {"type": "PodsHealthy", "status": "False"}


@pytest.mark.parametrize(
    ("steps", "said", "due"),
    [
        pytest.param([PULLS], [], True, id="told-by-the-task"),
        pytest.param([PULLS], [WARNED], False, id="warned-of-already"),
        pytest.param([], [], True, id="worth-asking-for-events"),
        pytest.param([], [WARNED], True, id="worth-asking-again"),
        pytest.param([builders.step(running=True)], [WARNED], True, id="begun-after-a-warning"),
        pytest.param([builders.step(running=True)], [], False, id="begun"),
    ],
)
async def test_a_look_is_due_while_it_may_find_something_to_warn_of_or_to_take_back(
    steps: list[dict[str, Any]], said: list[dict[str, Any]], due: bool
) -> None:
    bed = Bed()
    seen = bed.world.put(status={"phase": "Running", "conditions": said})
    due_in_s = bed.health.due_in_s(seen, [task(*steps)], bed.world.clock.now())
    assert due_in_s <= 0 if due else due_in_s == math.inf
    assert bed.world.journal == []


async def test_a_look_is_due_no_sooner_than_it_may_ask() -> None:
    bed = Bed()
    seen, now = bed.world.sync(), bed.world.clock.now()
    assert bed.health.due_in_s(seen, [task()], builders.NOW) == 6.0
    await bed.look(task())
    for wait_s, due_in_s in ((4.9, 0.1), (0.2, 0.0)):
        await asyncio.sleep(wait_s)
        assert max(0.0, bed.health.due_in_s(seen, [task()], now)) == pytest.approx(due_in_s)
    bed.health.forget(fakes.KEY)
    await bed.health.told(_second(bed), bed.after, [task()])
    # The turn that is forgotten is nobody's, the next is another's: it has to wait for its own.
    await bed.look(task())
    assert bed.health.due_in_s(seen, [task()], now) == pytest.approx(0.1)
    await asyncio.sleep(0.1)
    assert bed.health.due_in_s(seen, [task()], now) <= 0


async def test_a_look_that_is_due_has_its_turn_already() -> None:
    bed = Bed()
    await bed.look(task())
    other = _second(bed)
    now = bed.world.clock.now()
    assert bed.health.due_in_s(other.seen, [task()], now) == pytest.approx(0.05)
    third = other.seen._replace(key=resource.ObjectKey("payment", "third"))
    assert bed.health.due_in_s(third, [task()], now) == pytest.approx(0.1)
    await asyncio.sleep(0.05)
    assert bed.health.due_in_s(other.seen, [task()], now) <= 0
    await bed.health.told(other, other.status, [task()])
    assert len(bed.world.journal) == 2


async def test_many_that_wait_take_turns() -> None:
    bed = Bed()
    bed.world.engine.pod_events = [MOUNT]
    await bed.look(task())
    other = _second(bed)
    for wait_s in (0.05, 0.02):
        after, result = await bed.health.told(other, other.status, [task()])
        assert result.requeue_after_s == pytest.approx(wait_s)
        assert len(bed.world.journal) == 1
        await asyncio.sleep(0.03)
    after, _ = await bed.health.told(other, other.status, [task()])
    assert status.condition(after, ConditionType.PODS_HEALTHY) is not None
    assert len(bed.world.journal) == 2

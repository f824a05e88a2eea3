"""Health of pods: few requests, one condition, and no flapping."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import tekton
from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType
from workflowexecution.domain import status
from workflowexecution.reconciler import health

if TYPE_CHECKING:
    from workflowexecution.api.status import Condition
    from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime
MOUNT = {
    "metadata": {"creationTimestamp": builders.stamp(2)},
    "reason": "FailedMount",
    "message": "configmap x not found",
}


def task(*steps: dict[str, Any], name: str = "check") -> tekton.TaskRun:
    raw = builders.raw_task(name, condition=("Unknown", "Pending", ""), steps=list(steps))
    return tekton.project_taskrun(raw, tekton.TaskRun)


class Bed:
    """A running execution, one task of which waits for its pod."""

    def __init__(self) -> None:
        self.world = fakes.World()
        self.world.put()
        self.warnings = self.world.engine.pod_warnings
        self.health = health.Health(self.world.tools)
        self.after = self.world.case().status

    async def look(self, child: tekton.TaskRun) -> Result:
        case = self.world.case()
        self.after, result = await self.health.told(case, self.after, [child])
        return result

    @property
    def said(self) -> Condition | None:
        return self.after.condition(ConditionType.PODS_HEALTHY)


CHECK, OTHER = (builders.raw_task(name)["status"]["podName"] for name in ("check", "second"))
PULLS = {**builders.step(ran=False), "waiting": {"reason": "ErrImagePull"}}
WARNED = {"type": "PodsHealthy", "status": "False"}
WAITS = status.Note(
    ConditionType.PODS_HEALTHY, ConditionStatus.FALSE, ConditionReason.PODS_WAITING, "It waits"
)


async def test_pod_that_cannot_mount_is_warned_of_and_the_warning_lifted() -> None:
    bed = Bed()
    bed.warnings.events = [MOUNT]
    assert (await bed.look(task())).requeue_after_s == health.LOOK_EVERY_S
    warned = bed.said
    assert warned is not None
    assert warned.status is ConditionStatus.FALSE
    assert "configmap x not found" in warned.message
    await bed.look(task(builders.step(running=True)))
    lifted = bed.said
    assert lifted is not None
    assert lifted.status is ConditionStatus.TRUE


async def test_what_is_known_is_not_asked_for_again() -> None:
    bed = Bed()
    await bed.look(task())
    bed.warnings.events = [MOUNT]
    await asyncio.sleep(2)
    assert (await bed.look(task())).requeue_after_s == health.LOOK_EVERY_S
    assert (bed.world.journal, bed.said) == (["warnings"], None)
    await asyncio.sleep(0.5)
    await bed.look(task())
    assert bed.world.journal == ["warnings", "warnings"]
    assert bed.said is not None
    bed.warnings.events = []
    await asyncio.sleep(2.5)
    await bed.look(task())
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
    bed.warnings.fails = True
    assert (await bed.look(task())).requeue_after_s == 2.5
    assert bed.said is None


async def test_events_that_cannot_be_read_take_nothing_back() -> None:
    bed = Bed()
    bed.warnings.events = [MOUNT]
    await bed.look(task())
    warned = bed.after
    bed.warnings.fails = True
    for _ in range(2):
        await asyncio.sleep(health.LOOK_EVERY_S)
        await bed.look(task())
        assert bed.after == warned
    bed.warnings.events, bed.warnings.fails = [], False
    await asyncio.sleep(health.LOOK_EVERY_S)
    await bed.look(task())
    assert bed.after != warned


async def test_a_warning_by_the_task_itself_stays_while_its_events_are_unknown() -> None:
    bed = Bed()
    await bed.look(task())
    await bed.look(task(PULLS))
    warned = bed.after
    assert bed.said is not None
    bed.warnings.fails = True
    await asyncio.sleep(health.LOOK_EVERY_S)
    await bed.look(task())
    assert bed.after == warned


@pytest.mark.parametrize(
    ("pods", "events", "said"),
    [
        pytest.param([CHECK, OTHER], [], ConditionStatus.TRUE, id="all-are-well"),
        pytest.param([CHECK], [], ConditionStatus.FALSE, id="one-is-unknown"),
        pytest.param([OTHER], [MOUNT], ConditionStatus.FALSE, id="the-known-one-waits"),
    ],
)
async def test_a_warning_is_taken_back_once_all_its_pods_are_known_to_be_well(
    pods: list[str], events: list[dict[str, Any]], said: ConditionStatus
) -> None:
    bed = Bed()
    bed.after = status.noted(bed.after, bed.world.case().moment, [WAITS])
    bed.warnings.pods, bed.warnings.events = pods, events
    after, _ = await bed.health.told(bed.world.case(), bed.after, [task(), task(name="second")])
    told = after.condition(ConditionType.PODS_HEALTHY)
    assert told is not None
    assert told.status is said
    assert ("configmap x" in told.message) is bool(events)


async def test_a_task_that_waits_for_a_moment_only_is_looked_at_once_it_waits_for_long() -> None:
    bed = Bed()
    bed.warnings.pods = [CHECK]
    fresh = builders.raw_task("second", condition=("Unknown", "Pending", ""), steps=[])
    fresh["status"]["startTime"] = builders.stamp(57)
    second = tekton.project_taskrun(fresh, tekton.TaskRun)
    _, result = await bed.health.told(bed.world.case(), bed.after, [task(), second])
    assert result.requeue_after_s == 2.0


async def test_events_of_an_earlier_pod_of_the_same_name_warn_of_nothing() -> None:
    bed = Bed()
    bed.warnings.events = [MOUNT | {"metadata": {"creationTimestamp": builders.stamp(-9)}}]
    await bed.look(task())
    assert bed.said is None


NEVER_BEGAN = builders.task(
    condition=("False", "TaskRunTimeout", "x"), steps=[builders.step(ran=False)]
)


async def test_a_warning_stays_when_its_task_has_failed_without_having_begun() -> None:
    bed = Bed()
    bed.warnings.events = [MOUNT]
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
    bed.warnings.events = [pulling(container)]
    starting = {**builders.step("change", ran=False), "waiting": {"reason": "PodInitializing"}}
    await bed.look(task(builders.step("look", running=True), starting))
    assert (bed.said is not None) is warned


async def test_a_pod_that_runs_leaves_nothing_behind() -> None:
    bed = Bed()
    assert (await bed.look(task(builders.step(running=True)))).requeue_after_s is None
    assert bed.said is None


async def test_what_is_well_takes_no_warning_back_that_says_why_another_task_failed() -> None:
    bed = Bed()
    seen = bed.world.put(status={"phase": "Running", "conditions": [WARNED]})
    await bed.warnings.renew()
    due_in_s = bed.health.due_in_s(seen, [NEVER_BEGAN, task()], bed.world.clock.now())
    assert due_in_s == health.LOOK_EVERY_S


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
    seen = bed.world.sync()
    assert bed.health.due_in_s(seen, [task()], builders.NOW) == 6.0
    assert bed.health.due_in_s(seen, [task()], bed.world.clock.now()) <= 0


@pytest.mark.parametrize(
    ("pods", "events", "said", "due_in_s"),
    [
        pytest.param([CHECK], [], [], health.LOOK_EVERY_S, id="nothing-to-say"),
        pytest.param([CHECK], [MOUNT], [], 0.0, id="to-be-warned-of"),
        pytest.param([CHECK], [MOUNT], ["warned"], health.LOOK_EVERY_S, id="warned-of"),
        pytest.param([CHECK], [], ["warned"], 0.0, id="to-be-taken-back"),
        pytest.param([], [MOUNT], [], 2.5, id="unknown"),
        pytest.param([], [], ["warned"], 2.5, id="unknown-after-a-warning"),
    ],
)
async def test_a_look_is_due_by_what_is_known(
    pods: list[str], events: list[dict[str, Any]], said: list[str], due_in_s: float
) -> None:
    bed = Bed()
    bed.warnings.pods, bed.warnings.events = pods, events
    await bed.warnings.renew()
    seen = bed.world.put(status={"phase": "Running", "conditions": [WARNED] if said else []})
    now = bed.world.clock.now()
    assert bed.health.due_in_s(seen, [task()], now) == due_in_s
    await asyncio.sleep(2.5)
    assert bed.health.due_in_s(seen, [task()], now) == 0.0
    assert bed.world.journal == ["warnings"]

"""Health of pods: few requests, one condition, and no flapping."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import tekton
from workflowexecution.api.status import ConditionStatus, ConditionType
from workflowexecution.domain import status
from workflowexecution.reconciler import health
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from workflowexecution.api.status import Condition
    from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime
MOUNT = {"reason": "FailedMount", "message": "configmap x not found"}


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


async def test_events_are_asked_for_every_ten_seconds_at_most() -> None:
    bed = Bed()
    bed.world.engine.pod_events = [MOUNT]
    await bed.look(task())
    await asyncio.sleep(4)
    again = await bed.look(task())
    assert again.requeue_after_s == pytest.approx(6.0)
    assert len(bed.world.journal) == 1
    assert bed.said is not None
    await asyncio.sleep(6)
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


async def test_events_that_cannot_be_read_warn_of_nothing() -> None:
    bed = Bed()
    bed.world.engine.log_error = fakes.refusal(errors.Forbidden, "events is forbidden")
    await bed.look(task())
    assert bed.said is None


async def test_a_pod_that_runs_leaves_nothing_behind() -> None:
    bed = Bed()
    assert (await bed.look(task(builders.step(running=True)))).requeue_after_s is None
    assert bed.said is None

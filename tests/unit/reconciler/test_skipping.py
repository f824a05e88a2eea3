"""Skipped: nothing is started, and the status says why and until when."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import tekton
from workflowexecution.api.status import (
    ConditionStatus,
    ConditionType,
    Outcome,
    Phase,
    SkipDetails,
    SkipReason,
)
from workflowexecution.domain import history, locking
from workflowexecution.reconciler import admission, skipping, view
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

LOCK = locking.run_name(builders.TARGET)
PLACE = f"kubernaut-workflows/{LOCK}"
REF = {"name": LOCK, "namespace": "kubernaut-workflows", "uid": "r"}


def at(seconds: float) -> datetime.datetime:
    return builders.NOW + datetime.timedelta(seconds=seconds)


class Refused:
    """An execution that may not start."""

    def __init__(self) -> None:
        self.world = fakes.World()
        self.world.clock.advance(0.5)
        self.world.put()

    async def meet(self, obstacle: admission.Obstacle) -> Result:
        return await skipping.meet(self.world.tools, self.world.case(), obstacle)

    async def held(self, **status: Any) -> SkipDetails:  # noqa: ANN401 - members of a status
        raw = builders.raw_execution("other", status={"phase": "Running", **status})
        holder = view.projection("", "", whole=True)(raw)
        assert await self.meet(admission.Held(holder)) == Result()
        return self.details

    async def busy(self, run: tekton.PipelineRun) -> SkipDetails:
        case = self.world.case()
        result = await skipping.busy(self.world.tools, case, run, case.seen.resource_version)
        assert result == Result()
        return self.details

    @property
    def details(self) -> SkipDetails:
        found = self.world.status.skip_details
        assert found is not None
        return found


async def test_waiting_writes_nothing() -> None:
    it = Refused()
    result = await it.meet(admission.Wait(1.5))
    assert result == Result(requeue_after_s=1.5, priority=queue.Priority.NORMAL)
    assert it.world.journal == []


async def test_one_that_is_held_says_by_whom_since_when_and_until_when_at_the_latest() -> None:
    it = Refused()
    details = await it.held(startTime=builders.stamp(10), pipelineRunRef=REF)
    assert details.reason is SkipReason.RESOURCE_BUSY
    assert details.message == (
        f"Target {builders.TARGET} is held by payment/other through PipelineRun {PLACE} since "
        "2026-03-01T12:00:10Z"
    )
    assert (details.skipped_at, details.retry_at) == (at(60), at(10 + 1800 + 120))
    assert details.recent_remediation is None
    holder = details.conflicting_workflow
    assert holder is not None
    assert (holder.name, holder.workflow_id) == ("other", "restart-deployment")
    assert (holder.started_at, holder.target_resource) == (at(10), builders.TARGET)


async def test_one_that_is_held_by_what_started_at_the_end_of_time_says_so() -> None:
    details = await Refused().held(startTime="9999-12-31T23:59:59Z", pipelineRunRef=REF)
    assert details.retry_at == datetime.datetime.max.replace(microsecond=0, tzinfo=datetime.UTC)


@pytest.mark.parametrize("late_s", [-180, -179, 0, 3600])
async def test_one_that_is_held_beyond_its_time_is_told_when_the_ladder_has_ended_that(
    late_s: float,
) -> None:
    it = Refused()
    details = await it.held(startTime=builders.stamp(60 - 1920 - late_s), pipelineRunRef=REF)
    assert details.retry_at == at(60 + 120 + 60)


@pytest.mark.parametrize(("gone_s", "is_said"), [(59, True), (60, False)])
async def test_no_time_is_promised_for_a_run_that_even_its_deletion_does_not_end(
    gone_s: float, *, is_said: bool
) -> None:
    it = Refused()
    going = {"deletionTimestamp": builders.stamp(60 - gone_s)}
    run = builders.run(owner="other", metadata=going)
    it.world.engine.show(run)
    assert ((await it.held(startTime=builders.stamp())).retry_at is not None) is is_said
    other = Refused()
    raw = builders.raw_run(owner="other", metadata=going)
    raw["spec"] = {"timeouts": {"pipeline": "10m"}}
    run = tekton.project_pipelinerun(raw, tekton.PipelineRun)
    assert ((await other.busy(run)).retry_at is not None) is is_said


async def test_no_time_is_promised_for_a_holder_that_says_it_cannot_be_ended() -> None:
    stuck = {"type": "CancelConfirmed", "status": "False", "reason": "StillAlive", "message": "x"}
    said = {**stuck, "lastTransitionTime": builders.stamp()}
    assert (await Refused().held(conditions=[said])).retry_at is None


async def test_a_skip_is_the_finalizer_one_write_and_an_end() -> None:
    it = Refused()
    await it.held(startTime=builders.stamp(10))
    assert it.world.journal == ["patch", "status"]
    status = it.world.status
    assert (status.phase, status.outcome) == (Phase.SKIPPED, Outcome.SKIPPED)
    assert status.completion_time == at(60)
    assert status.message == it.details.message
    for kind, expected, reason in [
        (ConditionType.RESOURCE_LOCKED, ConditionStatus.TRUE, "TargetResourceBusy"),
        (ConditionType.READY, ConditionStatus.FALSE, "ResourceBusy"),
    ]:
        said = it.world.said(kind)
        assert (said.status, said.reason, said.message) == (expected, reason, status.message)


async def test_a_holder_that_says_little_is_told_with_what_is_known() -> None:
    it = Refused()
    details = await it.held()
    assert details.message.endswith("is held by payment/other since 2026-03-01T12:01:00Z")
    assert details.retry_at == at(60 + 1800 + 120)


async def test_a_holder_has_its_own_timeout() -> None:
    it = Refused()
    spec = {"executionConfig": {"timeout": "5m"}}
    said = {"phase": "Running", "startTime": builders.stamp()}
    raw = builders.raw_execution("other", spec=spec, status=said)
    await it.meet(admission.Held(view.projection("", "", whole=True)(raw)))
    assert it.details.retry_at == at(300 + 120)


async def test_a_holder_that_cannot_be_read_is_named_all_the_same() -> None:
    it = Refused()
    raw = builders.raw_execution("other", spec={"workflowRef": 7}, status={"phase": "Running"})
    await it.meet(admission.Held(view.projection("", "", whole=True)(raw)))
    assert "held by payment/other since" in it.details.message


VERDICT = history.Verdict(
    SkipReason.RECENTLY_REMEDIATED,
    history.Past(
        uid="u",
        namespace="payment",
        name="other",
        workflow_id="w",
        target=builders.TARGET,
        outcome="Success",
        ended_at=builders.NOW,
        completed=True,
        had_run=True,
        ran=True,
        cancelled=False,
    ),
    at(300),
    "cooling down",
)


@pytest.mark.parametrize(
    ("reason", "until_s", "remaining", "condition"),
    [
        (SkipReason.RECENTLY_REMEDIATED, 300, "4m0s", "RecentlyRemediated"),
        (SkipReason.PREVIOUS_EXECUTION_FAILED, None, None, "PreviousExecutionFailed"),
        (SkipReason.EXHAUSTED_RETRIES, None, None, "ExhaustedRetries"),
    ],
)
async def test_history_is_told_with_the_other_execution_and_when_to_come_again(
    reason: SkipReason, until_s: float | None, remaining: str | None, condition: str
) -> None:
    """No time to come again means that a person is needed."""
    until = at(until_s) if until_s is not None else None
    it = Refused()
    it.world.clock.advance(-0.5)
    verdict = dataclasses.replace(VERDICT, reason=reason, until=until)
    assert await it.meet(admission.Forbidden(verdict)) == Result()
    details = it.details
    assert (details.reason, details.message, details.retry_at) == (reason, "cooling down", until)
    assert details.conflicting_workflow is None
    other = details.recent_remediation
    assert other is not None
    assert (other.name, other.workflow_id, other.outcome) == ("other", "w", "Success")
    assert (other.completed_at, other.cooldown_remaining) == (builders.NOW, remaining)
    assert it.world.said(ConditionType.RESOURCE_LOCKED).reason == condition


async def test_a_run_that_holds_the_target_says_when_tekton_must_have_ended_it() -> None:
    it = Refused()
    raw = builders.raw_run(owner="other")
    raw["spec"] = {"timeouts": {"pipeline": "10m"}}
    details = await it.busy(tekton.project_pipelinerun(raw, tekton.PipelineRun))
    assert details.message == (
        f"Target {builders.TARGET} is held by payment/other through PipelineRun {PLACE} since "
        "2026-03-01T12:00:00Z"
    )
    assert details.retry_at == at(600 + 120)


async def test_a_run_that_tekton_should_have_ended_is_ended_by_the_ladder() -> None:
    it = Refused()
    raw = builders.raw_run(owner="other")
    raw["spec"] = {"timeouts": {"pipeline": "10m"}}
    it.world.clock.advance(720)
    details = await it.busy(tekton.project_pipelinerun(raw, tekton.PipelineRun))
    assert details.retry_at == at(60 + 720 + 120 + 60)


async def test_a_run_of_nobody_ends_when_a_person_ends_it() -> None:
    it = Refused()
    raw = builders.raw_run(metadata={"labels": {}, "creationTimestamp": None})
    raw["spec"] = {"timeouts": {"pipeline": "10m"}}
    details = await it.busy(tekton.project_pipelinerun(raw, tekton.PipelineRun))
    assert f"held by an unknown owner through PipelineRun {PLACE}" in details.message
    assert details.retry_at is None
    holder = details.conflicting_workflow
    assert holder is not None
    assert (holder.name, holder.workflow_id) == ("", "")
    assert (holder.started_at, holder.target_resource) == (at(60), builders.TARGET)


async def test_a_skip_is_written_on_the_version_that_it_was_decided_on() -> None:
    it = Refused()
    case = it.world.case()
    it.world.writer.stored[fakes.KEY]["metadata"]["resourceVersion"] = "7"
    with pytest.raises(errors.Conflict):
        await skipping.busy(it.world.tools, case, builders.run(owner="other"), "6")
    assert it.world.status.phase is None
    await skipping.busy(it.world.tools, case, builders.run(owner="other"), "7")
    assert it.world.status.phase is Phase.SKIPPED

"""A pending execution whose run is not simply created: its name is taken, or the server refuses."""

from __future__ import annotations

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from tests.unit.reconciler.starts import AT_ONCE, CREATED, LOCK, STARTED, reconcile
from workflowexecution.api.status import ConditionStatus, ConditionType, Outcome, Phase, SkipReason
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result


async def test_a_run_of_another_skips_it() -> None:
    world = fakes.World()
    world.clock.advance(0.5)
    world.put()
    world.engine.live[LOCK] = builders.run(owner="other")
    assert await reconcile(world) == Result()
    assert world.journal == ["patch", "create", "read", "status"]
    assert (world.status.phase, world.status.outcome) == (Phase.SKIPPED, Outcome.SKIPPED)
    details = world.status.skip_details
    assert details is not None
    assert details.reason is SkipReason.RESOURCE_BUSY
    assert details.message == (
        "Target payment/deployment/payment-api is held by payment/other "
        f"through PipelineRun kubernaut-workflows/{LOCK} since 2026-03-01T12:00:00Z"
    )
    holder = details.conflicting_workflow
    assert holder is not None
    assert (holder.name, holder.workflow_id) == ("other", "restart-deployment")
    assert (holder.started_at, holder.target_resource) == (builders.NOW, builders.TARGET)
    assert world.said(ConditionType.RESOURCE_LOCKED).reason == "TargetResourceBusy"


async def test_a_run_of_nobody_skips_it() -> None:
    world = fakes.World()
    world.put()
    strange = {"labels": None, "annotations": None, "creationTimestamp": None}
    world.engine.live[LOCK] = builders.run(metadata=strange)
    await reconcile(world)
    details = world.status.skip_details
    assert details is not None
    assert "held by an unknown owner" in details.message
    assert details.conflicting_workflow is not None
    assert details.conflicting_workflow.name == ""
    assert details.conflicting_workflow.started_at == world.clock.now()
    assert details.skipped_at == world.clock.now()


async def test_its_own_run_under_the_taken_name_is_adopted() -> None:
    world = fakes.World()
    world.put()
    world.engine.live[LOCK] = builders.run()
    assert await reconcile(world) == AT_ONCE
    assert world.status.phase is Phase.RUNNING


async def test_it_looks_again_when_the_taken_name_is_free_by_now() -> None:
    world = fakes.World()
    world.put()
    world.engine.create_error = answers.refusal(errors.AlreadyExists)
    assert await reconcile(world) == Result(requeue_after_s=0.5, priority=queue.Priority.HIGH)
    assert world.status.phase is None


LOST = errors.TransportError("the answer was lost")
BROKEN = answers.refusal(errors.ServerError, "failed calling webhook")
BUSY = answers.refusal(errors.Throttled, "too many requests")


@pytest.mark.parametrize("error", [LOST, BROKEN], ids=["lost", "broken"])
async def test_a_create_that_landed_although_it_failed_is_adopted(
    error: errors.ClusterError,
) -> None:
    world = fakes.World()
    world.put()
    world.engine.create_error, world.engine.create_lands = error, True
    assert await reconcile(world) == AT_ONCE
    assert world.status.phase is Phase.RUNNING


@pytest.mark.parametrize("error", [LOST, BROKEN], ids=["lost", "broken"])
async def test_a_create_that_did_not_land_is_tried_again(error: errors.ClusterError) -> None:
    world = fakes.World()
    world.put()
    world.engine.create_error = error
    with pytest.raises(type(error)):
        await reconcile(world)
    assert world.journal == ["patch", "create", "read", "status"]
    assert world.status.phase is Phase.PENDING
    said = world.said(CREATED)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "PipelineCreationFailed")
    world.engine.create_error = None
    assert await reconcile(world) == STARTED
    assert world.said(CREATED).status is ConditionStatus.TRUE


async def test_a_create_whose_outcome_cannot_be_read_says_nothing() -> None:
    world = fakes.World()
    world.put()
    world.engine.create_error = LOST
    world.engine.read_error = errors.TransportError("still away")
    with pytest.raises(errors.TransportError, match="still away"):
        await reconcile(world)
    assert world.status.phase is None


async def test_a_create_that_a_busy_server_refuses_is_tried_again_when_it_says() -> None:
    """The controller waits as long as the error says; nobody is asked what has become of it."""
    world = fakes.World()
    world.put()
    world.engine.create_error = BUSY
    with pytest.raises(errors.Throttled) as caught:
        await reconcile(world)
    assert caught.value is BUSY
    assert world.journal == ["patch", "create", "status"]
    assert world.status.phase is Phase.PENDING
    said = world.said(CREATED)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "PipelineCreationFailed")
    assert "too many requests" in said.message


@pytest.mark.parametrize("kind", [errors.Unauthorized, errors.Conflict])
async def test_a_refusal_that_says_nothing_of_the_run_changes_nothing(
    kind: type[errors.ApiError],
) -> None:
    world = fakes.World()
    world.put()
    world.engine.create_error = answers.refusal(kind)
    with pytest.raises(kind):
        await reconcile(world)
    assert world.journal == ["patch", "create"]


@pytest.mark.parametrize("kind", [errors.EndpointMissing, errors.NotFound])
async def test_a_missing_api_or_namespace_keeps_it_waiting(kind: type[errors.ApiError]) -> None:
    world = fakes.World()
    world.put()
    world.engine.create_error = answers.refusal(kind, "not here")
    with pytest.raises(kind):
        await reconcile(world)
    assert world.status.phase is Phase.PENDING
    assert "not here" in world.said(ConditionType.ENGINE_AVAILABLE).message


@pytest.mark.parametrize(
    ("error", "reason", "condition"),
    [
        pytest.param(answers.refusal(errors.Invalid, "bad"), "ConfigurationError",
                     "PipelineCreationFailed", id="invalid"),
        pytest.param(answers.refusal(errors.BadRequest, "denied"), "ConfigurationError",
                     "PipelineCreationFailed", id="denied"),
        pytest.param(answers.refusal(errors.Forbidden, "exceeded quota: q"), "ResourceExhausted",
                     "QuotaExceeded", id="quota"),
        pytest.param(answers.refusal(errors.Forbidden, "no"), "Forbidden",
                     "RBACDenied", id="rights"),
        pytest.param(answers.refusal(errors.Forbidden, "going", "NamespaceTerminating"),
                     "ConfigurationError", "PipelineCreationFailed", id="terminating"),
    ],
)  # fmt: skip
async def test_a_refusal_for_good_fails_it(
    error: errors.ApiError, reason: str, condition: str
) -> None:
    world = fakes.World()
    world.put()
    world.engine.create_error = error
    assert await reconcile(world) == Result()
    details = world.status.failure_details
    assert details is not None
    assert (details.reason, details.message) == (reason, error.message)
    assert (details.was_execution_failure, world.said(CREATED).reason) == (False, condition)
    assert f"The API server says: «{error.message}». No" in details.natural_language_summary


async def test_a_place_that_is_closed_as_a_whole_keeps_it_waiting() -> None:
    world = fakes.World()
    world.put()
    world.engine.create_error = world.engine.read_error = answers.refusal(errors.Forbidden, "no")
    world.engine.shut = "no role there"
    with pytest.raises(errors.Forbidden):
        await reconcile(world)
    assert world.journal == ["patch", "create", "read", "status"]
    assert world.status.phase is Phase.PENDING
    said = world.said(ConditionType.ENGINE_AVAILABLE)
    assert (said.status, said.message) == (ConditionStatus.FALSE, "no role there")
    world.engine.create_error = world.engine.read_error = None
    assert await reconcile(world) == STARTED
    assert world.said(ConditionType.ENGINE_AVAILABLE).status is ConditionStatus.TRUE


async def test_a_refusal_of_a_place_that_has_just_opened_keeps_it_waiting() -> None:
    world = fakes.World()
    world.put()
    world.engine.create_error = answers.refusal(errors.Forbidden, "no")
    world.engine.shut_before = "closed until now"
    with pytest.raises(errors.Forbidden):
        await reconcile(world)
    assert (world.status.phase, world.said(ConditionType.ENGINE_AVAILABLE).message) == (
        Phase.PENDING, "closed until now",
    )  # fmt: skip
    world.engine.shut_before = ""
    assert await reconcile(world) == Result()
    assert world.status.phase is Phase.FAILED


async def test_a_create_that_is_forbidden_is_no_failure_while_the_place_is_not_known() -> None:
    world = fakes.World()
    world.put()
    world.engine.create_error = answers.refusal(errors.Forbidden, "no")
    world.engine.read_error = errors.TransportError("away")
    with pytest.raises(errors.TransportError):
        await reconcile(world)
    assert world.status.phase is None

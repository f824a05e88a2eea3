"""A pending execution: refused, kept waiting, cancelled, or started."""

import datetime
from typing import Any

import pytest
import structlog.testing

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.api import names
from workflowexecution.api.status import (
    ConditionReason,
    ConditionStatus,
    ConditionType,
    Outcome,
    Phase,
    SkipReason,
)
from workflowexecution.domain import locking, redaction
from workflowexecution.reconciler import pending
from workflowexecution.runtime import errors, queue
from workflowexecution.runtime.controller import Result

LOCK = locking.run_name(builders.TARGET)
AT_ONCE = Result(requeue_after_s=0.0)
# It was created a minute ago: no change of it may come for another nine, to the whole second.
STARTED = Result(requeue_after_s=541.0, priority=queue.Priority.LOW)
CREATED = ConditionType.TEKTON_PIPELINE_CREATED
# What no create goes before has its finalizer before its first status all the same.
HELD_FIRST = ["patch", "status"]
MARK = {
    names.ANNOTATION_CLAIMED: f"restart-payment/{fakes.UID}",
    names.ANNOTATION_CLAIMED_IN: "kubernaut-workflows",
}
PLACE = {names.ANNOTATION_CLAIMED_IN: MARK[names.ANNOTATION_CLAIMED_IN]}
CLAIMED = {
    "finalizers": [names.FINALIZER],
    "labels": {names.LABEL_TARGET: locking.target_label(LOCK)},
    "annotations": MARK,
}


async def reconcile(world: fakes.World) -> Result:
    return await pending.Start(world.tools).reconcile(world.case())


def claim(world: fakes.World) -> dict[str, Any]:
    """The write that went before the create."""
    found: dict[str, Any] = world.writer.patches[0]["metadata"]
    return found


async def test_a_start_claims_creates_and_says_so() -> None:
    world = fakes.World()
    world.put()
    assert await reconcile(world) == STARTED
    assert world.journal == ["patch", "create", "status"]
    assert claim(world) == CLAIMED
    assert world.status.phase is Phase.RUNNING
    assert world.status.start_time == builders.NOW
    ref = world.status.pipeline_run_ref
    assert ref is not None
    assert ref.model_dump() == {
        "api_version": "tekton.dev/v1",
        "kind": "PipelineRun",
        "namespace": "kubernaut-workflows",
        "name": LOCK,
        "uid": "run-of-restart-payment",
    }
    (manifest,) = world.engine.manifests
    assert manifest["metadata"]["labels"][names.LABEL_EXECUTION_UID] == fakes.UID


@pytest.mark.parametrize(
    ("attempt", "next_one"),
    [
        pytest.param(None, "1", id="first"),
        pytest.param("1", "2", id="second"),
        pytest.param("many", "1", id="no-number"),
        pytest.param("9" * 400, "1", id="too-long"),
    ],
)
async def test_a_start_counts_attempts_when_the_claim_stands_already(
    attempt: str | None, next_one: str
) -> None:
    world = fakes.World()
    marks = {names.ANNOTATION_START_ATTEMPT: attempt} if attempt else {}
    world.put(metadata={**CLAIMED, "annotations": MARK | marks})
    await reconcile(world)
    assert claim(world) == {"annotations": {names.ANNOTATION_START_ATTEMPT: next_one, **PLACE}}


async def test_a_claim_of_before_there_were_marks_is_given_one() -> None:
    world = fakes.World()
    world.put(metadata={**CLAIMED, "annotations": None})
    await reconcile(world)
    assert claim(world) == {"annotations": {names.ANNOTATION_START_ATTEMPT: "1", **MARK}}


async def test_a_start_is_looked_at_again_when_tekton_never_says_a_word() -> None:
    """Timers stand for deadlines: here the run's timeout comes before it may stand still."""
    world = fakes.World()
    world.put(spec={"executionConfig": {"timeout": "5m"}})
    assert (await reconcile(world)).requeue_after_s == 300 + 120 - 60 + 1


async def test_a_start_keeps_the_finalizers_of_others() -> None:
    world = fakes.World()
    world.put(metadata={"finalizers": ["other/one"]})
    await reconcile(world)
    assert claim(world)["finalizers"] == ["other/one", names.FINALIZER]


@pytest.mark.parametrize("part", ["finalizers", "labels"])
async def test_a_start_claims_anew_when_half_of_the_claim_is_gone(part: str) -> None:
    world = fakes.World()
    world.put(metadata={part: CLAIMED[part]})
    await reconcile(world)
    assert claim(world) == CLAIMED


async def test_the_status_tells_which_generation_it_is_about() -> None:
    world = fakes.World()
    world.put(metadata={"generation": 4})
    await reconcile(world)
    assert world.status.observed_generation == 4


async def test_every_problem_of_a_spec_is_told() -> None:
    world = fakes.World()
    world.put(spec={"targetResource": "ns/pods/x", "parameters": {"TARGET_RESOURCE": "x"}})
    await reconcile(world)
    message = world.status.message
    assert message is not None
    first, second = message.split("; ")
    assert first.startswith("spec.targetResource: ")
    assert second.startswith("spec.parameters.TARGET_RESOURCE: ")


async def test_a_line_of_the_log_tells_as_many_problems_as_it_has_room_for() -> None:
    world = fakes.World()
    world.put(spec={"parameters": {f"-key={number}": "" for number in range(5000)}})
    with structlog.testing.capture_logs() as lines:
        await reconcile(world)
    (line,) = (it for it in lines if it["event"] == "Execution refused")
    assert line["problems"][0].startswith("spec.parameters: '-key=0'")
    assert line["found"] == 5000
    assert sum(map(len, line["problems"])) < redaction.MAX_TEXT + 100


async def test_nothing_is_created_when_the_claim_is_refused() -> None:
    world = fakes.World()
    world.put()
    case = world.case()
    world.writer.stored[fakes.KEY]["metadata"]["resourceVersion"] = "2"
    with pytest.raises(errors.Conflict):
        await pending.Start(world.tools).reconcile(case)
    assert world.journal == ["patch"]


@pytest.mark.parametrize("where", ["cached", "gone"])
async def test_a_run_of_a_former_life_is_adopted(where: str) -> None:
    world = fakes.World()
    world.put(status={"conditions": None})
    run = builders.run(metadata={"creationTimestamp": builders.stamp(-600)} | IDENTITY)
    getattr(world.engine, where)[fakes.UID] = run
    assert await reconcile(world) == AT_ONCE
    assert world.journal == HELD_FIRST
    assert world.status.phase is Phase.RUNNING
    assert world.status.start_time == builders.NOW - datetime.timedelta(seconds=600)


IDENTITY = {"name": LOCK, "namespace": "kubernaut-workflows", "uid": "old", "resourceVersion": "1"}


async def test_adoption_lifts_what_kept_it_waiting() -> None:
    world = fakes.World(suspend=True)
    world.put()
    await reconcile(world)
    assert world.said(ConditionType.SUSPENDED).status is ConditionStatus.TRUE
    world.engine.show(builders.run())
    await reconcile(world)
    assert world.said(ConditionType.SUSPENDED).status is ConditionStatus.FALSE


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        pytest.param({"targetResource": "ns/pods/x"}, "must be written 'pod'", id="check"),
        pytest.param({"workflowRef": {}}, "spec.workflowRef.workflowId: ", id="schema"),
        pytest.param({"targetResource": 7}, "spec.targetResource: ", id="type"),
    ],
)
async def test_a_spec_that_cannot_run_is_refused(spec: dict[str, Any], problem: str) -> None:
    world = fakes.World()
    world.put(spec=spec)
    assert await reconcile(world) == Result()
    assert world.journal == HELD_FIRST
    details = world.status.failure_details
    assert details is not None
    assert (details.reason, details.was_execution_failure) == ("ConfigurationError", False)
    assert problem in details.message
    assert (world.status.phase, world.status.outcome) == (Phase.FAILED, Outcome.FAILED)
    assert world.said(CREATED).reason == ConditionReason.PIPELINE_CREATION_FAILED


async def test_an_engine_that_is_away_keeps_it_waiting() -> None:
    world = fakes.World()
    world.put()
    world.engine.away = "Tekton is not there"
    assert await reconcile(world) == Result()
    assert world.status.phase is Phase.PENDING
    said = world.said(ConditionType.ENGINE_AVAILABLE)
    assert (said.status, said.message) == (ConditionStatus.FALSE, "Tekton is not there")
    world.journal.clear()
    await reconcile(world)
    assert world.journal == []


async def test_suspension_keeps_it_waiting() -> None:
    world = fakes.World(suspend=True)
    world.put(metadata={"finalizers": ["other/finalizer"]})
    assert await reconcile(world) == Result()
    assert world.journal == HELD_FIRST
    mark = {names.ANNOTATION_CLAIMED: MARK[names.ANNOTATION_CLAIMED]}
    held = {"finalizers": ["other/finalizer", names.FINALIZER], "annotations": mark}
    assert claim(world) == held
    said = world.said(ConditionType.SUSPENDED)
    assert (said.status, said.message) == (
        ConditionStatus.TRUE,
        "execution.suspend is set: nothing new starts",
    )


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


@pytest.mark.parametrize("finalizers", [[names.FINALIZER], []], ids=["held", "released"])
async def test_a_restored_copy_is_refused_and_its_mark_stays(finalizers: list[str]) -> None:
    """Also while nothing starts: what keeps others waiting would come to an end."""
    world = fakes.World(suspend=True)
    mark = {names.ANNOTATION_CLAIMED: "restart-payment/uid-of-before"}
    world.put(metadata={**CLAIMED, "finalizers": finalizers, "annotations": mark})
    assert await reconcile(world) == Result()
    assert world.journal == ["read", *(["status"] if finalizers else HELD_FIRST)]
    details = world.status.failure_details
    assert details is not None
    assert (details.reason, details.was_execution_failure) == ("ConfigurationError", False)
    assert "(UID uid-of-before)" in details.message
    assert world.writer.stored[fakes.KEY]["metadata"]["annotations"] == mark


CANCEL = {"cancel": {"requestedBy": "ann", "reason": "wrong target"}}
CANCELLED = "The execution was cancelled by ann: wrong target"


@pytest.mark.parametrize(
    ("metadata", "journal"),
    [
        pytest.param({}, HELD_FIRST, id="never-seen"),
        pytest.param({"finalizers": [names.FINALIZER]}, ["status"], id="never-claimed"),
        pytest.param(CLAIMED, ["read", "status"], id="claimed"),
    ],
)
async def test_a_cancelled_one_is_never_started(
    metadata: dict[str, Any], journal: list[str]
) -> None:
    world = fakes.World(suspend=True)
    world.put(spec=CANCEL, metadata=metadata)
    assert await reconcile(world) == Result()
    assert world.journal == journal
    assert (world.status.phase, world.status.outcome) == (Phase.FAILED, Outcome.CANCELLED)
    assert (world.status.failure_reason, world.status.message) == ("Cancelled", CANCELLED)
    assert world.status.requires_manual_review is False
    details = world.status.failure_details
    assert details is not None
    assert "cancelled by 'ann': «wrong target». No" in details.natural_language_summary
    said = world.said(CREATED)
    assert (said.status, said.reason, said.message) == ("False", "Cancelled", CANCELLED)


async def test_a_cancelled_one_takes_on_the_run_that_a_former_life_has_started() -> None:
    world = fakes.World()
    world.put(spec=CANCEL, metadata=CLAIMED)
    world.engine.live[LOCK] = builders.run()
    assert await reconcile(world) == AT_ONCE
    assert world.status.phase is Phase.RUNNING


async def test_a_cancelled_one_leaves_the_run_of_another_alone() -> None:
    world = fakes.World()
    world.put(spec=CANCEL, metadata=CLAIMED)
    world.engine.live[LOCK] = builders.run(owner="other")
    assert await reconcile(world) == Result()
    assert world.journal == ["read", "status"]
    assert world.status.outcome is Outcome.CANCELLED


LOOK_AGAIN = Result(requeue_after_s=10.0, priority=queue.Priority.LOW)


@pytest.mark.parametrize(
    ("away", "error"),
    [
        pytest.param("no Tekton", errors.EndpointMissing, id="known-by-the-cache"),
        pytest.param("", errors.EndpointMissing, id="read"),
        pytest.param("", errors.Forbidden, id="closed"),
    ],
)
async def test_a_cancelled_one_waits_for_the_api_that_may_hold_its_run(
    away: str, error: type[errors.ApiError]
) -> None:
    """An API that is gone, or may not be read, is no missing run."""
    world = fakes.World()
    world.put(spec=CANCEL, metadata=CLAIMED)
    world.engine.not_installed = world.engine.shut = "no Tekton"
    world.engine.read_error, world.engine.away = answers.refusal(error), away
    assert await reconcile(world) == LOOK_AGAIN
    assert world.status.phase is Phase.PENDING
    said = world.said(ConditionType.ENGINE_AVAILABLE)
    assert (said.status, said.message) == (ConditionStatus.FALSE, "no Tekton")
    assert await reconcile(world) == LOOK_AGAIN
    assert world.journal.count("status") == 1
    world.engine.away, world.engine.read_error = "", None
    assert await reconcile(world) == Result()
    assert world.status.outcome is Outcome.CANCELLED


async def test_a_cancelled_one_asks_again_when_its_run_cannot_be_read() -> None:
    world = fakes.World()
    world.put(spec=CANCEL, metadata=CLAIMED)
    for error in (answers.refusal(errors.EndpointMissing), errors.TransportError("away")):
        world.engine.read_error = error
        with pytest.raises(type(error)):
            await reconcile(world)
    assert world.status.phase is None

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api import names, tekton
from workflowexecution.api.status import Phase
from workflowexecution.domain import locking
from workflowexecution.reconciler import view
from workflowexecution.runtime import resource, store

MEMBERS = [
    "phase",
    "outcome",
    "completionTime",
    "pipelineRunRef",
    "failureReason",
    "failureDetails",
    "consecutiveFailures",
    "nextAllowedExecution",
    "blockClearance",
    "clearanceRecordedAt",
    "conditions",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def seen(
    *,
    instance: str = "",
    watch_namespace: str = "",
    **parts: Any,  # noqa: ANN401 - as raw_execution
) -> view.Execution:
    return view.projection(instance, watch_namespace)(builders.raw_execution(**parts))


def test_a_live_execution_keeps_its_document_but_for_managed_fields() -> None:
    made = seen(metadata={"managedFields": [{}], "finalizers": [names.FINALIZER]})
    assert made.key == resource.ObjectKey("payment", "restart-payment")
    assert (made.uid, made.resource_version, made.generation) == ("uid-restart-payment", "1", 1)
    assert (made.phase, made.ended, made.deleting, made.held) == (Phase.PENDING, False, False, True)
    assert made.lock == locking.run_name(builders.TARGET)
    assert made.correlation_id == "rr-1"
    assert made.document is not None
    assert "managedFields" not in made.document["metadata"]
    assert made.document["spec"]["targetResource"] == builders.TARGET
    assert made.document["status"] == {}


@pytest.mark.parametrize("phase", ["Completed", "Failed", "Skipped"])
def test_an_ended_execution_keeps_no_document(phase: str) -> None:
    made = seen(status={"phase": phase, "completionTime": builders.stamp(5)})
    assert made.ended
    assert (made.document, made.completion_time) == (None, builders.stamp(5))


@pytest.mark.parametrize(
    ("phase", "ended", "told", "late_s"),
    [
        pytest.param("Completed", builders.stamp(5), builders.stamp(245), 240, id="late"),
        pytest.param("Completed", builders.stamp(5), builders.stamp(4), 0, id="early"),
        pytest.param("Completed", builders.stamp(5), "soon", 0, id="no-time"),
        pytest.param("Completed", "soon", builders.stamp(5), 0, id="no-end"),
        pytest.param("Running", builders.stamp(5), builders.stamp(245), 0, id="not-ended"),
    ],
)
def test_an_execution_tells_how_late_its_end_was_told(
    phase: str, ended: str, told: str, late_s: int
) -> None:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": told}
    made = seen(status={"phase": phase, "completionTime": ended, "conditions": [ready]})
    assert made.told_late_s == late_s


def test_an_execution_tells_where_its_run_is() -> None:
    run = {"namespace": "runs", "name": "wfe", "uid": "u"}
    made = seen(status={"phase": "Running", "pipelineRunRef": run})
    assert (made.run_uid, made.run_namespace) == ("u", "runs")
    assert (seen().run_uid, seen().run_namespace) == ("", "")


@pytest.mark.parametrize(
    ("phase", "counts_as"),
    [
        pytest.param("", Phase.PENDING, id="empty"),
        pytest.param("Pending", Phase.PENDING, id="pending"),
        pytest.param("Running", Phase.RUNNING, id="running"),
        pytest.param("Dreaming", Phase.PENDING, id="unknown"),
        pytest.param(7, Phase.PENDING, id="no-text"),
    ],
)
def test_a_phase_nobody_knows_counts_as_pending(phase: object, counts_as: Phase) -> None:
    assert seen(status={"phase": phase}).phase is counts_as


@pytest.mark.parametrize(
    ("label", "instance", "watched", "served"),
    [
        pytest.param(None, "", "", True, id="default"),
        pytest.param("blue", "blue", "", True, id="own"),
        pytest.param("blue", "", "", False, id="of-another"),
        pytest.param(None, "blue", "", False, id="unlabelled"),
        pytest.param(None, "", "payment", True, id="own-namespace"),
        pytest.param(None, "", "other", False, id="other-namespace"),
    ],
)
def test_an_instance_serves_its_own(
    label: str | None, instance: str, watched: str, served: bool
) -> None:
    metadata = {"labels": {names.LABEL_INSTANCE: label} if label else None}
    made = seen(metadata=metadata, instance=instance, watch_namespace=watched)
    assert made.served is served
    assert (made.document is not None) is served


@pytest.mark.parametrize(
    ("finalizers", "held"),
    [
        pytest.param(None, False, id="none"),
        pytest.param(["other/one"], False, id="of-another"),
        pytest.param([names.FINALIZER], True, id="own"),
        pytest.param([names.LEGACY_FINALIZER], True, id="of-the-go-implementation"),
    ],
)
def test_an_execution_is_held_by_a_finalizer_of_ours(
    finalizers: list[str] | None, held: bool
) -> None:
    assert seen(metadata={"finalizers": finalizers}).held is held


def test_a_deleted_execution_tells_since_when() -> None:
    made = seen(metadata={"deletionTimestamp": builders.stamp(9)})
    assert (made.deleting, made.deletion_time) == (True, builders.stamp(9))


def test_essence_changes_with_what_others_do_alone() -> None:
    before = seen(status={"phase": "Running", "progress": "1/2"})
    own = seen(status={"phase": "Running", "progress": "2/2"}, metadata={"resourceVersion": "2"})
    assert own.essence == before.essence
    for metadata in ({"generation": 2}, {"deletionTimestamp": builders.stamp()}):
        assert seen(status={"phase": "Running"}, metadata=metadata).essence != before.essence


@pytest.mark.parametrize(
    ("reference", "correlation"),
    [
        pytest.param({"name": "rr-7"}, "rr-7", id="remediation"),
        pytest.param({"name": ""}, "restart-payment", id="empty-name"),
        pytest.param({}, "restart-payment", id="no-name"),
        pytest.param(None, "restart-payment", id="no-reference"),
    ],
)
def test_the_remediation_correlates_else_the_execution_itself(
    reference: object, correlation: str
) -> None:
    assert seen(spec={"remediationRequestRef": reference}).correlation_id == correlation


def test_an_execution_says_what_events_are_about() -> None:
    whom = {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "RemediationRequest",
        "namespace": "payment",
        "name": "rr-1",
        "uid": "u-1",
    }
    said = {"phase": "Failed", "outcome": "Timeout", "duration": "1m30s"}
    about = seen(spec={"remediationRequestRef": whom}, status=said).subject
    assert (about.workflow_id, about.target) == ("restart-deployment", builders.TARGET)
    assert (about.outcome, about.lasted) == ("Timeout", "1m30s")
    assert about.remediation.reference == whom
    live = seen(status={**said, "phase": "Running"}).subject
    assert (live.outcome, live.lasted) == ("", "")


def test_a_live_execution_keeps_its_status() -> None:
    made = seen(status={"phase": "Running", "progress": "1/2"})
    assert made.document is not None
    assert made.document["status"] == {"phase": "Running", "progress": "1/2"}


def test_indexes_find_by_uid_and_by_target() -> None:
    cache = store.StoreWriter[view.Execution](view.indexes())
    made = seen(spec={"targetResource": "payment/Deployment/payment-api"})
    cache.apply(made)
    assert cache.by_index(view.BY_UID, made.uid) == [made]
    assert cache.by_index(view.BY_LOCK_WAITING, locking.run_name(builders.TARGET)) == [made]


LOCK = locking.run_name(builders.TARGET)
HELD_BY = {"name": LOCK, "namespace": "kubernaut-workflows", "uid": "run-of-restart-payment"}


@pytest.mark.parametrize(
    ("phase", "instance", "index"),
    [
        pytest.param("", "", view.BY_LOCK_WAITING, id="new"),
        pytest.param("Pending", "", view.BY_LOCK_WAITING, id="pending"),
        pytest.param("Pending", "blue", None, id="pending-of-another-instance"),
        pytest.param("Running", "", view.BY_LOCK_RUNNING, id="running"),
        pytest.param("Running", "blue", view.BY_LOCK_RUNNING, id="running-of-another-instance"),
        pytest.param("Completed", "blue", view.BY_LOCK_PAST, id="completed"),
        pytest.param("Failed", "", view.BY_LOCK_PAST, id="failed"),
        pytest.param("Skipped", "", None, id="skipped"),
    ],
)
def test_a_target_has_one_index_for_each_part_an_execution_plays(
    phase: str, instance: str, index: str | None
) -> None:
    cache = store.StoreWriter[view.Execution](view.indexes())
    cache.apply(seen(status={"phase": phase}, instance=instance))
    indexes = (view.BY_LOCK_WAITING, view.BY_LOCK_RUNNING, view.BY_LOCK_PAST)
    assert [it for it in indexes if cache.by_index(it, LOCK)] == ([index] if index else [])


@pytest.mark.parametrize(
    ("status", "completed", "had_run", "ran", "cancelled"),
    [
        pytest.param({"phase": "Completed", "pipelineRunRef": HELD_BY}, True, True, True, False,
                     id="completed"),
        pytest.param({"phase": "Failed", "pipelineRunRef": HELD_BY,
                      "failureDetails": {"wasExecutionFailure": True}},
                     False, True, True, False, id="ran"),
        pytest.param({"phase": "Failed", "pipelineRunRef": HELD_BY,
                      "failureDetails": {"wasExecutionFailure": False}},
                     False, True, False, False, id="nothing-ran"),
        pytest.param({"phase": "Failed", "pipelineRunRef": HELD_BY, "failureReason": "Cancelled",
                      "failureDetails": {"wasExecutionFailure": False}},
                     False, True, False, True, id="cancelled"),
        pytest.param({"phase": "Failed"}, False, False, False, False, id="refused"),
        pytest.param({"phase": "Failed", "pipelineRunRef": HELD_BY}, False, True, True, False,
                     id="unproven"),
        pytest.param({"phase": "Failed", "pipelineRunRef": HELD_BY, "failureDetails": "odd"},
                     False, True, True, False, id="unreadable"),
    ],
)  # fmt: skip
def test_an_end_tells_what_it_means_to_those_after_it(
    status: dict[str, Any], completed: bool, had_run: bool, ran: bool, cancelled: bool
) -> None:
    """wasExecutionFailure is true unless it is said that nothing ran."""
    past = seen(status=status).past
    assert past is not None
    found = (past.completed, past.had_run, past.ran, past.cancelled)
    assert found == (completed, had_run, ran, cancelled)


def test_an_end_is_remembered_with_all_that_is_told_of_it() -> None:
    past = seen(status={
        "phase": "Failed",
        "outcome": "Timeout",
        "completionTime": builders.stamp(5),
        "consecutiveFailures": 3,
        "nextAllowedExecution": builders.stamp(60),
        "blockClearance": {"clearedAt": builders.stamp(90)},
    }).past  # fmt: skip
    assert past is not None
    assert (past.place, past.uid) == ("payment/restart-payment", "uid-restart-payment")
    assert (past.workflow_id, past.target) == ("restart-deployment", builders.TARGET)
    assert (past.outcome, past.failures) == ("Timeout", 3)
    times = (past.ended_at, past.next_allowed, past.cleared_at)
    assert [it and (it - builders.NOW).total_seconds() for it in times] == [5, 60, 90]


@pytest.mark.parametrize(
    ("created", "year"), [(builders.stamp(), 2026), ("", 1970)], ids=["created", "unknown"]
)
def test_an_end_without_a_time_is_as_old_as_can_be(created: str, year: int) -> None:
    status = {"phase": "Failed", "completionTime": "soon", "consecutiveFailures": "many"}
    past = seen(status=status, metadata={"creationTimestamp": created}).past
    assert past is not None
    assert (past.ended_at.year, past.failures, past.outcome) == (year, 0, "Failed")


GIVEN = {"clearedBy": "ann"}
UNGUARDED = {"type": "ClearanceUnguarded", "status": "True"}


@pytest.mark.parametrize(
    ("status", "clearance"),
    [
        pytest.param({"phase": "Failed"}, view.Clearance.NONE, id="none"),
        pytest.param({"phase": "Failed", "blockClearance": GIVEN}, view.Clearance.GIVEN,
                     id="given"),
        pytest.param({"phase": "Failed", "blockClearance": GIVEN, "conditions": [UNGUARDED]},
                     view.Clearance.UNGUARDED, id="unguarded"),
        pytest.param({"phase": "Failed", "blockClearance": GIVEN, "conditions": [UNGUARDED],
                      "clearanceRecordedAt": builders.stamp()}, view.Clearance.RECORDED, id="used"),
        pytest.param({"phase": "Running", "blockClearance": GIVEN}, view.Clearance.NONE, id="live"),
    ],
)  # fmt: skip
def test_a_clearance_says_how_far_it_has_come(
    status: dict[str, Any], clearance: view.Clearance
) -> None:
    made = seen(status=status)
    assert made.clearance is clearance
    changed = made.essence != seen(status={"phase": status["phase"]}).essence
    assert changed is (clearance is not view.Clearance.NONE)


def test_one_whose_run_cannot_be_created_is_known_as_failing() -> None:
    said = [{"type": "Ready", "status": "False"}, {"type": "TektonPipelineCreated"}, "odd"]
    assert not seen(status={"conditions": said}).failing
    said = [{"type": "TektonPipelineCreated", "status": "False"}]
    assert seen(status={"conditions": said}).failing


def test_one_that_somebody_cancels_is_known_without_its_document() -> None:
    assert seen(spec={"cancel": {"requestedBy": "ann"}}).cancelling
    assert not seen().cancelling
    assert seen(status={"phase": "Running", "pipelineRunRef": HELD_BY}).run_uid == HELD_BY["uid"]


@pytest.mark.parametrize(
    ("ref", "run", "own"),
    [
        pytest.param(HELD_BY, builders.run(metadata={"uid": HELD_BY["uid"]}), True, id="by-uid"),
        pytest.param(HELD_BY, builders.run(metadata={"uid": HELD_BY["uid"], "labels": {}}), True,
                     id="without-labels"),
        pytest.param(HELD_BY, builders.run(metadata={"uid": "another"}), False, id="copy"),
        pytest.param(None, builders.run(), True, id="by-owner"),
        pytest.param({"uid": None}, builders.run(), True, id="uid-unknown"),
        pytest.param(None, builders.run(owner="other"), False, id="of-another"),
    ],
)  # fmt: skip
def test_a_run_is_its_own_by_uid_and_by_owner_while_no_uid_is_known(
    ref: dict[str, Any] | None, run: tekton.PipelineRun, *, own: bool
) -> None:
    assert seen(status={"phase": "Running", "pipelineRunRef": ref}).is_own(run) is own


def test_an_object_that_was_read_for_itself_keeps_its_document() -> None:
    raw = builders.raw_execution(status={"phase": "Completed"})
    assert view.projection("", "", whole=True)(raw).document is not None


def test_age_is_by_creation_then_by_uid() -> None:
    younger = seen(metadata={"creationTimestamp": builders.stamp(1), "uid": "a"})
    twins = [seen(metadata={"uid": uid}) for uid in ("c", "b")]
    assert sorted([younger, *twins], key=view.age) == [twins[1], twins[0], younger]


@given(spec=JSON, status=JSON)
def test_projection_never_raises_on_odd_json_below_metadata(spec: object, status: object) -> None:
    made = view.projection("", "")(builders.raw_execution() | {"spec": spec, "status": status})
    assert isinstance(made.lock, str)
    assert isinstance(made.completion_time, str)


@given(
    st.dictionaries(st.sampled_from(MEMBERS), JSON),
    st.dictionaries(
        st.sampled_from(["targetResource", "remediationRequestRef", "workflowRef", "cancel"]), JSON
    ),
    st.sampled_from([phase.value for phase in Phase]),
)
def test_projection_never_raises_on_odd_members(
    status: dict[str, object], spec: dict[str, object], phase: str
) -> None:
    assert seen(status=status, spec=spec).correlation_id
    assert seen(status=status | {"phase": phase}, spec=spec).phase == phase

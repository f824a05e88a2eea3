from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api import names
from workflowexecution.api.status import Phase
from workflowexecution.domain import locking
from workflowexecution.reconciler import view
from workflowexecution.runtime import resource, store

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


@pytest.mark.parametrize(
    ("phase", "written", "count"),
    [
        pytest.param("Failed", 3, 3, id="failed"),
        pytest.param("Failed", None, 0, id="absent"),
        pytest.param("Failed", "3", 0, id="odd"),
        pytest.param("Running", 3, 0, id="not-ended"),
    ],
)
def test_an_end_keeps_the_failures_of_its_target(phase: str, written: object, count: int) -> None:
    made = seen(status={"phase": phase, "consecutiveFailures": written})
    assert made.consecutive_failures == count


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


def test_a_live_execution_keeps_its_status() -> None:
    made = seen(status={"phase": "Running", "progress": "1/2"})
    assert made.document is not None
    assert made.document["status"] == {"phase": "Running", "progress": "1/2"}


def test_indexes_find_by_uid_and_by_target() -> None:
    cache = store.StoreWriter[view.Execution](view.indexes())
    made = seen(spec={"targetResource": "payment/Deployment/payment-api"})
    cache.apply(made)
    assert cache.by_index(view.BY_UID, made.uid) == [made]
    assert cache.by_index(view.BY_LOCK, locking.run_name(builders.TARGET)) == [made]


@given(spec=JSON, status=JSON)
def test_projection_never_raises_on_odd_json_below_metadata(spec: object, status: object) -> None:
    made = view.projection("", "")(builders.raw_execution() | {"spec": spec, "status": status})
    assert isinstance(made.lock, str)
    assert isinstance(made.completion_time, str)


@given(
    st.dictionaries(st.sampled_from(["phase", "completionTime"]), JSON),
    st.dictionaries(st.sampled_from(["targetResource", "remediationRequestRef"]), JSON),
)
def test_projection_never_raises_on_odd_members(
    status: dict[str, object], spec: dict[str, object]
) -> None:
    assert seen(status=status, spec=spec).correlation_id

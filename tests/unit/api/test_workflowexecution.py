from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api import status
from workflowexecution.api import workflowexecution as api

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def test_parse_execution_reads_the_wire_names() -> None:
    execution = builders.execution(spec={"executionConfig": {"timeout": "1h30m"}})
    assert execution.metadata.name == "restart-payment"
    assert execution.spec.workflow_ref.workflow_id == "restart-deployment"
    assert execution.spec.workflow_ref.engine is api.Engine.TEKTON
    assert execution.spec.execution_config == api.ExecutionConfig(timeout=5400.0)
    assert execution.status == status.Status()


def test_duration_is_written_as_go_writes_it() -> None:
    config = api.ExecutionConfig(timeout=90.0)
    assert config.model_dump(by_alias=True, exclude_none=True) == {"timeout": "1m30s"}


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        pytest.param({"targetResource": "x"}, "spec.targetResource: ", id="target"),
        pytest.param({"executionConfig": {"timeout": "soon"}},
                     "spec.executionConfig.timeout: 'soon' is not a duration", id="timeout"),
        pytest.param({"confidence": 2}, "spec.confidence: ", id="confidence"),
        pytest.param({"parameters": {"A": 1}}, "spec.parameters.A: ", id="parameter"),
        pytest.param({"workflowRef": {}}, "spec.workflowRef.workflowId: ", id="missing"),
    ],
)  # fmt: skip
def test_describe_errors_begins_with_the_field_as_written(spec: dict[str, Any], fault: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        builders.execution(spec=spec)
    assert api.describe_errors(caught.value)[0].startswith(fault)


def test_parse_leniently_keeps_what_can_be_read() -> None:
    raw = builders.raw_execution(
        spec={"targetResource": "odd", "parameters": 7},
        status={"phase": "Running", "startTime": builders.stamp(), "conditions": "none"},
    )
    execution = api.parse_leniently(raw)
    assert execution.metadata.uid == "uid-restart-payment"
    assert execution.spec.target_resource == "odd"
    assert execution.spec.workflow_ref.container_image == "registry.example/workflows/restart:v1"
    assert execution.spec.workflow_ref.workflow_id == "restart-deployment"
    assert execution.spec.workflow_ref.version == "1.0.0"
    assert execution.spec.remediation_request_ref.name == "rr-1"
    assert execution.status == status.Status(phase=status.Phase.RUNNING, start_time=builders.NOW)


def test_parse_readable_takes_all_or_as_much_as_can_be_read() -> None:
    whole = builders.raw_execution()
    assert api.parse_readable(whole) == api.parse_execution(whole)
    odd = builders.raw_execution(spec={"targetResource": 5})
    assert api.parse_readable(odd) == api.parse_leniently(odd)


def test_parse_leniently_keeps_the_whole_spec_when_the_status_alone_is_odd() -> None:
    config = {"timeout": "90s"}
    raw = builders.raw_execution(spec={"executionConfig": config}, status={"phase": "Paused"})
    execution = api.parse_leniently(raw)
    assert execution == builders.execution(spec={"executionConfig": config})
    assert execution.spec.parameters == {"REPLICAS": "3", "MODE": "rolling"}


def test_parse_leniently_takes_texts_of_any_length() -> None:
    raw = builders.raw_execution(
        spec={"remediationRequestRef": {"name": "r" * 254}, "targetResource": "t" * 501}
    )
    spec = api.parse_leniently(raw).spec
    assert spec.remediation_request_ref.name == "r" * 254
    assert spec.target_resource == "t" * 501


@pytest.mark.parametrize(
    ("cancel", "read"),
    [
        pytest.param({"requestedBy": "ann", "reason": "wrong"}, "ann", id="asked"),
        pytest.param({"requestedBy": 7}, None, id="odd"),
        pytest.param(None, None, id="none"),
    ],
)
def test_parse_leniently_keeps_a_cancel(cancel: object, read: str | None) -> None:
    found = api.parse_leniently(builders.raw_execution(spec={"parameters": 7, "cancel": cancel}))
    assert (found.spec.cancel.requested_by if found.spec.cancel else None) == read


@pytest.mark.parametrize(
    ("digest", "read"),
    [
        pytest.param(builders.DIGEST, builders.DIGEST, id="asked-for"),
        pytest.param("sha256:odd", None, id="odd"),
        pytest.param(7, None, id="no-text"),
        pytest.param(None, None, id="none"),
    ],
)
def test_parse_leniently_keeps_the_digest_that_the_run_is_pinned_to(
    digest: object, read: str | None
) -> None:
    reference = builders.raw_execution()["spec"]["workflowRef"] | {"containerDigest": digest}
    found = api.parse_leniently(
        builders.raw_execution(spec={"parameters": 7, "workflowRef": reference})
    )
    assert found.spec.workflow_ref.container_digest == read


def test_an_empty_phase_counts_as_none() -> None:
    assert builders.execution(status={"phase": ""}).status == status.Status()


def test_parse_leniently_keeps_the_identity_when_the_metadata_is_odd() -> None:
    raw = builders.raw_execution(metadata={"labels": "none", "annotations": None})
    metadata = api.parse_leniently(raw).metadata
    assert (metadata.namespace, metadata.name) == ("payment", "restart-payment")
    assert (metadata.uid, metadata.labels) == ("uid-restart-payment", {})


@given(spec=JSON, said=JSON, metadata=JSON)
def test_parse_leniently_never_raises(spec: object, said: object, metadata: object) -> None:
    execution = api.parse_leniently({"metadata": metadata, "spec": spec, "status": said})
    assert isinstance(execution.spec.target_resource, str)


@given(st.dictionaries(st.sampled_from(sorted(status.Status.model_fields)), JSON))
def test_parse_leniently_never_raises_on_a_known_field_of_odd_content(said: dict[str, Any]) -> None:
    members = {status.Status.model_fields[name].alias or name: it for name, it in said.items()}
    api.parse_leniently(builders.raw_execution(status=members))

"""Runs as Tekton tells them, and what all projections of its objects have in common."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api import names, tekton

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
# The members that are read, each of any content: far likelier to hurt than any JSON at all.
STATUS = st.dictionaries(
    st.sampled_from([
        "conditions",
        "childReferences",
        "pipelineSpec",
        "provenance",
        "skippedTasks",
        "steps",
        "sidecars",
        "retriesStatus",
        "startTime",
        "completionTime",
        "podName",
    ]),
    JSON | st.lists(st.dictionaries(st.sampled_from(["type", "terminated", "name"]), JSON)),
)


def test_project_pipelinerun_keeps_what_is_needed() -> None:
    made = builders.run(
        condition=("True", "Completed", "Tasks Completed: 1"),
        status={
            "childReferences": [{"kind": "TaskRun", "name": "t1", "pipelineTaskName": "restart"}],
            "pipelineSpec": {"tasks": [{"name": "restart"}], "finally": [{"name": "tell"}]},
            "skippedTasks": [{"name": "tell"}],
            "provenance": {"refSource": {"digest": {"sha256": "ab"}}},
        },
    )
    assert made.owner_uid == "uid-restart-payment"
    assert (made.is_done, made.is_successful, made.deleting) == (True, True, False)
    assert made.condition == tekton.Condition("True", "Completed", "Tasks Completed: 1")
    assert made.children == (tekton.Child("TaskRun", "t1", "restart"),)
    assert (made.task_names, made.finally_names) == (("restart",), ("tell",))
    assert (made.task_count, made.skipped, made.digest) == (2, 1, "sha256:ab")
    assert made.completed_at == builders.NOW + datetime.timedelta(seconds=30)
    assert (made.started_at, made.created_at) == (builders.NOW, builders.NOW)
    assert (made.namespace, made.resource_version) == ("kubernaut-workflows", "7")
    assert made.annotations == {names.LABEL_TARGET_RESOURCE: builders.TARGET}


def test_project_pipelinerun_keeps_own_labels_alone() -> None:
    metadata = {"labels": {"app": "x", names.LABEL_EXECUTION_UID: "u"}, "annotations": None}
    made = builders.run(metadata=metadata)
    assert (made.labels, made.annotations) == ({names.LABEL_EXECUTION_UID: "u"}, {})


@pytest.mark.parametrize(
    ("owners", "is_child"),
    [
        pytest.param([], False, id="nobodys"),
        pytest.param([{"kind": "WorkflowExecution", "controller": True}], False, id="execution"),
        pytest.param([{"apiVersion": "tekton.dev/v1", "kind": "PipelineRun"}], True, id="run"),
        pytest.param([{"apiVersion": "tekton.dev/v1beta1", "kind": "CustomRun"}], True, id="task"),
        pytest.param([{"apiVersion": "tekton.dev/v1alpha1", "kind": "Run"}], True, id="old-task"),
        pytest.param([{"kind": "Loop", "controller": True}], True, id="other-controller"),
        pytest.param([{"apiVersion": "v1", "kind": "ConfigMap"}], False, id="garbage-collection"),
        pytest.param([{"apiVersion": 1}, "odd"], False, id="odd"),
    ],
)
def test_a_run_is_a_child_when_it_is_a_part_of_another(
    owners: list[object], *, is_child: bool
) -> None:
    assert builders.run(metadata={"ownerReferences": owners}).is_child is is_child


def test_a_run_is_not_done_while_it_says_nothing() -> None:
    made = builders.run(status={"startTime": None})
    assert (made.is_done, made.is_successful, made.condition) == (False, False, None)
    assert (made.task_count, made.digest, made.started_at) == (None, "", None)


def test_a_run_is_done_when_it_has_failed() -> None:
    made = builders.run(condition=("False", "Failed", "Tasks Completed: 1"))
    assert (made.is_done, made.is_successful) == (True, False)


def test_a_run_is_judged_by_its_condition_succeeded_alone() -> None:
    other = {"type": "Verified", "status": "True", "reason": "Trusted"}
    raw = builders.raw_run(condition=("Unknown", "Running", ""))
    raw["status"]["conditions"].insert(0, other)
    made = tekton.project_pipelinerun(raw, tekton.PipelineRun)
    assert made.condition == tekton.Condition("Unknown", "Running", "")


def test_a_run_is_deleting_once_it_has_a_deletion_time() -> None:
    made = builders.run(metadata={"deletionTimestamp": builders.stamp(3)})
    assert made.deleting
    assert made.deleted_at == builders.NOW + datetime.timedelta(seconds=3)


def test_a_run_tells_what_became_of_its_signature() -> None:
    unsigned = builders.run(condition=("True", "Succeeded", ""))
    assert (unsigned.trust, unsigned.is_signed) == (None, False)
    said = {"type": "TrustedResourcesVerified", "status": "False", "message": "it fails"}
    metadata = {"annotations": {names.ANNOTATION_SIGNATURE: "abc"}}
    signed = builders.run(status={"conditions": [said]}, metadata=metadata)
    assert signed.trust == tekton.Condition("False", "", "it fails")
    assert (signed.is_signed, signed.annotations, signed.condition) == (True, {}, None)


@given(labels=JSON, annotations=JSON, spec=JSON, status=STATUS | JSON)
def test_projections_never_raise_on_odd_json(
    labels: object, annotations: object, spec: object, status: object
) -> None:
    marks = {"labels": labels, "annotations": annotations, "creationTimestamp": labels}
    for raw in (builders.raw_run(metadata=marks), builders.raw_task("t")):
        raw |= {"spec": spec, "status": status}
        raw["metadata"] |= marks
        tekton.project_pipelinerun(raw, tekton.PipelineRun)
        tekton.project_taskrun(raw, tekton.TaskRun)
        tekton.project_pod(raw)


@pytest.mark.parametrize("missing", ["name", "uid", "resourceVersion"])
def test_projections_want_the_identity(missing: str) -> None:
    for raw in (builders.raw_run(), builders.raw_task("t")):
        del raw["metadata"][missing]
        with pytest.raises(KeyError, match=missing):
            tekton.project_pipelinerun(raw, tekton.PipelineRun)
        with pytest.raises(KeyError, match=missing):
            tekton.project_taskrun(raw, tekton.TaskRun)

import datetime
from typing import Any

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


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        pytest.param(("True", "Succeeded", ""), (True, True, False, False), id="success"),
        pytest.param(("False", "Failed", ""), (True, False, False, False), id="failure"),
        pytest.param(("False", "TaskRunCancelled", ""), (True, False, True, False), id="cancelled"),
        pytest.param(("False", "Cancelled", ""), (True, False, True, False), id="of-custom-run"),
        pytest.param(("False", "FailureIgnored", ""), (True, False, False, True), id="ignored"),
        pytest.param(("Unknown", "ToBeRetried", ""), (False, False, False, False), id="retried"),
        pytest.param(None, (False, False, False, False), id="silent"),
    ],
)
def test_a_task_tells_its_end(
    condition: tuple[str, str, str] | None, said: tuple[bool, ...]
) -> None:
    made = builders.task(condition=condition)
    assert (made.is_done, made.is_successful, made.is_cancelled, made.is_ignored) == said


@pytest.mark.parametrize(
    ("condition", "mark", "ignored"),
    [
        pytest.param(("False", "TaskRunTimeout", ""), "continue", True, id="late"),
        pytest.param(("False", "TaskRunTimeout", ""), "stopAndFail", False, id="that-matters"),
        pytest.param(("False", "TaskRunCancelled", ""), "continue", False, id="cancelled"),
        pytest.param(("True", "Succeeded", ""), "continue", False, id="success"),
        pytest.param(("Unknown", "Running", ""), "continue", False, id="running"),
        pytest.param(None, "continue", False, id="silent"),
    ],
)
def test_a_task_that_may_fail_is_ignored_however_it_failed(
    condition: tuple[str, str, str] | None, mark: str, ignored: bool
) -> None:
    raw = builders.raw_task("probe", condition=condition)
    raw["metadata"]["annotations"] = {tekton.ON_ERROR_ANNOTATION: mark}
    made = tekton.project_taskrun(raw, tekton.TaskRun)
    assert made.is_ignored is ignored
    assert made.has_failed is (not ignored and condition is not None and condition[0] == "False")


@pytest.mark.parametrize(
    ("status", "ran"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"steps": [builders.step(exit_code=1, ran=False)]}, False, id="made-up-exit"),
        pytest.param({"steps": [{"name": "a", "imageID": "i"}]}, True, id="image"),
        pytest.param({"steps": [{"name": "a", "containerID": "c"}]}, True, id="container"),
        pytest.param({"steps": [{"terminated": {"containerID": "c"}}]}, True, id="terminated"),
        pytest.param({"sidecars": [{"imageID": "i"}]}, True, id="sidecar"),
        pytest.param({"retriesStatus": [{"steps": [{"imageID": "i"}]}]}, True, id="earlier"),
        pytest.param({"retriesStatus": [{"podName": "p"}]}, True, id="earlier-pod-without-steps"),
        pytest.param({"retriesStatus": [{}]}, False, id="earlier-without-a-pod"),
        pytest.param(
            {"retriesStatus": [{"podName": "p", "steps": [{"name": "a"}]}]},
            False,
            id="earlier-that-never-ran",
        ),
        pytest.param({"podName": "p"}, False, id="pod-to-come"),
    ],
)
def test_a_task_ran_when_a_container_of_any_attempt_existed(
    status: dict[str, Any], ran: bool
) -> None:
    assert builders.task(status=status).ran is ran


def test_a_task_counts_its_attempts_and_takes_its_name_for_want_of_a_label() -> None:
    raw = builders.raw_task("restart", status={"retriesStatus": [{}, {}]})
    raw["metadata"]["labels"] = None
    made = tekton.project_taskrun(raw, tekton.TaskRun)
    assert (made.retries, made.task, made.run_uid) == (2, raw["metadata"]["name"], "")


@pytest.mark.parametrize(
    ("code", "reason", "by_tekton", "exited", "failed"),
    [
        pytest.param(3, "Error", "", True, True, id="failed"),
        pytest.param(0, "Completed", "", True, False, id="fine"),
        pytest.param(137, "OOMKilled", "", True, True, id="oom"),
        pytest.param(1, "TaskRunTimeout", "", False, True, id="ended-by-tekton"),
        pytest.param(137, "ContainerStatusUnknown", "", False, True, id="lost-by-the-kubelet"),
        pytest.param(128, "StartError", "", False, True, id="never-began"),
        pytest.param(127, "ContainerCannotRun", "", False, True, id="could-not-run"),
        pytest.param(5, "Error", "Continued", True, False, id="continued"),
        pytest.param(5, "Completed", "Continued", True, False, id="continued-and-completed"),
        pytest.param(1, "Error", "Skipped", False, False, id="skipped"),
        pytest.param(1, "Error", "TimeoutExceeded", False, True, id="step-timeout"),
        pytest.param(None, "", "", False, False, id="no-end"),
    ],
)
def test_a_step_tells_its_end(
    code: int | None, reason: str, by_tekton: str, exited: bool, failed: bool
) -> None:
    raw = builders.step(exit_code=code, reason=reason) | {"terminationReason": by_tekton}
    step = builders.task(steps=[raw]).steps[0]
    assert (step.exited, step.has_failed, step.reason) == (exited, failed, by_tekton or reason)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(builders.step(exit_code=1, ran=False), id="never-ran"),
        pytest.param({"imageID": "i", "terminated": {}}, id="nothing-said"),
        pytest.param(builders.step(running=True), id="running"),
    ],
)
def test_a_step_has_not_exited_when_its_container_did_not(raw: dict[str, Any]) -> None:
    assert not builders.task(steps=[raw]).steps[0].exited


@pytest.mark.parametrize(
    "reason",
    [
        "TaskRunCancelled",
        "TaskRunTimeout",
        "TaskRunImagePullFailed",
        "CreateContainerConfigError",
        "PodCreationFailed",
        "TaskRunResultLargerThanAllowedLimit",
        "ContainerStatusUnknown",
        "Cancelled",
    ],
)
def test_a_step_that_was_ended_from_outside_has_not_exited(reason: str) -> None:
    (step,) = builders.task(steps=[builders.step(exit_code=1, reason=reason)]).steps
    assert (step.ran, step.exited) == (True, False)


def test_a_step_that_ends_for_its_tasks_own_reason_has_not_exited() -> None:
    """Tekton makes up the end of what it ends, whatever it calls that in versions to come."""
    raw = builders.step(exit_code=1, reason="TaskRunSomethingNew")
    task = builders.task(condition=("False", "TaskRunSomethingNew", ""), steps=[raw])
    assert (task.steps[0].ran, task.steps[0].exited) == (True, False)
    assert builders.task(condition=("False", "Failed", ""), steps=[raw]).steps[0].exited


def test_a_task_names_its_run_and_its_task() -> None:
    made = builders.task("restart", condition=("True", "Succeeded", ""))
    assert (made.run_uid, made.task) == ("run-of-restart-payment", "restart")
    assert made.namespace == "kubernaut-workflows"
    assert made.started_at == builders.NOW + datetime.timedelta(seconds=1)
    assert made.completed_at == builders.NOW + datetime.timedelta(seconds=20)
    assert made.owner_uid == "uid-restart-payment"
    assert (made.pod_name, made.created) == (f"{made.name}-pod", builders.stamp(1))


def test_a_step_has_no_exit_code_when_that_is_no_number() -> None:
    assert builders.task(steps=[{"terminated": {"exitCode": True}}]).steps[0].exit_code is None


def test_a_step_tells_what_it_is_doing() -> None:
    waiting = {"name": "b", "waiting": {"reason": "ImagePullBackOff"}, "running": None}
    first, second = builders.task(steps=[builders.step("a", running=True), waiting]).steps
    assert (first.running, first.waiting) == (True, "")
    assert (second.running, second.waiting) == (False, "ImagePullBackOff")
    assert (first.name, second.name, first.finished) == ("a", "b", "")


def test_a_step_tells_when_it_ended() -> None:
    (step,) = builders.task(steps=[builders.step(exit_code=0, finished_s=9)]).steps
    assert step.finished == builders.stamp(9)


def test_a_step_tells_what_keeps_it_from_running() -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "none" not found'}
    step = builders.task(steps=[{"name": "run", "waiting": waiting}]).steps[0]
    assert (step.waiting, step.detail) == (waiting["reason"], waiting["message"])
    ended = {"reason": "StartError", "exitCode": 128, "message": "no memory", "containerID": "c"}
    assert builders.task(steps=[{"terminated": ended}]).steps[0].detail == "no memory"
    results = ended | {"reason": "Error", "message": '[{"key": "StartedAt"}]'}
    assert builders.task(steps=[{"terminated": results}]).steps[0].detail == ""


@pytest.mark.parametrize(
    ("containers", "ran"),
    [
        pytest.param([{"name": "step-run", "imageID": "i"}], True, id="ran"),
        pytest.param([{"name": "step-run", "imageID": ""}], False, id="never-ran"),
        pytest.param(None, False, id="no-container"),
    ],
)
def test_a_pod_tells_what_ended_it_and_whether_it_ran(containers: object, ran: bool) -> None:
    status = {"reason": "Evicted", "containerStatuses": containers}
    pod = tekton.project_pod({"metadata": {"name": "p"}, "status": status})
    assert pod == tekton.Pod("p", "Evicted", ran)


STEP, INIT = {"name": "step-run"}, {"name": "prepare"}
READY = {"tekton.dev/ready": "READY"}


@pytest.mark.parametrize(
    ("phase", "marks", "spec", "expected"),
    [
        pytest.param("Pending", {}, {"containers": [STEP], "initContainers": [INIT]}, False,
                     id="waits-for-tekton"),
        pytest.param("Pending", READY, {"containers": [STEP]}, True, id="waits-for-nothing"),
        pytest.param("Pending", {}, {"containers": [STEP, {"name": "sidecar-x"}]}, True,
                     id="sidecar"),
        pytest.param("Pending", {}, {"containers": [STEP], "initContainers": [
            {"name": "sidecar-x"}]}, True, id="sidecar-of-kubernetes"),
        pytest.param("Pending", {}, {"containers": [STEP, {"name": "proxy"}]}, True, id="injected"),
        pytest.param("Pending", {}, {}, True, id="unknown"),
        pytest.param("Unknown", READY, {"containers": [STEP]}, True, id="node-lost"),
        pytest.param("Failed", READY, {}, False, id="failed"),
        pytest.param("Succeeded", READY, {}, False, id="succeeded"),
    ],
)  # fmt: skip
def test_a_pod_tells_whether_anything_may_begin_in_it_when_its_task_is_over(
    phase: str, marks: dict[str, str], spec: dict[str, object], expected: bool
) -> None:
    raw = {"metadata": {"annotations": marks}, "spec": spec, "status": {"phase": phase}}
    assert tekton.project_pod(raw).may_begin is expected


@pytest.mark.parametrize(("answer", "told"), [("True", "EvictionByEvictionAPI"), ("False", "")])
def test_a_pod_tells_what_has_disrupted_it(answer: str, told: str) -> None:
    said = {"type": "DisruptionTarget", "status": answer, "reason": "EvictionByEvictionAPI"}
    assert tekton.project_pod({"status": {"conditions": [said]}}).disruption == told


@pytest.mark.parametrize(
    ("ready", "inner", "unheard"),
    [
        pytest.param("False", "True", True, id="node-away"),
        pytest.param("False", "False", False, id="container-ended"),
        pytest.param("True", "True", False, id="ready"),
        pytest.param("False", None, False, id="not-told"),
        pytest.param(None, "True", False, id="not-begun"),
    ],
)
def test_a_pod_tells_that_its_node_no_longer_answers(
    ready: str | None, inner: str | None, *, unheard: bool
) -> None:
    """The node's controller takes back Ready alone; a kubelet would take back both."""
    told = (("Ready", ready), ("ContainersReady", inner))
    said = [{"type": kind, "status": answer} for kind, answer in told if answer]
    assert tekton.project_pod({"status": {"conditions": said}}).is_unheard is unheard


def test_a_run_tells_what_became_of_its_signature() -> None:
    unsigned = builders.run(condition=("True", "Succeeded", ""))
    assert (unsigned.trust, unsigned.is_signed) == (None, False)
    said = {"type": "TrustedResourcesVerified", "status": "False", "message": "it fails"}
    metadata = {"annotations": {names.ANNOTATION_SIGNATURE: "abc"}}
    signed = builders.run(status={"conditions": [said]}, metadata=metadata)
    assert signed.trust == tekton.Condition("False", "", "it fails")
    assert (signed.is_signed, signed.annotations, signed.condition) == (True, {}, None)


def test_a_task_tells_its_earlier_attempts_and_who_was_killed_in_any() -> None:
    condition = {"type": "Succeeded", "status": "False", "reason": "Failed"}
    oom = builders.step("look", exit_code=137, reason="OOMKilled")
    earlier = [{"podName": "p1", "conditions": [condition], "steps": [oom]}, {}]
    lost = builders.step("proxy", exit_code=137, reason="ContainerStatusUnknown")
    status = {"retriesStatus": earlier, "sidecars": [lost, builders.step(exit_code=143)]}
    made = builders.task(status=status)
    assert made.attempts == (
        tekton.Attempt("Failed", "p1", was_ended=False),
        tekton.Attempt("", "", was_ended=False),
    )
    assert made.retries == 2
    assert [(it.name, it.reason) for it in made.killed] == [
        ("step 'look'", "OOMKilled"),
        ("sidecar 'proxy'", "ContainerStatusUnknown"),
    ]


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


def test_timeout_that_is_longer_than_anybody_writes_one_is_none() -> None:
    raw = builders.raw_task("restart")
    for text, seconds in (("1h0m0s", 3600.0), ("1s" * 128, 128.0), ("1s" * 129, None)):
        raw["spec"] = {"timeout": text}
        assert tekton.project_taskrun(raw, tekton.TaskRun).timeout_s == seconds

"""The record of a failed run: its reason, and what stands beside that."""

import datetime

import pytest

from tests import builders
from tests.unit.domain.failures import AT, SUBJECT, classify, failed_task
from workflowexecution.api import tekton
from workflowexecution.api.status import FailureReason, Outcome
from workflowexecution.domain import failure

# What the apiserver says of a pod whose account is not there.
NO_ACCOUNT = 'is forbidden: error looking up service account n/a: serviceaccount "a" not found'

NO_LIMIT = "is forbidden: failed quota: memory: must specify limits.memory for: step-run"
TOO_MUCH = "is forbidden: maximum memory usage per Container is 64Mi, but limit is 128Mi"


@pytest.mark.requirement("WE-R5", "Build FailureDetails from TaskRun errors for recovery context")
@pytest.mark.requirement("WE-PRACTICE", "Extract rich failure details from TaskRun for recovery")
def test_classify_run_tells_task_step_exit_code_and_time() -> None:
    details = classify(
        builders.task("prepare", condition=("True", "Succeeded", "")),
        failed_task(steps=[builders.step("ok", exit_code=0), builders.step("do", exit_code=3)]),
        status={"pipelineSpec": {"tasks": [{"name": "prepare"}, {"name": "restart"}]}},
    )
    assert details.reason is FailureReason.TASK_FAILED
    assert (details.failed_task_name, details.failed_task_index) == ("restart", 1)
    assert (details.failed_step_name, details.exit_code, details.signal) == ("do", 3, None)
    assert details.message == "it failed. Tasks Completed: 1 (Failed: 1, Cancelled 0)"
    assert details.failed_at == builders.NOW + datetime.timedelta(seconds=15)
    assert details.execution_time_before_failure == "15s"
    assert details.was_execution_failure


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param("PipelineRunTimeout", FailureReason.DEADLINE_EXCEEDED, id="timeout"),
        pytest.param("Cancelled", FailureReason.CANCELLED, id="cancelled"),
        pytest.param("CancelledRunningFinally", FailureReason.CANCELLED, id="cancelled-finally"),
        pytest.param("StoppedRunningFinally", FailureReason.CANCELLED, id="stopped-finally"),
        pytest.param("CouldntGetPipeline", FailureReason.CONFIGURATION_ERROR, id="no-pipeline"),
        pytest.param("PipelineInvalidGraph", FailureReason.CONFIGURATION_ERROR, id="graph"),
        pytest.param("InvalidParamValue", FailureReason.CONFIGURATION_ERROR, id="param"),
        pytest.param("Failed", FailureReason.UNKNOWN, id="no-more-than-failed"),
    ],
)
def test_classify_run_goes_by_the_runs_reason(said: str, reason: FailureReason) -> None:
    details = classify(said=("False", said, "no words that tell"))
    assert details.reason is reason
    assert (details.failed_task_name, details.failed_step_name) == ("", None)
    assert details.failed_task_index == 0


# As Tekton 1.9 spells them: the request itself is wrong.
FAULTS_OF_RUNS = [
    "CouldntGetPipeline",
    "CouldntGetTask",
    "CouldntGetPipelineResult",
    "InvalidPipelineResourceBindings",
    "InvalidWorkspaceBindings",
    "InvalidTaskRunSpecs",
    "ParameterMissing",
    "ParameterTypeMismatch",
    "ObjectParameterMissKeys",
    "ParamArrayIndexingInvalid",
    "PipelineValidationFailed",
    "PipelineInvalidGraph",
    "InvalidMatrixParameterTypes",
    "InvalidParamValue",
    "InvalidPipelineResultReference",
    "InvalidTaskResultReference",
    "CELEvaluationFailed",
    "RequiredWorkspaceMarkedOptional",
    "ResourceVerificationFailed",
    "CreateRunFailed",
]
FAULTS_OF_TASKS = [
    "CreateContainerConfigError",
    "TaskRunValidationFailed",
    "TaskRunResolutionFailed",
    "TaskValidationFailed",
    "InvalidParamValue",
    "ResourceVerificationFailed",
]


def test_classify_run_knows_every_fault_that_tekton_names() -> None:
    runs = {name: classify(said=("False", name, "")).reason for name in FAULTS_OF_RUNS}
    assert runs == dict.fromkeys(FAULTS_OF_RUNS, FailureReason.CONFIGURATION_ERROR)
    tasks = {name: classify(failed_task(reason=name)).reason for name in FAULTS_OF_TASKS}
    assert tasks == dict.fromkeys(FAULTS_OF_TASKS, FailureReason.CONFIGURATION_ERROR)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param("TaskRunTimeout", FailureReason.DEADLINE_EXCEEDED, id="timeout"),
        pytest.param("TaskRunImagePullFailed", FailureReason.IMAGE_PULL_BACK_OFF, id="image"),
        pytest.param("PullImageFailed", FailureReason.IMAGE_PULL_BACK_OFF, id="pull"),
        pytest.param("TaskRunValidationFailed", FailureReason.CONFIGURATION_ERROR, id="invalid"),
        pytest.param("ExceededNodeResources", FailureReason.RESOURCE_EXHAUSTED, id="node"),
        pytest.param("ExceededResourceQuota", FailureReason.RESOURCE_EXHAUSTED, id="quota"),
        pytest.param("TaskRunCancelled", FailureReason.CANCELLED, id="cancelled"),
    ],
)
def test_classify_run_goes_by_the_tasks_reason(said: str, reason: FailureReason) -> None:
    assert classify(failed_task(reason=said)).reason is reason


@pytest.mark.parametrize(
    ("by_container", "by_tekton", "reason", "ended"),
    [
        pytest.param("OOMKilled", "", FailureReason.OOM_KILLED, (137, 9), id="oom"),
        pytest.param(
            "Error", "TimeoutExceeded", FailureReason.DEADLINE_EXCEEDED, (None, None), id="timeout"
        ),
        pytest.param("Evicted", "", FailureReason.RESOURCE_EXHAUSTED, (137, 9), id="evicted"),
        pytest.param(
            "StartError", "", FailureReason.CONFIGURATION_ERROR, (None, None), id="never-began"
        ),
        pytest.param(
            "ContainerCannotRun", "", FailureReason.CONFIGURATION_ERROR, (None, None), id="cannot"
        ),
        pytest.param("Error", "", FailureReason.TASK_FAILED, (137, 9), id="exit-code"),
    ],
)
def test_classify_run_goes_by_the_steps_reason(
    by_container: str, by_tekton: str, reason: FailureReason, ended: tuple[int | None, int | None]
) -> None:
    step = builders.step(exit_code=137, reason=by_container) | {"terminationReason": by_tekton}
    details = classify(failed_task(steps=[step]))
    assert (details.reason, details.exit_code, details.signal) == (reason, *ended)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param("container was OOMKilled", FailureReason.OOM_KILLED, id="oom"),
        pytest.param("the room is full", FailureReason.UNKNOWN, id="room"),
        pytest.param("is forbidden: exceeded quota", FailureReason.RESOURCE_EXHAUSTED, id="quota"),
        pytest.param(NO_LIMIT, FailureReason.CONFIGURATION_ERROR, id="no-limit"),
        pytest.param(TOO_MUCH, FailureReason.CONFIGURATION_ERROR, id="limit-range"),
        pytest.param(NO_ACCOUNT, FailureReason.CONFIGURATION_ERROR, id="account"),
        pytest.param("is forbidden: no", FailureReason.FORBIDDEN, id="forbidden"),
        pytest.param("Back-off: ImagePullBackOff", FailureReason.IMAGE_PULL_BACK_OFF, id="image"),
        pytest.param("step timed out", FailureReason.UNKNOWN, id="timeout"),
        pytest.param("invalid TaskSpec", FailureReason.CONFIGURATION_ERROR, id="invalid"),
        pytest.param("invalidation went wrong", FailureReason.UNKNOWN, id="whole-words"),
    ],
)
def test_classify_run_goes_by_words_when_nothing_else_tells(
    message: str, reason: FailureReason
) -> None:
    task = failed_task(reason="Failed", message=message, steps=[])
    assert classify(task, said=("False", "Failed", "")).reason is reason
    assert classify(said=("False", "Failed", message)).reason is reason


@pytest.mark.parametrize(
    ("said", "reason", "advice"),
    [
        pytest.param("UNAUTHORIZED: x", FailureReason.FORBIDDEN, "credentials", id="401"),
        pytest.param("DENIED: x", FailureReason.FORBIDDEN, "credentials", id="403"),
        pytest.param("/denied:v1: gone", FailureReason.CONFIGURATION_ERROR, "Correct", id="name"),
        pytest.param("TOOMANYREQUESTS: x", FailureReason.RESOURCE_EXHAUSTED, "quota", id="429"),
        pytest.param("connection refused", FailureReason.CONFIGURATION_ERROR, "is up", id="down"),
        pytest.param("status code 503", FailureReason.CONFIGURATION_ERROR, "is up", id="broken"),
        pytest.param(
            "resolution took longer than global timeout of 1m0s",
            FailureReason.CONFIGURATION_ERROR, "is up", id="slow",
        ),
        pytest.param("MANIFEST_UNKNOWN", FailureReason.CONFIGURATION_ERROR, "Correct", id="absent"),
    ],
)  # fmt: skip
def test_classify_run_goes_by_what_the_registry_said(
    said: str, reason: FailureReason, advice: str
) -> None:
    details = classify(said=("False", "CouldntGetPipeline", f"cannot retrieve the image: {said}"))
    assert details.reason is reason
    assert advice in details.natural_language_summary.split("changed. ")[1]


def test_a_pods_end_ranks_before_its_containers_exit_code() -> None:
    children = (failed_task(steps=[builders.step(exit_code=255)]), failed_task("other"))
    run = builders.run(condition=("False", "Failed", ""))
    pods = [tekton.Pod(children[0].pod_name, "Evicted", ran=True), tekton.Pod("x", "", ran=True)]
    details = failure.classify_run(failure.Facts(run, children[:1], pods=pods), SUBJECT, AT)
    assert (details.reason, details.exit_code) == (FailureReason.RESOURCE_EXHAUSTED, 255)
    details = failure.classify_run(failure.Facts(run, children[1:], pods=pods), SUBJECT, AT)
    assert details.reason is FailureReason.TASK_FAILED


def test_index_goes_on_to_finally_tasks_and_is_0_of_a_task_that_is_not_known() -> None:
    spec = {"tasks": [{"name": "a"}, {"name": "b"}], "finally": [{"name": "c"}]}
    places = {
        name: classify(failed_task(name), status={"pipelineSpec": spec}).failed_task_index
        for name in "abcd"
    }
    assert places == {"a": 0, "b": 1, "c": 2, "d": 0}


@pytest.mark.requirement("BR-WF-003", "Outcome reflects success/failure accurately")
@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        pytest.param(FailureReason.DEADLINE_EXCEEDED, Outcome.TIMEOUT, id="timeout"),
        pytest.param(FailureReason.CANCELLED, Outcome.CANCELLED, id="cancelled"),
        pytest.param(FailureReason.TASK_FAILED, Outcome.FAILED, id="failed"),
    ],
)
def test_outcome_follows_the_reason(reason: FailureReason, outcome: Outcome) -> None:
    assert failure.outcome_of(reason) is outcome

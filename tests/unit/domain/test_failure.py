"""The record of a failed run: its reason, its place, its words."""

import datetime

import pytest

from tests import builders
from tests.unit.domain.failures import AT, SUBJECT, classify, failed_task
from workflowexecution.api import tekton
from workflowexecution.api.status import FailureDetails, FailureReason, Outcome
from workflowexecution.domain import advice as advices
from workflowexecution.domain import failure, stopping, summary

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


def test_a_task_whose_step_still_runs_was_lost() -> None:
    details = classify(failed_task(steps=[builders.step(running=True)]))
    assert (details.reason, details.failed_step_name) == (FailureReason.UNKNOWN, "run")
    assert "what became of the pod" in details.natural_language_summary


@pytest.mark.parametrize("of_run", ["PipelineRunTimeout", "Failed"])
def test_a_task_that_never_began_wants_more_than_time(of_run: str) -> None:
    reason = "TaskRunCancelled" if of_run == "PipelineRunTimeout" else "TaskRunTimeout"
    task = failed_task(reason=reason, message="no pod", steps=[builders.step(ran=False)])
    run = builders.run(condition=("False", of_run, "too late"))
    facts = failure.Facts(run, (task,), waited_for='secret "none" not found')
    details = failure.classify_run(facts, SUBJECT, AT)
    assert details.reason is FailureReason.DEADLINE_EXCEEDED
    assert 'It was last seen waiting: secret "none" not found' in details.message
    assert 'waiting: secret "none" not found»' in details.natural_language_summary
    assert "More time alone will not help" in details.natural_language_summary


def test_a_task_that_ran_without_a_failed_step_failed_as_a_task() -> None:
    steps = [builders.step(exit_code=0)]
    task = failed_task(reason="TaskRunResultLargerThanAllowedLimit", message="big", steps=steps)
    details = classify(task)
    assert (details.reason, details.failed_step_name) == (FailureReason.TASK_FAILED, None)


def test_the_cause_is_not_a_bystander_that_was_cancelled() -> None:
    bystander = failed_task("a", reason="TaskRunCancelled", ended_s=5)
    assert classify(bystander, failed_task("b", ended_s=9)).failed_task_name == "b"


def test_the_cause_is_a_cancelled_task_when_nothing_else_failed() -> None:
    details = classify(failed_task("a", reason="TaskRunCancelled", message="stopped"))
    assert (details.failed_task_name, details.reason) == ("a", FailureReason.CANCELLED)


def test_the_cause_is_not_a_task_whose_failure_is_ignored() -> None:
    ignored = failed_task("a", reason="FailureIgnored", ended_s=5)
    assert classify(ignored, failed_task("b", ended_s=9)).failed_task_name == "b"
    assert classify(ignored).failed_task_name == ""


@pytest.mark.parametrize("of_run", ["Failed", "Cancelled", "PipelineRunTimeout"])
def test_the_cause_is_no_finally_task_when_another_was_ended_from_outside(of_run: str) -> None:
    status = {"pipelineSpec": {"tasks": [{"name": "work"}], "finally": [{"name": "tell"}]}}
    work = failed_task("work", reason="TaskRunCancelled", ended_s=5)
    details = classify(work, failed_task("tell"), said=("False", of_run, ""), status=status)
    timed_out = of_run == "PipelineRunTimeout"
    reason = FailureReason.DEADLINE_EXCEEDED if timed_out else FailureReason.CANCELLED
    assert (details.failed_task_name, details.reason) == ("work", reason)


@pytest.mark.parametrize("of_run", ["Cancelled", "PipelineRunTimeout"])
def test_the_cause_is_a_task_that_had_failed_before_the_rest_was_ended(of_run: str) -> None:
    other = failed_task("other", reason="TaskRunCancelled", ended_s=9)
    details = classify(other, failed_task("work", ended_s=5), said=("False", of_run, ""))
    assert (details.failed_task_name, details.reason) == ("work", FailureReason.TASK_FAILED)


@pytest.mark.parametrize(
    ("of_run", "kinds", "task"),
    [
        pytest.param("PipelineRunTimeout", ["TaskRun", "CustomRun"], "CustomRun", id="timeout"),
        pytest.param("Failed", ["PipelineRun"], "PipelineRun", id="failed"),
        pytest.param("Failed", ["PipelineRun", "CustomRun"], "", id="one-of-two"),
        pytest.param("Cancelled", ["CustomRun"], "", id="cancelled"),
        pytest.param("PipelineRunTimeout", [], "", id="never-created"),
    ],
)
def test_the_cause_is_a_task_of_another_kind_when_no_taskrun_failed(
    of_run: str, kinds: list[str], task: str
) -> None:
    status = {"childReferences": [builders.child(kind, kind=kind) for kind in kinds]}
    details = classify(said=("False", of_run, "too late"), status=status)
    assert details.failed_task_name == task
    never_created = "no task was even created" in details.natural_language_summary
    assert never_created is not bool(kinds)


def test_the_cause_is_the_first_to_fail_and_finally_ranks_last() -> None:
    status = {"pipelineSpec": {"tasks": [{"name": "x"}], "finally": [{"name": "tell"}]}}
    first = [
        failed_task("x", ended_s=9),
        failed_task("y", ended_s=8),
        failed_task("tell", ended_s=1),
    ]
    assert classify(*first, status=status).failed_task_name == "y"
    assert classify(first[2], status=status).failed_task_name == "tell"
    endless = builders.task("z", condition=("False", "Failed", ""), status={"completionTime": None})
    assert classify(endless, first[0]).failed_task_name == "x"


def test_the_step_is_not_one_that_was_continued_or_skipped() -> None:
    steps = [
        builders.step("soft", exit_code=5, finished_s=2) | {"terminationReason": "Continued"},
        builders.step("hard", exit_code=6, finished_s=3),
        builders.step("after", exit_code=1, finished_s=3) | {"terminationReason": "Skipped"},
    ]
    details = classify(failed_task(steps=steps))
    assert (details.failed_step_name, details.exit_code) == ("hard", 6)


def test_the_step_is_the_one_that_ended_by_itself() -> None:
    steps = [
        builders.step("waiting", exit_code=1, ran=False, finished_s=1),
        builders.step("stopped", exit_code=1, reason="TaskRunTimeout", finished_s=2),
        builders.step("own", exit_code=4, finished_s=3),
    ]
    assert classify(failed_task(steps=steps)).failed_step_name == "own"
    by_tekton = classify(failed_task(reason="TaskRunTimeout", steps=steps[:2]))
    assert (by_tekton.failed_step_name, by_tekton.exit_code) == ("stopped", None)
    assert "exit code" not in by_tekton.natural_language_summary


@pytest.mark.parametrize(
    "reason",
    [
        "TaskRunImagePullFailed",
        "PullImageFailed",
        "CreateContainerConfigError",
        "PodCreationFailed",
    ],
)
def test_the_step_is_the_one_whose_container_could_not_begin(reason: str) -> None:
    began = builders.step("began", exit_code=1, reason=reason)
    never = builders.step("never", exit_code=1, reason=reason, ran=False)
    details = classify(failed_task(reason=reason, steps=[began, never]))
    assert (details.failed_step_name, details.exit_code) == ("never", None)
    of_sidecar = classify(failed_task(reason=reason, steps=[began]))
    assert (of_sidecar.failed_step_name, of_sidecar.exit_code) == (None, None)
    going = builders.step("going", running=True)
    assert classify(failed_task(reason=reason, steps=[going, never])).failed_step_name == "never"
    podless = builders.task(condition=("False", reason, ""), steps=[{"name": "run"}],
                            status={"podName": ""})  # fmt: skip
    assert classify(podless).failed_step_name is None


def test_the_step_is_the_one_that_cannot_begin_and_its_trouble_is_told() -> None:
    why = {"reason": "CreateContainerConfigError", "message": 'secret "none" not found'}
    steps = [{"name": "fine", "waiting": {"reason": "PodInitializing"}},
             {"name": "stuck", "waiting": why}]  # fmt: skip
    details = classify(failed_task(reason=why["reason"], message="config error", steps=steps))
    assert details.failed_step_name == "stuck"
    assert 'config error. secret "none" not found»' in details.natural_language_summary
    assert classify(failed_task(steps=steps[:1])).failed_step_name is None


def test_the_step_is_the_first_of_those_that_tell_when_they_ended() -> None:
    timeless, early = builders.step("timeless", exit_code=1), builders.step("early", exit_code=2)
    timeless["terminated"]["finishedAt"] = None
    assert classify(failed_task(steps=[timeless, early])).failed_step_name == "early"
    assert classify(failed_task(steps=[timeless])).failed_step_name == "timeless"


def test_signal_is_told_for_codes_that_stand_for_one_that_ends_a_process() -> None:
    told = {
        code
        for code in range(256)
        if classify(failed_task(steps=[builders.step(exit_code=code)])).signal is not None
    }
    assert told == {*range(129, 144), 152, 153, 159}
    assert classify(failed_task(steps=[builders.step(exit_code=137)])).signal == 9


def test_index_goes_on_to_finally_tasks_and_is_0_of_a_task_that_is_not_known() -> None:
    spec = {"tasks": [{"name": "a"}, {"name": "b"}], "finally": [{"name": "c"}]}
    places = {
        name: classify(failed_task(name), status={"pipelineSpec": spec}).failed_task_index
        for name in "abcd"
    }
    assert places == {"a": 0, "b": 1, "c": 2, "d": 0}


def test_message_is_redacted_and_cut() -> None:
    details = classify(failed_task(message="password=hunter2 " + "x" * 5000))
    assert "hunter2" not in details.message + details.natural_language_summary
    assert len(details.message.encode()) <= 4096


def test_message_says_so_when_there_is_none() -> None:
    details = classify(said=("False", "Failed", ""))
    assert details.message == "The run gave no message"
    assert "Tekton says" not in details.natural_language_summary


def test_a_message_that_both_gave_stands_once() -> None:
    assert classify(failed_task(message="same"), said=("False", "Failed", "same")).message == "same"


def test_messages_are_joined_as_sentences() -> None:
    details = classify(failed_task(message="One. "), said=("False", "Failed", "Two..."))
    assert details.message == "One. Two"
    assert "Tekton says: «One». Task" in details.natural_language_summary


def test_the_run_has_the_word_when_a_task_was_ended_from_outside() -> None:
    task = failed_task(reason="TaskRunCancelled", message="was cancelled")
    details = classify(task, said=("False", "PipelineRunTimeout", "too late"))
    assert details.message == "too late. was cancelled"
    assert "Tekton says: «too late». Task" in details.natural_language_summary


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


def stopped(*children: tekton.TaskRun, message: str = "Stopped by ann") -> FailureDetails:
    run = builders.run(condition=("False", "Cancelled", "PipelineRun was cancelled"))
    facts = failure.Facts(
        run, children, stopped=summary.own(message), stopped_reason=FailureReason.DEADLINE_EXCEEDED
    )
    return failure.classify_run(facts, SUBJECT, AT)


def test_a_run_that_this_program_ended_fails_for_the_reason_why() -> None:
    """Not for what Tekton says of it; a deadline is no cancellation."""
    details = stopped()
    assert (details.reason, details.message) == (FailureReason.DEADLINE_EXCEEDED, "Stopped by ann")
    assert "Tekton says" not in details.natural_language_summary
    assert (details.failed_task_name, details.was_execution_failure) == ("", False)


def test_a_run_that_this_program_ended_tells_where_it_was() -> None:
    ended = [builders.step("wait", exit_code=1, reason="TaskRunCancelled")]
    details = stopped(failed_task(reason="TaskRunCancelled", steps=ended))
    assert (details.failed_task_name, details.failed_step_name) == ("restart", "wait")
    # The exit code of a step that Tekton ends is made up.
    assert (details.exit_code, details.was_execution_failure) == (None, True)
    assert details.failed_at == builders.NOW + datetime.timedelta(seconds=90)
    assert stopped(builders.task("t", condition=("True", "Succeeded", ""))).failed_step_name is None


def test_why_a_run_was_ended_is_redacted_and_cut() -> None:
    details = stopped(message="password=hunter2 " + "x" * 5000)
    assert "hunter2" not in details.message + details.natural_language_summary
    assert len(details.message.encode()) <= 4096


def test_a_run_that_was_ended_and_is_gone_fails_for_the_reason_why_and_proves_nothing() -> None:
    facts = failure.Facts(
        None,
        (),
        vanished="deleted",
        stopped=summary.own("Stopped by ann"),
        stopped_reason=FailureReason.CANCELLED,
    )
    details = failure.classify_run(facts, SUBJECT, AT)
    assert (details.reason, details.message) == (FailureReason.CANCELLED, "Stopped by ann")
    assert details.was_execution_failure


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        pytest.param("user", "Ask whoever cancelled it", id="user"),
        pytest.param("deleted", "Find out who stopped it", id="deleted"),
        pytest.param("deadline", "Tekton did not do its part", id="deadline"),
        pytest.param("resolution", "Tekton's resolvers are up", id="resolution"),
        pytest.param("digest", "which of the digests", id="digest"),
        pytest.param("lingering", "what became of the pod", id="lingering"),
    ],
)
def test_why_a_run_was_ended_says_what_helps(cause: str, advice: str) -> None:
    run = builders.run(condition=("False", "Cancelled", "PipelineRun was cancelled"))
    facts = failure.Facts(run, (), stopped=summary.own("Stopped"), stopped_by=cause)
    text = failure.classify_run(facts, SUBJECT, AT).natural_language_summary
    assert advice in text
    assert "spec.executionConfig.timeout" not in text


def test_advice_for_a_stop_is_of_causes_that_there_are() -> None:
    assert set(advices.BY_STOP) <= set(stopping.Cause)


def test_a_task_of_another_kind_that_runs_late_is_told_as_unknown() -> None:
    status = {"childReferences": [builders.child("approve", kind="CustomRun")]}
    text = classify(said=("False", "PipelineRunTimeout", "late"), status=status)
    assert (
        "What task 'approve' did is not known (no TaskRun tells it), so the target may have been "
        "changed"
    ) in text.natural_language_summary
    assert "whether a controller serves its kind at all" in text.natural_language_summary


def test_a_run_that_was_late_between_its_tasks_wants_time() -> None:
    fine = builders.task("a", condition=("True", "Succeeded", ""))
    details = classify(fine, said=("False", "PipelineRunTimeout", "late"))
    assert "Allow more time" in details.natural_language_summary


def test_a_steps_own_timeout_is_what_is_to_be_raised() -> None:
    step = builders.step(exit_code=1) | {"terminationReason": "TimeoutExceeded"}
    text = classify(failed_task(steps=[step])).natural_language_summary
    assert "Raise the step's own timeout" in text

"""Which step is named as the cause, and what is told of its end."""

import pytest

from tests import builders
from tests.unit.domain.failures import classify, failed_task
from workflowexecution.api.status import FailureReason


def test_a_task_whose_step_still_runs_was_lost() -> None:
    details = classify(failed_task(steps=[builders.step(running=True)]))
    assert (details.reason, details.failed_step_name) == (FailureReason.UNKNOWN, "run")
    assert "what became of the pod" in details.natural_language_summary


def test_a_task_that_ran_without_a_failed_step_failed_as_a_task() -> None:
    steps = [builders.step(exit_code=0)]
    task = failed_task(reason="TaskRunResultLargerThanAllowedLimit", message="big", steps=steps)
    details = classify(task)
    assert (details.reason, details.failed_step_name) == (FailureReason.TASK_FAILED, None)


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

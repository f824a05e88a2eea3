"""Steps of tasks: how each ended, or what it is doing."""

from typing import Any

import pytest

from tests import builders


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

"""Tasks as Tekton tells them: how each ended, in how many attempts, and whether it ran."""

import datetime
from typing import Any

import pytest

from tests import builders
from workflowexecution.api import tekton


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


def test_a_task_names_its_run_and_its_task() -> None:
    made = builders.task("restart", condition=("True", "Succeeded", ""))
    assert (made.run_uid, made.task) == ("run-of-restart-payment", "restart")
    assert made.namespace == "kubernaut-workflows"
    assert made.started_at == builders.NOW + datetime.timedelta(seconds=1)
    assert made.completed_at == builders.NOW + datetime.timedelta(seconds=20)
    assert made.owner_uid == "uid-restart-payment"
    assert (made.pod_name, made.created) == (f"{made.name}-pod", builders.stamp(1))


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


def test_timeout_that_is_longer_than_anybody_writes_one_is_none() -> None:
    raw = builders.raw_task("restart")
    for text, seconds in (("1h0m0s", 3600.0), ("1s" * 128, 128.0), ("1s" * 129, None)):
        raw["spec"] = {"timeout": text}
        assert tekton.project_taskrun(raw, tekton.TaskRun).timeout_s == seconds

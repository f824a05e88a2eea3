"""What is told of a failure when the pods that tell it have gone before the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.golden import case
from tests.support import place, workflows

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject

pytestmark = pytest.mark.usefixtures("controller")
# Nothing of these begins, and their pods stay for as long as their runs do.
STAYING = ("configmap-missing", "secret-missing", "run-as-root")
# Tekton ends the task, and deletes its pod, well before the run is over.
LATE = {"name": "work", "timeout": "30s", "taskSpec": {"steps": [
    {"script": "echo half way; sleep 600"},
]}}  # fmt: skip
WORKING = {"name": "work", "taskSpec": {"steps": [{"script": "sleep 600"}]}}
SLOW = {"name": "tidy", "taskSpec": {"steps": [{"script": "sleep 30"}]}}
FAILING = {"name": "tidy", "taskSpec": {"steps": [{"script": "exit 8"}]}}
REASON = "wrong target"


def run(where: place.Place, name: str, spec: JsonObject) -> None:
    """Start an execution of a pipeline."""
    made = workflows.pipeline(where) | {"spec": workflows.complete(where, spec)}
    where.kubectl.apply(workflows.execution(name, workflows.push_pipeline(where, name, made)))


def ended(where: place.Place, name: str, *, deadline_s: int = 240) -> JsonObject:
    """Its status, once it has failed."""
    where.kubectl.wait(f"wfe/{name}", place.TEAM, ".status.phase", "Failed", deadline_s=deadline_s)
    found: JsonObject = where.kubectl.get("wfe", name, place.TEAM)["status"]
    return found


def test_target_is_free_when_a_run_that_could_not_begin_is_deleted(
    where: place.Place,
) -> None:
    known = case.load()
    for name in STAYING:
        run(where, name, dict(known[name].spec))
    for name in STAYING:
        status = ended(where, name)
        details = status["failureDetails"]
        assert details["reason"] == "ConfigurationError"
        assert not details["wasExecutionFailure"], name
        assert not status.get("requiresManualReview")
        assert "nothing was changed" in details["naturalLanguageSummary"]


def test_log_of_a_task_that_tekton_has_ended_is_there_when_finally_is_over(
    where: place.Place,
) -> None:
    run(where, "late-task", {"tasks": [LATE], "finally": [SLOW]})
    details = ended(where, "late-task")["failureDetails"]
    assert (details["reason"], details["failedStepName"]) == ("DeadlineExceeded", "run")
    assert details["logTail"] == "half way"
    assert not details["logTailTruncated"]


def test_who_cancelled_is_told_though_a_finally_task_fails(
    where: place.Place,
) -> None:
    name = "cancelled-untidy"
    run(where, name, {"tasks": [WORKING], "finally": [FAILING]})
    where.kubectl.wait(f"wfe/{name}", place.TEAM, ".status.currentStep", "work/run")
    patch = {"spec": {"cancel": {"requestedBy": where.user, "reason": REASON}}}
    where.kubectl("patch", "wfe", name, "-n", place.TEAM, "--type=merge", "-p", json.dumps(patch))
    status = ended(where, name)
    assert status["pipelineRunStatus"]["reason"] == "Failed"
    assert status["outcome"] == "Cancelled"
    assert REASON in status["failureDetails"]["message"]
    confirmed = {it["type"]: it for it in status["conditions"]}["CancelConfirmed"]
    assert (confirmed["status"], confirmed["reason"]) == ("True", "Cancelled")

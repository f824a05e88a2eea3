"""A success is in doubt when something of it was ended from outside, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from workflowexecution.api import tekton
from workflowexecution.domain import consistency

GOOD = ("True", "Succeeded", "")
FIRST, LAST = "first-pod", "last-pod"


def task(*attempts: dict[str, Any], **status: Any) -> tekton.TaskRun:  # noqa: ANN401 - raw JSON
    said = {"podName": LAST, "retriesStatus": list(attempts), **status}
    return builders.task("work", condition=GOOD, steps=[builders.step(exit_code=0)], status=said)


def attempt(reason: str = "Failed", pod: str = FIRST, code: int = 255) -> dict[str, Any]:
    condition = {"type": "Succeeded", "status": "False", "reason": reason}
    steps = [builders.step(exit_code=code)]
    return {"conditions": [condition], "podName": pod, "steps": steps}


def pods(first: str = "", disruption: str = "") -> list[tekton.Pod]:
    return [
        tekton.Pod(FIRST, first, ran=True, disruption=disruption),
        tekton.Pod(LAST, "", ran=True),
    ]


def test_a_success_without_scars_is_sound_and_asks_for_no_pods() -> None:
    assert not consistency.is_in_doubt([task()])
    assert consistency.doubt([task()], ()) == ""


@pytest.mark.parametrize(("kind", "name"), [("steps", "step"), ("sidecars", "sidecar")])
def test_a_container_that_was_killed_puts_a_success_in_doubt(kind: str, name: str) -> None:
    killed = builders.step("proxy", exit_code=137, reason="OOMKilled")
    said = consistency.doubt([task(**{kind: [killed]})], ())
    assert said == (
        f"Tekton calls the run successful, but {name} 'proxy' of task 'work' was ended from "
        "outside (OOMKilled). What that had begun may be left half done: look at the target before "
        "relying on the result."
    )


def test_a_container_of_an_earlier_attempt_counts_as_well() -> None:
    before = attempt() | {"steps": [builders.step(exit_code=137, reason="OOMKilled")]}
    assert "step 'run' of task 'work'" in consistency.doubt([task(before)], pods())


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param(pods("Evicted"), "was ended from outside (Evicted)", id="evicted"),
        pytest.param(
            pods(disruption="PreemptionByScheduler"),
            "was ended from outside (PreemptionByScheduler)",
            id="preempted",
        ),
        pytest.param(pods()[1:], "was deleted by somebody", id="deleted"),
    ],
)
def test_what_befell_the_pod_of_an_earlier_attempt_puts_a_success_in_doubt(
    found: list[tekton.Pod], message: str
) -> None:
    retried = task(attempt())
    assert consistency.is_in_doubt([retried])
    said = consistency.doubt([retried], found)
    assert f"the pod of attempt 1 of task 'work' {message}" in said


@pytest.mark.parametrize(
    ("before", "found"),
    [
        pytest.param(attempt(), pods(), id="failed-by-itself"),
        pytest.param(attempt(), [], id="pods-not-read-or-pruned"),
        pytest.param(attempt("TaskRunTimeout"), pods()[1:], id="taken-away-by-tekton"),
        pytest.param(attempt("TaskRunCancelled"), pods()[1:], id="taken-away-when-cancelled"),
        pytest.param(
            attempt("TaskRunResultLargerThanAllowedLimit", code=0),
            pods()[1:],
            id="taken-away-for-its-results",
        ),
        pytest.param(attempt(pod=""), pods()[1:], id="never-had-a-pod"),
    ],
)
def test_a_retry_that_mends_what_failed_by_itself_is_sound(
    before: dict[str, Any], found: list[tekton.Pod]
) -> None:
    assert consistency.doubt([task(before)], found) == ""


UNBEGUN = ("CreateContainerConfigError", "PodCreationFailed")


@pytest.mark.parametrize("reason", [*UNBEGUN, "TaskRunImagePullFailed"])
def test_a_retry_of_what_could_not_begin_is_sound_where_tekton_took_the_pod_away(
    reason: str,
) -> None:
    ended = [builders.step("other", exit_code=1, reason=reason, ran=False)]
    before = attempt(reason) | {"steps": ended}
    assert consistency.doubt([task(before)], pods()[1:]) == ""


@pytest.mark.parametrize("reason", UNBEGUN)
def test_a_pod_that_tekton_left_was_deleted_by_somebody(reason: str) -> None:
    """As one whose loss was seen when another could not be made in its place."""
    before = attempt(reason) | {"steps": [builders.step(running=True)]}
    said = consistency.doubt([task(before)], pods()[1:])
    assert "the pod of attempt 1 of task 'work' was deleted by somebody" in said


def test_of_many_doubts_a_few_are_told() -> None:
    killed = [builders.step(f"s{n}", exit_code=137, reason="OOMKilled") for n in range(5)]
    said = consistency.doubt([task(sidecars=killed)], ())
    assert said.count("OOMKilled") == consistency.MAX_TOLD
    assert "; and 2 more. What" in said

"""What the reading of the audit log finds, shown on logs that are made up."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, cast

import pytest

from tests.fake.tekton import AGENT
from tests.integration.audit import Request
from tests.integration.story import Story
from tests.integration.world import World

if TYPE_CHECKING:
    from tests.fake.api import Api
    from tests.integration.world import JsonObject

WORLD = World(cast("Api", None), "executions", "runs")
RUN = "wfe-0123456789abcdef"
POD = f"{RUN}-apply-pod"
START = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def at(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


def request(
    kind: str, name: str, seconds: float, *, agent: str = "workflowexecution/1 (a)"
) -> Request:
    """Something that was done within a tenth of a second."""
    verb, resource = kind.split()
    namespace = "executions" if resource.startswith("workflow") else "runs"
    code = 201 if verb == "create" else 200
    return Request(agent, verb, resource, namespace, name, code, at(seconds), at(seconds + 0.1))


def life(begun: float, run_ends: float, pod_ends: float) -> list[Request]:
    """A run with one pod."""
    words = [begun + 1, begun + 1.1, pod_ends]
    return [
        request("create pipelineruns", RUN, begun),
        request("create pods", POD, begun + 0.5, agent=AGENT),
        request("patch pipelineruns/status", RUN, run_ends, agent=AGENT),
        *(request("patch pods/status", POD, word, agent=AGENT) for word in words),
    ]


def execution(name: str, phase: str, **status: object) -> JsonObject:
    full = {
        "phase": phase,
        "startTime": "2026-03-01T12:00:00Z",
        "completionTime": "2026-03-01T12:00:05Z",
        "pipelineRunRef": {"name": RUN},
        "requiresManualReview": phase == "Failed",
        **status,
    }
    return {"metadata": {"name": name}, "spec": {"targetResource": "t"}, "status": full}


@pytest.mark.parametrize(
    ("second", "found"),
    [
        pytest.param(10, 0, id="after"),
        pytest.param(7, 1, id="pod-works"),
        pytest.param(3, 1, id="run-works"),
    ],
)
def test_overlap_is_found_when_a_run_begins_before_the_former_is_over(
    second: float, found: int
) -> None:
    story = Story(life(0, 5, 8) + life(second, second + 5, second + 8), WORLD)
    assert [len(lives) for lives in story.lives.values()] == [2]
    assert len(story.overlaps()) == found


def test_overlap_is_found_when_the_pod_of_the_former_never_ends() -> None:
    first = [it for it in life(0, 5, 8) if it.at != at(8)]
    assert len(Story([*first, request("create pipelineruns", RUN, 60)], WORLD).overlaps()) == 1


@pytest.mark.parametrize(("second", "found"), [(7, 1), (9, 0)], ids=["pod-works", "after"])
def test_run_is_cut_short_when_it_is_deleted_before_it_is_over(second: float, found: int) -> None:
    story = Story([*life(0, 5, 8), request("delete pipelineruns", RUN, second)], WORLD)
    assert len(story.cut_short()) == found


@pytest.mark.parametrize("took_s", [0.1, 4.0], ids=["at-once", "slowly"])
def test_run_of_an_execution_is_found_when_the_server_has_made_it_in_time_or_late(
    took_s: float,
) -> None:
    create = request("create pipelineruns", RUN, 0.5 - took_s)
    made = dataclasses.replace(create, answered=at(0.5))
    written = "patch workflowexecutions/status"
    log = [made, request(written, "first", 5.5), request(written, "second", 3.2)]
    details = {
        "reason": "ResourceBusy",
        "skippedAt": at(3).isoformat(),
        "conflictingWorkflow": {"name": "first"},
    }
    executions = {
        "first": execution("first", "Completed"),
        "second": execution("second", "Skipped", skipDetails=details),
    }
    assert Story(log, WORLD).untrue(executions, 300) == []


@pytest.mark.parametrize(
    ("reason", "phase", "said", "true"),
    [
        pytest.param("ResourceBusy", "Completed", 7, True, id="busy-while-the-pod-works"),
        pytest.param("ResourceBusy", "Completed", 9, False, id="busy-after-the-end"),
        pytest.param("RecentlyRemediated", "Completed", 9, True, id="cooling-down"),
        pytest.param("RecentlyRemediated", "Completed", 400, False, id="cooled-down"),
        pytest.param("RecentlyRemediated", "Failed", 9, False, id="cooling-down-after-a-failure"),
        pytest.param("PreviousExecutionFailed", "Failed", 9, True, id="blocked"),
        pytest.param("PreviousExecutionFailed", "Completed", 9, False, id="blocked-by-a-success"),
        pytest.param("ExhaustedRetries", "Failed", 9, False, id="exhausted"),
    ],
)
def test_reason_of_a_skipped_execution_is_held_against_the_log(
    reason: str, phase: str, said: float, true: bool
) -> None:
    written = "patch workflowexecutions/status"
    log = [*life(0, 5, 8), request(written, "first", 5.5), request(written, "second", said + 0.2)]
    named = "conflictingWorkflow" if reason == "ResourceBusy" else "recentRemediation"
    details = {"reason": reason, "skippedAt": at(said).isoformat(), named: {"name": "first"}}
    executions = {
        "first": execution("first", phase),
        "second": execution("second", "Skipped", skipDetails=details),
    }
    assert (Story(log, WORLD).untrue(executions, 300) == []) is true

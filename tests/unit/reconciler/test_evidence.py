"""Evidence of a failure: read once, and never in the way of saying the end."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.unit.reconciler import fakes
from workflowexecution.api import tekton
from workflowexecution.domain import failure
from workflowexecution.reconciler import evidence
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from workflowexecution.api.status import FailureDetails

FAILED = ("False", "Failed", "step run failed")


def task(**parts: Any) -> tekton.TaskRun:  # noqa: ANN401 - as raw_task
    settled: dict[str, Any] = {"condition": FAILED, "steps": [builders.step(exit_code=3)]}
    raw = builders.raw_task("t", **(settled | parts))
    raw["status"]["podName"] = "t-pod"
    return tekton.project_taskrun(raw, tekton.TaskRun)


class Bed:
    """A failed task, and who asks for its evidence."""

    def __init__(self, child: tekton.TaskRun | None = None) -> None:
        self.world = fakes.World()
        self.child = child or task()
        run = tekton.project_pipelinerun(builders.raw_run(condition=FAILED), tekton.PipelineRun)
        facts = failure.Facts(run, (self.child,))
        subject = failure.Subject("w", "ns/deployment/x", None)
        self.details = failure.classify_run(facts, subject, builders.NOW)

    async def gather(self) -> FailureDetails:
        return await evidence.gathered(self.world.tools, self.details, (self.child,))


async def test_record_has_the_end_of_the_log_and_the_events_that_tell() -> None:
    bed = Bed()
    bed.world.engine.log = "all\nwent wrong\n"
    bed.world.engine.pod_events = [{"reason": "Evicted", "message": "no memory"}]
    found = await bed.gather()
    assert (found.log_tail, found.log_tail_truncated) == ("all\nwent wrong", False)
    assert [it.reason for it in found.pod_events or ()] == ["Evicted"]
    assert bed.world.journal == ["events t-pod", "log t-pod run"]


async def test_record_says_that_a_log_is_missing() -> None:
    bed = Bed()
    bed.world.engine.log_error = fakes.refusal(errors.NotFound, "pods t-pod not found")
    found = await bed.gather()
    assert found.log_tail is not None
    assert "cannot be read" in found.log_tail
    assert "not found" in found.log_tail
    assert found.pod_events is None


async def test_record_says_that_a_step_was_silent() -> None:
    assert (await Bed().gather()).log_tail == "[step run has written no log]"


async def test_log_is_not_asked_for_where_the_settings_say_so() -> None:
    bed = Bed()
    policy = dataclasses.replace(bed.world.tools.policy, log_tail=False)
    bed.world.tools = dataclasses.replace(bed.world.tools, policy=policy)
    assert (await bed.gather()).log_tail is None
    assert bed.world.journal == ["events t-pod"]


@pytest.mark.parametrize(
    ("child", "asked"),
    [
        pytest.param(task(steps=[builders.step(ran=False, exit_code=1)]), ["events t-pod"],
                     id="never-ran"),
        pytest.param(task(condition=("True", "Succeeded", "")), [], id="another-failed"),
    ],
)  # fmt: skip
async def test_nothing_is_asked_of_what_did_not_run_or_fail(
    child: tekton.TaskRun, asked: list[str]
) -> None:
    bed = Bed(child)
    assert (await bed.gather()).log_tail is None
    assert bed.world.journal == asked

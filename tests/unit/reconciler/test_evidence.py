"""Evidence of a failure: read once, and never in the way of saying the end."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.api import tekton
from workflowexecution.domain import evidence as rules
from workflowexecution.domain import failure, summary
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


def told(reason: str, uid: str = "this", at_s: float = 10.0, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - members of an event
    return {
        "metadata": {"creationTimestamp": builders.stamp(at_s)},
        "involvedObject": {"kind": "Pod", "name": "t-pod", "uid": uid},
        "reason": reason,
        **parts,
    }


class Bed:
    """A failed task, and who asks for its evidence."""

    def __init__(self, child: tekton.TaskRun | None = None) -> None:
        self.world = fakes.World()
        self.child = child or task()
        run = tekton.project_pipelinerun(builders.raw_run(condition=FAILED), tekton.PipelineRun)
        facts = failure.Facts(run, (self.child,))
        subject = summary.Subject("w", "ns/deployment/x", None)
        self.details = failure.classify_run(facts, subject, builders.NOW)
        self.early: dict[evidence.Place, evidence.Tail] = {}

    async def gather(self) -> FailureDetails:
        pods = self.world.engine.pods
        return await evidence.gathered(
            self.world.tools, self.details, (self.child,), pods=pods, early=self.early
        )


async def test_record_has_the_end_of_the_log_and_the_events_that_tell() -> None:
    bed = Bed()
    bed.world.engine.log = "all\nwent wrong\n"
    bed.world.engine.pod_events = [told("Evicted", message="no memory")]
    found = await bed.gather()
    assert (found.log_tail, found.log_tail_truncated) == ("all\nwent wrong", False)
    assert [it.reason for it in found.pod_events or ()] == ["Evicted"]
    assert bed.world.journal == ["events t-pod", "log t-pod run"]


async def test_log_and_events_are_those_of_the_taskrun_that_the_record_tells_of() -> None:
    """Of a matrix the first to fail by itself, whatever its name."""
    ended = {"status": {"completionTime": builders.stamp(30)}}
    late, other = (task(**ended) for _ in range(2))
    late = late._replace(name="t-0", pod_name="t-0-pod")
    cancelled = other._replace(
        name="t-1", pod_name="t-1-pod",
        condition=tekton.Condition("False", "TaskRunCancelled", ""),
    )  # fmt: skip
    bed = Bed()
    await evidence.gathered(bed.world.tools, bed.details, (late, cancelled, bed.child), early={})
    assert bed.world.journal == ["events t-pod", "log t-pod run"]


async def test_record_says_that_a_log_is_missing() -> None:
    bed = Bed()
    bed.world.engine.log_error = answers.refusal(errors.NotFound, "pods t-pod not found")
    found = await bed.gather()
    assert found.log_tail is not None
    assert "cannot be read" in found.log_tail
    assert "not found" in found.log_tail
    assert found.pod_events is None


async def test_what_stands_in_the_place_of_a_log_is_within_its_budget() -> None:
    bed = Bed()
    bed.world.engine.log_error = answers.refusal(errors.NotFound, "\x00" * 20_000)
    found = await bed.gather()
    assert len(orjson.dumps(found.log_tail)) - 2 <= rules.MAX_LOG_BYTES


async def test_record_says_that_a_log_is_gone_when_the_kubelet_says_so_in_its_place() -> None:
    bed = Bed()
    bed.world.engine.log = f"unable to retrieve container logs for containerd://{'c' * 64}"
    found = await bed.gather()
    gone = "[the log of pod t-pod cannot be read: the container is gone]"
    assert (found.log_tail, found.log_tail_truncated) == (gone, None)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        pytest.param("", "earlier", id="unread"),
        pytest.param("all", "all", id="read"),
    ],
)
async def test_log_that_was_read_before_stands_where_it_cannot_be_read(now: str, told: str) -> None:
    bed = Bed()
    bed.early = {evidence.Place("t-pod", "run"): evidence.Tail("earlier", is_cut=False)}
    bed.world.engine.log = now
    if not now:
        bed.world.engine.log_error = answers.refusal(errors.NotFound, "pods t-pod not found")
    found = await bed.gather()
    assert (found.log_tail, found.log_tail_truncated) == (told, False)


async def test_record_says_that_a_step_was_silent() -> None:
    found = await Bed().gather()
    assert (found.log_tail, found.log_tail_truncated) == ("[step run has written no log]", False)


async def test_log_is_not_asked_for_where_the_settings_say_so() -> None:
    bed = Bed()
    bed.world.policy = dataclasses.replace(bed.world.policy, log_tail=False)
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


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param([tekton.Pod("t-pod", "", ran=True, uid="this")], id="by-uid"),
        pytest.param([], id="by-time-where-the-pod-is-gone"),
    ],
)
async def test_events_of_an_earlier_runs_pod_of_the_same_name_are_no_evidence(
    pods: list[tekton.Pod],
) -> None:
    bed = Bed()
    bed.world.engine.pods = pods
    bed.world.engine.pod_events = [told("Evicted", "earlier", -600.0), told("FailedMount")]
    assert [it.reason for it in (await bed.gather()).pod_events or ()] == ["FailedMount"]

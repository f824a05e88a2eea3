"""A run that has ended: whether the stopping has ended it, and what outlives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.unit.domain.stops import CANCEL, CAUSE, FORCED, LIMITS, at, cause, due, run, spec
from workflowexecution.api.status import FailureReason
from workflowexecution.domain import stopping
from workflowexecution.domain.stopping import Cause

if TYPE_CHECKING:
    from workflowexecution.api import tekton


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(run(condition=("False", "Cancelled", "")), None, id="by-others"),
        pytest.param(run(condition=("False", "Cancelled", ""), marks={CAUSE: "deadline"}),
                     Cause.DEADLINE, id="by-us"),
        pytest.param(run(condition=("False", "CancelledRunningFinally", ""), marks={CAUSE: "user"}),
                     Cause.USER, id="by-us-in-order"),
        pytest.param(run(condition=("False", "Failed", ""), marks={CAUSE: "user"}), None,
                     id="ended-before-that"),
        pytest.param(run(condition=("True", "Completed", ""), marks={CAUSE: "user"}), None,
                     id="completed-before-that"),
        pytest.param(run(condition=("Unknown", "Running", ""), marks={CAUSE: "user"}), Cause.USER,
                     id="gone-while-being-stopped"),
        pytest.param(run(marks={CAUSE: "user"}), Cause.USER, id="never-looked-at"),
    ],
)  # fmt: skip
def test_an_end_is_the_stopping_only_when_the_run_says_so(
    seen: tekton.PipelineRun, expected: Cause | None
) -> None:
    assert cause(stopping.stopped(spec(), seen, LIMITS, cut=False)) is expected


@pytest.mark.parametrize(
    ("reason", "mark", "expected"),
    [
        ("Failed", "user", Cause.USER),
        ("Failed", "deleted", Cause.DELETED),
        ("Failed", "deadline", None),
        ("PipelineRunTimeout", "user", None),
        ("Completed", "user", None),
    ],
)
def test_an_orderly_end_is_the_stopping_though_a_finally_task_has_failed(
    reason: str, mark: str, expected: Cause | None
) -> None:
    seen = run(condition=("False", reason, ""), marks={CAUSE: mark})
    assert cause(stopping.stopped(spec(), seen, LIMITS, cut=True)) is expected


@pytest.mark.parametrize(
    ("task", "reason", "expected"),
    [
        ("restart", "TaskRunCancelled", True),
        ("restart", "Failed", False),
        ("tidy", "TaskRunCancelled", False),
    ],
)
def test_a_run_is_cut_where_a_task_of_the_pipeline_was(
    task: str, reason: str, expected: bool
) -> None:
    status = {"pipelineSpec": {"tasks": [{"name": "restart"}], "finally": [{"name": "tidy"}]}}
    seen = builders.run(condition=("False", "Failed", ""), status=status)
    children = [builders.task(task, condition=("False", reason, ""))]
    assert stopping.is_cut(seen, children) is expected


COUNTED = ("False", "Failed", "Tasks Completed: 2 (Failed: 1, Cancelled 1), Skipped: 0")
AT_ONCE = ("False", "Cancelled", 'PipelineRun "x" was cancelled')
TOLD = {FORCED: builders.stamp()}


@pytest.mark.parametrize(
    ("condition", "marks", "unseen"),
    [
        pytest.param(COUNTED, TOLD, False, id="counted"),
        pytest.param(AT_ONCE, {}, False, id="in-order"),
        pytest.param(AT_ONCE, TOLD, True, id="at-once"),
        pytest.param(("Unknown", "Running", ""), {}, True, id="gone-before-its-end"),
        pytest.param(None, {}, True, id="gone-unlooked-at"),
    ],
)
def test_a_child_of_another_kind_has_ended_where_tekton_has_waited_for_it(
    condition: tuple[str, str, str] | None, marks: dict[str, str], unseen: bool
) -> None:
    children = [builders.child(), builders.child("wait", kind="CustomRun")]
    seen = builders.run(
        condition=condition, status={"childReferences": children}, metadata={"annotations": marks}
    )
    assert stopping.unseen(seen) == (("CustomRun of task 'wait'",) if unseen else ())
    of_tasks = {"childReferences": children[:1]}
    assert stopping.unseen(builders.run(condition=condition, status=of_tasks)) == ()


def test_what_outlives_a_run_has_longer_where_it_was_told_to_end() -> None:
    for marks, patience_s, said in (({}, 60, "1m0s"), ({CAUSE: "user"}, 120, "2m0s")):
        seen = run(condition=("False", "Cancelled", ""), marks=marks)
        ended_s = (seen.completed_at - builders.NOW).total_seconds() if seen.completed_at else 0.0
        assert due(spec(), seen, at(ended_s + patience_s - 1)) is None
        found = due(spec(), seen, at(ended_s + patience_s))
        assert found is not None
        assert (found.cause, said in found.message) == (Cause.LINGERING, True)
        assert found.message == stopping.outlived(patience_s)


@pytest.mark.parametrize("ended", [builders.stamp(-3600), builders.stamp(3600), None])
def test_what_outlives_a_run_has_its_time_from_when_that_was_said(ended: str | None) -> None:
    """When the run ended Tekton says by a clock of its own."""
    seen = run(condition=("False", "Failed", ""), status={"completionTime": ended})
    assert due(spec(**CANCEL), seen, at(159), at(100)) is None
    assert cause(due(spec(**CANCEL), seen, at(160), at(100))) is Cause.LINGERING


@pytest.mark.parametrize(
    ("wanted", "resolved", "told"),
    [
        ("sha256:" + "a" * 64, "d" * 64, True),
        ("sha256:" + "d" * 64, "d" * 64, False),
        ("sha256:" + "a" * 64, "", False),
        ("", "d" * 64, False),
    ],
    ids=["another", "the-same", "none-resolved", "none-asked-for"],
)
def test_an_end_on_another_digest_is_told(wanted: str, resolved: str, told: bool) -> None:
    workflow = builders.raw_execution()["spec"]["workflowRef"]
    digest = {"containerDigest": wanted} if wanted else {}
    asked = spec(workflowRef={**workflow, **digest})
    provenance = {"provenance": {"refSource": {"digest": {"sha256": resolved}}}} if resolved else {}
    found = stopping.mismatch(asked, builders.run(status=provenance))
    assert (found is not None) is told
    if found is not None:
        assert found.reason is FailureReason.CONFIGURATION_ERROR
        assert resolved in found.message
        assert wanted in found.message

"""When a run is to be stopped, and the ladder by which it is."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import builders
from workflowexecution.api import names, tekton
from workflowexecution.api.status import FailureReason
from workflowexecution.domain import stopping
from workflowexecution.domain.stopping import Cause, Step

if TYPE_CHECKING:
    from workflowexecution.api.workflowexecution import Spec

NOW = builders.NOW
LIMITS = stopping.Limits(deadline_grace_s=120.0, stall_after_s=600.0)
CANCEL = {"cancel": {"requestedBy": "ann", "reason": "wrong target"}}
OTHER_DIGEST = "sha256:" + "d" * 64
CAUSE, NUDGED = names.ANNOTATION_CANCEL_CAUSE, names.ANNOTATION_NUDGED_AT
ASKED, FORCED = names.ANNOTATION_CANCEL_REQUESTED_AT, names.ANNOTATION_CANCEL_FORCED_AT
RESOLVING = ("Unknown", "ResolvingPipelineRef", "")
# As a clock or a hand may write it into a status.
LAST_TIME = "9999-12-31T23:59:59Z"
LAST = datetime.datetime.max.replace(tzinfo=datetime.UTC)
ENDED_LAST = {"completionTime": LAST_TIME}


def at(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def spec(**parts: Any) -> Spec:  # noqa: ANN401 - members of the spec
    return builders.execution(spec=parts).spec


def run(
    *,
    timeout: str = "30m",
    marks: dict[str, str] | None = None,
    digest: str = "",
    metadata: dict[str, Any] | None = None,
    **parts: Any,  # noqa: ANN401 - as raw_run
) -> tekton.PipelineRun:
    status = parts.pop("status", {})
    if digest:
        source = {"digest": {"sha256": digest.removeprefix("sha256:")}}
        status = status | {"provenance": {"refSource": source}}
    raw = builders.raw_run(
        metadata={"annotations": marks or {}, **(metadata or {})}, status=status, **parts
    )
    raw["spec"] = {"timeouts": {"pipeline": timeout}}
    return tekton.project_pipelinerun(raw, tekton.PipelineRun)


def pinned(digest: str) -> dict[str, Any]:
    reference = builders.raw_execution()["spec"]["workflowRef"]
    return {"workflowRef": reference | {"containerDigest": digest}}


def due(
    asked: Spec,
    seen: tekton.PipelineRun,
    now: datetime.datetime,
    lingers_since: datetime.datetime | None = None,
) -> stopping.Stop | None:
    return stopping.due(asked, seen, now, LIMITS, lingers_since=lingers_since)


def cause(found: stopping.Stop | None) -> Cause | None:
    return found.cause if found else None


@pytest.mark.parametrize(
    ("asked", "seen", "now_s", "expected"),
    [
        pytest.param({}, run(), 0, None, id="nothing"),
        pytest.param(CANCEL, run(), 0, Cause.USER, id="cancel"),
        pytest.param(pinned(builders.DIGEST), run(digest=builders.DIGEST), 0, None, id="digest"),
        pytest.param(pinned(builders.DIGEST), run(), 0, None, id="digest-not-known-yet"),
        pytest.param({}, run(digest=OTHER_DIGEST), 0, None, id="any-digest-will-do"),
        pytest.param(pinned(builders.DIGEST), run(digest=OTHER_DIGEST), 0, Cause.DIGEST,
                     id="another-digest"),
        pytest.param({}, run(), 1919, None, id="within-the-grace"),
        pytest.param({}, run(), 1920, Cause.DEADLINE, id="overdue"),
        pytest.param({}, run(timeout=""), 10**6, None, id="no-timeout"),
        pytest.param({}, run(marks={CAUSE: "late"}), 0, Cause.LATE, id="begun-before"),
        pytest.param({}, run(marks={CAUSE: "boredom"}), 0, None, id="begun-for-nothing-known"),
        pytest.param({}, run(condition=RESOLVING), 1200, None, id="resolving"),
        pytest.param({}, run(condition=RESOLVING, marks={NUDGED: builders.stamp(600)}), 1199, None,
                     id="nudged"),
        pytest.param({}, run(condition=RESOLVING, marks={NUDGED: builders.stamp(600)}), 1200,
                     Cause.RESOLUTION, id="nudged-in-vain"),
        pytest.param({}, run(marks={NUDGED: builders.stamp(600)}), 1200, None, id="nudge-helped"),
        pytest.param({}, run(condition=RESOLVING, marks={NUDGED: LAST_TIME}), 1200, None,
                     id="nudged-at-the-end-of-time"),
        pytest.param({}, run(condition=("False", "Failed", ""), status=ENDED_LAST), 10**6, None,
                     id="ended-at-the-end-of-time"),
    ],
)  # fmt: skip
def test_a_run_is_stopped_for_a_cause(
    asked: dict[str, Any], seen: tekton.PipelineRun, now_s: float, expected: Cause | None
) -> None:
    assert cause(due(spec(**asked), seen, at(now_s))) is expected


def test_causes_have_an_order() -> None:
    """What a person asks for is said of a run that is stopped for other causes as well."""
    seen = run(digest=OTHER_DIGEST, marks={CAUSE: "deadline"})
    asked = pinned(builders.DIGEST)
    assert cause(due(spec(**asked, **CANCEL), seen, at(10**6))) is Cause.USER
    assert cause(due(spec(**asked), seen, at(10**6))) is Cause.DIGEST
    assert cause(due(spec(), seen, NOW)) is Cause.DEADLINE


@pytest.mark.parametrize(
    ("why", "reason", "message"),
    [
        (Cause.USER, "Cancelled", "The execution was cancelled by ann: wrong target"),
        (Cause.LATE, "Cancelled", "The execution was cancelled by ann: wrong target"),
        (Cause.ORPHAN, "Cancelled", "The execution was cancelled by ann: wrong target"),
        (Cause.DELETED, "Cancelled", "The execution was deleted before it had ended"),
        (Cause.DEADLINE, "DeadlineExceeded", "Tekton did not end the run within its timeout of "
         "30m0s and another 2m0s, so it was stopped"),
        (Cause.RESOLUTION, "DeadlineExceeded", "Tekton did not resolve the pipeline within 20m0s, "
         "so the run was stopped"),
        (Cause.DIGEST, "ConfigurationError", f"The bundle has digest {OTHER_DIGEST}, not "
         f"{builders.DIGEST} as was asked for"),
    ],
)  # fmt: skip
def test_a_cause_has_its_reason_and_sentence(why: Cause, reason: str, message: str) -> None:
    asked = spec(**pinned(builders.DIGEST), **CANCEL)
    found = stopping.explain(why, asked, run(digest=OTHER_DIGEST), LIMITS)
    assert found == stopping.Stop(why, FailureReason(reason), message)


def test_a_cause_is_explained_where_nothing_more_is_known() -> None:
    said = [stopping.explain(it, spec(), run(timeout=""), LIMITS).message for it in Cause]
    assert said[0] == "The execution was cancelled"
    assert "timeout of 0s" in said[list(Cause).index(Cause.DEADLINE)]


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


def test_a_run_that_may_not_be_told_is_looked_at_as_if_it_had_been() -> None:
    seen = stopping.marked(run(marks={ASKED: builders.stamp()}), Cause.DEADLINE)
    assert (stopping.cause_of(seen), stopping.asked_at(seen)) == (Cause.DEADLINE, NOW)


def test_a_run_that_does_not_leave_resolution_is_nudged_once() -> None:
    assert not stopping.is_to_nudge(run())
    assert not stopping.is_to_nudge(run(condition=("Unknown", "Running", "")))
    assert stopping.is_to_nudge(run(condition=RESOLVING))
    marks = stopping.nudge(at(0.9))["metadata"]["annotations"]
    assert marks == {NUDGED: builders.stamp()}
    assert not stopping.is_to_nudge(run(condition=RESOLVING, marks=marks))


@pytest.mark.parametrize(
    ("seen", "overdue_s"),
    [
        pytest.param(run(status={"startTime": builders.stamp(9)}), 9 + 1920, id="since-its-start"),
        pytest.param(run(status={"startTime": None}), 1920, id="since-its-creation"),
        pytest.param(run(status={"startTime": None}, metadata={"creationTimestamp": None}), None,
                     id="since-nobody-knows-when"),
        pytest.param(run(timeout="0s"), None, id="never"),
    ],
)  # fmt: skip
def test_a_run_is_overdue_after_its_timeout_and_the_grace(
    seen: tekton.PipelineRun, overdue_s: float | None
) -> None:
    expected = at(overdue_s) if overdue_s is not None else None
    assert stopping.overdue_at(seen, LIMITS) == expected


def test_a_run_that_says_it_began_at_the_end_of_time_is_overdue_then() -> None:
    assert stopping.overdue_at(run(status={"startTime": LAST_TIME}), LIMITS) == LAST


ASKED_NOW = {ASKED: builders.stamp()}
FORCED_NOW = ASKED_NOW | {FORCED: builders.stamp()}
DELETED_NOW = {"deletionTimestamp": builders.stamp()}


@pytest.mark.parametrize(
    ("seen", "why", "now_s", "expected"),
    [
        pytest.param(run(), Cause.USER, 0, (Step.ASK, 0), id="ask"),
        pytest.param(run(marks={FORCED: builders.stamp()}), Cause.USER, 999, (Step.ASK, 0),
                     id="ask-whatever-else-is-marked"),
        pytest.param(run(marks=ASKED_NOW), Cause.USER, 299, (Step.WAIT, 1), id="five-minutes"),
        pytest.param(run(marks=ASKED_NOW), Cause.DELETED, 299, (Step.WAIT, 1), id="deleted-too"),
        pytest.param(run(marks=ASKED_NOW), Cause.USER, 300, (Step.FORCE, 0), id="then-force"),
        pytest.param(run(marks=ASKED_NOW, timeout="60s"), Cause.USER, 59, (Step.WAIT, 1),
                     id="or-the-rest-of-the-timeout"),
        pytest.param(run(marks=ASKED_NOW, timeout="60s"), Cause.USER, 60, (Step.FORCE, 0),
                     id="which-is-over"),
        pytest.param(run(marks=ASKED_NOW, timeout=""), Cause.USER, 299, (Step.WAIT, 1),
                     id="without-a-timeout"),
        pytest.param(run(marks=ASKED_NOW), Cause.DEADLINE, 0, (Step.FORCE, 0), id="no-order"),
        pytest.param(run(marks=FORCED_NOW), Cause.USER, 119, (Step.WAIT, 1), id="two-minutes"),
        pytest.param(run(marks=FORCED_NOW), Cause.USER, 120, (Step.DELETE, 0), id="then-delete"),
        pytest.param(run(metadata=DELETED_NOW), Cause.USER, 59, (Step.WAIT, 1), id="one-minute"),
        pytest.param(run(metadata=DELETED_NOW), Cause.USER, 60, (Step.STUCK, 60), id="then-stuck"),
        pytest.param(run(marks={ASKED: "soon"}), Cause.USER, 0, (Step.ASK, 0), id="odd-mark"),
        pytest.param(run(marks={ASKED: builders.stamp(-2)}), Cause.COPY, 0, (Step.FORCE, 0),
                     id="clock-behind"),
        pytest.param(run(marks={ASKED: builders.stamp(-3)}), Cause.COPY, 0, (Step.ASK, 0),
                     id="mark-of-another"),
        pytest.param(run(marks=ASKED_NOW, metadata={"creationTimestamp": None}), Cause.USER, 300,
                     (Step.FORCE, 0), id="no-age"),
    ],
)  # fmt: skip
def test_the_ladder_is_climbed_by_time(
    seen: tekton.PipelineRun, why: Cause, now_s: float, expected: tuple[Step, float]
) -> None:
    assert stopping.next_step(seen, why, at(now_s)) == expected


WORKING = {"childReferences": [builders.child()]}
DONE = ("False", "Cancelled", "")


@pytest.mark.parametrize(
    ("seen", "step", "why", "asked", "forced"),
    [
        pytest.param(run(), Step.ASK, Cause.USER, "Cancelled", True, id="no-child-yet"),
        pytest.param(run(status=WORKING), Step.ASK, Cause.USER, "CancelledRunFinally", False,
                     id="in-order"),
        pytest.param(run(status=WORKING), Step.ASK, Cause.DELETED, "CancelledRunFinally", False,
                     id="deleted"),
        pytest.param(run(status=WORKING), Step.ASK, Cause.DIGEST, "Cancelled", True,
                     id="not-what-was-reviewed"),
        pytest.param(run(status=WORKING), Step.ASK, Cause.LATE, "Cancelled", True, id="late"),
        pytest.param(run(status=WORKING, marks=ASKED_NOW), Step.FORCE, Cause.USER, "Cancelled",
                     True, id="told"),
        pytest.param(run(status=WORKING, condition=DONE), Step.ASK, Cause.USER, None, True,
                     id="ended-and-lingering"),
        pytest.param(run(status=WORKING, condition=DONE, marks=ASKED_NOW), Step.FORCE, Cause.USER,
                     None, True, id="ended-and-told"),
    ],
)  # fmt: skip
def test_a_step_is_one_change_of_the_run(
    seen: tekton.PipelineRun, step: Step, why: Cause, asked: str | None, forced: bool
) -> None:
    """What a run that has ended is to do is not written, since Tekton refuses it."""
    changes = stopping.change(seen, step, why, at(5))
    assert changes.get("spec") == ({"status": asked} if asked else None)
    marks = changes["metadata"]["annotations"]
    assert marks[CAUSE] == why.value
    assert (ASKED in marks) is (step is Step.ASK)
    assert (FORCED in marks) is forced
    assert set(marks.values()) == {why.value, builders.stamp(5)}


@given(st.sampled_from(list(Cause)), st.booleans(), st.booleans(), st.integers(0, 3600))
def test_the_ladder_ends_for_every_cause(
    why: Cause, works: bool, done: bool, timeout_s: int
) -> None:
    """Whatever Tekton does, a run is asked once at most, forced once, deleted once, in time."""
    marks: dict[str, str] = {}
    status, condition = (WORKING if works else {}), (DONE if done else None)
    now_s, steps = 0.0, list[Step]()
    while Step.DELETE not in steps:
        seen = run(timeout=f"{timeout_s}s", marks=marks, status=status, condition=condition)
        step, left_s = stopping.next_step(seen, why, at(now_s))
        if step is Step.WAIT:
            assert left_s > 0
            now_s += left_s
            continue
        steps.append(step)
        if step is not Step.DELETE:
            marks |= stopping.change(seen, step, why, at(now_s))["metadata"]["annotations"]
    # Of a run that lingers after its end nothing is left to be asked.
    asked = [] if why is Cause.LINGERING else [Step.ASK]
    assert [it for it in steps if it is not Step.FORCE] == [*asked, Step.DELETE]
    assert steps.count(Step.FORCE) <= 1
    assert now_s <= stopping.GRACE_S + stopping.FORCED_S

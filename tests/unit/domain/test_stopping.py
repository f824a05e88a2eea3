"""Whether a run is to be stopped, and for which cause."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests import builders
from tests.unit.domain.stops import CANCEL, CAUSE, LIMITS, NOW, NUDGED, at, cause, due, run, spec
from workflowexecution.api.status import FailureReason
from workflowexecution.domain import stopping
from workflowexecution.domain.stopping import Cause

if TYPE_CHECKING:
    from workflowexecution.api import tekton

OTHER_DIGEST = "sha256:" + "d" * 64
RESOLVING = ("Unknown", "ResolvingPipelineRef", "")
# As a clock or a hand may write it into a status.
LAST_TIME = "9999-12-31T23:59:59Z"
LAST = datetime.datetime.max.replace(tzinfo=datetime.UTC)
ENDED_LAST = {"completionTime": LAST_TIME}


def pinned(digest: str) -> dict[str, Any]:
    reference = builders.raw_execution()["spec"]["workflowRef"]
    return {"workflowRef": reference | {"containerDigest": digest}}


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

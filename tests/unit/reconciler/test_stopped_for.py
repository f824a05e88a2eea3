"""What a run was stopped for, and what it ran, are told at its end, whatever Tekton calls that."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler.mirrored import DONE, FAILED, FAILURE, ONE, REF, SUCCESS
from tests.unit.reconciler.test_stopped import (
    CANCEL,
    CANCELLED,
    CANCELLED_RUN,
    CONFIRMED,
    OTHER_DIGEST,
    Stopping,
)
from workflowexecution.api import names
from workflowexecution.api.status import ConditionStatus, Outcome, Phase
from workflowexecution.runtime.controller import Result

pytestmark = pytest.mark.looptime

USER = {names.ANNOTATION_CANCEL_CAUSE: "user"}
CUT = builders.task(
    condition=("False", "TaskRunCancelled", "cancelled"), steps=[builders.step(exit_code=1)]
)
UNTIDY = builders.task(
    "tidy", condition=("False", "Failed", ""), steps=[builders.step(exit_code=8)]
)
TWO: dict[str, Any] = {
    "childReferences": [builders.child(), builders.child("tidy")],
    "pipelineSpec": {"tasks": [{"name": "restart"}], "finally": [{"name": "tidy"}]},
}


def asked(*, digest: bool = True, cancel: bool = False) -> dict[str, Any]:
    """The spec of one that wants the reviewed bundle."""
    reference = builders.raw_execution()["spec"]["workflowRef"]
    wanted = {"workflowRef": reference | {"containerDigest": builders.DIGEST}} if digest else {}
    return wanted | (CANCEL if cancel else {})


def other(sha256: str = OTHER_DIGEST) -> dict[str, Any]:
    """The status of a run that resolved another bundle."""
    return {**ONE, "provenance": {"refSource": {"digest": {"sha256": sha256}}}}


async def test_cancelled_one_is_cancelled_though_a_finally_task_fails() -> None:
    it = Stopping(spec=CANCEL)
    it.children, it.status = (CUT, UNTIDY), TWO
    it.has(FAILURE, marks=USER)
    await it.reconcile()
    now = it.world.status
    assert (now.phase, now.outcome) == (Phase.FAILED, Outcome.CANCELLED)
    assert now.failure_details is not None
    assert now.failure_details.message == CANCELLED
    said = it.world.said(CONFIRMED)
    assert (said.status, said.message) == (ConditionStatus.TRUE, CANCELLED)


async def test_cancelled_one_that_lingers_is_so_when_it_is_gone() -> None:
    it = Stopping(spec=CANCEL)
    it.children, it.status = (CUT, UNTIDY), TWO
    it.world.engine.working = {REF["uid"]}
    it.has(FAILURE, marks=USER)
    await it.reconcile()
    it.children = ()
    it.has(FAILURE, marks=USER, deleted=True)
    it.world.engine.working.clear()
    await it.reconcile()
    assert it.world.status.outcome is Outcome.CANCELLED
    assert it.world.said(CONFIRMED).status is ConditionStatus.TRUE


async def test_cancelled_one_is_not_confirmed_while_nobody_knows_of_its_custom_run() -> None:
    it = Stopping(spec=CANCEL)
    it.children, it.status = (), {"childReferences": [builders.child(kind="CustomRun")]}
    it.has(CANCELLED_RUN, marks=USER | {names.ANNOTATION_CANCEL_FORCED_AT: builders.stamp()})
    await it.reconcile()
    now = it.world.status
    assert (now.outcome, now.requires_manual_review) == (Outcome.CANCELLED, True)
    said = it.world.said(CONFIRMED)
    assert (said.status, said.reason) == (ConditionStatus.UNKNOWN, "ChildrenUnseen")
    assert said.message.startswith(CANCELLED)


@pytest.mark.parametrize(
    ("end", "child"), [(SUCCESS, DONE), (FAILURE, FAILED)], ids=["succeeded", "failed"]
)
async def test_run_that_ends_on_another_digest_before_it_is_stopped_is_no_success(
    end: tuple[str, str, str],
    child: Any,  # noqa: ANN401 - a TaskRun
) -> None:
    it = Stopping(spec=asked())
    it.children, it.status = (child,), other()
    it.has(end)
    assert await it.reconcile() == Result()
    now = it.world.status
    assert (now.phase, now.outcome) == (Phase.FAILED, Outcome.FAILED)
    assert (now.failure_reason, now.requires_manual_review) == ("ConfigurationError", True)
    assert now.failure_details is not None
    assert OTHER_DIGEST in now.failure_details.message
    assert now.condition(CONFIRMED) is None


async def test_run_that_is_gone_is_no_success_on_another_digest_either() -> None:
    it = Stopping(spec=asked())
    it.children, it.status = (DONE,), other()
    it.has(SUCCESS)
    it.world.engine.gone = dict(it.world.engine.cached)
    it.world.engine.live.clear()
    it.world.engine.cached.clear()
    await it.reconcile()
    assert it.world.status.failure_reason == "ConfigurationError"


async def test_run_on_the_digest_that_was_asked_for_is_a_success() -> None:
    it = Stopping(spec=asked())
    it.children, it.status = (DONE,), other(builders.DIGEST.removeprefix("sha256:"))
    it.has(SUCCESS)
    await it.reconcile()
    assert it.phase() is Phase.COMPLETED


async def test_cancelled_one_tells_that_it_ran_another_digest() -> None:
    it = Stopping(spec=asked(cancel=True))
    it.children, it.status = (CUT,), other()
    it.has(CANCELLED_RUN, marks=USER)
    await it.reconcile()
    now = it.world.status
    assert now.outcome is Outcome.CANCELLED
    assert now.failure_details is not None
    assert CANCELLED in now.failure_details.message
    assert OTHER_DIGEST in now.failure_details.message
    assert it.world.said(CONFIRMED).message == CANCELLED

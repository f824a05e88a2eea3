"""A success of which something was ended from outside is said to be in doubt."""

from __future__ import annotations

from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes, mirrored
from workflowexecution.api import tekton
from workflowexecution.api.status import ConditionStatus, ConditionType, Outcome, Phase
from workflowexecution.runtime import errors

pytestmark = pytest.mark.looptime

CONSISTENT = ConditionType.RESULT_CONSISTENT
GOOD = ("True", "Succeeded", "")
RETRIED: dict[str, Any] = {
    "podName": "second-pod",
    "retriesStatus": [{"podName": "first-pod", "steps": [builders.step(exit_code=255)]}],
}


def task(**said: Any) -> tekton.TaskRun:  # noqa: ANN401 - raw JSON
    return builders.task(condition=GOOD, steps=[builders.step(exit_code=0)], status=said)


async def ended(child: tekton.TaskRun, **engine: Any) -> fakes.World:  # noqa: ANN401 - of the fake
    it = mirrored.Running()
    for name, value in engine.items():
        setattr(it.world.engine, name, value)
    it.show(mirrored.SUCCESS, child)
    await it.reconcile()
    assert (it.phase(), it.world.status.outcome) == (Phase.COMPLETED, Outcome.SUCCESS)
    return it.world


async def test_a_plain_success_costs_no_request_and_says_nothing_of_consistency() -> None:
    world = await ended(task())
    assert world.journal == ["status"]
    assert world.status.condition(CONSISTENT) is None


async def test_a_killed_sidecar_is_told_without_a_request() -> None:
    killed = builders.step("proxy", exit_code=137, reason="OOMKilled")
    world = await ended(task(sidecars=[killed]))
    assert world.journal == ["status"]
    said = world.said(CONSISTENT)
    assert (said.status, said.reason) == (ConditionStatus.FALSE, "Disrupted")
    assert "sidecar 'proxy' of task 'restart'" in said.message


async def test_an_eviction_that_a_retry_mended_is_told() -> None:
    pods = (tekton.Pod("first-pod", "Evicted", ran=True), tekton.Pod("second-pod", "", ran=True))
    world = await ended(task(**RETRIED), pods=pods)
    assert world.journal == ["read_pods", "status"]
    assert "attempt 1 of task 'restart'" in world.said(CONSISTENT).message


async def test_a_retry_that_mended_a_plain_failure_is_no_doubt() -> None:
    pods = (tekton.Pod("first-pod", "", ran=True), tekton.Pod("second-pod", "", ran=True))
    world = await ended(task(**RETRIED), pods=pods)
    assert world.status.condition(CONSISTENT) is None


async def test_pods_that_cannot_be_read_hold_no_success_and_are_said_to_be_unknown() -> None:
    refusal = answers.refusal(errors.Forbidden, "pods is forbidden")
    world = await ended(task(**RETRIED), pods_error=refusal)
    said = world.said(CONSISTENT)
    assert (said.status, said.reason) == (ConditionStatus.UNKNOWN, "PodsUnreadable")
    assert "pods is forbidden" in said.message


async def test_a_run_that_was_deleted_after_its_success_is_told_by_what_was_seen() -> None:
    it = mirrored.Running()
    killed = builders.step("proxy", exit_code=137, reason="OOMKilled")
    run = builders.run(condition=mirrored.SUCCESS, status=mirrored.ONE)
    it.world.engine.gone[fakes.UID] = run
    it.world.engine.cached_tasks = (task(sidecars=[killed]),)
    await it.reconcile()
    assert it.phase() is Phase.COMPLETED
    assert it.world.said(CONSISTENT).status is ConditionStatus.FALSE

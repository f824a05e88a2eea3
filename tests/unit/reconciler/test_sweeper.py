"""Runs whose execution is not there any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests import builders
from tests.unit.reconciler import answers, fakes
from workflowexecution.api import names, tekton
from workflowexecution.domain import locking
from workflowexecution.reconciler import sweeper
from workflowexecution.runtime import errors

pytestmark = pytest.mark.looptime

LOCK = locking.run_name(builders.TARGET)
CHANGE, DELETE = f"change {LOCK}", f"delete {LOCK}"
OVER = ("True", "Succeeded", "")


class Swept:
    """A run, and a cache that has been listed and knows nobody."""

    def __init__(
        self,
        run: tekton.PipelineRun | None = None,
        *,
        instance: str = "",
        **policy: Any,  # noqa: ANN401 - as World
    ) -> None:
        self.world = fakes.World(**policy)
        self.world.executions.replace([])
        self.world.engine.show(run or builders.run())
        self.sweeper = sweeper.Sweeper(self.world.tools, instance=instance)

    async def sweep(self) -> list[str]:
        self.world.journal.clear()
        await self.sweeper.sweep()
        return list(self.world.journal)


def marked(**annotations: str) -> tekton.PipelineRun:
    return builders.run(metadata={"annotations": annotations})


async def test_a_live_run_of_nobody_is_stopped_and_counted() -> None:
    it = Swept()
    assert await it.sweep() == ["read execution", CHANGE]
    (change,) = it.world.engine.changes
    assert change["spec"] == {"status": "Cancelled"}
    assert change["metadata"]["annotations"][names.ANNOTATION_CANCEL_CAUSE] == "orphan"
    assert it.world.metrics.counted == ["late_run_cancelled"]
    it.world.engine.show(builders.run(metadata={"annotations": change["metadata"]["annotations"]}))
    assert await it.sweep() == ["read execution"]
    it.world.clock.advance(120)
    assert await it.sweep() == ["read execution", DELETE]
    assert it.world.metrics.counted == ["late_run_cancelled"]


@pytest.mark.parametrize("what", ["task", "pod"])
async def test_a_run_of_nobody_that_tekton_calls_done_may_still_work(what: str) -> None:
    it = Swept(builders.run(condition=OVER))
    it.world.clock.advance(10**6)
    if what == "task":
        it.world.engine.live_tasks = [builders.task()]
    else:
        it.world.engine.working = {"run-of-restart-payment"}
    assert CHANGE in await it.sweep()
    assert DELETE not in it.world.journal


async def test_a_finished_run_of_nobody_is_kept_for_its_time() -> None:
    it = Swept(builders.run(condition=OVER), run_retention_s=300.0)
    looked = ["read execution", "read_children", "has_live_pods"]
    it.world.clock.advance(30 + 300 - 60 - 1)
    assert await it.sweep() == looked
    it.world.clock.advance(1)
    assert await it.sweep() == [*looked, DELETE]
    it.world.engine.show(
        builders.run(condition=OVER, metadata={"deletionTimestamp": builders.stamp()})
    )
    assert await it.sweep() == looked


async def test_a_finished_run_that_says_the_end_of_time_is_kept() -> None:
    it = Swept(builders.run(condition=OVER, status={"completionTime": "9999-12-31T23:59:59Z"}))
    assert DELETE not in await it.sweep()


async def test_a_finished_run_that_does_not_say_when_is_removed() -> None:
    it = Swept(builders.run(condition=OVER, status={"completionTime": None}))
    assert DELETE in await it.sweep()


async def test_a_run_whose_execution_the_server_knows_is_left_alone() -> None:
    """The cache may be behind."""
    it = Swept()
    it.world.put()
    it.world.executions.remove(fakes.KEY)
    assert await it.sweep() == ["read execution"]


async def test_a_run_of_a_namesake_that_is_gone_is_of_nobody() -> None:
    it = Swept()
    it.world.put(metadata={"uid": "new"})
    it.world.executions.remove(fakes.KEY)
    assert await it.sweep() == ["read execution", CHANGE]


NO_LABELS: dict[str, Any] = {"labels": {}}
BLUE: dict[str, Any] = {
    "labels": builders.raw_run()["metadata"]["labels"] | {names.LABEL_INSTANCE: "blue"}
}


@pytest.mark.parametrize(
    ("metadata", "instance"),
    [
        pytest.param({"creationTimestamp": builders.stamp(31)}, "", id="young"),
        pytest.param({"creationTimestamp": None}, "", id="of-unknown-age"),
        pytest.param(BLUE, "", id="of-another-instance"),
        pytest.param({}, "blue", id="of-no-instance"),
        pytest.param(NO_LABELS, "", id="of-nobody-ever"),
    ],
)
async def test_a_run_that_is_not_provably_lost_is_left_alone(
    metadata: dict[str, Any], instance: str
) -> None:
    it = Swept(builders.run(metadata=metadata), instance=instance)
    assert await it.sweep() == []


async def test_an_instance_sweeps_its_own() -> None:
    it = Swept(builders.run(metadata=BLUE), instance="blue")
    assert await it.sweep() == ["read execution", CHANGE]


async def test_a_run_that_the_cache_knows_an_execution_of_is_left_alone() -> None:
    it = Swept()
    it.world.put()
    assert await it.sweep() == []


async def test_nothing_is_swept_while_the_caches_are_not_known() -> None:
    it = Swept()
    it.world.engine.away = "no Tekton"
    assert await it.sweep() == []
    fresh = fakes.World()
    fresh.engine.show(builders.run())
    await sweeper.Sweeper(fresh.tools, instance="").sweep()
    assert fresh.journal == []


async def test_a_run_that_cannot_be_swept_keeps_no_other_from_it() -> None:
    it = Swept()
    it.world.engine.cached["second"] = builders.run(owner="second")
    it.world.engine.change_error = errors.TransportError("lost")
    assert (await it.sweep()).count(CHANGE) == 2
    it.world.engine.change_error = None
    assert (await it.sweep()).count(CHANGE) == 2


@pytest.mark.parametrize("condition", [None, OVER], ids=["going-on", "called-done"])
async def test_a_run_of_nobody_that_may_not_be_told_to_end_is_deleted(
    condition: tuple[str, str, str] | None,
) -> None:
    run = builders.run(condition=condition)
    it = Swept(run)
    it.world.engine.working = {run.uid}
    it.world.engine.change_error = answers.refusal(errors.ServerError, "failed calling webhook")
    for _ in range(2):
        assert DELETE not in await it.sweep()
        assert it.world.metrics.counted == []
        it.world.clock.advance(sweeper.SWEEP_EVERY_S)
    assert (await it.sweep())[-1] == DELETE
    assert it.world.metrics.counted == ["late_run_cancelled"]


async def test_it_sweeps_now_and_then_until_it_is_cancelled() -> None:
    it = Swept()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(it.sweeper.run())
        await asyncio.sleep(sweeper.SWEEP_EVERY_S - 1)
        assert it.world.journal == []
        await asyncio.sleep(2)
        assert it.world.journal == ["read execution", CHANGE]
        await asyncio.sleep(sweeper.SWEEP_EVERY_S)
        assert it.world.journal.count("read execution") == 2
        running.cancel()


async def test_a_task_of_a_run_is_left_to_the_run() -> None:
    parent = {"apiVersion": "tekton.dev/v1", "kind": "PipelineRun"}
    it = Swept(builders.run(metadata={"ownerReferences": [parent]}))
    assert await it.sweep() == []

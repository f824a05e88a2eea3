"""Executions come back from a backup, without their statuses, as most tools restore them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.component import pasts, world
from tests.fake import kinds
from workflowexecution.api import names

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

NAME = "restart-payment"
FREED = {"metadata": {"finalizers": None}}
_BY_THE_SERVER = {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"}


def lose(here: World, name: str = NAME) -> JsonObject:
    """Take an execution away with its cluster, and its run; returns its backup."""
    kept = here.execution(name) or {}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, name, FREED)
    here.cluster.delete(kinds.EXECUTIONS, world.TEAM, name)
    if here.run() is not None:
        here.cluster.delete(kinds.PIPELINE_RUNS, world.NAMESPACE, world.RUN)
    return kept


def restore(here: World, backup: JsonObject, **metadata: object) -> JsonObject:
    """Create what a backup has, as a new object; the server drops what is its own to say."""
    kept = {key: it for key, it in backup["metadata"].items() if key not in _BY_THE_SERVER}
    made = {key: it for key, it in backup.items() if key != "status"}
    return here.cluster.create({**made, "metadata": kept | metadata})


def runs(here: World) -> int:
    return len([it for it in here.writes("pipelineruns") if it.call.verb == "create"])


async def completed(here: World) -> None:
    here.ask()
    await here.until_phase("Running")
    here.end_run()
    await here.until_phase("Completed")


@pytest.mark.parametrize("finalizers", [[names.FINALIZER], None], ids=["held", "released"])
async def test_execution_that_ran_is_refused_when_it_is_restored_without_its_status(
    here: World, finalizers: list[str] | None
) -> None:
    async with here.controller():
        await completed(here)
    uid = (here.execution() or {})["metadata"]["uid"]
    backup = lose(here)
    async with here.controller(audit__sink="log"):
        restore(here, backup, finalizers=finalizers)
        status = await here.until_phase("Failed")
        await asyncio.sleep(60)
        said = (here.execution() or {})["status"]
        assert said["auditedTransitions"] == ["created", "failed"]
        # It means nothing to those after it.
        here.ask("second", spec=pasts.spec())
        await here.until_phase("Running", "second")
    assert runs(here) == 2
    assert (status["failureReason"], status["requiresManualReview"]) == (
        "ConfigurationError",
        False,
    )
    assert status["failureDetails"]["wasExecutionFailure"] is False
    assert f"of an execution that was taken up before (UID {uid})" in status["message"]
    assert names.ANNOTATION_CLAIMED in status["message"]
    assert "pipelineRunRef" not in status
    assert "nextAllowedExecution" not in status


async def test_what_never_ran_is_refused_too_when_it_is_restored(here: World) -> None:
    """Its history is gone: what stood in its way then would not now."""
    async with here.controller():
        await completed(here)
        here.ask("second", spec=pasts.spec())
        await here.until_phase("Skipped", "second")
    backups = [lose(here, "second"), lose(here)]
    async with here.controller():
        for backup in backups:
            restore(here, backup)
        await here.until_phase("Failed", "second")
        await here.until_phase("Failed")
    assert runs(here) == 1


async def test_restored_execution_is_refused_though_it_had_to_wait_for_that(here: World) -> None:
    async with here.controller():
        await completed(here)
    backup = lose(here)
    here.cluster.remove_api(kinds.PIPELINE_RUNS)
    async with here.controller():
        restore(here, backup, finalizers=None)
        await here.until_phase("Pending")
    here.cluster.restore_api(kinds.PIPELINE_RUNS)
    async with here.controller():
        await here.until_phase("Failed")
    assert runs(here) == 1


async def test_copy_under_another_name_starts_and_is_marked_as_itself(here: World) -> None:
    async with here.controller():
        await completed(here)
        backup = lose(here)
        made = restore(here, backup, name="again")
        await here.until_phase("Running", "again")
    marks = (here.execution("again") or {})["metadata"]["annotations"]
    assert marks[names.ANNOTATION_CLAIMED] == f"again/{made['metadata']['uid']}"


async def test_copy_without_the_mark_starts(here: World) -> None:
    async with here.controller():
        await completed(here)
        restore(here, lose(here), annotations={})
        await here.until_phase("Running")


async def test_statuses_that_are_written_back_before_the_controller_starts_stay(
    here: World,
) -> None:
    async with here.controller():
        await completed(here)
    backup = lose(here)
    restore(here, backup)
    said = {"status": backup["status"]}
    here.cluster.patch(kinds.EXECUTIONS, world.TEAM, NAME, said, subresource="status")
    async with here.controller():
        await asyncio.sleep(30)
        here.ask("second", spec=pasts.spec())
        skipped = await here.until_phase("Skipped", "second")
    assert skipped["skipDetails"]["reason"] == "RecentlyRemediated"
    assert (here.execution() or {})["status"]["phase"] == "Completed"

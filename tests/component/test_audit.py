"""Auditing in the whole program: how many requests it costs, and what follows a restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.component import world
from tests.component.world import SUCCEEDED, World, until
from tests.fake import kinds
from workflowexecution import app

if TYPE_CHECKING:
    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

LOG: dict[str, Any] = {"audit__sink": "log"}


def recorded(here: World, name: str = "restart-payment") -> JsonObject | None:
    """The status of an execution that has nothing due."""
    said: JsonObject = (here.execution(name) or {}).get("status") or {}
    conditions = said.get("conditions") or []
    found = [it for it in conditions if it["type"] == "AuditRecorded" and it["status"] == "True"]
    return said if found else None


async def test_audit_costs_one_request_more_when_all_goes_well(here: World) -> None:
    here.ask()
    async with here.controller(**LOG):
        await until(here.run)
        here.end_run(SUCCEEDED)
        status = await until(lambda: recorded(here))
        assert status["auditedTransitions"] == ["created", "started", "completed"]
        written = [(it.call.verb, it.call.resource, it.call.subresource) for it in here.writes()]
    assert written == [
        ("patch", "workflowexecutions", ""),
        ("create", "pipelineruns", ""),
        *[("patch", "workflowexecutions", "status")] * 3,
    ]


async def test_a_restart_writes_nothing_when_all_is_recorded(here: World) -> None:
    here.ask()
    async with here.controller(**LOG):
        await until(here.run)
        here.end_run(SUCCEEDED)
        await until(lambda: recorded(here))
        before = len(here.writes())
    async with here.controller(**LOG):
        assert len(here.writes()) == before


async def test_what_ended_unaudited_is_recorded_by_the_next_life(here: World) -> None:
    here.ask()
    async with here.controller():
        await until(here.run)
        here.end_run(SUCCEEDED)
        await here.until_phase("Completed")
    assert recorded(here) is None
    async with here.controller(**LOG):
        status = await until(lambda: recorded(here))
    assert status["auditedTransitions"] == ["created", "started", "completed"]


async def test_an_execution_that_was_refused_is_let_go_once_it_is_recorded(here: World) -> None:
    here.ask(spec={"executionConfig": {"serviceAccountName": "nobody-allowed"}})
    async with here.controller(**LOG):
        status = await until(lambda: recorded(here))
        assert status["auditedTransitions"] == ["created", "failed"]
        await until(lambda: not (here.execution() or {})["metadata"].get("finalizers"))


async def test_sink_none_leaves_no_word_of_audit(here: World) -> None:
    here.ask()
    async with here.controller():
        await until(here.run)
        here.end_run(SUCCEEDED)
        status = await here.until_phase("Completed")
    assert "auditedTransitions" not in status
    assert "AuditRecorded" not in str(status["conditions"])


async def test_nothing_is_kept_of_an_execution_that_went_before_its_acknowledgements(
    here: World,
) -> None:
    here.ask()
    async with here.way() as way:
        program = app.App(world.settings_of(**LOG), way)
        async with world.running(program):
            await here.until_phase("Running")
            auditor = program._trail.auditor
            assert auditor is not None
            await until(lambda: auditor.remembered == 1)
            here.cluster.patch(
                kinds.EXECUTIONS, world.TEAM, "restart-payment", {"metadata": {"finalizers": None}}
            )
            here.cluster.delete(kinds.EXECUTIONS, world.TEAM, "restart-payment")
            await asyncio.sleep(5)
            assert (here.execution(), auditor.remembered) == (None, 0)

"""Auditing in the whole program: how many requests it costs, and what follows a restart."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.component import replicas, world
from tests.component.world import SUCCEEDED, World, until
from tests.fake import kinds
from tests.fake.paths import Match
from tests.support import executions
from workflowexecution import app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake.statuses import JsonObject

pytestmark = pytest.mark.looptime

CREATE_RUN = Match(verbs=("create",), resource="pipelineruns")
LOG: dict[str, Any] = {"audit__sink": "log"}


def recorded(here: World, name: str = "restart-payment") -> JsonObject | None:
    """The status of an execution that has nothing due."""
    found = here.execution(name) or {}
    return found["status"] if executions.is_recorded(found) else None


class Store:
    """A Data Storage that takes everything, and has nothing when it is asked."""

    def __init__(self) -> None:
        self.url = ""
        self.kept: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Store]:
        """Answer for a while."""
        application = web.Application()
        application.router.add_post("/{path:.*}", self._take)
        application.router.add_get("/{path:.*}", self._look)
        runner = web.AppRunner(application, shutdown_timeout=0.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.kept += [it["event_type"] for it in await request.json()]
        return web.json_response({"event_ids": []}, status=201)

    async def _look(self, _: web.Request) -> web.Response:
        return web.json_response({"data": []})


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


async def test_acknowledgement_waits_until_nobody_starts(here: World) -> None:
    async with here.controller(**LOG):
        here.ask()
        await here.until_phase("Running")
        held = here.cluster.faults.hold(CREATE_RUN)
        here.ask("second", spec={"targetResource": "payment/deployment/second"})
        await held.reached.wait()
        here.end_run(SUCCEEDED)
        await here.until_phase("Completed")
        await asyncio.sleep(5)
        assert recorded(here) is None
        held.release()
        await until(lambda: recorded(here), within_s=5)


async def test_record_of_the_last_status_is_sent_before_the_program_ends(here: World) -> None:
    async with (
        Store().running() as store,
        replicas.replica(
            here,
            "a",
            audit__sink="http",
            datastorage__url=store.url,
            datastorage__buffer__flushInterval="1h",
        ) as leader,
    ):
        held = here.cluster.faults.hold(CREATE_RUN)
        here.ask()
        await held.reached.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(1)
        held.release()
        assert await leader.ended() is None
        await here.until_phase("Running")
    # A connection that was left open is an error now.
    gc.collect()
    assert [it.rpartition(".")[2] for it in store.kept] == ["created", "started"]

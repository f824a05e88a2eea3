"""What the audit tests share: executions played to their end, and the rows they leave."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from tests.datastorage.table import transitions
from tests.support import executions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tests.datastorage.server import DataStorage
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World
    from tests.support.program import Program

WAIT_S = 60.0
LOOK_EVERY_S = 0.1


@contextlib.asynccontextmanager
async def recording(
    controllers: Controllers,
    storage: DataStorage,
    **sections: Any,  # noqa: ANN401 - raw settings
) -> AsyncGenerator[Program]:
    """Run a controller that records there; it waits little, as the store does.

    Args:
        controllers: starts it.
        storage: where its records go.
        **sections: what its configuration has beside or instead.
    """
    given = dict(sections.pop("datastorage", {}))
    buffer = {"flushInterval": "100ms", **given.pop("buffer", {})}
    way = {"url": storage.url, "timeout": "1s", "buffer": buffer, **given}
    audit = {"dialect": storage.dialect, **sections.pop("audit", {})}
    async with controllers.running(datastorage=way, audit=audit, **sections) as program:
        yield program


async def until_recorded(world: World, name: str, *, deadline_s: float = WAIT_S) -> JsonObject:
    """Wait until an execution has nothing due; returns it."""
    return await world.until(name, executions.is_recorded, deadline_s=deadline_s)


async def until_refused(world: World, name: str) -> JsonObject:
    """Wait until an execution has ended and the store has refused all its records; returns it."""

    def refused(found: JsonObject) -> bool:
        said = executions.condition(found, "AuditRecorded").get("message", "")
        return all(f"{it}: " in said for it in ("created", "started", "completed"))

    return await world.until(name, refused, deadline_s=WAIT_S)


async def play(world: World, name: str, *, exit_code: int = 0) -> JsonObject:
    """Create an execution and play its run to its end; returns the execution's status then."""
    await world.create(world.execution(name, parameters={"MODE": "x", "DB_PASSWORD": "hunter2"}))
    run = await world.play(await world.phase(name, "Running"), "restart")
    await run.start_task("restart")
    await run.end_task("restart", exit_code=exit_code)
    await run.end()
    return await world.phase(name, "Failed" if exit_code else "Completed")


async def rows_of(storage: DataStorage, name: str) -> dict[str, JsonObject]:
    """The rows of an execution by the last word of their type."""
    found = [it for it in await storage.table.all() if it["event_data"]["execution_name"] == name]
    return {row["event_type"].rpartition(".")[2]: row for row in found}


async def counts(storage: DataStorage) -> dict[tuple[str, str], int]:
    """How often each transition of each execution is recorded."""
    return dict(transitions(await storage.table.all()))


async def until_counts(
    storage: DataStorage, wanted: dict[tuple[str, str], int], *, deadline_s: float = WAIT_S
) -> None:
    """Wait until the rows are these.

    Raises:
        AssertionError: they are not in time.
    """
    deadline = asyncio.get_running_loop().time() + deadline_s
    while (found := await counts(storage)) != wanted:
        assert asyncio.get_running_loop().time() < deadline, (found, wanted)
        await asyncio.sleep(LOOK_EVERY_S)


def once(*names: str, end: str = "completed") -> dict[tuple[str, str], int]:
    """Each transition of these executions, once."""
    return {(name, it): 1 for name in names for it in ("created", "started", end)}


async def until(look: Callable[[], bool], *, deadline_s: float = WAIT_S) -> None:
    """Wait until something is so that no watch tells of.

    Raises:
        AssertionError: it is not in time.
    """
    deadline = asyncio.get_running_loop().time() + deadline_s
    while not look():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(LOOK_EVERY_S)

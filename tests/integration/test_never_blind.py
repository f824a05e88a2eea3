"""What a controller knows of the world is never old for long, whatever its watches are told.

By the apiserver's audit log: when it asked anew, when it wrote, and that nothing was run twice.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.fake import kinds
from tests.integration import leaders
from tests.integration.audit import by
from tests.proxy.calls import watches
from tests.proxy.rules import Point
from tests.stack.settings import Port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.audit import AuditLog
    from tests.integration.controllers import Controllers
    from tests.integration.world import World
    from tests.proxy.calls import Call
    from tests.stack.cluster import Stack
    from tests.support.program import Program

IDLE_S = 6.0
# For a pause, a list and a busy machine; a watch that nobody gives up ends after four minutes.
SLACK_S = 10.0
BACK_S = 5.0
# Watches that were lost with their server are in pauses of their own; one that nobody gives up
# ends after a minute and a half at the earliest.
SERVER_BACK_S = 60.0
FOR_EVER = 1e6
LIST = "list pipelineruns"
STATUS = "patch workflowexecutions/status"
CREATE = "create pipelineruns"


def the_open_watch(plural: str) -> Callable[[Call], bool]:
    """The watch of a resource that says the next thing, and none that is opened after it."""
    known: list[Call] = []

    def fits(call: Call) -> bool:
        if call.is_watch and call.path.endswith(f"/{plural}") and not known:
            known.append(call)
        return call in known

    return fits


async def until_served(controllers: Controllers) -> None:
    """Wait until the server serves custom resources again."""
    await leaders.Leaders(controllers).served()


async def test_change_is_seen_in_time_when_a_watch_is_a_black_hole(
    controllers: Controllers, audit: AuditLog
) -> None:
    world = controllers.world
    limits = {"watchIdle": f"{IDLE_S}s"}
    async with (
        controllers.proxy() as proxy,
        controllers.running(by_way_of=proxy, limits=limits) as program,
    ):
        await world.create(world.execution("seen"))
        run = await world.play(await world.phase("seen", "Running"))
        # From here on it may be as long silent as it takes to be given up, the end told or not.
        swallowed_at = leaders.now().timestamp()
        proxy.lag(the_open_watch("pipelineruns"), FOR_EVER)
        ended_at = leaders.now().timestamp()
        await run.end()
        await world.phase("seen", "Completed", deadline_s=IDLE_S + SLACK_S)
        # It was the silence that was noticed: a list came before the word.
        listed = await audit.until(program, LIST, after=swallowed_at)
        told = await audit.until(program, STATUS, after=listed)
    assert told - ended_at < IDLE_S + SLACK_S


async def test_change_is_seen_when_the_version_of_the_watch_is_compacted(
    controllers: Controllers, stack: Stack, audit: AuditLog
) -> None:
    world = controllers.world
    async with controllers.proxy() as proxy, controllers.running(by_way_of=proxy) as program:
        await world.create(world.execution("compacted"))
        run = await world.play(await world.phase("compacted", "Running"))
        # On its way it gets older than anything that the server knows.
        resumed = proxy.hold(watches("pipelineruns"), Point.BEFORE)
        proxy.break_connections()
        await resumed.wait()
        await run.end()
        body = {"metadata": {"name": "last"}}
        made = (await world.api.create(kinds.CONFIG_MAPS, world.runs, body)).accept()
        await asyncio.to_thread(compact, stack, int(made["metadata"]["resourceVersion"]))
        # A new server has nothing older in its own memory either.
        await asyncio.to_thread(stack.kill, "kube-apiserver")
        await asyncio.to_thread(stack.start, "kube-apiserver")
        await until_served(controllers)
        joined_at = leaders.now().timestamp()
        resumed.release()
        await world.phase("compacted", "Completed", deadline_s=SERVER_BACK_S)
        await audit.until(program, LIST, after=joined_at)
        created = await audit.until_so_many(program, CREATE, 1)
        assert program.process.poll() is None
    # The stream itself says that the version is gone, behind a status of 200.
    assert '"reason":"410' in program.log.read_text()
    assert len(created) == 1


def compact(stack: Stack, version: int) -> None:
    """Let etcd forget what is older."""
    url = f"http://127.0.0.1:{stack.settings.port(Port.ETCD)}/v3/kv/compaction"
    body = json.dumps({"revision": version, "physical": True}).encode()
    with urllib.request.urlopen(url, body, timeout=10) as answer:
        assert answer.status == 200


class Past:
    """The database of a cluster, as it was and will be again."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._data = stack.settings.run_dir / "etcd"
        self._kept = stack.settings.run_dir / "etcd-kept"

    def keep(self) -> None:
        """Keep it as it is."""
        self._stop()
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self._data, self._kept)
        self._start()

    def restore(self) -> None:
        """Let it be as it was kept; whatever else has a memory begins anew."""
        self._stop()
        shutil.rmtree(self._data)
        self._kept.rename(self._data)
        self._start()
        self._stack.restart("kube-controller-manager")

    def _stop(self) -> None:
        self._stack.kill("kube-apiserver")
        self._stack.stop("etcd")

    def _start(self) -> None:
        self._stack.start("etcd")
        self._stack.start("kube-apiserver")


async def finish(world: World, name: str) -> None:
    """Create an execution and play its run to the end."""
    await world.create(world.execution(name))
    await (await world.play(await world.phase(name, "Running"))).end()
    await world.phase(name, "Completed")


@pytest.mark.long
async def test_nothing_is_run_again_when_the_database_is_restored(
    controllers: Controllers, stack: Stack, audit: AuditLog
) -> None:
    world, past = controllers.world, Past(stack)
    async with controllers.running() as program:
        await finish(world, "done")
        await world.create(world.execution("works"))
        run = await world.play(await world.phase("works", "Running"))
        program.freeze()
        await world.create(world.execution("pending"))
        await asyncio.to_thread(past.keep)
        await until_served(controllers)
        program.thaw()
        # All of this will not have been.
        await finish(world, "later")
        await run.end()
        await world.phase("works", "Completed")
        await world.phase("pending", "Running")
        await asyncio.to_thread(past.restore)
        await until_served(controllers)
        assert (await world.read("works"))["status"]["phase"] == "Running"
        await run.end()
        await world.phase("works", "Completed", deadline_s=2 * BACK_S)
        # It was started once, in a time that has not been, and nobody knows what that changed.
        failed = await world.phase("pending", "Failed", deadline_s=2 * BACK_S)
        assert failed["failureDetails"]["wasExecutionFailure"] is True
        await finish(world, "after")
        assert program.process.poll() is None
        created = creates_of(program, audit)
    assert len(set(created)) == len(created) == 5


def creates_of(program: Program, audit: AuditLog) -> list[str]:
    """The names of the runs that a program created."""
    return [it.name for it in by(program, audit.requests()) if it.kind == CREATE]

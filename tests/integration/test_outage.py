"""The apiserver dies and comes back; the program waits and goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.integration.leaders import Leaders

if TYPE_CHECKING:
    from tests.integration.controllers import Controllers
    from tests.stack.cluster import Stack

BACK_S = 30.0


@pytest.mark.parametrize("process", ["kube-apiserver", "etcd"])
async def test_executions_go_on_when_a_server_was_killed(
    controllers: Controllers, stack: Stack, process: str
) -> None:
    world = controllers.world
    async with controllers.running() as program:
        await world.create(world.execution("before"))
        status = await world.phase("before", "Running")
        await asyncio.to_thread(stack.kill, process)
        await asyncio.to_thread(program.wait_probe, "/healthz", 200)
        await asyncio.to_thread(stack.start, process)
        await Leaders(controllers).served()
        await (await world.play(status)).end()
        await world.create(world.execution("after"))
        await world.phase("before", "Completed", deadline_s=BACK_S)
        await world.phase("after", "Running", deadline_s=BACK_S)
        await asyncio.to_thread(program.wait_probe, "/readyz", 200)

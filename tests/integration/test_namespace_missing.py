"""The namespace of the runs goes, and with it the role in it: wait, say so, recover."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.fake import kinds
from tests.integration import access
from tests.integration import world as worlds
from tests.support import installation

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject
    from tests.stack.cluster import Stack

# A start is tried again after a minute at most.
RECOVERED_S = 90.0
GONE_S = 60.0


@pytest.fixture(scope="module")
def account(stack: Stack) -> Path:
    """The controller's account: what it asks for in a namespace that is gone is refused here."""
    return installation.give_access(stack)


def engine(found: JsonObject) -> list[str]:
    """What the condition that speaks of the engine says."""
    said = found.get("status", {}).get("conditions", ())
    return [it["message"] for it in said if (it["type"], it["status"]) == (_ENGINE, "False")]


_ENGINE = "EngineAvailable"


async def test_nothing_fails_for_want_of_the_namespace_of_runs_and_all_goes_on_when_it_is_back(
    controllers: Controllers,
) -> None:
    world = controllers.world
    async with controllers.running() as program:
        await world.create(world.execution("first"))
        await world.phase("first", "Running")
        namespace = kinds.NAMESPACES, "", world.runs
        await worlds.delete(world.api, namespace)
        await worlds.until_gone(world.api, namespace, deadline_s=GONE_S)
        await world.create(world.execution("second"))
        found = await world.until("second", lambda it: bool(engine(it)))
        assert found["status"]["phase"] == "Pending"
        assert "the controller has no role in it" in engine(found)[0]
        body = await asyncio.to_thread(program.wait_probe, "/readyz", 503)
        assert world.runs in json.loads(body)["checks"]["engine"]
        await worlds.create_namespace(world.api, world.runs)
        await access.give(world.api, world.runs, world.runs, f"green-{world.runs}")
        await world.phase("second", "Running", deadline_s=RECOVERED_S)
        await asyncio.to_thread(program.wait_probe, "/readyz", 200)
        # Its run went with the namespace, in which nothing can have outlived it.
        status = await world.phase("first", "Failed", deadline_s=RECOVERED_S)
        assert "was deleted by somebody else" in status["failureDetails"]["message"]
        assert status["requiresManualReview"] is True

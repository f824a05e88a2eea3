"""The dashboard, over a real Prometheus that scraped a controller through all outcomes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

from tests.integration import trail
from tests.monitoring import rules
from tests.support import program, prometheus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datastorage.server import DataStorage
    from tests.integration.controllers import Controllers
    from tests.integration.world import World
    from tests.support.prometheus import Prometheus

# As long as the story: Prometheus sees nothing in a rate that was over before.
STAND_INS = {"$__rate_interval": "5m", "$__range": "5m", "$workflow": ".*"}
ENDS = {"Success", "Failed", "Timeout", "Cancelled"}


def panels() -> list[dict[str, Any]]:
    """Those that show something."""
    found: list[dict[str, Any]] = json.loads(rules.DASHBOARD.read_text("utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every query as Grafana would send it, by panel and letter."""
    found = {}
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in STAND_INS.items():
                text = text.replace(name, value)
            found[f"{panel['title']} {target['refId']}"] = text
    return found


async def live(world: World, server: Prometheus) -> None:
    """All outcomes, and what a skip needs."""
    await trail.play(world, "first")
    # What is scraped from here on is an increase.
    await asyncio.to_thread(server.until, lambda: server.values("workflowexecution_total > 0"))
    await trail.play(world, "good")
    await trail.play(world, "bad", exit_code=3)
    target = world.execution("bad")["spec"]["targetResource"]
    await world.create(world.execution("blocked", targetResource=target))
    await world.phase("blocked", "Skipped")
    await world.create(world.execution("late", executionConfig={"timeout": "1s"}))
    run = await world.play(await world.phase("late", "Running"), "restart")
    await run.start_task("restart")
    await run.time_out_task("restart")
    await run.end(("False", "PipelineRunTimeout", "failed to finish within 1s"))
    await world.phase("late", "Failed")
    await world.create(world.execution("ended"))
    run = await world.play(await world.phase("ended", "Running"), "restart")
    asked = {"cancel": {"requestedBy": "jane", "reason": "no"}}
    (await world.change("ended", {"spec": asked})).accept()
    await run.end(("False", "Cancelled", "was cancelled"))
    await world.phase("ended", "Failed")


def has_data(server: Prometheus, query: str) -> bool:
    """Whether a query gives a number, of which a panel can draw something."""
    return any(value == value for value in server.values(query))


async def test_every_panel_shows_something(
    controllers: Controllers, storage: DataStorage, tmp_path: Path
) -> None:
    port = program.free_port()
    controller = {"metricsAddr": f"127.0.0.1:{port}", "metricsAuth": False}
    job = {"job_name": "wfe", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    async with trail.recording(controllers, storage, controller=controller):
        with prometheus.running(tmp_path, [job], rules=[rules.RULES]) as server:
            await live(controllers.world, server)
            seen = "sum by (outcome) (workflowexecution_total) > 0"
            await asyncio.to_thread(server.until, lambda: len(server.values(seen)) == len(ENDS))
            dead = queries()

            def all_alive() -> bool:
                for name in [it for it, text in dead.items() if has_data(server, text)]:
                    del dead[name]
                return not dead

            with contextlib.suppress(AssertionError):
                await asyncio.to_thread(server.until, all_alive, deadline_s=15)
            assert dead == {}
            loaded = server.get("rules")["groups"]
    assert {rule["health"] for group in loaded for rule in group["rules"]} <= {"ok", "unknown"}
    names = {rule["name"] for group in loaded for rule in group["rules"]}
    assert set(rules.alerts()) <= names

"""`audit replay` and `audit verify`, as a person runs them."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.fake import kinds
from tests.integration import trail
from tests.integration.world import delete

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datastorage.server import DataStorage
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject

# A record whose request is given up is found there, and not sent, by the next one. Replay waits
# three times as long before it asks for the first.
PATIENCE = "3s"


async def command(controllers: Controllers, *arguments: str, **sections: Any) -> tuple[int, str]:  # noqa: ANN401 - raw settings
    """Exit code and output of an audit command for the controllers' instance."""
    settings = controllers.folder / "command.yaml"
    sections["controller"] = {"instance": controllers.world.instance}
    settings.write_text(yaml.safe_dump(sections))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workflowexecution",
        "--config", str(settings), "--kubeconfig", str(controllers.kubeconfig),
        "audit", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


def export(rows: list[JsonObject], path: Path) -> Path:
    """A table as JSON lines."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.mark.parametrize("dialect", ["december", "current"])
async def test_verify_tells_gaps_and_doubles(
    controllers: Controllers, storage: DataStorage, tmp_path: Path, dialect: str
) -> None:
    storage.dialect = dialect
    world, spelling = controllers.world, {"dialect": dialect}
    async with trail.recording(controllers, storage):
        await trail.play(world, "one")
        await trail.until_recorded(world, "one")
    path = export(await storage.table.all(), tmp_path / "rows.jsonl")
    code, said = await command(controllers, "verify", "--export", str(path), audit=spelling)
    assert (code, "0 missing, 0 doubled" in said) == (0, True), said
    first, second, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([second, second, *rest]))
    code, said = await command(controllers, "verify", "--export", str(path), audit=spelling)
    assert code == 1
    assert f"missing {world.namespace}/one {json.loads(first)['event_type']}" in said
    assert f"one {json.loads(second)['event_type']}" in said
    assert "1 missing, 1 doubled" in said


async def test_verify_reads_the_log(controllers: Controllers) -> None:
    world = controllers.world
    async with controllers.running(audit={}) as program:
        await trail.play(world, "logged")
        await trail.until_recorded(world, "logged")
    code, said = await command(controllers, "verify", "--export", str(program.log))
    assert (code, "3 there, 0 missing, 0 doubled" in said) == (0, True), said


async def test_replay_sends_what_is_missing_and_nothing_twice(
    controllers: Controllers, storage: DataStorage
) -> None:
    world = controllers.world
    async with controllers.running():
        await trail.play(world, "unaudited")
    way = {"url": storage.url, "timeout": PATIENCE, "buffer": {"flushInterval": "100ms"}}
    for sent in (3, 0):
        code, said = await command(controllers, "replay", "--since", "2020-01-01", datastorage=way)
        assert (code, f"{3 - sent} were there, {sent} sent" in said) == (0, True), said
        assert await trail.counts(storage) == trail.once("unaudited")
    code, said = await command(controllers, "replay", "--since", "2999-01-01", datastorage=way)
    assert (code, said.startswith("0 records")) == (0, True), said


async def test_replay_sends_what_is_on_the_log_alone(
    controllers: Controllers, storage: DataStorage
) -> None:
    world = controllers.world
    storage.faults.refused = "refused"
    async with trail.recording(controllers, storage) as program:
        await trail.play(world, "refused")
        await trail.until(lambda: program.log.read_text().count('"not_stored"') == 3)
    await delete(world.api, (kinds.EXECUTIONS, world.namespace, "refused"))
    storage.faults.refused = ""
    way = {"url": storage.url, "timeout": PATIENCE, "buffer": {"flushInterval": "100ms"}}
    for sent in (3, 0):
        code, said = await command(
            controllers, "replay", "--log", str(program.log), datastorage=way
        )
        assert (code, f"{3 - sent} were there, {sent} sent" in said) == (0, True), said
    assert await trail.counts(storage) == trail.once("refused")


async def test_replay_ends_when_the_store_is_away(
    controllers: Controllers, storage: DataStorage
) -> None:
    async with controllers.running():
        await trail.play(controllers.world, "unsent")
    await storage.stop()
    way = {"url": storage.url, "timeout": "200ms"}
    code, said = await command(controllers, "replay", "--since", "2020-01-01", datastorage=way)
    assert (code, "3 left" in said) == (1, True), said


async def test_odd_exports_and_missing_settings_are_told(
    controllers: Controllers, tmp_path: Path
) -> None:
    code, said = await command(controllers, "verify", "--export", str(tmp_path / "gone"))
    assert (code, "--export: cannot read" in said) == (2, True), said
    odd = tmp_path / "odd"
    odd.write_text('\n5\n{"event": "Starting"}\n{')
    code, said = await command(controllers, "verify", "--export", str(odd))
    assert (code, "line 4" in said) == (0, True), said
    odd.write_text("Traceback\n{")
    code, said = await command(controllers, "verify", "--export", str(odd))
    assert (code, "no line of" in said) == (2, True), said
    code, said = await command(controllers, "replay", "--since", "2020-01-01")
    assert (code, "set datastorage.url" in said) == (2, True), said

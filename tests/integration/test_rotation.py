"""Authority and token are replaced while the program works: it goes on, and tells nobody either."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest_asyncio
import yaml

from tests.integration.accounts import Account
from tests.integration.tlsfront import TlsFront
from tests.unit.runtime.authority import Authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fake.api import Endpoint
    from tests.integration.controllers import Controllers


@pytest_asyncio.fixture
async def mighty(controllers: Controllers) -> AsyncIterator[Account]:
    made = Account(controllers.world, "rotated")
    await made.create()
    yield made
    await made.delete()


def replace(path: Path, content: bytes) -> None:
    """Replace a file at once, as the kubelet does."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def write_kubeconfig(folder: Path, url: str) -> Path:
    """A kubeconfig that names files for authority and token."""
    cluster = {"server": url, "certificate-authority": str(folder / "ca.crt")}
    document = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"tokenFile": str(folder / "token")}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = folder / "rotated.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def authority(folder: Path) -> Authority:
    """An authority of its own."""
    folder.mkdir()
    return Authority(folder)


async def test_program_goes_on_when_authority_and_token_are_replaced_under_it(
    controllers: Controllers, endpoint: Endpoint, mighty: Account, tmp_path: Path
) -> None:
    world = controllers.world
    old, new = authority(tmp_path / "old"), authority(tmp_path / "new")
    tokens = {name: await mighty.token(name) for name in ("first", "second")}
    replace(tmp_path / "ca.crt", old.ca.read_bytes())
    replace(tmp_path / "token", tokens["first"].encode())
    async with TlsFront(endpoint, old.issue("server")) as front:
        way = dataclasses.replace(controllers, kubeconfig=write_kubeconfig(tmp_path, front.url))
        async with way.running(logging={"level": "debug"}) as program:
            await world.create(world.execution("before"))
            run = await world.play(await world.phase("before", "Running"))
            replace(tmp_path / "ca.crt", new.ca.read_bytes())
            replace(tmp_path / "token", tokens["second"].encode())
            front.show(new.issue("server"))
            await mighty.revoke("first", tokens["first"], endpoint)
            front.break_connections()
            await run.end()
            await world.phase("before", "Completed")
            await world.create(world.execution("after"))
            await world.phase("after", "Running")
            assert program.process.poll() is None
            assert await asyncio.to_thread(program.wait_probe, "/readyz", 200)
            said = program.log.read_text()
    assert "Certificates loaded again" in said
    assert [name for name, token in tokens.items() if token in said] == []
    assert "Bearer" not in said

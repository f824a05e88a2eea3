"""A server over TLS that resets connections in every state: nothing but the requests may suffer."""

import asyncio
import collections
import contextlib
import json
import pathlib
import random
import ssl
from collections.abc import AsyncIterator

import pytest

from tests.support import sockets
from tests.unit.runtime import objects, servers
from tests.unit.runtime.authority import Authority
from workflowexecution.runtime import client, connection, errors

pytestmark = pytest.mark.usefixtures("parted")

_BODY = json.dumps(objects.raw(version="2")).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_AT_ONCE = 12
_EACH = 40
_CONTENTS = ("x" * 10, "x" * 3_000, "x" * 200_000)


class Capricious:
    """Answers, or resets: before or within the request, before, within or after the answer."""

    def __init__(self, authority: Authority, dice: random.Random) -> None:
        self._dice = dice
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*authority.issue("server"))
        self.resets: collections.Counter[str] = collections.Counter()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve; gives the URL."""
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        try:
            yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        finally:
            listener.close()

    def _end(self, writer: asyncio.StreamWriter, state: str) -> None:
        self.resets[state] += 1
        sockets.reset_when_closed(writer.transport)
        writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._dice.random() < 0.1:
            self._end(writer, "opened")
            return
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self._dice.random() < 0.1:
                await reader.readexactly(5)
                self._end(writer, "handshake")
                return
            await writer.start_tls(self._context)
            while await self._answer(reader, writer):
                pass

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        states = ("request", "asked", "answer", "answered")
        state = self._dice.choices(("", *states), (20, 1, 1, 1, 1))[0]
        await reader.readexactly(length // 2 if state == "request" else length)
        if state in {"", "answered"}:
            writer.write(_ANSWER)
        elif state == "answer":
            writer.write(_ANSWER[: self._dice.randrange(1, len(_ANSWER))])
        if state:
            self._end(writer, state)
        return not state


async def _ask(asking: client.Client, dice: random.Random) -> str:
    """One write; returns how it went."""
    try:
        content = {"spec": dice.choice(_CONTENTS)}
        await asking.merge_patch(objects.WIDGETS, objects.key(), content)
    except errors.TransportError:
        return "failed"
    return "answered"


@pytest.mark.parametrize("seed", range(3))
async def test_resets_fail_requests_and_nothing_else(tmp_path: pathlib.Path, seed: int) -> None:
    dice = random.Random(seed)
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    authority = Authority(tmp_path)
    server = Capricious(authority, dice)
    outcomes: collections.Counter[str] = collections.Counter()

    async def work(asking: client.Client) -> None:
        for _ in range(_EACH):
            outcomes[await _ask(asking, dice)] += 1

    async with server.serving() as url:
        config = servers.kubeconfig(url, None, **{"certificate-authority": "ca.crt"})
        path = tmp_path / "config"
        path.write_text(json.dumps(config))
        way = await connection.connect(kubeconfig=str(path), environ={})
        async with servers.talking_to(way) as asking, asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work(asking))
    assert told == []
    assert outcomes.total() == _AT_ONCE * _EACH
    assert min(outcomes["failed"], outcomes["answered"]) > _AT_ONCE
    assert set(server.resets) == {"opened", "handshake", "request", "asked", "answer", "answered"}

"""The sockets of the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import cast

PARTED_S = 30.0
_LINGER_NOT = struct.pack("ii", 1, 0)


def are_open() -> bool:
    """Whether the loop waits for any connection to a network, its own wake-up pipe aside."""
    loop = cast("asyncio.SelectorEventLoop", asyncio.get_running_loop())
    waited_for = loop._selector.get_map()  # type: ignore[attr-defined]  # the loop tells it nowhere else
    return any(_is_connected(descriptor) for descriptor in list(waited_for))


async def parted() -> None:
    """Let every connection say its TLS goodbye before the loop is closed.

    One that is cut off in it is a leak to the interpreter, which then blames a later test.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PARTED_S):
            while are_open():  # noqa: ASYNC110 - nothing tells when a socket closes
                await asyncio.sleep(0.01)


def reset_when_closed(transport: asyncio.BaseTransport) -> None:
    """Have the other end of a connection see a reset in place of its end, once that is closed."""
    held = transport.get_extra_info("socket")
    if held is not None:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)


def _is_connected(descriptor: int) -> bool:
    try:
        with socket.socket(fileno=descriptor) as found:
            try:
                return found.family in (socket.AF_INET, socket.AF_INET6)
            finally:
                found.detach()
    except OSError:
        # A pipe.
        return False

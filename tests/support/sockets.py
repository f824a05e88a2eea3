"""The sockets of the running event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import cast


def are_open() -> bool:
    """Whether the loop waits for any connection to a network, its own wake-up pipe aside."""
    loop = cast("asyncio.SelectorEventLoop", asyncio.get_running_loop())
    waited_for = loop._selector.get_map()  # type: ignore[attr-defined]  # the loop tells it nowhere else
    return any(_is_connected(descriptor) for descriptor in list(waited_for))


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

"""What holds for every suite."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import looptime
import pytest

from tests.support import sharing


class _Punctual:
    """How much too early a timer of virtual time may be: as little as the clock can tell.

    asyncio runs timers a nanosecond early. Virtual time does not go on by itself, so who then finds
    a rest of half a nanosecond and waits again would do it for ever.
    """

    def __get__(self, loop: asyncio.AbstractEventLoop, owner: type) -> float:
        return 2 * math.ulp(loop.time())

    def __set__(self, loop: asyncio.AbstractEventLoop, value: float) -> None:
        """Take no other."""


looptime.LoopTimeEventLoop._clock_resolution = _Punctual()  # type: ignore[attr-defined] # no option says it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest where several processes share the tests."""
    if sharing.worker():
        sharing.sort(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> sharing.Shares:  # noqa: ANN401
    """Say what stays together; by a mark it cannot be said with the pytest of this project."""
    return sharing.Shares(config, log)


def pytest_collection_finish() -> None:
    """Let there be no default event loop.

    looptime asks for it around each test, and around one that is not asynchronous that would make a
    loop that nobody closes.
    """
    asyncio.set_event_loop(None)

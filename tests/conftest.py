"""What holds for every suite."""

import asyncio


def pytest_collection_finish() -> None:
    """Let there be no default event loop.

    looptime asks for it around each test, and around one that is not asynchronous that would make a
    loop that nobody closes.
    """
    asyncio.set_event_loop(None)

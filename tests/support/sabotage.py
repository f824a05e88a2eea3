"""The program with a way to break it from inside, as no signal of the system can.

    python -m tests.support.sabotage [arguments of the program]

SIGUSR1 makes a worker die of an error that nothing foresees, at the next key it takes; the line
BROKEN in the log says that this is so. SIGUSR2 blocks the event loop for as many seconds as
WFE_TEST_BLOCK_S says. Nothing of this is in the program itself.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from workflowexecution import app, cli
from workflowexecution.runtime import queue, resource

BLOCK_S = "WFE_TEST_BLOCK_S"
BROKEN = "from now on a worker that takes a key dies"


class Unforeseen(Exception):
    """What no part of the program knows."""


def _block() -> None:
    time.sleep(float(os.environ[BLOCK_S]))


def install() -> None:
    """Put the ways to break it in place."""
    broken = asyncio.Event()
    take, run = queue.WorkQueue.get, app.run

    async def get(work: queue.WorkQueue) -> resource.ObjectKey:
        key = await take(work)
        if broken.is_set():
            raise Unforeseen
        return key

    def fail() -> None:
        broken.set()
        sys.stderr.write(f"{BROKEN}\n")
        sys.stderr.flush()

    async def prepared(*args: object, **options: object) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, fail)
        loop.add_signal_handler(signal.SIGUSR2, _block)
        await run(*args, **options)  # type: ignore[arg-type]  # handed on as they come

    setattr(queue.WorkQueue, "get", get)  # noqa: B010 - the point of this module
    app.run = prepared


if __name__ == "__main__":
    install()
    sys.exit(cli.main())

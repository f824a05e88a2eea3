"""What the benchmark's own long-running scripts share."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine

import uvloop


def run(main: Coroutine[None, None, None]) -> None:
    """Run until SIGTERM."""
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_until_told(main))


def say_ready() -> None:
    """Print the line that `processes.Process.wait_ready_line` waits for."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


async def _until_told(main: Coroutine[None, None, None]) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(main)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)

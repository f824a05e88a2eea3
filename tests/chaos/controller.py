"""The real program with crash points in it: `python -m tests.chaos.controller --folder F -- ...`.

Everything is put together as `workflowexecution` does it; only the classes of its two clients are
replaced by ones that run into a trap. Two signals belong to this entry point alone: SIGUSR1 writes
down how many tasks there are, SIGUSR2 obeys an order that blocks the loop or moves the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from tests.chaos import trap
from workflowexecution import cli
from workflowexecution.adapters import auditclient
from workflowexecution.runtime import client, clock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


class Clockwork:
    """The wall clock of this process, which an order moves."""

    ahead = datetime.timedelta()

    class Shown(datetime.datetime):
        """What the program takes for the time of day."""

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:  # noqa: ANN401 - as its parent
            return datetime.datetime.now(tz) + Clockwork.ahead


class Orders:
    """What signals make this process do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def install(self) -> None:
        """Listen for them."""
        signal.signal(signal.SIGUSR1, self._count)
        signal.signal(signal.SIGUSR2, self._obey)
        listening(self._folder, os.getpid()).touch()

    def _count(self, number: int, frame: FrameType | None) -> None:
        """Write down the tasks of the loop, by what they run."""
        tasks = Counter(
            getattr(it.get_coro(), "__qualname__", str(it.get_coro()))
            for it in asyncio.all_tasks()
            if not it.done()
        )
        made = self._folder / f".census-{os.getpid()}"
        made.write_text(json.dumps(tasks))
        made.rename(census(self._folder, os.getpid()))

    def _obey(self, number: int, frame: FrameType | None) -> None:
        """Block the loop, or move the clock, as the file says."""
        order = json.loads(orders(self._folder, os.getpid()).read_text())
        Clockwork.ahead += datetime.timedelta(seconds=order.get("jump_s", 0.0))
        time.sleep(order.get("block_s", 0.0))


def listening(folder: Path, pid: int) -> Path:
    """What a process makes when signals no longer kill it."""
    return folder / f"listening-{pid}"


def census(folder: Path, pid: int) -> Path:
    """Where a process writes its tasks down."""
    return folder / f"census-{pid}.json"


def orders(folder: Path, pid: int) -> Path:
    """Where a process finds its order."""
    return folder / f"orders-{pid}.json"


def main(arguments: Sequence[str]) -> int:
    """Run the program until it ends; returns its exit code."""
    parser = argparse.ArgumentParser(prog="tests.chaos.controller")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    made = trap.Trap(options.folder)
    Orders(options.folder).install()
    shown = SimpleNamespace(
        datetime=Clockwork.Shown, UTC=datetime.UTC, timedelta=datetime.timedelta
    )
    with (
        mock.patch.object(client, "Client", trap.client_with(made)),
        mock.patch.object(auditclient, "AuditClient", trap.store_with(made)),
        mock.patch.object(clock, "datetime", shown),
    ):
        return cli.main([it for it in options.program if it != "--"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

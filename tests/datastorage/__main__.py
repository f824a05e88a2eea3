"""`python -m tests.datastorage [--port 8080] [--dialect current]`: the stand-in for local use."""

from __future__ import annotations

import argparse
import asyncio
import signal

from tests.datastorage import dialects, postgres
from tests.datastorage.server import DataStorage
from tests.datastorage.table import Table


def main() -> None:
    """Run it until it is interrupted; what it stored goes with it."""
    parser = argparse.ArgumentParser(prog="tests.datastorage", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--dialect", choices=sorted(dialects.DIALECTS), default="december")
    arguments = parser.parse_args()
    # Whoever ends it, PostgreSQL is to end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with postgres.running() as url:
            asyncio.run(_serve(url, arguments))
    except KeyboardInterrupt:
        pass


async def _serve(url: str, arguments: argparse.Namespace) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    table = await Table.open(url)
    try:
        storage = DataStorage(table, dialect=arguments.dialect, port=arguments.port)
        async with storage.running():
            say = f"Data Storage ({storage.dialect}) on {storage.url}, PostgreSQL on {url}\nready"
            print(say, flush=True)  # noqa: T201 - a person started it, or waits for the last word
            await told.wait()
    finally:
        await table.close()


if __name__ == "__main__":
    main()

"""`python -m tests.datastorage [--port 8080] [--dialect current]`: the stand-in for local use."""

from __future__ import annotations

import argparse
import asyncio

from tests.datastorage import dialects, postgres
from tests.datastorage.server import DataStorage
from tests.datastorage.table import Table


def main() -> None:
    """Run it until it is interrupted; what it stored goes with it."""
    parser = argparse.ArgumentParser(prog="tests.datastorage", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--dialect", choices=sorted(dialects.DIALECTS), default="december")
    arguments = parser.parse_args()
    with postgres.running() as url:
        asyncio.run(_serve(url, arguments))


async def _serve(url: str, arguments: argparse.Namespace) -> None:
    table = await Table.open(url)
    try:
        storage = DataStorage(table, dialect=arguments.dialect, port=arguments.port)
        async with storage.running():
            print(f"Data Storage ({storage.dialect}) on {storage.url}, PostgreSQL on {url}")  # noqa: T201 - a person started it
            await asyncio.Event().wait()
    finally:
        await table.close()


if __name__ == "__main__":
    main()

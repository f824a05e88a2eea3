"""`python -m tests.demo embedded|real`: exit code 0 when the story went as it is told."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.demo import embedded, real, story
from tests.demo.screen import Screen


def main() -> int:
    """Tell the story on the stage that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo")
    parser.add_argument("stage", choices=("embedded", "real"))
    chosen = parser.parse_args().stage
    screen = Screen()
    screen.title(f"a remediation runs, another fails and is explained ({chosen} cluster)")
    try:
        with tempfile.TemporaryDirectory(prefix="workflowexecution-demo-") as folder:
            _tell(screen, chosen, Path(folder))
    except story.Unexpected as error:
        print(f"\nthe demo did not go as it should: {error}", file=sys.stderr)
        return 1
    screen.say("nothing is left running")
    return 0


def _tell(screen: Screen, chosen: str, folder: Path) -> None:
    if chosen == "embedded":
        asyncio.run(embedded.tell(screen, folder))
        return
    with real.raised(screen) as stage:
        asyncio.run(story.tell(screen, stage, folder))


if __name__ == "__main__":
    raise SystemExit(main())

"""The command line: `python -m tests.chaos --rounds 300 [--seed 1]`, or `--summary`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos import plan, results, runner, stage
from tests.datastorage import postgres
from tests.integration import people
from tests.support import controlplane

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from tests.stack.cluster import Stack


def main(arguments: list[str] | None = None) -> int:
    """Play; returns 1 when anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, help="of the first round; default: after the last kept")
    parser.add_argument("--keep", type=Path, default=results.FILE, help="where results are kept")
    parser.add_argument("--summary", action="store_true", help="only show what is kept")
    parser.add_argument("--plan", action="store_true", help="only show what would be played")
    options = parser.parse_args(arguments)
    first = options.seed or results.next_seed(options.keep)
    seeds = range(first, first + options.rounds)
    if options.summary:
        _tell(results.summary(results.load(options.keep)))
        return 0
    if options.plan:
        for seed in seeds:
            _tell(str(plan.draw(seed)))
        return 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        with _cluster() as stack, postgres.running() as database:
            return asyncio.run(_play(stack, database, seeds, options.keep))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; what was played is kept, the next run goes on\n")
        return 130


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _cluster() -> Iterator[Stack]:
    with controlplane.fresh("chaos") as stack, people.policy(stack):
        yield stack


async def _play(stack: Stack, database: str, seeds: range, keep: Path) -> int:
    bad = 0
    folder = Path(tempfile.mkdtemp(prefix="wfe-chaos-"))
    _tell(f"seeds {seeds.start} to {seeds.stop - 1}; logs in {folder}")
    async with stage.opened(stack, database, folder) as made:
        await made.set_up(plan.draw(seeds.start).cooldown_s)
        if len(seeds) >= plan.SETTINGS_FOR:
            await runner.take_levels(made)
        for seed in seeds:
            result = await runner.play(made, seed, _tell)
            if made.levels and plan.is_last_of_settings(seed):
                result.problems.extend(await _leaks(made, seed))
            results.append(result, keep)
            bad += bool(result.problems)
    _tell(f"{len(seeds)} rounds, {bad} with a problem")
    return 1 if bad else 0


async def _leaks(made: stage.Stage, seed: int) -> list[str]:
    _tell(f"  at rest after seed {seed}: lives of {[it.rounds for it in made.replicas]} rounds")
    found = await runner.at_rest(made)
    for leak in found:
        _tell(f"  left after seed {seed}: {leak}")
    return [f"left: {it}" for it in found]


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

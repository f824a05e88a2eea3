"""What became of rounds: a JSON line each, appended, from which the next run goes on."""

from __future__ import annotations

import collections
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.chaos import points

FILE = Path(__file__).parents[2] / "benchmarks" / "chaos" / "rounds.jsonl"
FIRST_SEED = 1


@dataclass(frozen=True, slots=True)
class Result:
    """One round.

    Attributes:
        point: where a controller was to be killed; empty: nowhere.
        fired: whether one was.
        mishaps: their codes.
        executions: how many were asked for, probes included.
        seconds: from its beginning to its judgement.
        doubles: audit records there twice, by two leaders.
        lost: controllers that ended since they had lost their lease.
        problems: what was wrong.
        fired_in: the step of the round in which one was killed.
        ran: how many runs were created, probes included; None: it was not counted.
        aftermath: codes of what befell the successor of a controller that was killed; empty:
            nothing, or nobody was killed.
        unmet: codes of what met nobody; None: it was not looked at.
    """

    seed: int
    point: str
    fired: bool
    mishaps: list[str]
    executions: int
    seconds: float
    doubles: int
    lost: int
    problems: list[str]
    fired_in: str = ""
    ran: int | None = None
    aftermath: list[str] = field(default_factory=list)
    unmet: list[str] | None = None


def append(result: Result, file: Path = FILE) -> None:
    """Keep a result."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        stream.write(json.dumps(asdict(result)) + "\n")


def load(file: Path = FILE) -> list[Result]:
    """Every result that was kept."""
    if not file.exists():
        return []
    return [Result(**json.loads(line)) for line in file.read_text().splitlines()]


def next_seed(file: Path = FILE) -> int:
    """Where to go on."""
    return max((it.seed for it in load(file)), default=FIRST_SEED - 1) + 1


def summary(results: list[Result]) -> str:
    """The table for people: what was played, and which points killed how often."""
    killed = collections.Counter(it.point for it in results if it.fired)
    asked = collections.Counter(it.point for it in results if it.point)
    bad = [it.seed for it in results if it.problems]
    seconds = sum(it.seconds for it in results)
    counted = [it for it in results if it.ran is not None]
    asked_there = sum(it.executions for it in counted)
    looked = [it for it in results if it.unmet is not None]
    codes = sum(len(it.mishaps) + len(it.aftermath) for it in looked)
    lines = [
        f"rounds               {len(results)}",
        f"with a problem       {len(bad)} {bad or ''}".rstrip(),
        f"executions           {sum(it.executions for it in results)}",
        f"runs of those        {sum(it.ran or 0 for it in counted)} of {asked_there},"
        f" counted in {len(counted)} rounds",
        f"killed at a point    {sum(killed.values())} of {sum(asked.values())}",
        f"with an aftermath    {sum(bool(it.aftermath) for it in results)}",
        f"faults that met none {sum(len(it.unmet or ()) for it in looked)} of {codes},"
        f" looked at in {len(looked)} rounds",
        f"leases lost          {sum(it.lost for it in results)}",
        f"records twice        {sum(it.doubles for it in results)}",
        f"seconds a round      {seconds / max(1, len(results)):.1f}",
    ]
    wanted = [str(it) for it in points.POINTS if it.kind not in points.SLOW]
    missing = [it for it in wanted if not killed[it]]
    lines += [f"points without a death  {len(missing)} of {len(wanted)}: {', '.join(missing)}"]
    return "\n".join(lines)

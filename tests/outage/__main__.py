"""`python -m tests.outage --minutes 10`: the whole proof, beside the same run without an outage."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.outage import course, verdict
from tests.outage.schedule import Schedule

if TYPE_CHECKING:
    from tests.outage.course import Course

_MEGA = 1_000_000
_MILLI = 1000
_SHOWN = 20


def main(arguments: list[str] | None = None) -> int:
    """Run it; returns 0 when everything is as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.outage", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the store is stopped")
    parser.add_argument("--rate", type=float, default=10.0, help="executions a second")
    parser.add_argument("--alone", action="store_true", help="compare with no other run")
    parser.add_argument("--folder", type=Path, help="keep logs and export there")
    options = parser.parse_args(arguments)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="wfe-outage-"))
    _say(f"logs and export: {folder}")
    plain = None
    if not options.alone:
        _say("without an outage:")
        schedule = Schedule(options.minutes, options.rate, faulty=False)
        plain = course.run(schedule, folder / "without", _say)
        _tell(plain)
    _say("with the outage:")
    struck = course.run(Schedule(options.minutes, options.rate), folder / "with", _say)
    _tell(struck)
    told = verdict.wrongs(struck)
    if plain is not None:
        _compare(struck, plain)
        told += verdict.wrongs(plain) + verdict.beyond(struck, plain)
    for wrong in told[:_SHOWN]:
        _say(f"WRONG {wrong}")
    _say(f"{len(told)} wrong" if told else "as it must be")
    return 1 if told else 0


def _tell(found: Course) -> None:
    written = found.witness.transitions
    _say(
        f"{found.size} executions, {found.deleted} deleted; {written.total()} transitions written, "
        f"{found.rows.total()} rows; at most {found.outbox} records in the outbox; "
        f"nothing due {found.drained_s:.0f} s after the load"
    )
    _say(f"audit verify: exit {found.verified[0]}: {found.verified[1]}")
    counts = ", ".join(f"{count:.0f} {name}" for name, count in verdict.records(found).items())
    _say(f"records by the controllers' count: {counts}")
    for name, value in verdict.latencies(found).items():
        _say(f"p99 {name}: {value * _MILLI:.1f} ms")
    for act, planned in found.schedule.killed.items():
        _say(f"controllers that ended by {act.value}: {found.seen.killed[act]} of {planned}")
    _say(f"controllers that ended by themselves: {found.seen.gave_up}")
    _say(f"refused requests: {dict(found.witness.refused)}")


def _compare(struck: Course, plain: Course) -> None:
    for name, ratio in verdict.ratios(struck, plain).items():
        _say(f"p99 {name}, with to without: {ratio:.2f}")
    compared = verdict.memory(struck, plain)
    for each in compared:
        _say(
            f"memory after {each.term} kills at {each.executions} executions: "
            f"{each.with_outage / _MEGA:.1f} MB, without {each.without / _MEGA:.1f} MB, "
            f"{each.extra / _MEGA:.1f} MB more"
        )
    _say(f"memory for each execution, with to without: {verdict.growth(compared):.2f}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())

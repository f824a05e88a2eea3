"""The command line of the benchmark."""

import argparse
import dataclasses
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from tests.benchmark import cluster, lock, machine, measure, processes, report, results, targets
from tests.benchmark.measure import Measurement, Plan
from tests.benchmark.results import Results
from tests.benchmark.subjects import Subject
from tests.stack import errors

_BURST = 1000
_SMALL_BURST = 100
_STORED = 10_000
_RATE = 20.0
_SECONDS = 30
_FULL_LIMIT_S = 300.0

SCENARIOS = {
    "burst": Plan("burst", Subject.CONTROLLER, _BURST),
    "burst-full": Plan(
        "burst-full", Subject.CONTROLLER, _BURST, tekton="full", limit_s=_FULL_LIMIT_S
    ),
    "burst-small": Plan("burst-small", Subject.CONTROLLER, _SMALL_BURST, whole_life=True),
    "steady": Plan("steady", Subject.CONTROLLER, int(_RATE * _SECONDS), rate=_RATE),
    "start": Plan("start", Subject.CONTROLLER, _STORED),
    "lock": Plan("lock", Subject.CONTROLLER, _STORED),
}
_TAKES = {"start": measure.take_start, "lock": lock.take}
_WITH_FLOOR = ("burst", "burst-full")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    options = _parser().parse_args(arguments)
    try:
        return _table(options) if options.command == "table" else _run(options)
    except (errors.StackError, processes.Failed) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; everything is ended\n")
        return 130


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(options: argparse.Namespace) -> int:
    date, facts = results.now(), machine.facts()
    measurements: list[Measurement] = []
    for _ in range(options.repeat):
        for plan in _plans(options, measurements):
            _say(f"{plan.scenario}: {plan.subject.value}, {plan.size} executions ...")
            take = _TAKES.get(plan.scenario, measure.take)
            measurements.append(take(plan, options.crd))
    found = Results(date=date, facts=facts, measurements=measurements)
    sys.stdout.write(f"{report.terminal(found)}\n")
    if options.output:
        path = results.save(found, targets.rows(found), options.output)
        sys.stdout.write(f"\nresults: {path}\n")
    return 0


def _plans(options: argparse.Namespace, taken: list[Measurement]) -> Iterator[Plan]:
    """Yield what is to be measured; which floor goes with the controller shows as it runs."""
    for name in options.scenario or SCENARIOS:
        plan = SCENARIOS[name]
        if options.size:
            plan = dataclasses.replace(plan, size=options.size)
        if options.run_duration:
            plan = dataclasses.replace(plan, run_duration_s=options.run_duration)
        if options.subject:
            yield from (
                dataclasses.replace(plan, subject=Subject(each)) for each in options.subject
            )
            continue
        yield plan
        if name in _WITH_FLOOR:
            floor = results.matching_floor(taken)
            yield dataclasses.replace(plan, subject=floor)
            if name == "burst":
                other = Subject.FLOOR_4 if floor is Subject.FLOOR_6 else Subject.FLOOR_6
                yield dataclasses.replace(plan, subject=other)


def _table(options: argparse.Namespace) -> int:
    path = options.file or results.newest(results.FOLDER)
    if path is None:
        sys.stderr.write(f"error: no results in {results.FOLDER}\n")
        return 1
    found = results.load(path)
    if options.write:
        report.write(found, options.write)
    else:
        sys.stdout.write(f"{report.markdown(found)}\n")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__)
    parser.set_defaults(command="run")
    _add_run_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="table")
    table = commands.add_parser("table", help="render kept results as a table for a README")
    table.add_argument("file", nargs="?", type=Path, help="results (default: the newest)")
    table.add_argument(
        "--write",
        nargs="?",
        type=Path,
        const=results.FOLDER / "README.md",
        metavar="FILE",
        help="put the table between its marks in this file (default: benchmarks/README.md)",
    )
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scenario", action="append", choices=list(SCENARIOS), help="may be repeated; default: all"
    )
    parser.add_argument(
        "--subject",
        action="append",
        choices=[each.value for each in Subject],
        help="measure only this, may be repeated (default: the controller and its floors)",
    )
    parser.add_argument("--size", type=int, help="executions, instead of the scenario's own number")
    parser.add_argument("--repeat", type=int, default=1, help="take medians of so many rounds")
    parser.add_argument(
        "--run-duration", type=float, default=0.0, help="let each run take so many seconds"
    )
    parser.add_argument("--crd", type=Path, default=cluster.CRD, help="another CRD to measure with")
    parser.add_argument(
        "--output", type=Path, default=results.FOLDER, help="folder for the results as JSON"
    )
    parser.add_argument(
        "--no-save", dest="output", action="store_const", const=None, help="keep no results"
    )


if __name__ == "__main__":
    raise SystemExit(main())

"""The command line of the benchmark."""

import argparse
import dataclasses
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tests.benchmark import machine, profiling, report, results, targets
from tests.benchmark.catalog import SCENARIOS
from tests.benchmark.measure import Measurement, Plan
from tests.benchmark.recording import Audit
from tests.benchmark.results import Results
from tests.benchmark.subjects import Subject
from tests.stack import errors
from tests.support import controlplane, processes


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
    crd = options.crd or controlplane.CRD
    measurements: list[Measurement] = []
    try:
        for _ in range(options.repeat):
            for plan in _plans(options, measurements):
                _say(f"{plan.scenario}: {plan.subject.value}, {plan.size} executions ...")
                measurements.append(SCENARIOS[plan.scenario].take(plan, crd))
    finally:
        # One that fails takes nothing of the hour before with it.
        if measurements:
            _keep(Results(date=date, facts=facts, measurements=measurements), _folder(options))
    return 0


def _keep(found: Results, folder: Path | None) -> None:
    sys.stdout.write(f"{report.terminal(found)}\n")
    if folder:
        path = results.save(found, targets.rows(found), folder)
        sys.stdout.write(f"\nresults: {path}\n")


def _folder(options: argparse.Namespace) -> Path | None:
    """Where results are kept, if they are: beside those of whole scenarios nothing else."""
    if options.no_save:
        return None
    changed = ("subject", "size", "limit", "run_duration", "audit", "profile", "crd")
    is_whole = not any(getattr(options, name) for name in changed)
    return options.output or (results.FOLDER if is_whole else None)


def _plans(options: argparse.Namespace, taken: list[Measurement]) -> Iterator[Plan]:
    """Yield what is to be measured; which floor goes with the controller shows as it runs."""
    for name in options.scenario or _chosen(options):
        scenario = SCENARIOS[name]
        plan = _wished(scenario.plan, options)
        if options.subject:
            yield from (
                dataclasses.replace(plan, subject=Subject(each)) for each in options.subject
            )
            continue
        yield plan
        if scenario.floor:
            yield dataclasses.replace(plan, subject=results.matching_floor(taken))
        yield from (dataclasses.replace(plan, subject=each) for each in scenario.beside)


def _chosen(options: argparse.Namespace) -> list[str]:
    return [name for name, each in SCENARIOS.items() if each.daily or options.suite]


def _wished(plan: Plan, options: argparse.Namespace) -> Plan:
    """The scenario's plan with what the command line says otherwise."""
    wished: dict[str, Any] = {}
    if options.audit:
        wished["audit"] = Audit(options.audit)
    if options.size:
        wished["size"] = options.size
    if options.limit:
        wished["limit_s"] = options.limit
    if options.run_duration:
        wished["run_duration_s"] = options.run_duration
    plan = dataclasses.replace(plan, **wished)
    return dataclasses.replace(plan, profile=_profile(plan, options)) if options.profile else plan


def _profile(plan: Plan, options: argparse.Namespace) -> profiling.Profile:
    kind = profiling.Kind(options.profile)
    name = plan.scenario if kind is profiling.Kind.TIME else f"{plan.scenario}-{kind.value}"
    title = f"{plan.scenario}, {Subject.CONTROLLER.value}, {plan.size} executions"
    return profiling.Profile(kind, profiling.FOLDER / f"{name}.txt", title)


def _table(options: argparse.Namespace) -> int:
    files: list[Path] = options.file
    found = [results.load(path) for path in files] or results.newest(results.FOLDER)
    if not found:
        sys.stderr.write(f"error: no results in {results.FOLDER}\n")
        return 1
    if options.write:
        report.write(found, options.write)
        report.document(found)
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
    table.add_argument(
        "file", nargs="*", type=Path, help="results (default: the newest of each scenario)"
    )
    table.add_argument(
        "--write",
        nargs="?",
        type=Path,
        const=results.FOLDER / "README.md",
        metavar="FILE",
        help="put the table between its marks in this file (default: benchmarks/README.md), and "
        "with a picture into docs/performance.md",
    )
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scenario",
        action="append",
        choices=list(SCENARIOS),
        help="may be repeated; default: those of make bench",
    )
    parser.add_argument(
        "--subject",
        action="append",
        choices=[each.value for each in Subject],
        help="measure only this, may be repeated (default: the controller and its floors)",
    )
    parser.add_argument("--suite", action="store_true", help="all scenarios: more than an hour")
    parser.add_argument("--limit", type=float, help="seconds for the load to end, or to be at rest")
    parser.add_argument("--size", type=int, help="executions, instead of the scenario's own number")
    parser.add_argument("--repeat", type=int, default=1, help="take medians of so many rounds")
    parser.add_argument(
        "--run-duration", type=float, default=0.0, help="let each run take so many seconds"
    )
    parser.add_argument(
        "--audit",
        choices=[each.value for each in Audit],
        help="where audit records go: http is a Data Storage over PostgreSQL (default: log, unless "
        "the scenario is about it)",
    )
    parser.add_argument(
        "--profile",
        nargs="?",
        const=profiling.Kind.TIME.value,
        choices=[each.value for each in profiling.Kind],
        help="also write where the time goes, or the memory, to benchmarks/profiles; the figures "
        "are no use then",
    )
    parser.add_argument("--crd", type=Path, help="another CRD to measure with")
    parser.add_argument(
        "--output",
        type=Path,
        help="folder for the results as JSON (default: benchmarks; none where a scenario is "
        "changed by another option, or is not measured as a whole)",
    )
    parser.add_argument("--no-save", action="store_true", help="keep no results")


if __name__ == "__main__":
    raise SystemExit(main())

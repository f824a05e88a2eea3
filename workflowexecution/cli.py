"""The command line: arguments in, an exit code out.

Exit codes: 0 after a clean stop, 1 when the program failed, 2 when arguments or settings are wrong,
and those of `screen`.
`audit`, `uninstall`, `lint` and `bundle` are commands of their own; the controller needs none.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
import structlog

from workflowexecution import (
    app,
    auditcommands,
    bundlearguments,
    config,
    identity,
    logs,
    screen,
    settings,
    uninstall,
)
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
GC_THRESHOLDS = (50_000, 20, 50)

# A switch of Go may stand without its value.
_SWITCHES = frozenset({"--leader-elect", "--zap-devel"})
_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the controller until it is told to stop, or a command; returns the exit code."""
    outcome = screen.run(lambda: _command(argv))
    return outcome if isinstance(outcome, int) else screen.serve(outcome)


def _command(argv: Sequence[str] | None) -> int | Callable[[], int]:
    """Do what is asked for, and return its exit code; the controller is left to be run."""
    arguments = _parser().parse_args(argv)
    if arguments.command == "uninstall":
        return _uninstall(arguments)
    if arguments.command in bundlearguments.COMMANDS:
        return bundlearguments.run(arguments)
    flags = {key: value for key, value in vars(arguments).items() if "." in key}
    try:
        source = config.Source(arguments.config, flags)
        found = source.load()
    except config.ConfigurationError as error:
        for problem in error.problems:
            print(f"workflowexecution: {problem}", file=sys.stderr)  # noqa: T201 - before logging
        return EXIT_USAGE
    if arguments.command == "audit":
        logs.configure(level="warning", form="console", identity=identity.identity_of())
        _warn_of_strangers(source)
        wish = auditcommands.Wish(arguments.since, arguments.log, arguments.export)
        return auditcommands.run(found, wish, kubeconfig=arguments.kubeconfig)
    return functools.partial(_control, found, source, arguments.kubeconfig)


def _control(found: settings.Settings, source: config.Source, kubeconfig: Path | None) -> int:
    # The caches hold many long-lived objects and make no cycles: the collector's default pace
    # doubles the CPU of reading them, and finds nothing.
    gc.set_threshold(*GC_THRESHOLDS)
    who = identity.identity_of()
    logs.configure(level=found.logging.level, form=found.logging.format, identity=who)
    _warn_of_strangers(source)
    try:
        work = app.run(found, kubeconfig=kubeconfig, identity=who, source=source)
        asyncio.run(work)
    except app.CannotStart as error:
        with contextlib.suppress(OSError):
            print(f"workflowexecution: {error}", file=sys.stderr)  # noqa: T201 - a person started it
        return EXIT_USAGE
    except app.Failed:
        return EXIT_FAILED
    return EXIT_OK


def _warn_of_strangers(source: config.Source) -> None:
    """Name what looks like a setting of the environment and has no effect; its value stays out."""
    for name in source.strangers():
        structlog.get_logger().warning("Environment variable is no setting", variable=name)


def _uninstall(arguments: argparse.Namespace) -> int:
    """Free what a controller that was removed has left; whether or not anybody is told of it."""
    person = screen.Person()
    wish = uninstall.Wish(arguments.namespace or "", arguments.dry_run)
    work = uninstall.run(
        wish,
        kubeconfig=arguments.kubeconfig,
        identity=identity.identity_of(),
        tell=person.tell,
        confirm=_confirmed if arguments.yes else person.ask,
    )
    try:
        outcome = asyncio.run(work)
    except uninstall.CannotUninstall as error:
        print(f"workflowexecution: {error}", file=sys.stderr)  # noqa: T201 - a person started it
        return EXIT_USAGE
    except errors.ClusterError as error:
        print(f"workflowexecution: {error}", file=sys.stderr)  # noqa: T201 - a person started it
        return EXIT_FAILED
    return EXIT_FAILED if outcome.failed or outcome.refused else EXIT_OK


def _confirmed(_: str) -> bool:
    """Who says --yes has read the question."""
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="workflowexecution",
        description="Runs one Tekton PipelineRun for each WorkflowExecution, safely.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=identity.version())
    parser.add_argument(
        "--config", type=_file, default=None, metavar="FILE",
        help=f"settings in YAML (default: {config.DEFAULT_PATH} where it exists)",
    )  # fmt: skip
    parser.add_argument(
        "--kubeconfig", type=_file, default=None, metavar="FILE",
        help="default: KUBECONFIG, else the service account in a pod, else ~/.kube/config",
    )  # fmt: skip
    parser.add_argument("--log-level", dest="logging.level", metavar="LEVEL",
                        help="debug, info, warning or error")  # fmt: skip
    aliases = parser.add_argument_group(
        "flags of the Go implementation, each for one setting or for none"
    )
    for flag, key, convert in _ALIASES:
        optional: dict[str, Any] = {"nargs": "?", "const": "true"} if flag in _SWITCHES else {}
        aliases.add_argument(flag, dest=key, type=convert, metavar="VALUE", help=key, **optional)
    for flag, values, why in _WITHOUT_EFFECT:
        aliases.add_argument(flag, choices=values, metavar="VALUE", help=f"without effect: {why}")
    parser.set_defaults(command="")
    commands = parser.add_subparsers(title="commands", metavar="audit | bundle | lint | uninstall")
    _add_audit(commands)
    _add_uninstall(commands)
    bundlearguments.add(commands)
    return parser


def _add_audit(commands: Commands) -> None:
    audit = commands.add_parser("audit", help="set the audit trail right")
    audit.set_defaults(command="audit", since=None, log=None, export=None)
    steps = audit.add_subparsers(required=True, metavar="replay | verify")
    replay = steps.add_parser("replay", help="send what the Data Storage lacks")
    what = replay.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--since", type=auditcommands.moment, metavar="TIME",
        help="of transitions since then: 2026-03-01, or 2026-03-01T12:00:00Z",
    )  # fmt: skip
    what.add_argument(
        "--log", type=Path, metavar="FILE",
        help="of records that this log of the controller has alone (JSON lines; -: stdin)",
    )  # fmt: skip
    verify = steps.add_parser("verify", help="report gaps and doubles of an export")
    verify.add_argument(
        "--export", type=Path, required=True, metavar="FILE",
        help="JSON lines: rows of the Data Storage, or the log",
    )  # fmt: skip
    for parser in (audit, replay, verify):
        _add_again(parser, "--config", "--kubeconfig")


def _add_uninstall(commands: Commands) -> None:
    uninstalling = commands.add_parser(
        "uninstall",
        help="free the executions that a controller which was removed has left",
        allow_abbrev=False,
    )
    uninstalling.set_defaults(command="uninstall")
    uninstalling.add_argument(
        "--finalizers", action="store_true", required=True,
        help="take this program's finalizers off all executions; their runs are not touched",
    )  # fmt: skip
    uninstalling.add_argument(
        "--namespace", type=_namespace, default=None, help="only of this one (default: all)"
    )
    uninstalling.add_argument("--dry-run", action="store_true", help="only say what would be done")
    uninstalling.add_argument("--yes", action="store_true", help="do not ask")
    _add_again(uninstalling, "--kubeconfig")


def _add_again(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Take flags of the program after the name of a command, too."""
    for flag in flags:
        # Without a default, which would hide what stands before the name.
        parser.add_argument(
            flag, type=_file, default=argparse.SUPPRESS, metavar="FILE", help="as without a command"
        )


def _file(text: str) -> Path:
    """A file by its name; an empty one, as of a variable that is not set, is none."""
    if not text:
        msg = "must name a file"
        raise argparse.ArgumentTypeError(msg)
    return Path(text)


def _namespace(text: str) -> str:
    """A namespace by its name; an empty one, as of a variable that is not set, is not all."""
    try:
        return pydantic.TypeAdapter(settings.DnsLabel).validate_python(text)
    except pydantic.ValidationError as error:
        msg = f"{text!r} is not the name of a namespace"
        raise argparse.ArgumentTypeError(msg) from error


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        msg = f"{text!r} is not true or false"
        raise argparse.ArgumentTypeError(msg)
    return _BOOLEANS[text.lower()]


def _counted(unit: str) -> Callable[[str], str]:
    """A plain number in the flag's own unit; a duration with a unit is taken as it is."""

    def convert(text: str) -> str:
        return f"{text}{unit}" if text.isdigit() else text

    return convert


def _zap_level(text: str) -> str:
    """A level of zap: a name, or a verbosity, of which all above 0 are debug."""
    if text.isdecimal():
        return "debug" if int(text) else "info"
    return {"panic": "error"}.get(text, text)


def _zap_devel(text: str) -> str:
    return "console" if _boolean(text) else "json"


_ALIASES: tuple[tuple[str, str, Callable[[str], object]], ...] = (
    ("--metrics-bind-address", "controller.metricsAddr", str),
    ("--health-probe-bind-address", "controller.healthProbeAddr", str),
    ("--leader-elect", "controller.leaderElection", _boolean),
    ("--execution-namespace", "execution.namespace", str),
    ("--cooldown-period", "execution.cooldownPeriod", _counted("m")),
    ("--service-account", "execution.serviceAccount", str),
    ("--base-cooldown-seconds", "backoff.baseCooldown", _counted("s")),
    ("--max-cooldown-minutes", "backoff.maxCooldown", _counted("m")),
    ("--max-backoff-exponent", "backoff.maxExponent", str),
    ("--max-consecutive-failures", "backoff.maxConsecutiveFailures", str),
    ("--datastorage-url", "datastorage.url", str),
    ("--zap-log-level", "logging.level", _zap_level),
    ("--zap-encoder", "logging.format", str),
    ("--zap-devel", "logging.format", _zap_devel),
)
# Taken, so that the arguments of a Deployment stay as they are.
_WITHOUT_EFFECT: tuple[tuple[str, Sequence[str], str], ...] = (
    (
        "--zap-stacktrace-level",
        ("info", "error", "panic"),
        "a traceback stands on the lines of errors that have one, at every level",
    ),
    (
        "--zap-time-encoding",
        ("epoch", "millis", "nano", "iso8601", "rfc3339", "rfc3339nano"),
        "times are ISO 8601 in UTC",
    ),
)

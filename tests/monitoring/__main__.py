"""`python -m tests.monitoring record [SITUATION ...]`, `python -m tests.monitoring rule`."""

from __future__ import annotations

import argparse
import pathlib

from tests.monitoring import rules, situations, stage
from workflowexecution import logs

GOLDEN = pathlib.Path(__file__).parent / "golden"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.monitoring")
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="record golden series again")
    recording.add_argument("names", nargs="*", metavar="SITUATION", help="default: all of them")
    commands.add_parser("rule", help="write prometheusrule.yaml from rules.yaml")
    arguments = parser.parse_args()
    if arguments.command == "rule":
        rules.OBJECT.write_text(rules.build_object(), "utf-8")
        return
    logs.configure(level="error", form="console", identity="recorder")
    GOLDEN.mkdir(exist_ok=True)
    for name in arguments.names or situations.ALL:
        stage.record(situations.ALL[name]).save(GOLDEN / f"{name}.yaml")
        print(f"recorded {name}")  # noqa: T201 - to a person


if __name__ == "__main__":
    main()

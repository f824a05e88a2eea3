"""The arguments of `workflowexecution lint` and `workflowexecution bundle`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflowexecution import bundlecommands
from workflowexecution.bundles import catalogue

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

COMMANDS = frozenset({"lint", "bundle"})


def add(commands: Commands) -> None:
    """Add both commands to the program's."""
    _add_lint(commands)
    _add_bundle(commands)


def run(arguments: argparse.Namespace) -> int:
    """Carry out the command; returns the exit code."""
    if arguments.command == "bundle":
        return bundlecommands.push(
            bundlecommands.Push(
                to=arguments.reference,
                files=arguments.files,
                images=dict(arguments.images),
                key=arguments.key,
                tekton=arguments.tekton,
                plain_http=arguments.plain_http,
                ca_file=arguments.ca_file,
                unchecked=arguments.unchecked,
            )
        )
    if arguments.explain:
        return bundlecommands.explain(arguments.explain)
    return bundlecommands.check(
        bundlecommands.Check(
            files=arguments.files,
            together=arguments.together,
            ignore=frozenset(arguments.ignore),
            images=dict(arguments.images),
            strict=arguments.strict,
            as_json=arguments.format == "json",
        )
    )


def _add_lint(commands: Commands) -> None:
    parser = commands.add_parser(
        "lint", help="check workflow bundles before they are pushed", allow_abbrev=False
    )
    parser.set_defaults(command="lint", explain="", images=[], ignore=[])
    parser.set_defaults(together=False, strict=False, format="text")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "files", type=Path, nargs="*", default=[], metavar="FILE", help="each is a bundle"
    )
    what.add_argument("--explain", metavar="RULE", help="say why a rule is one, with examples")
    parser.add_argument("--together", action="store_true", help="the files are one bundle")
    parser.add_argument(
        "--ignore", type=_rule, action="append", metavar="RULE",
        help="leave a rule out, by its number or its name; may be repeated",
    )  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="a warning counts as an error")
    parser.add_argument("--format", choices=("text", "json"), help="default: text")
    _add_images(parser)


def _add_bundle(commands: Commands) -> None:
    bundle = commands.add_parser("bundle", help="make workflow bundles", allow_abbrev=False)
    bundle.set_defaults(command="bundle")
    steps = bundle.add_subparsers(required=True, metavar="push")
    push = steps.add_parser("push", help="check, pack, sign and push a bundle", allow_abbrev=False)
    push.set_defaults(
        images=[], key=None, tekton="", plain_http=False, ca_file=None, unchecked=False
    )
    push.add_argument(
        "reference", metavar="REFERENCE", help="like registry.example/workflows/restart:1.0.0"
    )
    push.add_argument(
        "-f", "--file", dest="files", type=Path, action="append", required=True,
        metavar="FILE", help="of objects of the bundle; may be repeated",
    )  # fmt: skip
    push.add_argument(
        "--sign-key", dest="key", type=Path, metavar="FILE",
        help="private key (PEM) that signs the Pipeline as Tekton verifies it",
    )  # fmt: skip
    push.add_argument(
        "--tekton", metavar="VERSION", help="of Tekton that verifies the signature, like 1.9"
    )
    push.add_argument(
        "--no-lint", dest="unchecked", action="store_true", help="push what the linter refuses"
    )
    push.add_argument(
        "--plain-http", action="store_true", help="no TLS; always so on this machine's own ports"
    )
    push.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="certificates of the registry's authority"
    )
    _add_images(push)


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image", dest="images", type=_replacement, action=_Images, metavar="NAME=REFERENCE",
        help="what the image called NAME in the files is; may be repeated",
    )  # fmt: skip


class _Images(argparse.Action):
    """Collects what replaces images, each once."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,  # noqa: ANN401 - of the base
        option_string: str | None = None,
    ) -> None:
        """Add one."""
        name, image = values
        known = dict(namespace.images)
        if name in known:
            raise argparse.ArgumentError(self, f"{name} is given twice")
        namespace.images = [*namespace.images, (name, image)]


def _rule(text: str) -> str:
    """The number of a rule that is named by it or by its name."""
    rule = catalogue.find(text)
    if rule is None:
        raise argparse.ArgumentTypeError(bundlecommands.no_rule(text))
    return rule.id


def _replacement(text: str) -> tuple[str, str]:
    name, found, image = text.partition("=")
    if not (name and found and image):
        msg = f"{text!r} is not like tools=registry.example/tools:1.0.0@sha256:..."
        raise argparse.ArgumentTypeError(msg)
    return name, image

"""The command line of the stack."""

import argparse
import logging
import shlex
import sys

import yaml

from tests.stack import binaries, errors, imagebuild
from tests.stack.cluster import NodeKind, Parts, Stack


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except errors.StackError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in (
        ("up", "start the stack and wait until it is ready"),
        ("down", "end the stack and remove what it made"),
        ("status", "show each process and whether it is ready"),
        ("kubeconfig", "print the path of a kubeconfig"),
        ("env", "print what a shell needs to use it, for eval"),
        ("image", "build the controller's image and bring it into the node"),
    ):
        sub = commands.add_parser(command, help=text)
        sub.add_argument("--name", default="stack", help="which stack (default: stack)")
        if command == "kubeconfig":
            sub.add_argument("--user", default="admin", help="a user of the token file")
        if command == "up":
            _add_up_options(sub)
    build = commands.add_parser("build", help="build what `up` would build, and start nothing")
    build.add_argument("--parts", choices=[part.value for part in Parts], default=Parts.FULL.value)
    _add_tekton_option(build)
    _add_record_options(commands.add_parser("record", help="record failures of real Tekton"))
    return parser


def _add_record_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cases", nargs="*", metavar="CASE", help="see --list")
    parser.add_argument("--all", action="store_true", help="every case")
    parser.add_argument("--list", action="store_true", help="print the cases and record nothing")
    parser.add_argument("--keep", action="store_true", help="leave the stack running")
    _add_tekton_option(parser)


def _add_tekton_option(parser: argparse.ArgumentParser) -> None:
    versions = [binaries.module_version(module) for module in binaries.TEKTONS]
    parser.add_argument(
        "--tekton", choices=versions, default=versions[0], help="which Tekton (default: the first)"
    )


def _add_up_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", choices=[part.value for part in Parts], default=Parts.FULL.value)
    parser.add_argument("--base-port", type=int, help="first of 40 ports (default: free ones)")
    parser.add_argument("--tekton-crds", action="store_true", help="Tekton's CRDs without Tekton")
    parser.add_argument("--node", choices=[kind.value for kind in NodeKind], help="what runs pods")
    parser.add_argument(
        "--apiserver-flag", action="append", default=[], help="further flag, may be repeated"
    )
    parser.add_argument("--fresh", action="store_true", help="end a running one first")
    _add_tekton_option(parser)


def _run(options: argparse.Namespace) -> int:
    match options.command:
        case "up":
            stack = Stack(
                name=options.name,
                parts=Parts(options.parts),
                base_port=options.base_port,
                tekton_crds=options.tekton_crds,
                node_kind=NodeKind(options.node) if options.node else None,
                apiserver_flags=options.apiserver_flag,
                tekton=options.tekton,
            )
            stack.up(fresh=options.fresh)
            sys.stdout.write(f"{stack.kubeconfig}\n")
        case "build":
            Stack(name="build", parts=Parts(options.parts), tekton=options.tekton).build()
            if options.parts == Parts.FULL.value:
                binaries.ensure(binaries.TOOLS)
        case "record":
            return _record(options)
        case "down":
            Stack(name=options.name).down()
        case "image":
            sys.stdout.write(f"{_bring_image(Stack.find(options.name))}\n")
        case "env":
            sys.stdout.write(_environment(Stack.find(options.name)))
        case "kubeconfig":
            sys.stdout.write(f"{Stack.find(options.name).user_kubeconfig(options.user)}\n")
        case _:
            states = Stack.find(options.name).status()
            for name, state in states.items():
                sys.stdout.write(f"{name:<28}{state}\n")
            return 0 if set(states.values()) == {"ready"} else 1
    return 0


def _bring_image(stack: Stack) -> str:
    """Build the image that manifests/default names, and bring it into the node."""
    default = imagebuild.ROOT / "manifests" / "default" / "kustomization.yaml"
    (image,) = yaml.safe_load(default.read_text())["images"]
    tag: str = image["newTag"]
    built = imagebuild.build(tag, version=tag.removeprefix("v"))
    stack.import_archive(built.archive)
    return built.name


def _environment(stack: Stack) -> str:
    """Assignments for a shell: the administrator's kubeconfig, kubectl, the registry."""
    path = f"{stack.program('kubectl').parent}:$PATH"
    found = {"KUBECONFIG": str(stack.kubeconfig), "REGISTRY": stack.registry}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in found.items()]
    return "\n".join([*lines, f'export PATH="{path}"', ""])


def _record(options: argparse.Namespace) -> int:
    # The recorder stands above the stack, which needs nothing of it.
    from tests.golden import case, recorder

    if options.list:
        recorder.show()
        return 0
    try:
        return recorder.main(
            options.cases, everything=options.all, keep=options.keep, tekton=options.tekton
        )
    except case.CaseError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())

"""Which programs, processes and steps make up a stack, in the order in which they start."""

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.stack import (
    binaries,
    controlplane,
    crds,
    debian,
    errors,
    images,
    kwok,
    node,
    process,
    registry,
    settings,
    tekton,
    tektonfiles,
)
from tests.stack.process import Spec, Table
from tests.stack.settings import NodeKind, Settings, Wish

Programs = Mapping[str, Path]

_LOGS = "logs"


def provide(wish: Wish) -> Programs:
    """Find, install or build all that a stack needs, and return the paths of what is built.

    Raises:
        MissingTools: Something is missing and cannot be had.
        BuildFailed: A build ended with an error.
    """
    kind = wish.settled_node_kind
    names, packages = list(binaries.CONTROL_PLANE), dict[str, str]()
    if wish.parts.has_node:
        names += ["kube-scheduler", kind.value]
        if kind is NodeKind.KUBELET:
            _check_root()
            packages |= debian.NODE
    if wish.parts.has_tekton:
        names += binaries.TEKTON_PROCESSES
        packages |= debian.REGISTRY
        if kind is NodeKind.KUBELET:
            names += binaries.TEKTON_IMAGES
    debian.ensure(packages)
    return binaries.ensure(names, tekton=wish.tekton_module)


def specs(stack: Settings, programs: Programs) -> list[Spec]:
    """Return all processes of a stack."""
    found = controlplane.specs(stack, programs)
    if stack.real_node:
        found.append(node.containerd_spec(stack))
    if stack.parts.has_node:
        found += _node_specs(stack, programs)
    if stack.parts.has_tekton:
        found += [registry.spec(stack), *tekton.specs(stack, programs)]
    return found


def start(table: Table, stack: Settings, programs: Programs) -> None:
    """Start what does not run, and wait until all of it is ready.

    Raises:
        NotReady: A process ended, or is not ready in time.
        StackError: A step of the set-up failed.
    """
    controlplane.prepare(stack)
    control_plane = controlplane.specs(stack, programs)
    # All at once: each retries until the one it needs answers.
    for spec in control_plane:
        table.start(spec)
    if stack.real_node:
        _start_containerd(table, stack, programs)
    table.wait_ready(control_plane)
    if stack.parts.has_node:
        if not stack.real_node:
            kwok.register(stack)
        _start_ready(table, _node_specs(stack, programs))
    if stack.parts.has_tekton:
        _start_tekton(table, stack, programs)
    elif stack.tekton_crds:
        files = tektonfiles.load(stack.tekton_module)
        crds.install(controlplane.client(stack), files.crds(conversion=False))


def remove(table: Table, name: str, run_dir: Path) -> None:
    """End all processes of a stack and remove what it made, but for its logs.

    Nothing that was started needs to answer for this, so that it also works after a crash.
    """
    stack = settings.load(name)
    process.end(table.marked(), sig=signal.SIGKILL, grace_s=0)
    if stack is not None and stack.real_node:
        node.remove(stack)
    for entry in run_dir.iterdir() if run_dir.exists() else ():
        if entry.is_dir() and entry.name != _LOGS:
            shutil.rmtree(entry)
        elif not entry.is_dir() and entry.name != settings.FILE:
            entry.unlink()
    # Last, so that a second attempt finds what an interrupted one has left.
    (run_dir / settings.FILE).unlink(missing_ok=True)


def _check_root() -> None:
    if os.geteuid() != 0:
        raise errors.MissingTools(
            "a node with the kubelet needs root; without root, kwok plays the node (--node kwok)"
        )


def _node_specs(stack: Settings, programs: Programs) -> list[Spec]:
    kubelet = node.kubelet_spec if stack.real_node else kwok.spec
    return [node.scheduler_spec(stack, programs), kubelet(stack, programs)]


def _start_containerd(table: Table, stack: Settings, programs: Programs) -> None:
    node.prepare(stack)
    _start_ready(table, [node.containerd_spec(stack)])
    wanted = [*images.node_images(), images.kubectl_image(programs["kubectl"])]
    if stack.parts.has_tekton:
        wanted += images.tekton_images(programs)
    node.import_images(stack, wanted)


def _start_tekton(table: Table, stack: Settings, programs: Programs) -> None:
    registry.prepare(stack)
    table.start(registry.spec(stack))
    tekton.install(stack)
    _start_ready(table, [registry.spec(stack), *tekton.specs(stack, programs)])


def _start_ready(table: Table, wanted: Sequence[Spec]) -> None:
    for spec in wanted:
        table.start(spec)
    table.wait_ready(wanted)

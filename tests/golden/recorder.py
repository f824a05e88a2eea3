"""Records cases: `python -m tests.stack record CASE [...] | --all | --list`."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.golden import case as cases
from tests.golden import normal, reading, world
from tests.stack import cluster, errors, images
from tests.support import kubectl, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.golden.case import Case
    from tests.support.kubectl import JsonObject

LOG = logging.getLogger(__name__)

STACK = "record"
AT_ONCE = 8
# A node that says nothing is given up after 25 seconds instead of 50, a pod of it ten seconds later
# instead of five minutes.
_APISERVER = (
    "--default-not-ready-toleration-seconds=10",
    "--default-unreachable-toleration-seconds=10",
)
_CONTROLLER_MANAGER = ("--node-monitor-grace-period=25s",)


@contextlib.contextmanager
def cluster_of_its_own(*, tekton: str | None = None, keep: bool = False) -> Iterator[world.World]:
    """The stack that cases are recorded on.

    Args:
        tekton: its version; None is the long-term one.
        keep: leave the stack running, for the next recording.
    """
    stack = cluster.Stack(
        name=STACK,
        parts=cluster.Parts.FULL,
        apiserver_flags=_APISERVER,
        controller_manager_flags=_CONTROLLER_MANAGER,
        tekton=tekton,
    )
    try:
        stack.up()
        hands = kubectl.Kubectl(str(stack.program("kubectl")), stack.kubeconfig)
        where = place.Place(hands, stack.registry, images.STEP, "Never")
        where.prepare()
        yield world.World(where, stack)
    finally:
        if not keep:
            stack.down()


def record(there: world.World, wanted: Iterable[Case]) -> Iterator[tuple[Case, JsonObject | None]]:
    """Run cases, several at once, and yield the golden form of each as it ends.

    A case that does not come about is logged and yields None; the others go on.
    """
    chosen = list(wanted)
    together = [case for case in chosen if not case.alone]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        running = {pool.submit(_try, there, case): case for case in together}
        for done in concurrent.futures.as_completed(running):
            yield running[done], done.result()
    for case in chosen:
        if case.alone:
            yield case, _try(there, case)


def store(recordings: Iterable[tuple[Case, JsonObject | None]], folder: Path) -> bool:
    """Write recordings into a folder, each as it comes, and tell whether all came about."""
    complete = True
    for case, document in recordings:
        if document is None:
            complete = False
        else:
            (folder / f"{case.name}.json").write_text(normal.write(document))
    return complete


def _try(there: world.World, case: Case) -> JsonObject | None:
    try:
        return record_one(there, case)
    except (AssertionError, world.NotValid, errors.StackError, subprocess.TimeoutExpired) as error:
        LOG.error("%s: not recorded: %s", case.name, error)  # noqa: TRY400 - its text says it all
        return None


def record_one(there: world.World, case: Case) -> JsonObject:
    """Run a case and return its golden form."""
    began = time.monotonic()
    raw = there.record(case)
    LOG.info("%s: recorded after %.0f s", case.name, time.monotonic() - began)
    machine = normal.Machine(
        namespace=world.namespace_of(case),
        registry=there.where.registry,
        refusing=raw["refusing"],
        node=there.stack.settings.node_name,
    )
    return {"case": case.name, "about": case.about, **normal.normalise(raw, machine)}


def show() -> None:
    """Print the cases in the order of recording."""
    for case in cases.load().values():
        sys.stdout.write(f"{case.name:<34}{case.about}\n")


def main(names: Iterable[str], *, everything: bool, keep: bool, tekton: str) -> int:
    """Record the named cases, or all, into their golden files.

    Raises:
        cases.CaseError: there is no such case.
    """
    known = cases.load(tekton)
    wanted = list(known) if everything else list(names)
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        msg = f"no such case: {', '.join(unknown)}"
        raise cases.CaseError(msg)
    folder = reading.folder_of(tekton)
    folder.mkdir(exist_ok=True)
    with cluster_of_its_own(tekton=tekton, keep=keep) as there:
        chosen = [it for it in known.values() if it.name in wanted]
        return 0 if store(record(there, chosen), folder) else 1

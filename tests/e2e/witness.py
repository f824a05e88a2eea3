"""A witness of one execution and its pods: what was when, in the server's own order.

Every change has a resourceVersion from one row of numbers, whatever the kind, so that what a pod
was at the moment of a status is no question of how quickly somebody looked.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from tests.support import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.kubectl import JsonObject, Kubectl

# For what a watch tells later than another shows it.
_WAIT_S = 30.0
_LOOK_EVERY_S = 0.05
_OVER = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class Event:
    """One change of one object, and when it was heard of."""

    type: str
    object: JsonObject
    seen: datetime.datetime

    @property
    def name(self) -> str:
        """The object's."""
        name: str = self.object["metadata"]["name"]
        return name

    @property
    def version(self) -> int:
        """Its place in the order of all changes."""
        return int(self.object["metadata"]["resourceVersion"])


@dataclass
class Witness:
    """What was seen of an execution and of the pods of its runs."""

    executions: list[Event] = field(default_factory=list)
    pods: list[Event] = field(default_factory=list)

    def first(self, said: Callable[[Event], bool], *, deadline_s: float = _WAIT_S) -> Event:
        """The first change after which the execution was as said.

        Raises:
            AssertionError: it never was, within the deadline.
        """
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            found = next((event for event in list(self.executions) if said(event)), None)
            if found is not None:
                return found
            time.sleep(_LOOK_EVERY_S)
        raise AssertionError(
            f"never seen: {[event.object.get('status') for event in self.executions]}"
        )

    def alive_when(self, said: Callable[[Event], bool]) -> dict[str, str]:
        """The pods that worked when the execution first was as said, with their phases.

        What was before that may be heard after it: each kind has a watch of its own.

        Raises:
            AssertionError: it never was.
        """
        moment = self.first(said).version
        deadline = time.monotonic() + _WAIT_S
        while (found := self._alive_at(moment)) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)
        return found

    def _alive_at(self, moment: int) -> dict[str, str]:
        """The pods that worked at a moment, as far as it was heard of yet."""
        last: dict[str, Event] = {}
        for event in list(self.pods):
            if event.version <= moment:
                last[event.name] = event
        return {
            name: event.object["status"]["phase"]
            for name, event in last.items()
            if event.type != "DELETED" and event.object["status"]["phase"] not in _OVER
        }


def ended(event: Event) -> bool:
    """Whether the execution has a terminal phase."""
    return event.object.get("status", {}).get("phase") in {"Completed", "Failed", "Skipped"}


def gone(event: Event) -> bool:
    """Whether the execution is not there any more."""
    return event.type == "DELETED"


@contextlib.contextmanager
def watching(kubectl: Kubectl, name: str) -> Iterator[Witness]:
    """Watch an execution and its pods from before it is there."""
    seen = Witness()
    label = f"kubernaut.ai/workflow-execution={name}"
    with (
        _watching(kubectl, seen.pods, "pods", "-n", place.NAMESPACE, "-l", label),
        _watching(
            kubectl,
            seen.executions,
            "wfe",
            "-n",
            place.TEAM,
            f"--field-selector=metadata.name={name}",
        ),
    ):
        yield seen


@contextlib.contextmanager
def _watching(kubectl: Kubectl, into: list[Event], *what: str) -> Iterator[None]:
    process = subprocess.Popen(
        [
            kubectl.program, "--kubeconfig", str(kubectl.kubeconfig), "get", *what,
            "--watch", "--output-watch-events", "-o", "json",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    reading = threading.Thread(target=_read, args=(process.stdout, into))
    reading.start()
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        reading.join()
        process.stdout.close()


def _read(stream: IO[str], into: list[Event]) -> None:
    for line in stream:
        document = json.loads(line)
        now = datetime.datetime.now(datetime.UTC)
        into.append(Event(document["type"], document["object"], now))

"""A witness of one execution and its pods: what was when, in the server's own order.

Every change has a resourceVersion from one row of numbers, whatever the kind, so that what a pod
was at the moment of a status is no question of how quickly somebody looked. Nor is it one of how
quickly a watch tells: a pod that is made after that moment is waited for, and comes last.
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

from tests.support import executions, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.support.kubectl import JsonObject, Kubectl

# For what a watch tells later than another shows it.
_WAIT_S = 30.0
_LOOK_EVERY_S = 0.05
_OVER = frozenset({"Succeeded", "Failed"})
_LABEL = "kubernaut.ai/workflow-execution"
_TASK = "tekton.dev/pipelineTask"


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

    @property
    def is_alive(self) -> bool:
        """Of a pod: whether it is there, and works or waits to."""
        return self.type != "DELETED" and self.object["status"]["phase"] not in _OVER


@dataclass(frozen=True)
class Pods:
    """The pods of an execution at one moment, by the names of their tasks.

    Attributes:
        known: whose pods were heard of by then while they were alive.
        alive: whose pods are alive then, with their phases.
    """

    known: frozenset[str]
    alive: dict[str, str]


@dataclass
class Witness:
    """What was seen of an execution and of the pods of its runs.

    Attributes:
        mark: makes a pod that the watch of the pods has to tell of; gives its name.
        wait_s: how long it may take to tell.
    """

    mark: Callable[[], AbstractContextManager[str]]
    wait_s: float = _WAIT_S
    executions: list[Event] = field(default_factory=list)
    pods: list[Event] = field(default_factory=list)

    def first(self, said: Callable[[Event], bool], *, deadline_s: float | None = None) -> Event:
        """The first change after which the execution was as said.

        Raises:
            AssertionError: it never was, within the deadline.
        """
        return _heard(self.executions, said, self.wait_s if deadline_s is None else deadline_s)

    def pods_when(self, said: Callable[[Event], bool]) -> Pods:
        """The pods when the execution first was as said.

        What was before that may be heard after it, since each kind has a watch of its own: it is
        all heard once the watch has told of a pod that is made when the moment is known.

        Raises:
            AssertionError: it never was; or a watch began too late, has ended, or is deaf.
        """
        moment = self.first(said)
        # Of what a watch begins with nobody knows since when it is so.
        assert moment is not self.executions[0], "the watch began after the moment"
        with self.mark() as last:
            _heard(
                self.pods,
                lambda event: event.name == last and event.version > moment.version,
                self.wait_s,
            )
        return self._pods_at(moment.version)

    def _pods_at(self, moment: int) -> Pods:
        """The pods at a moment that the watch has got past."""
        told = [event for event in list(self.pods) if event.version <= moment]
        last = {event.name: event for event in told}
        return Pods(
            known=frozenset(_task(event) for event in told if event.is_alive),
            alive={
                _task(event): event.object["status"]["phase"]
                for event in last.values()
                if event.is_alive
            },
        )


def ended(event: Event) -> bool:
    """Whether the execution has a terminal phase."""
    return executions.has_ended(event.object)


def gone(event: Event) -> bool:
    """Whether the execution is not there any more."""
    return event.type == "DELETED"


def _task(event: Event) -> str:
    """Whose pod it is; a pod that no task has keeps its name, and is nobody's that is expected."""
    task: str = event.object["metadata"]["labels"].get(_TASK, event.name)
    return task


def _heard(events: list[Event], said: Callable[[Event], bool], wait_s: float) -> Event:
    """Wait for the first of the events of a watch that is as said."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        found = next((event for event in list(events) if said(event)), None)
        if found is not None:
            return found
        time.sleep(_LOOK_EVERY_S)
    heard = [(event.type, event.name, event.object.get("status")) for event in list(events)]
    raise AssertionError(f"never heard of, but of {heard}")


@contextlib.contextmanager
def watching(kubectl: Kubectl, name: str) -> Iterator[Witness]:
    """Watch an execution and its pods from before it is there."""
    seen = Witness(lambda: _mark(kubectl, name))
    with (
        _watching(kubectl, seen.pods, "pods", "-n", place.NAMESPACE, "-l", f"{_LABEL}={name}"),
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
def _mark(kubectl: Kubectl, name: str) -> Iterator[str]:
    """A pod that passes for one of the execution's, and that no scheduler takes up."""
    own = f"mark-{name}"
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": own, "namespace": place.NAMESPACE, "labels": {_LABEL: name}},
        "spec": {
            "schedulerName": "nobody",
            "containers": [{"name": "none", "image": "localhost:1/none:v1"}],
        },
    }
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    try:
        yield own
    finally:
        kubectl("delete", "pod", own, "-n", place.NAMESPACE, "--wait=false")


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

"""The apiserver's audit log as the witness of who wrote what."""

from __future__ import annotations

import asyncio
import collections
import datetime
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from tests.support import auditfile
from workflowexecution.api import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.support.program import Program

CREATE = "create pipelineruns"
LINE_S = 15.0
HANGS_S = 5.0
"""What takes longer is no request that will end soon."""
LOOK_EVERY_S = 0.02

_CREATED = 201
_ENDED = frozenset({"ResponseComplete", "Panic"})
_EVENTS = "events"
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One answered request, by the clock of this machine.

    Attributes:
        resource: with the subresource, as `workflowexecutions/status`.
        at: when the server received it.
        answered: when it had done it.
        owner: of a PipelineRun that was to be created, the UID of its execution; else empty.
    """

    agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    at: datetime.datetime
    answered: datetime.datetime
    owner: str = ""

    @property
    def kind(self) -> str:
        """Verb and resource."""
        return f"{self.verb} {self.resource}"


class AuditLog:
    """What was asked of the server since this object was made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._from = path.stat().st_size

    def requests(self) -> list[Request]:
        """Every answered request, in the order of the answers.

        A watch tells of a write before the server has done with it: what had arrived when this was
        called is waited for, unless it hangs.
        """
        events = self._events()
        arrived = _under_way(events)
        while arrived & _under_way(events):
            time.sleep(LOOK_EVERY_S)
            events = self._events()
        return [_request(event) for event in events if event["stage"] in _ENDED]

    def _events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in auditfile.lines(self._path, self._from)]

    def writes(self, program: Program, *about: str) -> list[str]:
        """What a program has written, refused writes included, as `patch workflowexecutions`.

        Kubernetes events are left out: they come when nothing else is to be done; see `events`.

        Args:
            program: who.
            *about: only what has one of these names, or is in one of these namespaces.
        """
        return [it.kind for it in self.written(program, *about)]

    def written(self, program: Program, *about: str) -> list[Request]:
        """The same as whole requests."""
        return [
            it
            for it in by(program, self.requests())
            if it.verb in _WRITES
            and it.resource != _EVENTS
            and (not about or it.namespace in about or it.name in about)
        ]

    def events(self, program: Program, namespace: str) -> list[str]:
        """The writes of Kubernetes events in a namespace, refused ones included."""
        return [
            it.kind
            for it in by(program, self.requests())
            if it.verb in _WRITES and it.resource == _EVENTS and it.namespace == namespace
        ]

    async def expect(self, program: Program, kinds: list[str], *about: str) -> None:
        """Wait until a program has written this and nothing else, in this order."""
        await _reached(lambda: self.writes(program, *about), lambda found: found == kinds)

    async def expect_events(self, program: Program, kinds: list[str], namespace: str) -> None:
        """Wait for the same of what it has written of Kubernetes events in a namespace."""
        await _reached(lambda: self.events(program, namespace), lambda found: found == kinds)

    async def until(self, program: Program, kind: str, *, after: float) -> float:
        """Wait for a program's first request of a kind after a time; returns its time."""
        return min(await _reached(lambda: self._times(program, kind, after), bool))

    async def until_so_many(self, program: Program, kind: str, count: int) -> list[Request]:
        """Wait until a program has made so many requests of a kind; returns all it has made."""

        def made() -> list[Request]:
            return [it for it in by(program, self.requests()) if it.kind == kind]

        return await _reached(made, lambda found: len(found) >= count)

    async def until_asked(self, program: Program, kinds: Iterable[str]) -> list[Request]:
        """Wait until a program's requests are of all these kinds; returns all of them."""
        wanted = set(kinds)
        return await _reached(
            lambda: by(program, self.requests()),
            lambda asked: wanted <= {it.kind for it in asked if it.code < 300},
        )

    def _times(self, program: Program, kind: str, after: float) -> list[float]:
        times = (it.at.timestamp() for it in by(program, self.requests()) if it.kind == kind)
        return [it for it in times if it > after]


async def _reached(look: Callable[[], T], good: Callable[[T], bool]) -> T:
    """Look until it is good; returns what was seen then.

    Raises:
        AssertionError: it is not in time; the message has what was seen last.
    """
    deadline = asyncio.get_running_loop().time() + LINE_S
    while not good(found := look()):
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(LOOK_EVERY_S)
    return found


def by(program: Program, requests: Iterable[Request]) -> list[Request]:
    """The requests of one process: outside a pod its id is part of its name."""
    mark = f"-{program.process.pid})"
    return [
        it
        for it in requests
        if it.agent.startswith("workflowexecution/") and it.agent.endswith(mark)
    ]


def runs_made(requests: Iterable[Request], namespace: str) -> collections.Counter[str]:
    """How many runs were created in a namespace, by the UID of their execution.

    Whoever lists runs misses those that are gone, and a second one cannot be there beside the
    first: the name is the target's.
    """
    return collections.Counter(
        it.owner
        for it in requests
        if it.kind == CREATE and it.namespace == namespace and it.code == _CREATED
    )


def _under_way(events: Iterable[dict[str, Any]]) -> set[str]:
    """What arrived of late and has no end yet; a server that was killed leaves such things."""
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=HANGS_S)
    arrived = set[str]()
    for event in events:
        if event["stage"] in _ENDED:
            arrived.discard(event["auditID"])
        elif event["stage"] == "RequestReceived" and _time(event["stageTimestamp"]) > since:
            arrived.add(event["auditID"])
    return arrived


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def _request(event: dict[str, Any]) -> Request:
    about = event.get("objectRef", {})
    resource = about.get("resource", event["requestURI"])
    if "subresource" in about:
        resource = f"{resource}/{about['subresource']}"
    return Request(
        agent=event.get("userAgent", ""),
        verb=event["verb"],
        resource=resource,
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        at=_time(event["requestReceivedTimestamp"]),
        answered=_time(event["stageTimestamp"]),
        owner=_owner(event.get("requestObject") or {}),
    )


def _owner(body: dict[str, Any]) -> str:
    labels = body.get("metadata", {}).get("labels") or {}
    return str(labels.get(names.LABEL_EXECUTION_UID, ""))

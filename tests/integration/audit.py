"""The apiserver's audit log as the witness of who wrote what."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.support.program import Program

LINE_S = 5.0
LOOK_EVERY_S = 0.02

_EVENTS = "events"
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One answered request, by the clock of this machine.

    Attributes:
        resource: with the subresource, as `workflowexecutions/status`.
        at: when the server received it.
        answered: when it had done it.
    """

    agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    at: datetime.datetime
    answered: datetime.datetime

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
        """Every answered request, in the order of the answers."""
        with self._path.open("rb") as file:
            file.seek(self._from)
            content = file.read()
        complete = content[: content.rfind(b"\n") + 1]
        events = (orjson.loads(line) for line in complete.splitlines())
        return [_request(event) for event in events if event["stage"] != "ResponseStarted"]

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
        """Assert that a program has written this and nothing else, in this order.

        Who sees the effect of a write by a watch may be ahead of its line in the log.
        """
        deadline = asyncio.get_running_loop().time() + LINE_S
        while (found := self.writes(program, *about)) != kinds:
            late = asyncio.get_running_loop().time() > deadline
            assert not late, found
            await asyncio.sleep(LOOK_EVERY_S)


def by(program: Program, requests: Iterable[Request]) -> list[Request]:
    """The requests of one process: outside a pod its id is part of its name."""
    mark = f"-{program.process.pid})"
    return [
        it
        for it in requests
        if it.agent.startswith("workflowexecution/") and it.agent.endswith(mark)
    ]


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
        at=datetime.datetime.fromisoformat(event["requestReceivedTimestamp"]),
        answered=datetime.datetime.fromisoformat(event["stageTimestamp"]),
    )

"""A writer of events over a server that keeps them, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from typing import TYPE_CHECKING

from tests import builders
from tests.unit.adapters import fakes
from workflowexecution.adapters import events, losses
from workflowexecution.domain import events as stories
from workflowexecution.runtime import errors, resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workflowexecution.runtime.resource import JsonObject, ObjectKey

KEY = fakes.KEY
UID = "uid-restart-payment"
RELATED = {"kind": "RemediationRequest", "name": "rr-1"}


class FakeServer:
    """Keeps events as an API server does, and raises what is in `refusals` first."""

    def __init__(self) -> None:
        self.events: dict[ObjectKey, JsonObject] = {}
        self.calls: list[tuple[str, float]] = []
        self.refusals: list[errors.ClusterError] = []
        self.lands = False
        """Whether a refused create takes effect all the same."""

    def _answer(self, verb: str) -> errors.ClusterError | None:
        self.calls.append((verb, asyncio.get_running_loop().time()))
        return self.refusals.pop(0) if self.refusals else None

    async def create(
        self, resource: resource.Resource, namespace: str, body: JsonObject, *, whole: bool = True
    ) -> JsonObject:
        error = self._answer("create")
        key = _key(body)
        if error is not None and not self.lands:
            raise error
        if key in self.events:
            raise fakes.refusal(errors.AlreadyExists)
        self.events[key] = body
        if error is not None:
            raise error
        return body if whole else _metadata(body)

    async def merge_patch(
        self, resource: resource.Resource, key: ObjectKey, patch: JsonObject, *, whole: bool = True
    ) -> JsonObject:
        error = self._answer("patch")
        if error is not None:
            raise error
        if key not in self.events:
            raise fakes.refusal(errors.NotFound)
        self.events[key] = self.events[key] | patch
        return self.events[key] if whole else _metadata(self.events[key])

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.calls]

    @property
    def only(self) -> JsonObject:
        (event,) = self.events.values()
        return event


def _key(body: JsonObject) -> resource.ObjectKey:
    return resource.ObjectKey(body["metadata"]["namespace"], body["metadata"]["name"])


def _metadata(body: JsonObject) -> JsonObject:
    return {"metadata": body["metadata"]}


class FakeClock:
    """Wall time that goes with the loop's."""

    def now(self) -> datetime.datetime:
        return builders.NOW + datetime.timedelta(seconds=asyncio.get_running_loop().time())


class Rig:
    """A writer of events over a fake server."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self.busy = False
        self.fates: list[str] = []
        self.events = self.fresh()

    def fresh(self) -> events.Events:
        return events.Events(
            client=self.server, clock=FakeClock(), busy=lambda: self.busy, observer=self
        )

    def written(self) -> None:
        self.fates.append("written")

    def dropped(self, why: losses.Why) -> None:
        self.fates.append(why)

    def say(
        self,
        message: str = "m",
        reason: str = "LockReleased",
        uid: str = UID,
        key: resource.ObjectKey = KEY,
    ) -> None:
        self.events.record(key, uid, stories.Story(stories.Reason(reason), message, RELATED))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FakeServer]:
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self.events.run())
            yield self.server
            self.events.stop()
            await writing

"""Kubernetes events about executions: each change of phase, and what else is recorded.

Source: client-go tools/record (aggregation by count, dropping when behind); Kubernetes, core/v1
Event.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from workflowexecution.adapters import losses
from workflowexecution.api import formats, names, times
from workflowexecution.domain import events as stories
from workflowexecution.runtime import backoff, clock, errors, resource

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable

    from workflowexecution import ports
    from workflowexecution.runtime.resource import JsonObject, ObjectKey

EVENTS = resource.Resource(group="", version="v1", plural="events", kind="Event")
COMPONENT = "workflowexecution-controller"

MAX_WAITING = 4096
MAX_REMEMBERED = 4096
REPEAT_AFTER_S = 1200.0
"""The same is written again at most this often: 3 times an hour."""
MAX_ATTEMPTS = 5
FLUSH_S = 5.0
_LOOKS = 20
_LOOK_EVERY_S = 0.05
_BACKOFF_BASE_S = 0.5
_BACKOFF_CAP_S = 8.0
_HASH_DIGITS = 16

_PASSING = (
    errors.TransportError,
    errors.ServerError,
    errors.Throttled,
    errors.Unauthorized,
    errors.Conflict,
)

_log = structlog.get_logger(__name__)


class Writer(Protocol):
    """What events are written with; `runtime.client.Client` is one."""

    async def create(
        self, resource: resource.Resource, namespace: str, body: JsonObject, *, whole: bool = True
    ) -> JsonObject:
        """Create an object; what is not asked for as a whole may come as its metadata."""
        ...

    async def merge_patch(
        self, resource: resource.Resource, key: ObjectKey, patch: JsonObject, *, whole: bool = True
    ) -> JsonObject:
        """Change fields of an object; the answer is as that of `create`."""
        ...


class EventsObserver(Protocol):
    """Sees what becomes of events. Calls are synchronous and must be cheap."""

    def written(self) -> None:
        """Note an event that the server has taken."""

    def dropped(self, why: losses.Why) -> None:
        """Note an event that nobody will see."""


@dataclass(slots=True)
class _Event:
    """What waits to be written: one execution and reason, said `times` times since the last."""

    key: ObjectKey
    uid: str
    reason: str
    message: str
    warning: bool
    first: datetime.datetime
    last: datetime.datetime
    related: dict[str, str] | None = None
    times: int = 1


@dataclass(slots=True)
class _Told:
    """What the server has of one execution and reason."""

    count: int
    written_at: float


_Id = tuple[str, str]
"""UID of the execution and reason: one event object."""


class Events:
    """The `Observer` and `EventRecorder` that write core/v1 events, one after the other.

    - A change of phase is one event; its name is a function of execution and reason, so that a
      restart, or an answer that was lost, meets the event that is there.
    - What is said again raises the count of the same event, and is written at most every
      20 minutes; until then it is added up.
    - Writing gives way to reconciles for up to a second for each event. What waits is bounded; the
      oldest is dropped.
    - A passing failure is tried again with growing delays, five times in all. A refusal (a
      namespace on its way out, a missing right) is not: no event matters so much. The log tells
      what is dropped, once a minute at most for each reason.

    Lock-free: it changes only between awaits.
    """

    def __init__(
        self,
        *,
        client: Writer,
        clock: ports.Clock,
        busy: Callable[[], bool],
        observer: EventsObserver,
    ) -> None:
        """Write with this client.

        Args:
            client: the way to the server.
            clock: its time.
            busy: whether reconciles wait.
            observer: sees what becomes of events.
        """
        self._client = client
        self._clock = clock
        self._busy = busy
        self._observer = observer
        self._waiting: OrderedDict[_Id, _Event] = OrderedDict()
        self._resting: OrderedDict[_Id, _Event] = OrderedDict()
        self._told: OrderedDict[_Id, _Told] = OrderedDict()
        self._losses = losses.Losses()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()

    def __len__(self) -> int:
        """Count what is to be written, now or once its time has come."""
        return len(self._waiting) + len(self._resting)

    def wrote(self, change: ports.StatusWrite) -> None:
        """Tell a change of phase."""
        story = stories.tell(change.execution, change.after)
        if story is not None:
            self._tell(change.key, change.execution.metadata.uid, story, change.now)

    def record(self, key: ObjectKey, uid: str, story: stories.Story) -> None:
        """Tell what is no change of phase."""
        self._tell(key, uid, story, self._clock.now())

    def stop(self) -> None:
        """End `run` once what waits is written, or after five seconds."""
        self._closing.set()

    async def run(self) -> None:
        """Write until `stop`."""
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write_all(), name="events-writer")
            await self._closing.wait()
            self._wake.set()
            await asyncio.wait({writing}, timeout=FLUSH_S)
            writing.cancel()
        self._losses.close()
        if self._waiting:
            _log.warning("Events are lost at the stop", events=len(self._waiting))

    def _tell(self, key: ObjectKey, uid: str, story: stories.Story, now: datetime.datetime) -> None:
        self._add(
            _Event(
                key=key,
                uid=uid,
                reason=story.reason,
                message=story.message,
                warning=story.warning,
                first=now,
                last=now,
                related=story.related,
            )
        )

    def _add(self, event: _Event) -> None:
        name = (event.uid, event.reason)
        before = self._waiting.get(name) or self._resting.get(name)
        if before is None:
            self._place(name, event)
            return
        before.times += event.times
        before.last = event.last
        before.message = event.message
        before.warning = event.warning

    def _place(self, name: _Id, event: _Event) -> None:
        """Let an event wait for its turn, or rest before that if it was written a moment ago."""
        due = self._due(name)
        line = self._waiting
        if due is not None:
            line = self._resting
            asyncio.get_running_loop().call_at(due, self._rested, name)
        line[name] = event
        if len(line) > MAX_WAITING:
            _, oldest = line.popitem(last=False)
            self._lose(oldest, losses.Why.FULL, f"{MAX_WAITING} wait already")
        self._wake.set()

    def _due(self, name: _Id) -> float | None:
        """When it may be written again; None: now."""
        told = self._told.get(name)
        if told is None:
            return None
        due = told.written_at + REPEAT_AFTER_S
        return due if clock.loop_time() < due else None

    def _rested(self, name: _Id) -> None:
        event = self._resting.pop(name, None)
        if event is not None:
            self._place(name, event)

    async def _write_all(self) -> None:
        while await self._anything():
            await self._give_way()
            # It waits in the line meanwhile, so that what is said again is added to it.
            name, event = self._waiting.popitem(last=False)
            if self._due(name) is None:
                await self._write(name, event)
            else:
                self._place(name, event)

    async def _anything(self) -> bool:
        """Wait for something to write; false once there is nothing and never will be."""
        while not self._waiting:
            if self._closing.is_set():
                return False
            self._wake.clear()
            await self._wake.wait()
        return True

    async def _give_way(self) -> None:
        """Let reconciles go first, but not for ever."""
        for _ in range(_LOOKS):
            if self._closing.is_set() or not self._busy():
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _write(self, name: _Id, event: _Event) -> None:
        """Write an event, or drop it."""
        delays = backoff.Backoff(base_s=_BACKOFF_BASE_S, cap_s=_BACKOFF_CAP_S)
        for attempt in itertools.count(1):
            try:
                count = await self._put(name, event, again=attempt > 1)
            except _PASSING as error:
                if attempt >= MAX_ATTEMPTS:
                    self._drop(name, event, losses.Why.FAILED, error)
                    return
                asked_s = error.retry_after_s if isinstance(error, errors.Throttled) else None
                await asyncio.sleep(delays.next_s(at_least_s=asked_s or 0.0))
            except errors.ClusterError as error:
                self._drop(name, event, losses.Why.REFUSED, error)
                return
            else:
                self._remember(name, count)
                self._observer.written()
                return

    async def _put(self, name: _Id, event: _Event, *, again: bool) -> int:
        """Create the event, or change the one that is there; returns its count.

        Args:
            name: which event object.
            event: what it says.
            again: an attempt before this one may have created it.
        """
        told = self._told.get(name)
        place = resource.ObjectKey(event.key.namespace, _object_name(event))
        if told is not None and told.count:
            count = told.count + event.times
            # The server forgets events, after an hour by default; then it is made anew.
            with contextlib.suppress(errors.NotFound):
                news = {**_news(event), "count": count}
                await self._client.merge_patch(EVENTS, place, news, whole=False)
                return count
        try:
            await self._client.create(EVENTS, place.namespace, _body(event, place), whole=False)
        except errors.AlreadyExists:
            if again:
                return event.times
            # An earlier process wrote it. A patch cannot count up, but its answer has the count.
            answer = await self._client.merge_patch(EVENTS, place, _news(event))
            return int(answer.get("count") or 1)
        return event.times

    def _remember(self, name: _Id, count: int) -> None:
        self._told.pop(name, None)
        self._told[name] = _Told(count, clock.loop_time())
        if len(self._told) > MAX_REMEMBERED:
            self._told.popitem(last=False)

    def _drop(self, name: _Id, event: _Event, why: losses.Why, error: errors.ClusterError) -> None:
        # Remembered without a count, so that the same does not come again at once.
        self._remember(name, 0)
        self._lose(event, why, str(error))

    def _lose(self, event: _Event, why: losses.Why, error: str) -> None:
        self._observer.dropped(why)
        self._losses.note(why, namespace=event.key.namespace, reason=event.reason, error=error)


def _object_name(event: _Event) -> str:
    """The same for the same execution and reason, in every process."""
    digest = hashlib.sha256(f"{event.uid}/{event.reason}".encode()).hexdigest()[:_HASH_DIGITS]
    readable = event.key.name[: formats.MAX_NAME - _HASH_DIGITS - 1].rstrip("-.")
    return f"{readable}.{digest}"


def _news(event: _Event) -> JsonObject:
    """What a later telling changes."""
    return {
        "message": event.message,
        "type": "Warning" if event.warning else "Normal",
        "lastTimestamp": times.stamp(event.last),
    }


def _body(event: _Event, place: ObjectKey) -> JsonObject:
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": place.name, "namespace": place.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": event.key.namespace,
            "name": event.key.name,
            "uid": event.uid,
        },
        "reason": str(event.reason),
        **_news(event),
        "firstTimestamp": times.stamp(event.first),
        "count": event.times,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
    }
    if event.related is not None:
        body["related"] = event.related
    return body

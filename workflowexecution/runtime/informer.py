"""The informer: keeps a cache of one kind of object in step with the API server."""

import asyncio
import contextlib
import enum
import random
from collections.abc import AsyncIterator, Callable
from typing import Generic, Protocol, TypeVar

import structlog

from workflowexecution.runtime import backoff, client, errors, feed, resource, store

_BACKOFF_BASE_S = 0.8
_BACKOFF_CAP_S = 30.0
_REFUSED_CAP_S = 3.0
_HEALTHY_AFTER_S = 5.0
_MISSING_RETRY_S = 2.0
_MISSING_SPREAD_S = 3.0
_FUTURE_VERSIONS = 3
_RESYNC_STEP_S = 1.0

_log = structlog.get_logger(__name__)

T = TypeVar("T", bound=store.Cached)


class InformerState(enum.Enum):
    """What the informer does now."""

    LIST = "list"
    """Reads everything, without a version."""
    WATCH = "watch"
    """Receives changes from the last good version on."""
    BACKOFF = "backoff"
    """Waits, then watches on; or lists, when there is no version to watch from."""


class Source(Protocol):
    """What the informer reads from; `client.Client` is one."""

    async def list_page(
        self,
        resource: resource.Resource,
        /,
        *,
        namespace: str = "",
        label_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> client.ListPage:
        """Read a page of a list."""

    def watch(
        self,
        resource: resource.Resource,
        /,
        *,
        namespace: str = "",
        label_selector: str = "",
        resource_version: str,
        timeout_s: float,
        idle_s: float,
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[list[client.WatchEvent]]]:
        """Receive changes in batches."""


class Informer(Generic[T]):
    """Lists, then watches, and feeds a store and its subscribers; for ever.

    - A list is read in pages, each projected on arrival, and swapped in at once.
    - A version that has expired, in whatever form the server says so, leads to a new list without a
      version; so does a version that the server calls future three times in a row, as after a
      restore of its database. Every other failure, unknown ERROR events included, is waited out,
      and the watch resumes from the last good version.
    - The delays double from 0.8 s to 30 s, and begin anew after a stream that lived 5 s. A stream
      that ends sooner counts as a failure, so there are at most 12 a minute. Refused connections
      have delays of their own, to 3 s: who was away is not overloaded when it is back. A version
      that has expired is no failure of the server, unless the next one has too.
    - An API that is not served is no deletion: `missing` is set, the cache stays, and no change is
      told.
    - After 256 events other tasks get their turn.

    Lock-free: it changes only between awaits.

    Source: client-go tools/cache/reflector.go; kube-rs kube-runtime/src/watcher.rs.
    """

    def __init__(  # noqa: PLR0913 - keyword-only values and collaborators, each of its own
        self,
        *,
        client: Source,
        resource: resource.Resource,
        project: Callable[[resource.JsonObject], T],
        store: store.StoreWriter[T],
        namespace: str = "",
        label_selector: str = "",
        freshness: feed.VersionObserver | None = None,
        watch_idle_s: float = 90.0,
        watch_timeout_s: float = 290.0,
        resync_period_s: float = 0.0,
        page_size: int = 500,
        events_per_turn: int = 256,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """Put the parts together.

        Args:
            client: where objects come from.
            resource: which kind of object.
            project: keeps the needed fields of an object; an error of the kinds that reading an
                odd object raises (`feed.ProjectionError`, ValueError, LookupError, TypeError,
                AttributeError) skips that object.
            store: the cache to feed; nobody else writes to it.
            namespace: empty for all.
            label_selector: empty for all.
            freshness: hears which versions the cache has reached; default: nobody.
            watch_idle_s: a watch without a byte for so long is replaced. The server sends a
                bookmark about each minute, so it must be more.
            watch_timeout_s: the server ends a watch after this, less up to a fifth.
            resync_period_s: every object is told to the subscribers once in this time, spread
                over it, as a floor under lost wake-ups; 0: never.
            page_size: objects in one answer to a list.
            events_per_turn: changes that are handled before other tasks get their turn.
            uniform: random number in [0, 1) for the jitter.
        """
        self._client = client
        self._resource = resource
        self._scope = {"namespace": namespace, "label_selector": label_selector}
        self._store = store
        # An empty one is false, so it is asked for by identity.
        self._versions = feed.NoVersionObserver() if freshness is None else freshness
        self._feed = feed.Feed(kind=resource, project=project, cache=store, versions=self._versions)
        self._watch_idle_s = watch_idle_s
        self._watch_timeout_s = watch_timeout_s
        self._resync_period_s = resync_period_s
        self._page_size = page_size
        self._events_per_turn = events_per_turn
        self._uniform = uniform
        self._backoff = backoff.Backoff(
            base_s=_BACKOFF_BASE_S, cap_s=_BACKOFF_CAP_S, uniform=uniform
        )
        self._refused = backoff.Backoff(
            base_s=_BACKOFF_BASE_S, cap_s=_REFUSED_CAP_S, uniform=uniform
        )
        self._expired = False
        self._state = InformerState.LIST
        # The last good version; empty when only a list can help.
        self._version = ""
        self._pause_s = 0.0
        self._future_versions = 0
        self._events_in_turn = 0
        self._missing = False
        self._synced = asyncio.Event()
        self._on_state: list[Callable[[], None]] = []
        self._heard_at = float("-inf")

    @property
    def state(self) -> InformerState:
        """What the informer does now."""
        return self._state

    @property
    def synced(self) -> bool:
        """Whether the cache has held a complete list at least once."""
        return self._synced.is_set()

    @property
    def missing(self) -> bool:
        """Whether the server does not serve this API, so that nothing can be known."""
        return self._missing

    @property
    def last_event_age_s(self) -> float:
        """Seconds since the server was last heard, bookmarks included; infinite before that."""
        return asyncio.get_running_loop().time() - self._heard_at

    @property
    def poisoned(self) -> int:
        """How many objects exist that cannot be projected."""
        return self._feed.poisoned

    def subscribe(self, callback: Callable[[store.Delta[T]], None]) -> None:
        """Call back, synchronously, for each change from now on; the callback must not raise."""
        self._feed.subscribe(callback)

    def on_state(self, callback: Callable[[], None]) -> None:
        """Call back when `missing` or `synced` changes."""
        self._on_state.append(callback)

    async def wait_synced(self) -> None:
        """Wait until the cache has held a complete list."""
        await self._synced.wait()

    async def run(self) -> None:
        """Keep the cache in step until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._resync_period_s > 0:
                group.create_task(self._resync(), name=f"resync-{self._resource.plural}")
            while True:
                match self._state:
                    case InformerState.LIST:
                        await self._list()
                    case InformerState.WATCH:
                        await self._watch()
                    case InformerState.BACKOFF:  # pragma: no branch - exhaustive
                        await self._wait()

    async def _list(self) -> None:
        number = self._versions.relist_begun(self._resource)
        listing: feed.Listing[T] = feed.Listing()
        try:
            version, token = await self._read_page("", listing)
            while token:
                _, token = await self._read_page(token, listing)
        except errors.ClusterError as error:
            self._recover(error)
            return
        self._version = version
        self._state = InformerState.WATCH
        deltas = self._feed.replace(listing)
        self._versions.relisted(self._resource, number)
        self._served()
        if not self._synced.is_set():
            self._synced.set()
            self._tell_state()
        for delta in deltas:
            self._feed.deliver(delta)
            await self._take_turns()

    async def _read_page(self, token: str, listing: feed.Listing[T]) -> tuple[str, str]:
        """Project a page, so that its raw objects are gone before the next one is asked for."""
        page = await self._client.list_page(
            self._resource, **self._scope, limit=self._page_size, continue_token=token
        )
        self._hear()
        for item in page.items:
            self._feed.read(listing, item)
        return page.resource_version, page.continue_token

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        opened_at = float("inf")
        failure: errors.ClusterError | None = None
        try:
            async with self._client.watch(
                self._resource,
                **self._scope,
                resource_version=self._version,
                timeout_s=self._watch_timeout_s * (1 - self._uniform() / 5),
                idle_s=self._watch_idle_s,
            ) as batches:
                self._hear()
                self._served()
                opened_at = loop.time()
                async for batch in batches:
                    self._hear()
                    await self._apply(batch)
        except errors.ClusterError as error:
            failure = error
        healthy = loop.time() - opened_at >= _HEALTHY_AFTER_S
        if healthy:
            self._backoff.reset()
            self._expired = False
        if failure is not None:
            self._recover(failure)
        elif not healthy:
            self._back_off(self._backoff.next_s(), "the watch ended at once")

    async def _wait(self) -> None:
        await asyncio.sleep(self._pause_s)
        self._state = InformerState.WATCH if self._version else InformerState.LIST

    async def _apply(self, batch: list[client.WatchEvent]) -> None:
        for event in batch:
            self._version = self._feed.apply(event) or self._version
            self._future_versions = 0
            await self._take_turns()

    async def _take_turns(self) -> None:
        self._events_in_turn += 1
        if self._events_in_turn >= self._events_per_turn:
            self._events_in_turn = 0
            await asyncio.sleep(0)

    def _recover(self, error: errors.ClusterError) -> None:
        """Decide what follows a failure of a list or a watch."""
        match error:
            case errors.Gone():
                self._version = ""
                # At once the first time: nothing is wrong with the server.
                first, self._expired = not self._expired, True
                pause_s = self._backoff.next_s()
                self._back_off(0.0 if first else pause_s, error)
            case errors.EndpointMissing() | errors.NotFound():
                self._lose_endpoint()
            case errors.Throttled():
                pause_s = self._backoff.next_s(at_least_s=error.retry_after_s or 0.0)
                self._back_off(pause_s, error)
            case errors.TransportError(sent=False):
                self._back_off(self._refused.next_s(), error)
            case errors.ApiError() if error.status == 504 or error.resource_version_too_large:
                self._future_versions += 1
                if self._future_versions >= _FUTURE_VERSIONS:
                    self._future_versions = 0
                    self._version = ""
                self._back_off(self._backoff.next_s(), error)
            case _:
                self._back_off(self._backoff.next_s(), error)

    def _back_off(self, pause_s: float, reason: errors.ClusterError | str) -> None:
        self._state = InformerState.BACKOFF
        self._pause_s = pause_s
        _log.warning(
            "Watch or list failed",
            resource=self._resource.plural,
            reason=str(reason),
            pause_s=round(pause_s, 3),
            relist=not self._version,
        )

    def _lose_endpoint(self) -> None:
        self._version = ""
        self._state = InformerState.BACKOFF
        self._pause_s = _MISSING_RETRY_S + _MISSING_SPREAD_S * self._uniform()
        if not self._missing:
            self._missing = True
            _log.warning("API is not served", resource=self._resource.plural)
            self._tell_state()

    def _served(self) -> None:
        if self._missing:
            self._missing = False
            _log.info("API is served again", resource=self._resource.plural)
            self._tell_state()

    def _hear(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        self._refused.reset()

    def _tell_state(self) -> None:
        for callback in self._on_state:
            callback()

    async def _resync(self) -> None:
        await self._synced.wait()
        steps = max(1, int(self._resync_period_s / _RESYNC_STEP_S))
        while True:
            keys = [cached.key for cached in self._store]
            for step in range(steps):
                await asyncio.sleep(self._resync_period_s / steps)
                self._tell_again(keys[step::steps])

    def _tell_again(self, keys: list[resource.ObjectKey]) -> None:
        for key in keys:
            cached = self._store.get(key)
            if cached is not None:
                self._feed.deliver(store.Delta(cached, cached))

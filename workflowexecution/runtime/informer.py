"""The informer: keeps a cache of one kind of object in step with the API server."""

import asyncio
import contextlib
import enum
import random
from collections.abc import AsyncIterator, Callable
from typing import Generic, Protocol, TypeVar

import structlog

from workflowexecution.runtime import (
    client,
    clock,
    errors,
    feed,
    heard,
    pages,
    recovery,
    resource,
    store,
    waiting,
)

_MISSING_RETRY_S = 2.0
_MISSING_SPREAD_S = 3.0
_LIST_S = 90.0
"""For one page: request, second request after a renewal of credentials, and that renewal."""

_log = structlog.get_logger(__name__)

T = TypeVar("T", bound=store.Cached)

# The server ends a watch after this, less up to a fifth.
_WATCH_TIMEOUT_S = 290.0


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
        """Read a page of a list; its items are the caller's."""

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
    - What follows a failure, `recovery.Recovery` says: a pause, then the watch from the last good
      version, or a new list. A stream that lived 5 s makes up for the failures before it; one that
      ends sooner counts as a failure, so there are at most 12 a minute.
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
        freshness: feed.VersionObserver,
        watch_idle_s: float = 90.0,
        resync_period_s: float = 0.0,
        page_size: int = 500,
        events_per_turn: int = 256,
        on_heard: Callable[[], None],
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """Put the parts together.

        Args:
            client: where objects come from.
            resource: which kind of object.
            project: keeps the needed fields of an object; an error of the kinds that reading an
                odd object raises (ValueError, LookupError, TypeError, AttributeError) skips
                that object.
            store: the cache to feed; nobody else writes to it.
            namespace: empty for all.
            label_selector: empty for all.
            freshness: hears which versions the cache has reached.
            watch_idle_s: a watch without a byte for so long is replaced. The server sends a
                bookmark about each minute, so it must be more.
            resync_period_s: every object is told to the subscribers once in this time, spread
                over it, as a floor under lost wake-ups; 0: never.
            page_size: objects in one answer to a list.
            events_per_turn: changes that are handled before other tasks get their turn.
            on_heard: called when something comes by the watch, bookmarks included.
            uniform: random number in [0, 1) for the jitter.
        """
        self._client = client
        self._resource = resource
        self._scope = {"namespace": namespace, "label_selector": label_selector}
        self._store = store
        self._versions = freshness
        self._feed = feed.Feed(kind=resource, project=project, cache=store, versions=freshness)
        self._watch_idle_s = watch_idle_s
        self._resync_period_s = resync_period_s
        self._page_size = page_size
        self._events_per_turn = events_per_turn
        self._on_heard = on_heard
        self._uniform = uniform
        self._recovery = recovery.Recovery(uniform=uniform)
        self._state = InformerState.LIST
        # The last good version; empty when only a list can help.
        self._version = ""
        self._pause_s = 0.0
        self._refreshes = False
        self._hurry = asyncio.Event()
        self._events_in_turn = 0
        self._missing = False
        self._doubt_since: float | None = None
        self._synced = asyncio.Event()
        self._known = asyncio.Event()
        self._on_state: list[Callable[[], None]] = []
        self._hearing = heard.Hearing()

    @property
    def synced(self) -> bool:
        """Whether the cache has held a complete list at least once."""
        return self._synced.is_set()

    @property
    def missing(self) -> bool:
        """Whether the server does not serve this API, so that nothing can be known."""
        return self._missing

    @property
    def in_doubt(self) -> bool:
        """Whether the cache may be of another past than the server's: nothing follows from it."""
        return self._doubt_since is not None

    @property
    def doubt_s(self) -> float:
        """For how many seconds it has been in doubt; 0 when it is not."""
        since = self._doubt_since
        return 0.0 if since is None else clock.loop_time() - since

    @property
    def last_event_age_s(self) -> float:
        """Seconds since the last word of what changes, bookmarks included; infinite before that."""
        return self._hearing.age_s

    @property
    def stuck_s(self) -> float:
        """Seconds by which something of its own is overdue: an answer, or the end of a wait.

        Not positive in every trouble of the server's, which only makes it try again.
        """
        return self._hearing.overdue_s

    @property
    def poisoned(self) -> int:
        """How many objects exist that cannot be projected."""
        return self._feed.poisoned

    def subscribe(self, callback: Callable[[store.Delta[T]], None]) -> None:
        """Call back, synchronously, for each change from now on; the callback must not raise."""
        self._feed.subscribe(callback)

    def witness(self, callback: Callable[[store.Delta[T]], None]) -> None:
        """The same, cheap, and called for a whole list before anything else has a turn."""
        self._feed.witness(callback)

    def on_state(self, callback: Callable[[], None]) -> None:
        """Call back when `missing`, `synced` or `in_doubt` changes."""
        self._on_state.append(callback)

    async def wait_synced(self) -> None:
        """Wait until the cache has held a complete list."""
        await self._synced.wait()

    async def wait_known(self) -> None:
        """Wait until the cache has been filled, or it is known why it cannot be for now.

        The API is not served, or the server refuses to list it: that may be so for long.
        """
        await self._known.wait()

    def hurry(self) -> None:
        """Try again now if it waits after a failure: somebody else has heard the server."""
        self._hurry.set()

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
        self._hearing.expect_within(_LIST_S)
        number = self._versions.relist_begun(self._resource)
        listing: feed.Listing[T] = feed.Listing()
        try:
            version = await pages.read(self._read_page, lambda item: self._feed.read(listing, item))
        except errors.ClusterError as error:
            self._recover(error, opened=False)
            return
        self._version = version
        self._state = InformerState.WATCH
        if not self._refreshes:  # or the age would tell nothing of a watch that is refused
            self._hearing.told()
        deltas = self._feed.replace(listing)
        self._versions.relisted(self._resource, number)
        self._served()
        self._set_doubt(False)
        if not self._synced.is_set():
            self._synced.set()
            self._known.set()
            self._tell_state()
        for delta in deltas:
            self._feed.deliver(delta)
            if self._is_turn_over():
                await asyncio.sleep(0)

    async def _read_page(self, *, continue_token: str) -> client.ListPage:
        """Read the page of a continue token, or the first."""
        page = await self._client.list_page(
            self._resource, **self._scope, limit=self._page_size, continue_token=continue_token
        )
        self._hear()
        self._hearing.expect_within(_LIST_S)
        return page

    async def _watch(self) -> None:
        opened = False
        failure: errors.ClusterError | None = None
        self._hearing.expect_within(self._watch_idle_s)
        try:
            async with self._client.watch(
                self._resource,
                **self._scope,
                resource_version=self._version,
                timeout_s=_WATCH_TIMEOUT_S * (1 - self._uniform() / 5),
                idle_s=self._watch_idle_s,
            ) as batches:
                self._hear()
                self._served()
                opened = True
                self._hearing.opened()
                async for batch in batches:
                    self._hear()
                    self._hearing.told()
                    self._on_heard()
                    self._hearing.expect_within(self._watch_idle_s)
                    await self._apply(batch)
        except errors.ClusterError as error:
            failure = error
        lived = self._hearing.ended()
        if lived:
            self._recovery.lived()
        if failure is not None:
            self._recover(failure, opened=opened)
        elif not lived:
            self._back_off(self._recovery.after_short_stream(), "the watch ended at once")

    async def _wait(self) -> None:
        self._hearing.expect_within(self._pause_s)
        self._hurry.clear()
        await waiting.set_within(self._hurry, self._pause_s)
        resumes = self._version and not self._refreshes
        self._state = InformerState.WATCH if resumes else InformerState.LIST

    async def _apply(self, batch: list[client.WatchEvent]) -> None:
        for event in batch:
            self._version = self._feed.apply(event) or self._version
            self._recovery.progressed()
            if self._is_turn_over():
                await asyncio.sleep(0)

    def _is_turn_over(self) -> bool:
        """Count a change, and tell whether others have their turn after it."""
        self._events_in_turn = (self._events_in_turn + 1) % self._events_per_turn
        return self._events_in_turn == 0

    def _recover(self, error: errors.ClusterError, *, opened: bool) -> None:
        """Decide what follows a failure of a list or a watch."""
        if isinstance(error, errors.EndpointMissing | errors.NotFound):
            self._lose_endpoint()
            return
        if self._recovery.is_refused(error):
            self._known.set()
        silent = self._hearing.silent_s >= self._watch_idle_s
        step = self._recovery.after(error, opened=opened, silent=silent)
        if step.lists:
            self._version = ""
        if step.doubts and self.synced:
            self._set_doubt(True)
        self._back_off(step, error)

    def _back_off(self, step: recovery.Step, reason: errors.ClusterError | str) -> None:
        self._state = InformerState.BACKOFF
        self._pause_s = step.pause_s
        # A list where there was none before is no makeshift.
        self._refreshes = step.refreshes and self._version != ""
        _log.warning(
            "Watch or list failed",
            resource=self._resource.plural,
            reason=str(reason),
            pause_s=round(step.pause_s, 3),
            relist=self._refreshes or not self._version,
        )

    def _set_doubt(self, doubt: bool) -> None:
        if self.in_doubt != doubt:
            self._doubt_since = clock.loop_time() if doubt else None
            self._tell_state()

    def _lose_endpoint(self) -> None:
        self._set_doubt(False)
        self._version, self._refreshes = "", False
        self._state = InformerState.BACKOFF
        self._pause_s = _MISSING_RETRY_S + _MISSING_SPREAD_S * self._uniform()
        if not self._missing:
            self._missing = True
            self._known.set()
            _log.warning("API is not served", resource=self._resource.plural)
            self._tell_state()

    def _served(self) -> None:
        if self._missing:
            self._missing = False
            _log.info("API is served again", resource=self._resource.plural)
            self._tell_state()

    def _hear(self) -> None:
        self._hearing.heard()
        self._recovery.heard()

    def _tell_state(self) -> None:
        for callback in self._on_state:
            callback()

    async def _resync(self) -> None:
        await self._synced.wait()
        steps = max(1, int(self._resync_period_s))
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

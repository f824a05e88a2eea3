"""The workers: take a key, reconcile it, decide when it comes again."""

import asyncio
import enum
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import structlog

from workflowexecution.runtime import clock, deadlines, errors, queue, resource

_OF_THE_SERVER = (errors.TransportError, errors.ServerError, TimeoutError)

KEYS_PER_TURN = 64
"""Between two turns of the event loop: many a reconcile asks nobody, and so waits for nothing."""

_log = structlog.get_logger(__name__)


class Result(NamedTuple):
    """What a reconcile that succeeded asks for: nothing, or to come again after some seconds."""

    requeue_after_s: float | None = None
    priority: queue.Priority = queue.Priority.NORMAL


class Outcome(enum.Enum):
    """How a reconcile ended."""

    SUCCESS = "success"
    CONFLICT = "conflict"
    THROTTLED = "throttled"
    ERROR = "error"
    TERMINAL_ERROR = "terminal_error"


class ControllerObserver(Protocol):
    """Sees how reconciles end. Calls are synchronous and must be cheap."""

    def reconciled(self, outcome: Outcome, duration_s: float) -> None:
        """Note one reconcile and how many seconds it took."""


class Controller:
    """A fixed number of workers over one queue.

    What follows a reconcile: success resets the key's back-off; `errors.TerminalError` is logged
    and never retried; a conflict, or a lease that may have ended, retries quietly after the key's
    back-off; a 429 waits for what the server asked for; anything else, a missed deadline included,
    is logged and backs off. A held key is given back without a reconcile; who holds it adds it
    again. While the server is away, a key whose request failed waits again and has not failed.
    After 64 keys other tasks get their turn, whether or not a reconcile has waited for anything.

    Source: controller-runtime pkg/internal/controller/controller.go.
    """

    def __init__(  # noqa: PLR0913 - keyword-only values and collaborators, each of its own
        self,
        *,
        reconcile: Callable[[resource.ObjectKey], Awaitable[Result]],
        queue: queue.WorkQueue,
        workers: int,
        reconcile_deadline_s: float,
        held: Callable[[resource.ObjectKey, queue.Priority], bool],
        away: Callable[[], bool],
        observer: ControllerObserver,
    ) -> None:
        """Put the parts together.

        Args:
            reconcile: brings one object nearer to what is wanted; a missing object is a success.
            queue: where keys come from and go back to.
            workers: how many keys are reconciled at the same time.
            reconcile_deadline_s: a reconcile that takes longer is cancelled and counts as failed.
            held: whether a key of that class must wait; whoever says so adds it again when it need
                not.
            away: whether the server is, so that keys are held and their failures are not theirs.
            observer: sees how reconciles end.
        """
        self._reconcile = reconcile
        self._queue = queue
        self._workers = workers
        self._deadline_s = reconcile_deadline_s
        self._deadlines = deadlines.Deadlines()
        self._held = held
        self._away = away
        self._observer = observer
        self._active = 0
        self._in_turn = 0
        self._interrupted = False
        self._group: asyncio.TaskGroup | None = None
        self._crew: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()
        """Those of the crew that wait for a key."""

    @property
    def interrupted(self) -> bool:
        """Whether a reconcile was cancelled: what it asked the server for may still happen."""
        return self._interrupted

    @property
    def workers(self) -> int:
        """How many reconciles may run at the same time."""
        return self._workers

    @property
    def active(self) -> int:
        """How many reconciles run now."""
        return self._active

    @property
    def missing(self) -> int:
        """How many workers are not there any more though nobody has stopped them."""
        return 0 if self._group is None else max(0, self._workers - len(self._crew))

    async def run(self) -> None:
        """Work until `stop`, and the running reconciles end.

        Cancelling it cancels the running reconciles.
        """
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._hire()

    def stop(self) -> None:
        """Start no further reconcile; `run` returns when the running ones have ended."""
        self._group = None
        self._queue.shut_down()

    def resize(self, workers: int) -> None:
        """Have more workers from now on, or fewer: those too many end what they are at first."""
        self._workers = workers
        self._hire()
        too_many = max(0, len(self._crew) - workers)
        for task in list(self._idle)[:too_many]:
            self._crew.discard(task)
            self._idle.discard(task)
            task.cancel()

    def _hire(self) -> None:
        while self._group is not None and len(self._crew) < self._workers:
            task = self._group.create_task(self._work(), name=f"worker-{len(self._crew)}")
            self._crew.add(task)

    async def _work(self) -> None:
        me = asyncio.current_task()
        assert me is not None  # noqa: S101 - for the type: this is run as a task
        try:
            while len(self._crew) <= self._workers:
                await self._work_once(me)
        except queue.QueueClosed:
            return
        finally:
            self._crew.discard(me)

    async def _work_once(self, me: asyncio.Task[None]) -> None:
        while self._in_turn >= KEYS_PER_TURN:  # noqa: ASYNC110 - a turn is what is waited for
            await asyncio.sleep(0)
        self._idle.add(me)
        try:
            key = await self._queue.get()
        finally:
            self._idle.discard(me)
        try:
            if not self._held(key, self._queue.priority_of(key)):
                await self._handle(key)
        finally:
            self._queue.done(key)
            self._count()

    def _count(self) -> None:
        """Note a key; after so many all workers wait for the loop's next turn."""
        self._in_turn += 1
        if self._in_turn == KEYS_PER_TURN:
            asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._in_turn = 0

    async def _handle(self, key: resource.ObjectKey) -> None:
        started = clock.loop_time()
        self._active += 1
        try:
            outcome = await self._attempt(key)
        except asyncio.CancelledError:
            self._interrupted = True
            raise
        finally:
            self._active -= 1
        self._observer.reconciled(outcome, clock.loop_time() - started)

    async def _attempt(self, key: resource.ObjectKey) -> Outcome:
        try:
            with self._deadlines.within(self._deadline_s):
                result = await self._reconcile(key)
        except errors.TerminalError as error:
            self._queue.forget(key)
            _log.error("Reconcile cannot succeed", key=str(key), error=str(error))
            return Outcome.TERMINAL_ERROR
        except (errors.Conflict, errors.LeaseLost) as error:
            delay_s = self._queue.add_backoff(key)
            _log.debug("Reconcile was overtaken", key=str(key), error=str(error), retry_s=delay_s)
            return Outcome.CONFLICT
        except errors.Throttled as error:
            delay_s = self._queue.add_backoff(key, at_least_s=error.retry_after_s or 0.0)
            _log.info("Reconcile was throttled", key=str(key), retry_s=delay_s)
            return Outcome.THROTTLED
        except Exception as error:  # noqa: BLE001 - one object's error must not end the worker
            if self._away() and isinstance(error, _OF_THE_SERVER):
                _log.debug("Reconcile waits for the server", key=str(key), error=str(error))
                self._queue.add(key, self._queue.priority_of(key))
            else:
                self._fail(key, error)
            return Outcome.ERROR
        self._queue.forget(key)
        if result.requeue_after_s is not None:
            self._queue.add_after(key, result.requeue_after_s, result.priority)
        return Outcome.SUCCESS

    def _fail(self, key: resource.ObjectKey, error: Exception) -> None:
        """Log a failure, with a traceback unless the cluster is its cause, and back off."""
        attempt = self._queue.failures(key) + 1
        delay_s = self._queue.add_backoff(key)
        _log.error(
            "Reconcile failed",
            key=str(key),
            attempt=attempt,
            retry_s=round(delay_s, 3),
            error=str(error) or type(error).__name__,
            exc_info=None if isinstance(error, errors.ClusterError) else error,
        )

"""The configuration file while the program runs: taken over when it changes, or refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import structlog

from workflowexecution import config, logs
from workflowexecution.runtime import manager
from workflowexecution.wiring import policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution.reconciler import tools
    from workflowexecution.settings import Settings

LOOK_EVERY_S = 2.0

_log = structlog.get_logger(__name__)


class Workers(Protocol):
    """Those whose number is a setting."""

    def resize(self, workers: int) -> None:
        """Be so many from now on."""
        ...


class Live:
    """The settings of the moment.

    What may change while the program runs is `settingkeys.RELOADED`; of anything else that has
    changed in the file log and metrics say that it takes a restart. A file that is missing or
    wrong changes nothing, and is told once.
    """

    def __init__(self, running: Settings, source: config.Source | None) -> None:
        """Begin with what the source has read; without a source nothing ever changes."""
        self._running = running
        self._source = source
        self._loaded = self._seen = None if source is None else source.loaded
        self._workers: Workers | None = None
        self._wake: Callable[[], None] | None = None
        self.policy: tools.Policy = policy.of(running)
        """What a reconcile obeys."""
        self.applied = 0
        """Changed files that were taken over."""
        self.refused = 0
        """Changed files that were not."""
        self.current = True
        """Whether the file, as it is now, was taken over, as far as that goes without a restart."""
        self.waiting: tuple[str, ...] = ()
        """Keys of the file last taken over that differ from those in use until a restart."""

    def obeyed_by(self, workers: Workers, wake: Callable[[], None]) -> None:
        """Name who else follows: the workers, and who lets every execution be looked at again."""
        self._workers, self._wake = workers, wake

    def services(self) -> list[manager.Service]:
        """What looks at the file, if there is one to look at."""
        source = self._source
        if source is None:
            return []
        return [manager.Service(name="settings", run=lambda: self._follow(source))]

    async def _follow(self, source: config.Source) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._look(source)

    def _look(self, source: config.Source) -> None:
        state, before = source.state(), self._seen
        self._seen = state
        # Who writes in place is in the middle of it while the file still changes.
        if state == self._loaded or state != before:
            return
        self._loaded = state
        try:
            wished, waiting = source.reload(self._running)
            obeyed = policy.of(wished)
        except config.ConfigurationError as error:
            self._refuse(source, error.problems)
            return
        except Exception as error:  # noqa: BLE001 - no edit of a file ends the program
            # A fault of the reading, which the traceback shows; what is in the file has met it.
            self._refuse(source, [f"{type(error).__name__} while it was read"], error)
            return
        self._apply(wished, obeyed)
        self.waiting = tuple(waiting)
        _log.info("Configuration taken over", file=str(source.file), restart_for=waiting)
        if waiting:
            _log.warning("Changed settings wait for a restart", keys=waiting)

    def _refuse(
        self, source: config.Source, problems: list[str], cause: Exception | None = None
    ) -> None:
        self.refused += 1
        self.current = False
        _log.error(
            "Configuration refused", file=str(source.file), problems=problems, exc_info=cause
        )

    def _apply(self, wished: Settings, obeyed: tools.Policy) -> None:
        self._running = wished
        self.applied += 1
        self.current = True
        self.policy = obeyed
        logs.set_level(wished.logging.level)
        if self._workers is not None:
            self._workers.resize(wished.controller.workers)
        if self._wake is not None:
            self._wake()

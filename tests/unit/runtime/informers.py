"""An informer over a scripted source, and the answers that it gets."""

import asyncio
import contextlib
from typing import Any

from tests.unit import quiet
from tests.unit.runtime import objects, sources
from workflowexecution.runtime import errors, informer, store

REFUSED = errors.TransportError("refused", sent=False)
RESET = errors.TransportError("reset")
FAILED = sources.refusal(500)
GONE = sources.refusal(410)


def upper_edge() -> float:
    return 1.0


class Rig:
    """An informer over a scripted source; delays are at their upper edges."""

    def __init__(
        self,
        source: sources.Source | None = None,
        **options: Any,  # noqa: ANN401 - forwarded as they come
    ) -> None:
        self.source = source or sources.Source()
        self.cache: store.StoreWriter[objects.Widget] = store.StoreWriter()
        self.told: list[store.Delta[objects.Widget]] = []
        self.told_at: list[float] = []
        self.states: list[tuple[float, bool, bool]] = []
        self.doubts: list[float] = []
        options.setdefault("freshness", quiet.Quiet())
        options.setdefault("on_heard", lambda: None)
        self.informer: informer.Informer[objects.Widget] = informer.Informer(
            client=self.source,
            resource=objects.WIDGETS,
            project=objects.project,
            store=self.cache,
            uniform=upper_edge,
            **options,
        )
        self.informer.subscribe(self.note)
        self.informer.on_state(self.note_state)

    def note(self, delta: store.Delta[objects.Widget]) -> None:
        self.told.append(delta)
        self.told_at.append(sources.now())

    def note_state(self) -> None:
        if self.informer.in_doubt != (len(self.doubts) % 2 == 1):
            self.doubts.append(sources.now())
            return
        self.states.append((sources.now(), self.informer.synced, self.informer.missing))

    async def run_for(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.informer.run()

    @property
    def names(self) -> list[str]:
        return sorted(cached.key.name for cached in self.cache)

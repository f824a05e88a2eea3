"""Runs that were started though the cache has none: what keeps anything from starting twice.

A database that is put back to a copy takes runs away, and makes executions Pending again. What this
process has seen of the lost time is all that tells of those runs.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol, TypeVar

from workflowexecution.api import names, tekton
from workflowexecution.runtime import store

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution.adapters import tekton as engine

_STRAYS = 5000


class Owner(store.Cached, Protocol):
    """An execution in the cache."""

    @property
    def lock(self) -> str:
        """Name of its run."""
        ...

    @property
    def ended(self) -> bool:
        """Whether its phase is terminal."""
        ...

    @property
    def run_uid(self) -> str:
        """UID of its run, once its status says so."""
        ...


OwnerT = TypeVar("OwnerT", bound=Owner)


class Gone:
    """The last known states of such runs, by the UIDs of their executions.

    - A run that disappears is kept for as long as the cache has its execution, until that has ended
      and says itself which run was its own.
    - Where an execution says so no more, its status is of an earlier time: what it said is kept.
    - A run that was created is kept until the cache has it: a list may jump over all its life.
    - Of executions that the cache does not have, for they come yet or went, the last 5000
      are kept. All else is bounded by the executions that there are.

    Lock-free: hears of each change before anything is decided on it.
    """

    def __init__(self, namespace: str, *, owner: Callable[[str], Owner | None]) -> None:
        """Start with nothing.

        Args:
            namespace: of the runs.
            owner: the execution of a UID, from the cache.
        """
        self._namespace = namespace
        self._owner = owner
        self._kept: dict[str, tekton.PipelineRun] = {}
        self._strays: OrderedDict[str, tekton.PipelineRun] = OrderedDict()

    def __len__(self) -> int:
        """Count the runs."""
        return len(self._kept) + len(self._strays)

    def last(self, owner_uid: str) -> tekton.PipelineRun | None:
        """The last known state of the execution's run, if there was one."""
        return self._kept.get(owner_uid) or self._strays.get(owner_uid)

    def created(self, run: tekton.PipelineRun) -> None:
        """Note a run that the server has made, unless it has been seen to go already."""
        known = self.last(run.owner_uid)
        if known is None or known.uid != run.uid:
            self._keep(run)

    def run_changed(self, delta: store.Delta[engine.Run]) -> None:
        """Note a run that disappears, and one that the cache has by now."""
        if delta.new is None:
            if delta.old is not None and not self._is_anothers(delta.old):
                self._keep(delta.old)
        elif delta.old is None:
            known = self._kept.get(delta.new.owner_uid)
            if known is not None and known.uid == delta.new.uid:
                del self._kept[delta.new.owner_uid]

    def execution_changed(self, delta: store.Delta[OwnerT]) -> None:
        """Note what an execution does not say any more; forget what it says itself."""
        old, new = delta.old, delta.new
        if new is None:
            if old is not None:  # pragma: no branch - one of them is there
                self._part(old)
            return
        if old is None:
            if new.uid in self._strays:
                self._kept[new.uid] = self._strays.pop(new.uid)
        elif old.run_uid and not new.run_uid:
            self._kept.setdefault(new.uid, self._named(old))
        if _tells(new):
            self._kept.pop(new.uid, None)

    def _is_anothers(self, run: engine.Run) -> bool:
        """Whether a run only carries the labels of the one that tells of its execution."""
        owner = self._owner(run.owner_uid) if run.is_copy else None
        return run.is_child or (owner is not None and owner.run_uid != run.uid)

    def _keep(self, run: tekton.PipelineRun) -> None:
        owner = self._owner(run.owner_uid)
        if owner is None:
            self._stray(run)
        elif not _tells(owner):
            self._kept[run.owner_uid] = run

    def _part(self, owner: Owner) -> None:
        """Keep no more than that there was a run: nobody asks how far it came."""
        known = self._kept.pop(owner.uid, None)
        if known is not None or owner.run_uid:
            self._stray(self._named(owner, known))

    def _stray(self, run: tekton.PipelineRun) -> None:
        self._strays[run.owner_uid] = run
        self._strays.move_to_end(run.owner_uid)
        if len(self._strays) > _STRAYS:
            self._strays.popitem(last=False)

    def _named(self, owner: Owner, known: tekton.PipelineRun | None = None) -> tekton.PipelineRun:
        """A run of which nothing is kept but which one it is."""
        metadata = {
            "namespace": self._namespace,
            "name": owner.lock,
            "uid": owner.run_uid if known is None else known.uid,
            "resourceVersion": "",
            "labels": {names.LABEL_EXECUTION_UID: owner.uid},
        }
        return tekton.project_pipelinerun({"metadata": metadata}, tekton.PipelineRun)


def _tells(owner: Owner) -> bool:
    """Whether an execution needs no memory of its run: it is over, and names it."""
    return owner.ended and bool(owner.run_uid)

"""TaskRuns that have begun though they do not say so any more: what has run, has run.

Tekton makes a second pod for a task whose pod is gone, and writes the state of that one over what
it said of the first. A TaskRun that somebody deletes is made anew under its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from workflowexecution.api import tekton

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution.adapters import gone
    from workflowexecution.adapters import tekton as engine
    from workflowexecution.runtime import store

TaskT = TypeVar("TaskT", bound=tekton.TaskRun)


class Begun:
    """Names of such TaskRuns, by the UIDs of their executions, until those have ended.

    The status says it, too, but as late as progress is written.

    Lock-free: hears of each change before anything is decided on it.
    """

    def __init__(self, *, owner: Callable[[str], gone.Owner | None]) -> None:
        """Start with nothing.

        Args:
            owner: the execution of a UID, from the cache.
        """
        self._owner = owner
        self._names: dict[str, set[tuple[str, str]]] = {}

    def __len__(self) -> int:
        """Count the executions."""
        return len(self._names)

    def told(self, task: TaskT) -> TaskT:
        """The task, begun if it ever was."""
        known = self._names.get(task.owner_uid)
        if known is None or task.ran or _name(task) not in known:
            return task
        return task._replace(ran=True)

    def task_changed(self, delta: store.Delta[engine.Task]) -> None:
        """Note a task that had begun, and is gone, or as if it had not."""
        old, new = delta.old, delta.new
        if old is None or not old.ran or (new is not None and new.ran):
            return
        owner = self._owner(old.owner_uid)
        # The tasks of a database that was put back may come before the execution that goes on.
        if owner is not None and (new is not None or not owner.ended):
            self._names.setdefault(old.owner_uid, set()).add(_name(old))

    def execution_changed(self, delta: store.Delta[gone.OwnerT]) -> None:
        """Forget an execution that has ended, or is gone."""
        known = delta.new or delta.old
        if known is not None and (delta.new is None or delta.new.ended):
            self._names.pop(known.uid, None)


def _name(task: tekton.TaskRun) -> tuple[str, str]:
    return task.run_uid, task.name

"""Untold: runs that were deleted and could not be told why, as this process remembers them.

Why a run was stopped stands on the run, or in the status of its execution. What keeps runs from
being changed may keep statuses from being written: then nothing else tells that the one who has
deleted the run was this program, and what for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.domain import stopping

if TYPE_CHECKING:
    from workflowexecution.api import tekton
    from workflowexecution.runtime.resource import ObjectKey


class Untold:
    """Remembers, for running executions, the run as it would be, had it been told."""

    def __init__(self) -> None:
        """Know of none."""
        self._runs: dict[ObjectKey, tekton.PipelineRun] = {}

    def note(self, key: ObjectKey, run: tekton.PipelineRun, cause: stopping.Cause) -> None:
        """Note that the run of an execution is deleted for a cause that it does not carry."""
        self._runs[key] = stopping.marked(run, cause)

    def forget(self, key: ObjectKey) -> None:
        """Drop it: the run goes on, or its end is said."""
        self._runs.pop(key, None)

    def told(self, key: ObjectKey, run: tekton.PipelineRun) -> tekton.PipelineRun:
        """A run that goes or is gone, with what it was deleted for; its own word comes first."""
        known = self._runs.get(key)
        if known is None or known.uid != run.uid:
            return run
        return run._replace(annotations={**known.annotations, **run.annotations})

    def last(self, key: ObjectKey, seen: tekton.PipelineRun | None) -> tekton.PipelineRun | None:
        """The same of a run that is gone, which may not have been seen to go."""
        return self._runs.get(key) if seen is None else self.told(key, seen)

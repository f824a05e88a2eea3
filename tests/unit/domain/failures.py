"""Runs that failed, and what is made of them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from tests import builders
from workflowexecution.domain import failure, summary

if TYPE_CHECKING:
    from workflowexecution.api import tekton
    from workflowexecution.api.status import FailureDetails

AT = builders.NOW + datetime.timedelta(seconds=90, microseconds=700)
SUBJECT = summary.Subject("restart-deployment", builders.TARGET, builders.NOW)


def classify(
    *children: tekton.TaskRun,
    said: tuple[str, str, str] = ("False", "Failed", "Tasks Completed: 1 (Failed: 1, Cancelled 0)"),
    status: dict[str, Any] | None = None,
    subject: summary.Subject = SUBJECT,
) -> FailureDetails:
    """Classify a run that said this and had these TaskRuns."""
    named = [builders.child(it.task) for it in children]
    run = builders.run(condition=said, status={"childReferences": named, **(status or {})})
    return failure.classify_run(failure.Facts(run, children), subject, AT)


def failed_task(
    name: str = "restart",
    *,
    reason: str = "Failed",
    message: str = "it failed",
    steps: list[dict[str, Any]] | None = None,
    ended_s: float = 20,
) -> tekton.TaskRun:
    """A TaskRun that failed, in a step with exit code 3 unless steps are given."""
    return builders.task(
        name,
        condition=("False", reason, message),
        steps=[builders.step(exit_code=3)] if steps is None else steps,
        status={"completionTime": builders.stamp(ended_s)},
    )

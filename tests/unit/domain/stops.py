"""Executions that are to be stopped, and their runs, with the marks that a stop leaves."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from tests import builders
from workflowexecution.api import names, tekton
from workflowexecution.domain import stopping

if TYPE_CHECKING:
    from workflowexecution.api.workflowexecution import Spec
    from workflowexecution.domain.stopping import Cause

NOW = builders.NOW
LIMITS = stopping.Limits(deadline_grace_s=120.0, stall_after_s=600.0)
CANCEL = {"cancel": {"requestedBy": "ann", "reason": "wrong target"}}
CAUSE, NUDGED = names.ANNOTATION_CANCEL_CAUSE, names.ANNOTATION_NUDGED_AT
ASKED, FORCED = names.ANNOTATION_CANCEL_REQUESTED_AT, names.ANNOTATION_CANCEL_FORCED_AT


def at(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def spec(**parts: Any) -> Spec:  # noqa: ANN401 - members of the spec
    return builders.execution(spec=parts).spec


def run(
    *,
    timeout: str = "30m",
    marks: dict[str, str] | None = None,
    digest: str = "",
    metadata: dict[str, Any] | None = None,
    **parts: Any,  # noqa: ANN401 - as raw_run
) -> tekton.PipelineRun:
    status = parts.pop("status", {})
    if digest:
        source = {"digest": {"sha256": digest.removeprefix("sha256:")}}
        status = status | {"provenance": {"refSource": source}}
    raw = builders.raw_run(
        metadata={"annotations": marks or {}, **(metadata or {})}, status=status, **parts
    )
    raw["spec"] = {"timeouts": {"pipeline": timeout}}
    return tekton.project_pipelinerun(raw, tekton.PipelineRun)


def due(
    asked: Spec,
    seen: tekton.PipelineRun,
    now: datetime.datetime,
    lingers_since: datetime.datetime | None = None,
) -> stopping.Stop | None:
    return stopping.due(asked, seen, now, LIMITS, lingers_since=lingers_since)


def cause(found: stopping.Stop | None) -> Cause | None:
    return found.cause if found else None

"""Reads golden files as the program reads the API server's objects."""

from __future__ import annotations

import datetime
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workflowexecution.api import tekton
from workflowexecution.api import workflowexecution as api
from workflowexecution.api.status import FailureDetails, Outcome
from workflowexecution.domain import failure

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject

_FINAL = frozenset({"Succeeded", "Failed"})
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Record:
    """What became of a run: its outcome and, unless it succeeded, why.

    Attributes:
        live: whether something of it was still at work, so that the execution has not ended yet.
    """

    outcome: Outcome
    details: FailureDetails | None
    live: bool


def names() -> list[str]:
    """The recorded cases."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


@functools.cache
def load(name: str) -> JsonObject:
    """A golden file."""
    document: JsonObject = json.loads((FOLDER / f"{name}.json").read_bytes())
    return document


def facts(document: JsonObject) -> failure.Facts:
    """What the program knows of a run when it has ended."""
    run = tekton.project_pipelinerun(document["pipelineRun"], tekton.PipelineRun)
    children = [tekton.project_taskrun(it, tekton.TaskRun) for it in document["taskRuns"]]
    pods = [tekton.project_pod(it) for it in document["pods"] if not it.get("gone")]
    return failure.Facts(run, children, pods=pods)


def classify(document: JsonObject) -> Record:
    """What the program makes of a run that has ended."""
    known = facts(document)
    run = known.run
    assert run is not None
    assert run.is_done
    if run.is_successful:
        return Record(Outcome.SUCCESS, None, live=False)
    spec = api.parse_execution(document["workflowExecution"]).spec
    subject = failure.Subject(spec.workflow_ref.workflow_id, spec.target_resource, run.created_at)
    at = run.completed_at or datetime.datetime.max.replace(tzinfo=datetime.UTC)
    details = failure.classify_run(known, subject, at)
    return Record(failure.outcome_of(details.reason), details, _is_live(document, known))


def _is_live(document: JsonObject, known: failure.Facts) -> bool:
    """As the reconciler asks it."""
    phases = {it["status"].get("phase") for it in document["pods"] if not it.get("gone")}
    return not all(it.is_done for it in known.children) or bool(phases - _FINAL)

"""Reads golden files as the program reads the API server's objects."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.stack import binaries
from workflowexecution.api import tekton
from workflowexecution.api import workflowexecution as api
from workflowexecution.api.status import FailureDetails, Outcome
from workflowexecution.domain import consistency, failure, remains, summary

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject

_FINAL = frozenset({"Succeeded", "Failed"})
FOLDER = Path(__file__).parent
VERSIONS = tuple(binaries.module_version(module) for module in binaries.TEKTONS)


@dataclass(frozen=True)
class Record:
    """What became of a run: its outcome and, unless it succeeded, why.

    Attributes:
        live: whether something of it was still at work, so that the execution has not ended yet.
        doubt: what speaks against a success.
        signed: what Tekton says of the signature, if it was asked.
    """

    outcome: Outcome
    details: FailureDetails | None
    live: bool
    doubt: str = ""
    signed: bool | None = None


def folder_of(tekton: str) -> Path:
    """Where the golden files of a version are: those of the long-term one beside this file."""
    return FOLDER if tekton == VERSIONS[0] else FOLDER / tekton


def path_of(name: str, tekton: str = VERSIONS[0]) -> Path:
    """The golden file of a case."""
    return folder_of(tekton) / f"{name}.json"


def names(tekton: str = VERSIONS[0]) -> list[str]:
    """The recorded cases."""
    return sorted(path.stem for path in folder_of(tekton).glob("*.json"))


@functools.cache
def load(name: str, tekton: str = VERSIONS[0]) -> JsonObject:
    """A golden file."""
    document: JsonObject = json.loads(path_of(name, tekton).read_bytes())
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
    signed = run.trust.status == "True" if run.trust else None
    if run.is_successful:
        doubt = consistency.doubt(known.children, known.pods)
        return Record(Outcome.SUCCESS, None, live=False, doubt=doubt, signed=signed)
    live = _is_live(document, known)
    lingers = live and remains.may_begin(known.children, known.pods)
    known = dataclasses.replace(known, lingers=lingers)
    spec = api.parse_execution(document["workflowExecution"]).spec
    subject = summary.Subject(spec.workflow_ref.workflow_id, spec.target_resource, run.created_at)
    at = run.completed_at or datetime.datetime.max.replace(tzinfo=datetime.UTC)
    details = failure.classify_run(known, subject, at)
    outcome = failure.outcome_of(details.reason)
    return Record(outcome, details, live, signed=signed)


def _is_live(document: JsonObject, known: failure.Facts) -> bool:
    """As the reconciler asks it."""
    phases = {it["status"].get("phase") for it in document["pods"] if not it.get("gone")}
    return not all(it.is_done for it in known.children) or bool(phases - _FINAL)

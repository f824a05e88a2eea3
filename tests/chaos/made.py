"""Evidence that is made up, so that each check can be shown what it is to find."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, cast

from tests.chaos.checks.evidence import Evidence
from tests.chaos.plan import Plan, Wish
from tests.integration import audit
from tests.integration.audit import Request
from tests.integration.world import World

if TYPE_CHECKING:
    from tests.chaos.checks.evidence import JsonObject
    from tests.fake.api import Api

WORLD = World(cast("Api", None), "executions", "runs")
RUNS = ("wfe-0000000000000000", "wfe-1111111111111111")
"""Names of runs, of the first target and of the second."""
START = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
LEADER, OTHER = "vm-1", "vm-2"


def at(seconds: float) -> datetime.datetime:
    """A moment of the round."""
    return START + datetime.timedelta(seconds=seconds)


def text(seconds: float) -> str:
    """The same as it stands in a status."""
    return at(seconds).isoformat()


def agent(who: str) -> str:
    """How a controller calls itself in requests."""
    return f"workflowexecution/1 ({who})"


def request(  # noqa: PLR0913 - as many as a line of the log has
    kind: str,
    name: str,
    seconds: float,
    *,
    by: str = LEADER,
    owner: str = "",
    code: int = 0,
    whole_agent: str = "",
) -> Request:
    """Something that was done within a tenth of a second."""
    verb, resource = kind.split()
    namespace = "executions" if resource.startswith("workflow") else "runs"
    return Request(
        whole_agent or agent(by), verb, resource, namespace, name,
        code or (201 if verb == "create" else 200), at(seconds), at(seconds + 0.1), owner,
    )  # fmt: skip


def create(execution: str, seconds: float, *, run: str = RUNS[0], by: str = LEADER) -> Request:
    """The create of a run."""
    return request(audit.CREATE, run, seconds, owner=f"uid-{execution}", by=by)


def ended(execution: str, phase: str, *, run: str = "", **status: object) -> JsonObject:
    """An execution that ran from the first second to the fifth, or did not run."""
    full: JsonObject = {"phase": phase, "completionTime": text(5), **status}
    if run:
        full |= {"startTime": text(1), "pipelineRunRef": {"name": run}}
    if phase == "Failed":
        full |= {"outcome": "Failed", "requiresManualReview": True, **status}
    return {"metadata": {"name": execution, "uid": f"uid-{execution}"}, "status": full}


def skipped(
    execution: str, other: str, *, reason: str = "ResourceBusy", at_s: float = 3
) -> JsonObject:
    """An execution that was skipped for another."""
    key = "conflictingWorkflow" if reason == "ResourceBusy" else "recentRemediation"
    details = {"reason": reason, "skippedAt": text(at_s), key: {"name": other}}
    return ended(execution, "Skipped", skipDetails=details)


def evidence(
    wishes: dict[str, Wish],
    last: list[JsonObject],
    requests: list[Request],
    rows: list[JsonObject] | None = None,
    *,
    holder: str = LEADER,
) -> Evidence:
    """What was found after a round of these executions."""
    names = {it["metadata"]["name"]: it for it in last}
    plan = Plan(0, None, 1, tuple(wishes.values()), (), cooldown_s=1)
    return Evidence(
        plan=plan,
        world=WORLD,
        wishes=wishes,
        probes=dict.fromkeys(names.keys() - wishes.keys(), 0),
        last=names,
        ended=dict.fromkeys(names, at(5)),
        gone=dict.fromkeys(names, at(9)),
        requests=requests,
        rows=rows or [],
        holder=holder,
    )


def row(execution: str, transition: str) -> JsonObject:
    """A record in the store."""
    return {"event_data": {"execution_name": execution}, "event_type": f"workflow.{transition}"}

"""What brings events and answers into an unlucky order, and what can be seen of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests import builders
from tests.component import world
from tests.fake import faults, kinds, statuses
from tests.fake.paths import Match
from workflowexecution.api import names

if TYPE_CHECKING:
    from tests.component.world import World
    from tests.fake.statuses import JsonObject

CREATE = Match(verbs=("create",), resource="pipelineruns")
STATUS = Match(verbs=("patch",), resource="workflowexecutions", subresource="status")


def watch(resource: str) -> Match:
    return Match(verbs=("watch",), resource=resource)


def refusal(code: int, reason: str, message: str) -> faults.Answer:
    return faults.refused(statuses.StatusError(code, reason, message))


def fail_task(here: World) -> str:
    """Make a failed TaskRun of the run, which ran but is not named by the run; returns its name."""
    failed = ("False", "Failed", "x")
    raw = builders.raw_task("t", condition=failed, steps=[builders.step(exit_code=1)])
    run = here.run() or {}
    raw["metadata"]["labels"]["tekton.dev/pipelineRunUID"] = run["metadata"]["uid"]
    raw["metadata"]["labels"][names.LABEL_EXECUTION_UID] = run["metadata"]["labels"][
        names.LABEL_EXECUTION_UID
    ]
    made = here.cluster.create(raw)["metadata"]
    said = {"status": raw["status"]}
    name: str = made["name"]
    here.cluster.patch(kinds.TASK_RUNS, world.NAMESPACE, name, said, subresource="status")
    return name


def details_of(status: JsonObject) -> JsonObject:
    details: JsonObject = status["failureDetails"]
    return details


def start_pod(here: World) -> None:
    """A pod of the execution's run that works on until it is deleted."""
    labels = {"tekton.dev/pipelineRunUID": (here.run() or {})["metadata"]["uid"]}
    pod = {"name": "p", "namespace": world.NAMESPACE, "labels": labels}
    spec = {"containers": [{"name": "c", "image": "i"}]}
    here.cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": pod, "spec": spec})


def phases(here: World) -> list[str]:
    """The phases that have been written so far."""
    said = (it.get("status") or {} for it in here.cluster.items(kinds.EXECUTIONS))
    return [it["phase"] for it in said if "phase" in it]

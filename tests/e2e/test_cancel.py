"""An execution is cancelled, or deleted, while real Tekton is at each stage of its run.

Nobody is told that it is over while a container works: what the pods were at the moment of the
status is read from the server's own order of changes.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import witness
from tests.support import place, program, workflows
from tests.support.workflows import Task, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kubectl import JsonObject

requirement = pytest.mark.requirement

REASON = "the wrong deployment"
# It gets no node, and waits for one.
HUGE = "64Ti"
# Kubernetes gives it 30 s to obey.
DEAF = "trap '' TERM; while true; do sleep 1; done"


@dataclass(frozen=True)
class Stage:
    """How far a run has come when somebody ends it.

    Attributes:
        bundle: what runs.
        path: JSON path that shows it, by this value.
        resource: kind and end of the name of the object that shows it; empty for the execution.
        ran: whether a step has run, or may have.
        tasks: those that have got a pod by then.
    """

    bundle: str
    path: str
    value: str
    resource: str = ""
    ran: bool = True
    tasks: frozenset[str] = frozenset({"apply"})

    @property
    def over(self) -> witness.Pods:
        """Its pods when nothing of it works any more."""
        return witness.Pods(known=self.tasks, alive={})


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """A registry that takes connections and never answers, as Tekton on this machine reaches it."""
    if os.environ.get("WFE_TEST_KUBECONFIG"):
        pytest.skip("the resolvers of another cluster do not reach this machine's loopback")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}/workflows/silent:v1"


CONDITION = ".status.conditions[0].reason"
STEP = ".status.currentStep"
NONE, BOTH = frozenset[str](), frozenset({"apply", "report"})
RESOLVING = "ResolvingPipelineRef"
STAGES = {
    "resolving": Stage("silent", CONDITION, RESOLVING, "pipelinerun/", ran=False, tasks=NONE),
    "unscheduled": Stage("huge", ".status.phase", "Pending", "pod/-apply-pod", ran=False),
    "running": Stage("sleeps", STEP, "apply/run"),
    "finally": Stage("winds-up", STEP, "report/run", tasks=BOTH),
    "deaf": Stage("deaf", STEP, "apply/run"),
}


@pytest.fixture(scope="module")
def bundles(where: place.Place, silent: str) -> dict[str, Workflow | str]:
    """The workflows of the stages."""
    # As long as it takes on a busy machine to hear of it, and to cancel.
    ends = Task("report", "sleep 15")
    return {
        "silent": silent,
        "huge": workflows.push(where, "huge", Task("apply", "true", memory=HUGE)),
        "sleeps": workflows.push(where, "sleeps", Task("apply", "sleep 600")),
        "winds-up": workflows.push(where, "winds-up", Task("apply", "true"), final=ends),
        "deaf": workflows.push(where, "deaf", Task("apply", DEAF)),
    }


def begin(where: place.Place, name: str, stage: Stage, bundle: Workflow | str, **spec: Any) -> None:  # noqa: ANN401 - raw spec
    """Create an execution and wait until its run has come as far as the stage."""
    where.kubectl.apply(workflows.execution(name, bundle, **spec))
    what, namespace = f"wfe/{name}", place.TEAM
    if stage.resource:
        where.kubectl.wait(f"wfe/{name}", place.TEAM, ".status.phase", "Running")
        run = where.kubectl.get("wfe", name, place.TEAM)["status"]["pipelineRunRef"]["name"]
        what, namespace = stage.resource.replace("/", f"/{run}"), place.NAMESPACE
        where.kubectl("wait", what, "-n", namespace, "--for=create", "--timeout=60s")
    where.kubectl.wait(what, namespace, stage.path, stage.value)


def cancel(where: place.Place, name: str) -> None:
    """Ask for the end of an execution, as a person does."""
    patch = {"spec": {"cancel": {"requestedBy": where.user, "reason": REASON}}}
    where.kubectl("patch", "wfe", name, "-n", place.TEAM, "--type=merge", "-p", json.dumps(patch))


def over(where: place.Place, name: str) -> JsonObject:
    """Wait until an execution has failed; returns its status."""
    where.kubectl.wait(f"wfe/{name}", place.TEAM, ".status.phase", "Failed")
    status: JsonObject = where.kubectl.get("wfe", name, place.TEAM)["status"]
    return status


QUICK = ["resolving", "unscheduled", "running", "finally"]
SLOW = [pytest.param("deaf", marks=pytest.mark.long)]


@pytest.mark.usefixtures("controller")
class TestStages:
    @pytest.mark.parametrize("stage", [*QUICK, *SLOW])
    def test_execution_is_cancelled_when_nothing_of_it_works_any_more(
        self, where: place.Place, bundles: dict[str, Workflow | str], stage: str
    ) -> None:
        name, at = f"cancel-{stage}", STAGES[stage]
        with witness.watching(where.kubectl, name) as seen:
            begin(where, name, at, bundles[at.bundle])
            cancel(where, name)
            status = over(where, name)
            assert seen.pods_when(witness.ended) == at.over
        assert status["outcome"] == "Cancelled"
        details = status["failureDetails"]
        assert (details["reason"], details["wasExecutionFailure"]) == ("Cancelled", at.ran)
        assert f"cancelled by {where.user}: {REASON}" in details["message"]
        said = {it["type"]: it["status"] for it in status["conditions"]}
        assert said["CancelConfirmed"] == "True"

    @pytest.mark.parametrize("stage", [*QUICK, *SLOW])
    def test_deleted_execution_takes_everything_along(
        self, where: place.Place, bundles: dict[str, Workflow | str], stage: str
    ) -> None:
        name, at = f"delete-{stage}", STAGES[stage]
        with witness.watching(where.kubectl, name) as seen:
            begin(where, name, at, bundles[at.bundle])
            run = where.kubectl.get("wfe", name, place.TEAM)["status"]["pipelineRunRef"]
            where.kubectl("delete", f"wfe/{name}", "-n", place.TEAM, "--timeout=120s")
            assert seen.pods_when(witness.gone) == at.over
        selector = f"tekton.dev/pipelineRunUID={run['uid']}"
        for kind in ("taskruns", "pods"):
            assert where.kubectl.items(kind, place.NAMESPACE, selector) == []
        runs = where.kubectl.items("pipelineruns", place.NAMESPACE)
        assert run["uid"] not in {it["metadata"]["uid"] for it in runs}

    @pytest.mark.long
    @requirement("ADR-044", "Workflow timeout handled by Tekton PipelineRun, configurable")
    def test_execution_times_out_when_nothing_of_it_works_any_more(
        self, where: place.Place, bundles: dict[str, Workflow | str]
    ) -> None:
        config = {"timeout": "10s"}
        with witness.watching(where.kubectl, "late") as seen:
            begin(where, "late", STAGES["deaf"], bundles["deaf"], executionConfig=config)
            status = over(where, "late")
            assert seen.pods_when(witness.ended) == STAGES["deaf"].over
        assert (status["outcome"], status["failureReason"]) == ("Timeout", "DeadlineExceeded")


def test_execution_is_cancelled_when_it_is_pending(
    where: place.Place, account: Path, tmp_path: Path
) -> None:
    name, instance = "cancel-pending", "suspended"
    made = workflows.execution(name, f"{where.registry}/workflows/never:v1")
    made["metadata"]["labels"] = {"kubernaut.ai/instance": instance}
    with program.running(
        tmp_path,
        account,
        execution={"suspend": True},
        controller={"instance": instance},
    ):
        where.kubectl.apply(made)
        where.kubectl.wait(f"wfe/{name}", place.TEAM, ".status.phase", "Pending")
        cancel(where, name)
        status = over(where, name)
        # Nobody else lets one of this instance go.
        where.kubectl("delete", f"wfe/{name}", "-n", place.TEAM, "--timeout=90s")
    assert status["outcome"] == "Cancelled"
    assert status["failureDetails"]["wasExecutionFailure"] is False
    assert "pipelineRunRef" not in status

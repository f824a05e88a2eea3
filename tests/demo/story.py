"""Two remediations: one succeeds, one's second task exits 42; both are followed and explained."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support import executions, program
from workflowexecution.api import names
from workflowexecution.runtime import client, connection, resource

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.screen import Screen

JsonObject = dict[str, Any]

TEAM = "payment"
GOOD, BAD = "restart-payment-api", "drain-payment-queue"
EXECUTIONS = resource.Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND)


class Unexpected(Exception):
    """The story did not go as it is told."""


@dataclass(frozen=True)
class Stage:
    """A cluster that is ready for the story.

    Attributes:
        kubeconfig: the way to it.
        bundles: the bundle reference of each of the two workflows, by the execution's name.
        deadline_s: how long both executions may take.
    """

    kubeconfig: Path
    bundles: dict[str, str]
    deadline_s: float


async def tell(screen: Screen, stage: Stage, folder: Path) -> None:
    """Start the program, create both executions, follow them to their end, explain, stop.

    Raises:
        Unexpected: something is not as it should be.
    """
    screen.say("starting the controller: python -m workflowexecution")
    running = program.running(folder, stage.kubeconfig, ready=False)
    started = await asyncio.to_thread(running.__enter__)
    try:
        await asyncio.to_thread(started.wait_probe, "/readyz", 200)
        screen.say(f"the controller is ready (/readyz on port {started.health_port})")
        ended = await _remediate(screen, stage)
    except AssertionError as error:
        raise Unexpected(str(error)) from error
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
    _explain(screen, ended)
    screen.say(f"the controller has stopped, exit code {started.process.returncode}")
    if started.process.returncode != 0:
        raise Unexpected(started.tail())


async def _remediate(screen: Screen, stage: Stage) -> dict[str, JsonObject]:
    way = await connection.connect(kubeconfig=str(stage.kubeconfig))
    api = client.Client(connection=way, user_agent="workflowexecution-demo")
    try:
        page = await api.list_page(EXECUTIONS, namespace=TEAM)
        for name in (GOOD, BAD):
            await api.create(EXECUTIONS, TEAM, _execution(name, stage.bundles[name]))
            screen.say(f"created WorkflowExecution {TEAM}/{name}")
        async with asyncio.timeout(stage.deadline_s):
            return await _follow(screen, api, page.resource_version)
    except TimeoutError as error:
        message = f"the executions did not end within {stage.deadline_s:.0f} s"
        raise Unexpected(message) from error
    finally:
        await api.close()


async def _follow(screen: Screen, api: client.Client, version: str) -> dict[str, JsonObject]:
    """Print each change as it happens, until both have ended."""
    seen: dict[str, JsonObject] = {}
    said: dict[str, str] = {}
    async with api.watch(
        EXECUTIONS, namespace=TEAM, resource_version=version, timeout_s=600, idle_s=120
    ) as batches:
        async for batch in batches:
            changed = [it.object for it in batch if it.type in ("ADDED", "MODIFIED")]
            for execution in changed:
                seen[execution["metadata"]["name"]] = execution
                _say_change(screen, execution, said)
            if len(seen) == 2 and all(map(executions.has_ended, seen.values())):
                return seen
    message = "the watch ended before the executions did"
    raise Unexpected(message)


def _say_change(screen: Screen, execution: JsonObject, said: dict[str, str]) -> None:
    name = execution["metadata"]["name"]
    line = _line(execution.get("status") or {})
    if line and said.get(name) != line:
        said[name] = line
        screen.say(f"{name:<22} {line}")


def _explain(screen: Screen, ended: dict[str, JsonObject]) -> None:
    screen.title("kubectl get workflowexecutions -o wide")
    header = ("NAME", "PHASE", "WORKFLOW", "TARGET", "PROGRESS", "DURATION", "REASON")
    screen.table([header, *(_row(ended[name]) for name in (GOOD, BAD))])
    good, bad = ended[GOOD]["status"], ended[BAD]["status"]
    details = bad.get("failureDetails") or {}
    screen.title(f"why {BAD} failed")
    for field in ("reason", "failedTaskName", "failedStepName", "exitCode", "wasExecutionFailure"):
        screen.say(f"{field:<22} {details.get(field)}")
    screen.paragraph(details.get("naturalLanguageSummary", ""))
    for line in details.get("logTail", "").splitlines():
        screen.say(f"{'log':<22} {line}")
    screen.title("done")
    found = (good["phase"], bad["phase"], details.get("reason"), details.get("exitCode"))
    if found != ("Completed", "Failed", "TaskFailed", 42):
        message = f"expected one Completed and one that failed with exit code 42, got {found}"
        raise Unexpected(message)


def _execution(name: str, bundle: str) -> JsonObject:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name, "namespace": TEAM},
        "spec": {
            "remediationRequestRef": {"name": f"rr-{name}", "namespace": TEAM},
            "workflowRef": {"workflowId": name, "version": "1.0.0", "containerImage": bundle},
            "targetResource": f"{TEAM}/deployment/{name.split('-', 1)[1]}",
            "parameters": {"REASON": "demo"},
        },
    }


def _line(status: JsonObject) -> str:
    parts = [status.get("phase", "")]
    if status.get("progress"):
        parts.append(f"{status['progress']} tasks")
    if status.get("currentStep"):
        parts.append(f"at {status['currentStep']}")
    if status.get("phase") in executions.TERMINAL:
        parts.append(status.get("message", ""))
    return "  ".join(part for part in parts if part)


def _row(execution: JsonObject) -> tuple[str, ...]:
    spec, status = execution["spec"], execution["status"]
    return (
        execution["metadata"]["name"],
        status["phase"],
        spec["workflowRef"]["workflowId"],
        spec["targetResource"],
        status.get("progress", ""),
        status.get("duration", ""),
        executions.condition(execution, "Ready")["reason"],
    )

"""Workflows for the suite: pipelines of shell steps, pushed as bundles, and who asks for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.stack import bundles
from tests.support import place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.kubectl import JsonObject


@dataclass(frozen=True)
class Task:
    """One task with one step called `run`.

    Attributes:
        image: another image than the place's own.
        memory: limit of the step.
        env: variables of the step, which is how a parameter reaches a script unharmed.
    """

    name: str
    script: str
    image: str = ""
    pull_policy: str = ""
    memory: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Workflow:
    """A pushed bundle."""

    reference: str
    digest: str


def push(
    where: place.Place,
    name: str,
    *tasks: Task,
    params: tuple[str, ...] = (),
    tag: str = "v1",
    final: Task | None = None,
) -> Workflow:
    """Push a pipeline of tasks, one after the other, and one that runs in the end whatever was."""
    before: list[str] = []
    made = []
    for task in tasks:
        made.append(_task(where, task, before, params))
        before = [task.name]
    declared = [{"name": param, "type": "string"} for param in ("TARGET_RESOURCE", *params)]
    pipeline: JsonObject = {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": "workflow"},
        "spec": {"params": declared, "tasks": made},
    }
    if final is not None:
        pipeline["spec"]["finally"] = [_task(where, final, [], params)]
    repository = f"workflows/{name}"
    digest = bundles.push_bundle(where.registry, repository, tag, [pipeline])
    return Workflow(f"{where.registry}/{repository}:{tag}", digest)


def pipeline(where: place.Place, *tasks: JsonObject) -> JsonObject:
    """A pipeline of tasks that leave out what is the same everywhere."""
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "Pipeline",
        "metadata": {"name": "workflow"},
        "spec": complete(where, {"tasks": list(tasks)}),
    }


def push_pipeline(where: place.Place, name: str, made: JsonObject) -> Workflow:
    """Push a pipeline as it is."""
    repository = f"workflows/{name}"
    digest = bundles.push_bundle(where.registry, repository, "v1", [made])
    return Workflow(f"{where.registry}/{repository}:v1", digest)


def complete(where: place.Place, spec: JsonObject) -> JsonObject:
    """The spec of a pipeline whose tasks leave out what is the same everywhere.

    TARGET_RESOURCE is declared; steps and sidecars get an image and a name, scripts their shell.
    """
    declared = [{"name": "TARGET_RESOURCE", "type": "string"}, *spec.get("params", ())]
    made = {**spec, "params": declared}
    for part in ("tasks", "finally"):
        if part in spec:
            made[part] = [_complete_task(where, task) for task in spec[part]]
    return made


def _complete_task(where: place.Place, task: JsonObject) -> JsonObject:
    if "taskSpec" not in task:
        return task
    inner = {**task["taskSpec"]}
    for part in ("steps", "sidecars"):
        if part in inner:
            inner[part] = [_complete_step(where, step) for step in inner[part]]
    return {**task, "taskSpec": inner}


def _complete_step(where: place.Place, step: JsonObject) -> JsonObject:
    own = {"name": "run", **step}
    if "image" not in step:
        own |= {"image": where.step_image, "imagePullPolicy": where.pull_policy}
    if "script" in step:
        own["script"] = f"#!/bin/sh\n{step['script']}\n"
    return own


def execution(name: str, workflow: Workflow | str, **spec: Any) -> JsonObject:  # noqa: ANN401 - raw spec
    """A WorkflowExecution on a target of its own name."""
    reference = workflow if isinstance(workflow, str) else workflow.reference
    return {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "WorkflowExecution",
        "metadata": {"name": name, "namespace": place.TEAM},
        "spec": {
            "remediationRequestRef": {"name": f"rr-{name}", "namespace": place.TEAM},
            "workflowRef": {"workflowId": name, "version": "1.0.0", "containerImage": reference},
            "targetResource": f"{place.TEAM}/deployment/{name}",
            **spec,
        },
    }


def _task(where: place.Place, task: Task, before: list[str], params: tuple[str, ...]) -> JsonObject:
    step: JsonObject = {
        "name": "run",
        "image": task.image or where.step_image,
        "imagePullPolicy": task.pull_policy or where.pull_policy,
        "script": f"#!/bin/sh\n{task.script}\n",
        "env": [{"name": name, "value": value} for name, value in task.env.items()],
    }
    if task.memory:
        step["computeResources"] = {"limits": {"memory": task.memory}}
    names = ("TARGET_RESOURCE", *params)
    made: JsonObject = {"runAfter": before} if before else {}
    return made | {
        "name": task.name,
        "params": [{"name": name, "value": f"$(params.{name})"} for name in names],
        "taskSpec": {
            "params": [{"name": name, "type": "string"} for name in names],
            "steps": [step],
        },
    }

"""The Python peer: an operator over kopf that does the bare minimum of the same job.

It creates the PipelineRun when an execution appears, says Running, and says Completed when the run
has ended, each with a Kubernetes event. No lock, no history, no failure, no audit; kopf itself adds
the finalizer. What it leaves out is what the controller is there for.
"""

import argparse
import datetime
from pathlib import Path
from typing import Any

import kopf

from tests.benchmark import access, client, objects, script
from tests.benchmark.client import JsonObject
from tests.support import executions, numbered

AGENT = "kopf/"
GROUP, VERSION, PLURAL = objects.GROUP, "v1alpha1", "workflowexecutions"
_CONNECTIONS = 16


class Peer:
    """The handlers, and the client they write runs with."""

    def __init__(self, api: client.Client) -> None:
        self._api = api

    def register(self) -> None:
        """Tell kopf what is to be called when."""
        kopf.on.startup()(self.configure)
        kopf.on.create(GROUP, VERSION, PLURAL)(self.start)
        # A handler of the deletion is what makes kopf add a finalizer.
        kopf.on.delete(GROUP, VERSION, PLURAL)(self.leave)
        kopf.on.event("tekton.dev", "v1", "pipelineruns")(self.mirror)

    async def configure(self, settings: kopf.OperatorSettings, **_: Any) -> None:  # noqa: ANN401
        """Set no limit of workers: each idles for 5 s after its object, as kopf comes."""
        settings.persistence.finalizer = f"{GROUP}/workflowexecution-cleanup"

    async def start(self, body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:  # noqa: ANN401
        """Create the run and say that it runs."""
        run = await self._api.send("POST", objects.RUNS, _run(dict(body)))
        patch.status["phase"] = "Running"
        patch.status["startTime"] = _now()
        patch.status["pipelineRunRef"] = {"name": run["metadata"]["name"]}
        kopf.info(body, reason="WorkflowStarted", message="The run has begun")

    async def leave(self, **_: Any) -> None:  # noqa: ANN401
        """Let the execution go."""

    async def mirror(self, body: kopf.Body, **_: Any) -> None:  # noqa: ANN401
        """Say that the execution has ended when its run has."""
        if not executions.is_final(dict(body)):
            return
        labels = body["metadata"]["labels"]
        name = labels[objects.EXECUTION_LABEL]
        status = {"phase": "Completed", "outcome": "Success", "completionTime": _now()}
        await self._api.send("PATCH", f"{objects.EXECUTIONS}/{name}/status", {"status": status})
        kopf.info(
            _execution(name, labels[objects.UID_LABEL]),
            reason="WorkflowCompleted",
            message="The run has ended",
        )


def _run(body: JsonObject) -> JsonObject:
    spec, metadata = body["spec"], body["metadata"]
    label = numbered.target_hash(spec["targetResource"])
    return {
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {
            "name": f"wfe-{label}",
            "labels": {
                objects.EXECUTION_LABEL: metadata["name"],
                objects.UID_LABEL: metadata["uid"],
            },
        },
        "spec": {
            "pipelineRef": {
                "resolver": "bundles",
                "params": [
                    {"name": "bundle", "value": spec["workflowRef"]["containerImage"]},
                    {"name": "name", "value": "workflow"},
                    {"name": "kind", "value": "pipeline"},
                ],
            },
            "params": [{"name": key, "value": value} for key, value in spec["parameters"].items()],
        },
    }


def _execution(name: str, uid: str) -> kopf.Body:
    """As much of it as an event says."""
    return kopf.Body({
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "WorkflowExecution",
        "metadata": {"name": name, "namespace": objects.EXECUTIONS_NAMESPACE, "uid": uid},
    })


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _main(options: argparse.Namespace) -> None:
    way = access.read(options.kubeconfig)
    # One name for all that it asks for, in the apiserver's audit log.
    async with client.Client(way, user_agent=f"{AGENT}peer", connections=_CONNECTIONS) as api:
        Peer(api).register()
        ready = kopf.on.startup()

        @ready
        async def _ready(**_: Any) -> None:  # noqa: ANN401
            script.say_ready()

        namespaces = [objects.EXECUTIONS_NAMESPACE, objects.RUNS_NAMESPACE]
        await kopf.operator(standalone=True, namespaces=namespaces)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.kopfpeer", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    script.run(_main(_parse()))

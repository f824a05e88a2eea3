"""Brings a case about on the real cluster, and takes home what came of it."""

from __future__ import annotations

import contextlib
import datetime
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.golden import refusing, watched
from tests.golden.case import Signature
from tests.stack import binaries, bundles
from tests.support import keys, place, workflows
from workflowexecution.api import tekton, times
from workflowexecution.api import workflowexecution as api
from workflowexecution.bundles import signing
from workflowexecution.domain import locking, pipelinerun, validation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.golden.case import Act, Case
    from tests.stack.cluster import Stack
    from tests.support.kubectl import JsonObject

END_S = 240
LINGER_S = 20.0
LOG_TAIL_BYTES = 4096
DEFAULT_TIMEOUT_S = 1800.0


class NotValid(Exception):
    """The controller would refuse the execution of a case, so that there would be no run."""


@dataclass(frozen=True)
class World:
    """The cluster that cases are run on; each gets a namespace of its own."""

    where: place.Place
    stack: Stack

    def record(self, case: Case) -> JsonObject:
        """Run a case and return its objects as the API server has them at the end.

        Raises:
            AssertionError: kubectl failed, or the end did not come.
            NotValid: the execution's spec is not valid.
        """
        namespace = namespace_of(case)
        with contextlib.ExitStack() as cleanup:
            key = keys.generate()
            cleanup.callback(self._forget, case, namespace)
            self._prepare(case, namespace, key)
            refuser = cleanup.enter_context(refusing.registry(case.refusal))
            names = {"$REGISTRY": self.where.registry, "$REFUSING": refuser}
            execution = self._execute(case, self._push(case, names, key))
            cleanup.callback(self._do, case.after, namespace, "")
            self._do(case.before, namespace, "")
            return self._run(case, namespace, execution) | {"refusing": refuser}

    def _forget(self, case: Case, namespace: str) -> None:
        gone = ("--wait=false", "--ignore-not-found")
        self.where.kubectl("delete", "namespace", namespace, *gone)
        self.where.kubectl("delete", "wfe", case.name, "-n", place.TEAM, *gone)

    def _prepare(self, case: Case, namespace: str, key: signing.PrivateKey) -> None:
        kubectl = self.where.kubectl
        kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s")
        kubectl.apply({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": dict(case.labels)},
        })
        metadata = {"name": place.ACCOUNT, "namespace": namespace}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        meanings = {"$REGISTRY": self.where.registry, "$KEY": keys.public_pem(key)}
        named = _replaced(list(case.objects), meanings)
        kubectl.apply(
            account,
            *({**it, "metadata": {**it["metadata"], "namespace": namespace}} for it in named),
        )
        # The resolver reads the one, each pod mounts the other.
        for made in ("serviceaccount/default", "configmap/kube-root-ca.crt"):
            kubectl("wait", made, "-n", namespace, "--for=create", "--timeout=60s")

    def _push(self, case: Case, names: Mapping[str, str], key: signing.PrivateKey) -> str:
        """Push the pipeline and return what the execution names as its bundle."""
        pipeline = {
            "apiVersion": "tekton.dev/v1",
            "kind": "Pipeline",
            "metadata": {"name": case.pipeline},
            "spec": workflows.complete(self.where, _replaced(dict(case.spec), names)),
        }
        if case.sign is not None:
            pipeline = _signed(pipeline, case.sign, key, self.stack.settings.tekton)
        repository = f"workflows/{case.name}"
        bundles.push_bundle(self.where.registry, repository, "v1", [pipeline])
        reference: str = _replaced(case.bundle or f"$REGISTRY/{repository}:v1", names)
        return reference

    def _execute(self, case: Case, bundle: str) -> JsonObject:
        """Create the execution, so that its schema has seen it, and return it."""
        spec = {**case.execution, "parameters": case.parameters}
        made = workflows.execution(case.name, bundle, **spec)
        kubectl = self.where.kubectl
        kubectl("delete", "wfe", case.name, "-n", place.TEAM, "--ignore-not-found")
        kubectl("create", "-f", "-", stdin=json.dumps(made))
        return kubectl.get("wfe", case.name, place.TEAM)

    def _run(self, case: Case, namespace: str, execution: JsonObject) -> JsonObject:
        manifest = build_run(execution, namespace)
        name = manifest["metadata"]["name"]
        kubectl = self.where.kubectl
        with (
            watched.watching(kubectl, "pods", namespace, _pod_is_done) as pods,
            watched.watching(kubectl, "taskruns", namespace, _task_is_done) as tasks,
        ):
            kubectl("create", "-f", "-", stdin=json.dumps(manifest))
            self._do(case.acts, namespace, name)
            kubectl(
                "wait", f"pipelinerun/{name}", "-n", namespace,
                "--for=jsonpath={.status.completionTime}", f"--timeout={END_S}s",
                timeout_s=END_S + 30,
            )  # fmt: skip
            tasks.wait_quiet(deadline_s=LINGER_S)
            pods.wait_quiet(deadline_s=LINGER_S)
            taken = self._take(namespace, name, pods.last())
            waited = [_waiting(task) for task in tasks.unfinished()]
        return {"workflowExecution": execution, **taken, "lastUnfinished": waited}

    def _do(self, acts: Iterable[Act], namespace: str, run: str) -> None:
        for act in acts:
            if act.until is not None:
                what, path = (part.replace("$RUN", run) for part in act.until)
                for condition in ("create", f"jsonpath={path}"):
                    self.where.kubectl(
                        "wait", what, "-n", namespace, f"--for={condition}", f"--timeout={END_S}s",
                        timeout_s=END_S + 30,
                    )  # fmt: skip
            if act.kubectl:
                node = self.stack.settings.node_name
                names = {"$RUN": run, "$NODE": node, "$NOW": times.stamp(_now())}
                arguments = _replaced(list(act.kubectl), names)
                self.where.kubectl(*arguments, "-n", act.namespace or namespace)
            if act.stack is not None:
                verb, process = act.stack
                getattr(self.stack, verb)(process)

    def _take(self, namespace: str, run: str, pods: list[JsonObject]) -> JsonObject:
        items = self.where.kubectl.items
        made = self.where.kubectl.get("pipelinerun", run, namespace)
        own = f"{tekton.RUN_UID_LABEL}={made['metadata']['uid']}"
        events = items("events", namespace)
        return {
            "pipelineRun": made,
            "taskRuns": items("taskruns", namespace, own),
            "customRuns": items("customruns", namespace, own),
            "resolutionRequests": items("resolutionrequests", namespace),
            "pods": pods,
            "events": [it for it in events if it["involvedObject"].get("kind") == "Pod"],
            "logs": self._logs(namespace, pods),
        }

    def _logs(self, namespace: str, pods: list[JsonObject]) -> list[JsonObject]:
        """The tails of the containers that ended badly, where the pod can still be read."""
        found = []
        for pod in pods:
            name = pod["metadata"]["name"]
            for container in () if pod.get("gone") else _failing(pod):
                text = self.where.kubectl("logs", name, "-c", container, "-n", namespace)
                tail = text.encode()[-LOG_TAIL_BYTES:].decode(errors="replace")
                found.append({"pod": name, "container": container, "tail": tail})
        return found


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def namespace_of(case: Case) -> str:
    """The execution namespace that a case has to itself."""
    return f"golden-{case.name}"


def build_run(execution: JsonObject, namespace: str) -> JsonObject:
    """The run as the controller makes it.

    Raises:
        NotValid: the controller would not make it.
    """
    parsed = api.parse_execution(execution)
    rules = validation.Rules((), (place.ACCOUNT, place.MISSING_ACCOUNT), require_digest=False)
    problems = validation.check(parsed.spec, rules)
    if problems:
        raise NotValid("; ".join(problems))
    name = locking.run_name(parsed.spec.target_resource)
    return pipelinerun.build(
        parsed,
        name=name,
        target_label=locking.target_label(name),
        canonical_target=locking.canonical_target(parsed.spec.target_resource),
        defaults=pipelinerun.Defaults(namespace, place.ACCOUNT, DEFAULT_TIMEOUT_S),
    )


def _replaced(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - raw JSON
    text = json.dumps(value)
    for name, meaning in names.items():
        # As it stands within a string of JSON.
        text = text.replace(name, json.dumps(meaning)[1:-1])
    return json.loads(text)


def _signed(
    pipeline: JsonObject, sign: Signature, key: signing.PrivateKey, tekton: str
) -> JsonObject:
    """The pipeline with the signature that a case wants."""
    match sign:
        case Signature.OWN:
            return signing.sign(pipeline, key, tekton=tekton)
        case Signature.OTHER:
            return signing.sign(pipeline, keys.generate(), tekton=tekton)
        case Signature.CHANGED:
            before = {**pipeline, "spec": {**pipeline["spec"], "description": "As reviewed"}}
            annotations = signing.sign(before, key, tekton=tekton)["metadata"]["annotations"]
            return {**pipeline, "metadata": {**pipeline["metadata"], "annotations": annotations}}
        case Signature.BEYOND:
            versions = {binaries.module_version(module) for module in binaries.TEKTONS}
            (other,) = versions - {tekton}
            return signing.sign(pipeline, key, tekton=other)


def _pod_is_done(pod: JsonObject) -> bool:
    ended = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    # One on its way out is waited for: what can be read of it would depend on luck.
    return ended and "deletionTimestamp" not in pod["metadata"]


def _task_is_done(task: JsonObject) -> bool:
    return any(it["status"] != "Unknown" for it in task.get("status", {}).get("conditions", ()))


def _waiting(task: JsonObject) -> JsonObject:
    """What a TaskRun said before its end, which Tekton writes over."""
    status = task.get("status", {})
    said: JsonObject = next(iter(status.get("conditions", ())), {})
    return {
        "taskRun": task["metadata"]["name"],
        "reason": said.get("reason", ""),
        "message": said.get("message", ""),
        "steps": status.get("steps", []),
    }


def _failing(pod: JsonObject) -> list[str]:
    status = pod.get("status", {})
    found = []
    for item in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        ended = item.get("state", {}).get("terminated", {})
        if ended.get("exitCode") and ended.get("containerID"):
            found.append(item["name"])
    return found

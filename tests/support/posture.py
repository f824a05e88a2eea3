"""What each identity may do and may not, as docs/security.md shows it and the API server is asked.

`python -m tests.support.posture` writes the tables into the document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "security.md"
TEAM: Final = "payment"
FAILED: Final = "failed"
POD: Final = "some-pod"
FINALIZER: Final = "kubernaut.ai/workflowexecution-cleanup"
"""Of the failed one."""

JsonObject = dict[str, Any]

_KUBERNAUT: Final = f"/apis/kubernaut.ai/v1alpha1/namespaces/{TEAM}/workflowexecutions"
_THE_FAILED: Final = f"{_KUBERNAUT}/{FAILED}"
_RUNS: Final = "/apis/tekton.dev/v1/namespaces/{}/pipelineruns"
_DEPLOYMENT: Final = "/apis/apps/v1/namespaces/{}/deployments/{}"
_POD: Final[JsonObject] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "made"},
    "spec": {"containers": [{"name": "c", "image": "any"}]},
}
_RUN: Final[JsonObject] = {
    "apiVersion": "tekton.dev/v1",
    "kind": "PipelineRun",
    "metadata": {"name": "made"},
    "spec": {"pipelineRef": {"name": "any"}},
}
_BINDING: Final[JsonObject] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "made"},
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "cluster-admin",
    },
    "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}],
}
_TOKEN: Final[JsonObject] = {
    "apiVersion": "authentication.k8s.io/v1",
    "kind": "TokenRequest",
    "spec": {},
}


@dataclass(frozen=True)
class Attempt:
    """One thing that somebody tries.

    Attributes:
        id: of its row, and of the test's case.
        what: in words.
        allowed: what the server has to answer.
        body: of a write, which is a dry run.
    """

    id: str
    what: str
    method: str
    path: str
    allowed: bool = False
    body: JsonObject = field(default_factory=dict)


def _read(id: str, what: str, path: str, *, allowed: bool = False) -> Attempt:  # noqa: A002
    return Attempt(id, what, "GET", path, allowed)


def _write(
    id: str,  # noqa: A002
    what: str,
    method: str,
    path: str,
    body: JsonObject | None = None,
    *,
    allowed: bool = False,
) -> Attempt:
    return Attempt(id, what, method, path, allowed, body or {})


def _clearance(name: str) -> JsonObject:
    given = {
        "clearedAt": "2026-01-01T00:00:00Z",
        "clearedBy": name,
        "clearReason": "looked at it, all is well",
        "clearMethod": "StatusField",
    }
    return {"status": {"blockClearance": given}}


def _execution() -> JsonObject:
    image = "registry.example/anything:latest"
    return {
        "apiVersion": "kubernaut.ai/v1alpha1",
        "kind": "WorkflowExecution",
        "metadata": {"name": "made"},
        "spec": {
            "remediationRequestRef": {"name": "rr", "namespace": TEAM},
            "workflowRef": {"workflowId": "any", "version": "1", "containerImage": image},
            "targetResource": "somebody-else/deployment/anything",
            "executionConfig": {"serviceAccountName": "any"},
        },
    }


_SECRETS: Final = "/api/v1/namespaces/kube-system/secrets"
_PODS: Final = "/api/v1/namespaces/{}/pods"
_BINDINGS: Final = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_TOKENS: Final = "/api/v1/namespaces/kubernaut-workflows/serviceaccounts/kubernaut-workflow-runner"
_CONTROLLER: Final = _DEPLOYMENT.format("kubernaut-system", "workflowexecution-controller")
_POLICY: Final = (
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/"
    "workflowexecution-controller-status"
)


def _cancel(name: str) -> JsonObject:
    return {"spec": {"cancel": {"requestedBy": name, "reason": "enough of it"}}}


def _owned(api_version: str, kind: str) -> JsonObject:
    """The patch that gives an execution an owner which does not exist."""
    uid = "00000000-0000-0000-0000-000000000001"
    owner = {"apiVersion": api_version, "kind": kind, "name": "gone", "uid": uid}
    return {"metadata": {"ownerReferences": [owner]}}


def _born(change: JsonObject) -> JsonObject:
    """An execution with more metadata than its name."""
    made = _execution()
    return {**made, "metadata": {**made["metadata"], **change["metadata"]}}


_GONE: Final = _owned("v1", "ConfigMap")
_REMEDIATION: Final = _owned("kubernaut.ai/v1alpha1", "RemediationRequest")
_FREED: Final[JsonObject] = {"metadata": {"finalizers": None}}
_HELD: Final[JsonObject] = {"metadata": {"finalizers": [FINALIZER, "team.example/mine"]}}
_NAMESPACE: Final = f"/api/v1/namespaces/{TEAM}"
_RBAC: Final = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{TEAM}"
_DELETER: Final[JsonObject] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "made"},
    "rules": [
        {"apiGroups": ["kubernaut.ai"], "resources": ["workflowexecutions"], "verbs": ["delete"]}
    ],
}
_CLEARS: Final[JsonObject] = {
    **_BINDING,
    "kind": "RoleBinding",
    "roleRef": {**_BINDING["roleRef"], "name": "workflowexecution-clearer"},
}


_RUNNER: Final = (
    _read("secrets", "read every Secret of the cluster", _SECRETS, allowed=True),
    _write("workloads", "change every Deployment, the controller's too, to any image and account",
           "PATCH", _CONTROLLER, {"metadata": {"labels": {"x": "y"}}}, allowed=True),
    _write("delete-pods", "delete every pod", "DELETE", f"{_PODS.format(TEAM)}/{POD}",
           allowed=True),
    _write("nodes", "cordon nodes", "PATCH", "/api/v1/nodes/some-node",
           {"spec": {"unschedulable": True}}, allowed=True),
    _write("delete-nodes", "delete nodes", "DELETE", "/api/v1/nodes/some-node"),
    _write("pods", "create pods", "POST", _PODS.format("kubernaut-workflows"), _POD),
    _write("runs", "create PipelineRuns", "POST", _RUNS.format("kubernaut-workflows"), _RUN),
    _write("write-secrets", "write Secrets", "POST", _SECRETS,
           {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "made"}}),
    _read("executions", "read executions", _KUBERNAUT),
    _write("create", "create executions", "POST", _KUBERNAUT, _execution()),
    _write("status", "say that an execution has succeeded", "PATCH", f"{_THE_FAILED}/status",
           {"status": {"phase": "Completed"}}),
    _write("clear", "clear a block", "PATCH", f"{_THE_FAILED}/status", _clearance("{user}")),
    _write("roles", "give itself a role", "POST", _BINDINGS, _BINDING),
    _write("tokens", "ask for further tokens", "POST", f"{_TOKENS}/token", _TOKEN),
)  # fmt: skip
_OF_CONTROLLER: Final = (
    _write("runs", "create PipelineRuns in kubernaut-workflows: any image as any account there",
           "POST", _RUNS.format("kubernaut-workflows"), _RUN, allowed=True),
    _write("status", "write every status, and so end a block", "PATCH", f"{_THE_FAILED}/status",
           {"status": {"message": "x"}}, allowed=True),
    _write("clear", "clear in its own name", "PATCH", f"{_THE_FAILED}/status",
           _clearance("{user}"), allowed=True),
    _write("clear-other", "clear in somebody else's name", "PATCH", f"{_THE_FAILED}/status",
           _clearance("alice")),
    _write("runs-elsewhere", "create PipelineRuns elsewhere", "POST", _RUNS.format(TEAM), _RUN),
    _write("pods", "create pods", "POST", _PODS.format("kubernaut-workflows"), _POD),
    _write("exec", "run commands in pods", "POST",
           f"{_PODS.format('kubernaut-workflows')}/{POD}/exec?command=x"),
    _read("secrets", "read Secrets, those of its own namespace too",
          "/api/v1/namespaces/kubernaut-system/secrets"),
    _read("logs", "read logs elsewhere", f"{_PODS.format(TEAM)}/{POD}/log"),
    _write("create", "create executions", "POST", _KUBERNAUT, _execution()),
    _write("delete", "delete executions", "DELETE", _THE_FAILED),
    _write("owner", "delete one by an owner that does not exist", "PATCH", _THE_FAILED, _GONE),
    _write("workloads", "change Deployments, its own too", "PATCH", _CONTROLLER,
           {"metadata": {"labels": {"x": "y"}}}),
    _write("policy", "change the policy that binds clearances", "DELETE", _POLICY),
    _write("tokens", "get a token of the runner", "POST", f"{_TOKENS}/token", _TOKEN),
    _write("roles", "give itself a role", "POST", _BINDINGS, _BINDING),
)  # fmt: skip
_EDITOR: Final = (
    _write("create", "create executions: any bundle, any account, anybody's target (the controller "
           "looks at what it has been told to allow, below)", "POST", _KUBERNAUT, _execution(),
           allowed=True),
    _write("cancel", "cancel in its own name", "PATCH", _THE_FAILED, _cancel("{user}"),
           allowed=True),
    _write("cancel-other", "cancel in somebody else's name", "PATCH", _THE_FAILED, _cancel("bob")),
    _write("spec", "change what an execution runs, once it is there", "PATCH", _THE_FAILED,
           {"spec": {"workflowRef": {"containerImage": "registry.example/other:v1"}}}),
    _write("status", "say that an execution has succeeded", "PATCH", f"{_THE_FAILED}/status",
           {"status": {"phase": "Completed"}}),
    _write("clear", "clear a block", "PATCH", f"{_THE_FAILED}/status", _clearance("{user}")),
    _write("delete", "end a block by deleting the execution", "DELETE", _THE_FAILED),
    _write("delete-all", "end all blocks by deleting all executions", "DELETE", _KUBERNAUT),
    _write("owner", "end a block by an owner that does not exist, so that the garbage collector "
           "deletes the execution", "PATCH", _THE_FAILED, _GONE),
    _write("owner-remediation", "the same, with a RemediationRequest for the owner", "PATCH",
           _THE_FAILED, _REMEDIATION),
    _write("create-owned", "create an execution that goes with something of its own, and its block "
           "with it", "POST", _KUBERNAUT, _born(_GONE)),
    _write("create-remediation", "create one that goes with a RemediationRequest, which it may not "
           "delete", "POST", _KUBERNAUT, _born(_REMEDIATION)),
    _write("finalizer", "take the controller's finalizer off, so that a deleted execution goes "
           "before its run and its audit records", "PATCH", _THE_FAILED, _FREED),
    _write("deletion-time", "mark an execution as deleted, or its wait as over", "PATCH",
           _THE_FAILED, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z",
                                      "deletionGracePeriodSeconds": 0}}),
    _write("hold", "hold a deleted execution, and its namespace, by a finalizer of its own: the "
           "block lasts longer", "PATCH", _THE_FAILED, _HELD, allowed=True),
    _write("instance", "take an execution from its controller by the label "
           "`kubernaut.ai/instance`: block and lock stay", "PATCH", _THE_FAILED,
           {"metadata": {"labels": {"kubernaut.ai/instance": "of-nobody"}}}, allowed=True),
    _write("namespace", "delete the namespace", "DELETE", _NAMESPACE),
    _write("role", "give itself the right to delete", "POST", f"{_RBAC}/roles", _DELETER),
    _write("elsewhere", "create executions in other namespaces", "POST",
           _KUBERNAUT.replace(TEAM, "default"), _execution()),
    _write("runs", "create PipelineRuns", "POST", _RUNS.format("kubernaut-workflows"), _RUN),
    _read("secrets", "read Secrets", f"/api/v1/namespaces/{TEAM}/secrets"),
)  # fmt: skip
_ADMIN: Final = (
    _write("create", "create executions, and whatever an editor does", "POST", _KUBERNAUT,
           _execution(), allowed=True),
    _write("clear", "clear a block", "PATCH", f"{_THE_FAILED}/status", _clearance("{user}")),
    _write("delete", "end a block by deleting the execution", "DELETE", _THE_FAILED),
    _write("delete-all", "end all blocks by deleting all executions", "DELETE", _KUBERNAUT),
    _write("owner", "end a block by an owner that does not exist", "PATCH", _THE_FAILED, _GONE),
    _write("finalizer", "take the controller's finalizer off", "PATCH", _THE_FAILED, _FREED),
    _write("namespace", "delete the namespace", "DELETE", _NAMESPACE),
    _write("role", "give itself the right to delete", "POST", f"{_RBAC}/roles", _DELETER),
    _write("clearer", "make itself a clearer", "POST", f"{_RBAC}/rolebindings", _CLEARS),
)  # fmt: skip
_VIEWER: Final = (
    _read("executions", "read executions and their status", _THE_FAILED, allowed=True),
    _write("create", "create executions", "POST", _KUBERNAUT, _execution()),
    _write("cancel", "cancel", "PATCH", _THE_FAILED, _cancel("{user}")),
    _write("clear", "clear a block", "PATCH", f"{_THE_FAILED}/status", _clearance("{user}")),
    _read("elsewhere", "read executions of other namespaces", _KUBERNAUT.replace(TEAM, "default")),
)
_CLEARER: Final = (
    _write("clear", "clear a block in its own name", "PATCH", f"{_THE_FAILED}/status",
           _clearance("{user}"), allowed=True),
    _write("clear-other", "clear in somebody else's name", "PATCH", f"{_THE_FAILED}/status",
           _clearance("alice")),
    _write("status", "write anything else of a status", "PATCH", f"{_THE_FAILED}/status",
           {"status": {"phase": "Completed"}}),
    _write("create", "create executions", "POST", _KUBERNAUT, _execution()),
    _write("cancel", "cancel", "PATCH", _THE_FAILED, _cancel("{user}")),
    _write("delete", "delete executions", "DELETE", _THE_FAILED),
    _write("owner", "delete one by an owner that does not exist", "PATCH", _THE_FAILED, _GONE),
)  # fmt: skip
_METRICS: Final = (
    _read("metrics", "read metrics: the controller's, and those of the API server", "/metrics",
          allowed=True),
    _read("executions", "read executions", _KUBERNAUT),
    _read("secrets", "read Secrets", _SECRETS),
    _write("reviews", "ask what others may", "POST",
           "/apis/authorization.k8s.io/v1/subjectaccessreviews",
           {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": "alice", "nonResourceAttributes": {"path": "/", "verb": "get"}}}),
)  # fmt: skip

TABLES: Final[dict[str, tuple[Attempt, ...]]] = {
    "runner": _RUNNER,
    "controller": _OF_CONTROLLER,
    "editor": _EDITOR,
    "admin": _ADMIN,
    "clearer": _CLEARER,
    "viewer": _VIEWER,
    "metrics": _METRICS,
}


def rendered(who: str) -> str:
    """The rows of an identity, as the document has them."""
    rows = (
        f"| {it.what} | {'**yes**' if it.allowed else 'no'} | `{who}-{it.id}` |"
        for it in sorted(TABLES[who], key=lambda it: not it.allowed)
    )
    return "\n".join(["| tries to | succeeds | test case |", "| --- | --- | --- |", *rows, ""])


def written(text: str) -> str:
    """The document with its tables as they should be."""
    for who in TABLES:
        begin, end = f"<!-- {who} -->\n", "<!-- end -->"
        before, _, rest = text.partition(begin)
        text = before + begin + rendered(who) + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text("utf-8")), "utf-8")

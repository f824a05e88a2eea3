"""Checks a spec again before anything is created.

The CRD refuses most bad objects; what gets past it (an old CRD, a schema that was relaxed, rules
that depend on settings) ends Failed/ConfigurationError here, with every problem named, never in a
crash or a retry loop.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workflowexecution.api import formats, names, reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workflowexecution.api.workflowexecution import Spec

MAX_PARAMETER_BYTES = 512 * 1024

_NAME = re.compile(formats.SUBDOMAIN)
_LABEL = re.compile(formats.LABEL)
_DIGEST = re.compile(formats.DIGEST)
# Tekton's rule for parameter names: letters, digits, dash, underscore and dot; no digit first.
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

_OF_CLUSTER: Final = {
    "apiservice": "apiservices",
    "certificatesigningrequest": "certificatesigningrequests csr",
    "clusterrole": "clusterroles",
    "clusterrolebinding": "clusterrolebindings",
    "clustertrustbundle": "clustertrustbundles",
    "componentstatus": "componentstatuses cs",
    "csidriver": "csidrivers",
    "csinode": "csinodes",
    "customresourcedefinition": "customresourcedefinitions crd crds",
    "deviceclass": "deviceclasses",
    "devicetaintrule": "devicetaintrules",
    "flowschema": "flowschemas",
    "ingressclass": "ingressclasses",
    "mutatingadmissionpolicy": "mutatingadmissionpolicies",
    "mutatingadmissionpolicybinding": "mutatingadmissionpolicybindings",
    "mutatingwebhookconfiguration": "mutatingwebhookconfigurations",
    "namespace": "namespaces ns",
    "node": "nodes no",
    "persistentvolume": "persistentvolumes pv",
    "priorityclass": "priorityclasses pc",
    "prioritylevelconfiguration": "prioritylevelconfigurations",
    "resourceslice": "resourceslices",
    "runtimeclass": "runtimeclasses",
    "servicecidr": "servicecidrs",
    "storageclass": "storageclasses sc",
    "storageversionmigration": "storageversionmigrations",
    "validatingadmissionpolicy": "validatingadmissionpolicies",
    "validatingadmissionpolicybinding": "validatingadmissionpolicybindings",
    "validatingwebhookconfiguration": "validatingwebhookconfigurations",
    "volumeattachment": "volumeattachments",
    "volumeattributesclass": "volumeattributesclasses vac",
}
_OF_NAMESPACE: Final = {
    "configmap": "configmaps cm",
    "controllerrevision": "controllerrevisions",
    "cronjob": "cronjobs cj",
    "csistoragecapacity": "csistoragecapacities",
    "daemonset": "daemonsets ds",
    "deployment": "deployments deploy",
    "endpoints": "ep",
    "endpointslice": "endpointslices",
    "event": "events ev",
    "horizontalpodautoscaler": "horizontalpodautoscalers hpa",
    "ingress": "ingresses ing",
    # Of the cluster by itself; Cluster API has one in a namespace.
    "ipaddress": "ipaddresses",
    "job": "jobs",
    "lease": "leases",
    "leasecandidate": "leasecandidates",
    "limitrange": "limitranges limits",
    "networkpolicy": "networkpolicies netpol",
    "persistentvolumeclaim": "persistentvolumeclaims pvc",
    "pod": "pods po",
    "poddisruptionbudget": "poddisruptionbudgets pdb",
    "podtemplate": "podtemplates",
    "replicaset": "replicasets rs",
    "replicationcontroller": "replicationcontrollers rc",
    "resourceclaim": "resourceclaims",
    "resourceclaimtemplate": "resourceclaimtemplates",
    "resourcequota": "resourcequotas quota",
    "role": "roles",
    "rolebinding": "rolebindings",
    "secret": "secrets",
    "service": "services svc",
    "serviceaccount": "serviceaccounts sa",
    "statefulset": "statefulsets sts",
}

KIND_SPELLINGS: Final = {
    spelling: kind
    for kind, spellings in {**_OF_CLUSTER, **_OF_NAMESPACE}.items()
    for spelling in spellings.split()
}
"""Plural and short names of built-in kinds: two spellings of one target would be two locks."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings allow an execution to ask for."""

    allowed_bundles: tuple[str, ...]
    allowed_service_accounts: tuple[str, ...]
    require_digest: bool


def check(spec: Spec, rules: Rules) -> list[str]:
    """Every reason why this spec cannot be run, each beginning with its field; empty when fine."""
    return [
        *_target(spec.target_resource),
        *_bundle(spec, rules),
        *_parameters(spec.parameters or {}),
        *_execution_config(spec, rules),
    ]


def _target(target: str) -> Iterator[str]:
    field = "spec.targetResource"
    if len(target) > formats.MAX_TARGET:
        yield f"{field}: {len(target)} characters, at most {formats.MAX_TARGET} are allowed"
        return
    parts = target.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        yield f"{field}: {target!r} is not namespace/kind/name or kind/name"
        return
    *namespace, kind, name = parts
    if namespace and not _LABEL.fullmatch(namespace[0]):
        yield f"{field}: namespace {namespace[0]!r} is not an RFC 1123 label"
    if not _LABEL.fullmatch(kind.lower()):
        yield f"{field}: kind {kind!r} is not an RFC 1123 label"
    else:
        yield from _spelling(namespace, kind, name)
    if len(name) > formats.MAX_NAME or not _NAME.fullmatch(name):
        yield f"{field}: name {name!r} is not an RFC 1123 name"


def _spelling(namespace: list[str], kind: str, name: str) -> Iterator[str]:
    """What else than the right spelling of a target would be another lock on the same thing."""
    field = "spec.targetResource"
    right = KIND_SPELLINGS.get(kind.lower(), kind)
    everywhere = right.lower() in _OF_CLUSTER
    better = "/".join([right, name] if everywhere else [*namespace, right, name])
    if right != kind:
        yield f"{field}: kind {kind!r} must be written {right!r}: {better}"
    elif everywhere and namespace:
        yield f"{field}: kind {kind!r} has no namespace, write {better}"


def _bundle(spec: Spec, rules: Rules) -> Iterator[str]:
    field = "spec.workflowRef.containerImage"
    image, digest = spec.workflow_ref.container_image, spec.workflow_ref.container_digest
    named = reference.parse(image)
    if named is None:
        hint = " (names are lower case)" if reference.parse(image.lower()) else ""
        yield f"{field}: {image!r} is not an image reference{hint}"
        return
    carried = named.digest
    if carried and not _DIGEST.fullmatch(carried):
        yield f"{field}: {carried!r} is not a digest (sha256: and 64 hex digits)"
    if digest and not _DIGEST.fullmatch(digest):
        yield f"spec.workflowRef.containerDigest: {digest!r} is not sha256: and 64 hex digits"
    elif digest and carried and digest != carried:
        yield f"{field}: its digest {carried} is not spec.workflowRef.containerDigest {digest}"
    if rules.require_digest and not (digest or carried):
        yield "spec.workflowRef.containerDigest: required here (execution.requireDigest)"
    allowed = rules.allowed_bundles
    if allowed and not any(_is_under(image, prefix) for prefix in allowed):
        yield f"{field}: {image!r} is not in execution.allowedBundles"


def _is_under(image: str, prefix: str) -> bool:
    """Whether a prefix of an image ends where a name in it ends: `r/team` is none of `r/team-b/x`.

    One that ends with a separator says itself that a name may go on there, but for the name of a
    registry: that one is whole, with its port. Without a `/` behind it, it is the name of an image
    in another registry.
    """
    if not image.startswith(prefix):
        return False
    rest = image.removeprefix(prefix)
    if reference.is_host(prefix):
        return rest.startswith("/")
    if rest[:1] in {"", "/", "@"} or ("/" in prefix and not prefix[-1].isalnum()):
        return True
    return rest[0] == ":" and "/" not in rest


def _parameters(parameters: dict[str, str]) -> Iterator[str]:
    total = 0
    for name, value in parameters.items():
        total += len(name.encode("utf-8", "replace")) + len(value.encode("utf-8", "replace"))
        if not _PARAMETER.fullmatch(name):
            yield f"spec.parameters: {name!r} is not a parameter name that Tekton accepts"
    if names.TARGET_PARAMETER in parameters:
        field = f"spec.parameters.{names.TARGET_PARAMETER}"
        yield f"{field}: is added by the controller and cannot be given"
    if total > MAX_PARAMETER_BYTES:
        yield f"spec.parameters: {total} bytes in all, at most {MAX_PARAMETER_BYTES} are allowed"


def _execution_config(spec: Spec, rules: Rules) -> Iterator[str]:
    config = spec.execution_config
    if config is None:
        return
    timeout, least, most = config.timeout, formats.MIN_TIMEOUT_S, formats.MAX_TIMEOUT_S
    if timeout is not None and not least <= timeout <= most:
        yield f"spec.executionConfig.timeout: {timeout:g}s is not between 1s and 24h"
    account = config.service_account_name
    if account and account not in rules.allowed_service_accounts:
        yield (
            f"spec.executionConfig.serviceAccountName: {account!r} is not in "
            "execution.allowedServiceAccounts"
        )

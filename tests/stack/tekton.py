"""Tekton: its objects in the cluster, and its three processes on this machine.

Each process is its own service account, so that Tekton's roles are as real as its containers.
"""

import dataclasses
import http
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.stack import api, controlplane, crds, images, kubeconfig, tektonfiles
from tests.stack.process import Spec
from tests.stack.settings import Port, Settings

LOG = logging.getLogger(__name__)

NAMESPACE = "tekton-pipelines"
RESOLVERS_NAMESPACE = "tekton-pipelines-resolvers"

_WEBHOOK_SERVICE = "tekton-pipelines-webhook"
_WEBHOOK_PORT_NAME = "https-webhook"
_TOKEN_LIFETIME_S = 30 * 24 * 3600
_READY_DEADLINE_S = 90.0
# Processes, not pods, do the work here, and nothing scales them.
_LEFT_OUT = frozenset({"Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"})
# The webhooks come last: each stops the objects that it is asked about until Tekton answers.
_ORDER = ("Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "Role")
_LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


@dataclasses.dataclass(frozen=True)
class _Process:
    """One of Tekton's processes.

    Attributes:
        deployment: The file of Tekton's manifests whose Deployment has its variables.
        number: Tells its ports from those of the others.
    """

    name: str
    deployment: str
    namespace: str
    account: str
    number: int


_CONTROLLER = _Process(
    "tekton-controller", "controller.yaml", NAMESPACE, "tekton-pipelines-controller", 0
)
_WEBHOOK = _Process("tekton-webhook", "webhook.yaml", NAMESPACE, "tekton-pipelines-webhook", 1)
_RESOLVERS = _Process(
    "tekton-resolvers",
    "resolvers/resolvers-deployment.yaml",
    RESOLVERS_NAMESPACE,
    "tekton-pipelines-resolvers",
    2,
)
_PROCESSES = (_CONTROLLER, _WEBHOOK, _RESOLVERS)


def install(settings: Settings) -> None:
    """Create Tekton's objects and the accounts' kubeconfigs, unless that was done before."""
    done = settings.run_dir / "tekton-installed"
    if done.exists():
        return
    client = controlplane.client(settings)
    files = tektonfiles.load(settings.tekton_module)
    manifests = [item for item in files.under("") if item["kind"] not in _LEFT_OUT]
    manifests += _webhook_service(settings)
    early = [item for item in manifests if item["kind"] == "Namespace"]
    for manifest in early:
        client.apply(manifest)
    crds.install(client, files.crds(conversion=True))
    for manifest in sorted(manifests, key=_rank):
        if manifest["kind"] not in {"Namespace", "CustomResourceDefinition"}:
            client.apply(_adapt(manifest))
    for process in _PROCESSES:
        _write_kubeconfig(settings, client, process)
    done.touch()


def specs(settings: Settings, programs: Mapping[str, Path]) -> list[Spec]:
    """Return Tekton's processes."""
    files = tektonfiles.load(settings.tekton_module)
    found = []
    for process in _PROCESSES:
        arguments = _controller_arguments() if process is _CONTROLLER else ()
        found.append(
            Spec(
                name=process.name,
                argv=(str(programs[process.name]), *arguments),
                env=_environment(settings, files, process),
                missing=_missing_check(settings, process),
                deadline_s=_READY_DEADLINE_S,
            )
        )
    return found


def _rank(manifest: api.JsonObject) -> int:
    kind = manifest["kind"]
    if kind in _LAST:
        return len(_ORDER) + 1
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER)


def _adapt(manifest: api.JsonObject) -> api.JsonObject:
    """Shorten the leases, so that a killed process is replaced in seconds, not a minute."""
    if manifest["metadata"]["name"].startswith("config-leader-election"):
        times = {"lease-duration": "15s", "renew-deadline": "10s", "retry-period": "2s"}
        return {**manifest, "data": {**manifest.get("data", {}), **times}}
    return manifest


def _webhook_service(settings: Settings) -> list[api.JsonObject]:
    """Return a Service without selector, and an EndpointSlice that leads to the process."""
    metadata = {"name": _WEBHOOK_SERVICE, "namespace": NAMESPACE}
    port = {"name": _WEBHOOK_PORT_NAME, "protocol": "TCP"}
    service_port = {**port, "port": 443, "targetPort": settings.port(Port.TEKTON_WEBHOOK)}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": [service_port]},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": _WEBHOOK_SERVICE}},
        "addressType": "IPv4",
        # An EndpointSlice may not hold a loopback address.
        "endpoints": [{"addresses": [settings.host_ip], "conditions": {"ready": True}}],
        "ports": [{**port, "port": settings.port(Port.TEKTON_WEBHOOK)}],
    }
    return [service, endpoints]


def _write_kubeconfig(settings: Settings, client: api.Api, process: _Process) -> None:
    path = f"/api/v1/namespaces/{process.namespace}/serviceaccounts/{process.account}/token"
    request = {"spec": {"expirationSeconds": _TOKEN_LIFETIME_S}}
    kubeconfig.write(
        _kubeconfig_path(settings, process),
        server_url=settings.server_url,
        ca_file=settings.pki / "ca.crt",
        user=process.account,
        token=client.json("POST", path, request)["status"]["token"],
    )


def _kubeconfig_path(settings: Settings, process: _Process) -> Path:
    return settings.run_dir / f"{process.name}.kubeconfig"


def _environment(settings: Settings, files: tektonfiles.Files, process: _Process) -> dict[str, str]:
    own = files.environment(process.deployment)
    # A certificate file of the container image; the machine's own certificates are used here.
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        own.pop(name, None)
    return {
        **own,
        "KUBECONFIG": str(_kubeconfig_path(settings, process)),
        "SYSTEM_NAMESPACE": process.namespace,
        "PROBES_PORT": str(settings.port(Port.TEKTON_PROBES, process.number)),
        "METRICS_PROMETHEUS_PORT": str(settings.port(Port.TEKTON_METRICS, process.number)),
        "PROFILING_PORT": str(settings.port(Port.TEKTON_PROFILING, process.number)),
        "WEBHOOK_PORT": str(settings.port(Port.TEKTON_WEBHOOK)),
    }


def _controller_arguments() -> tuple[str, ...]:
    # Those that nothing here uses must be given all the same.
    return (
        f"-entrypoint-image={images.ENTRYPOINT}",
        f"-nop-image={images.NOP}",
        f"-workingdirinit-image={images.WORKINGDIRINIT}",
        f"-sidecarlogresults-image={images.NOP}",
        f"-shell-image={images.STEP}",
        f"-shell-image-win={images.STEP}",
        # The default of 5 requests a second makes ten runs at a time wait for each other.
        "-kube-api-qps=100",
        "-kube-api-burst=200",
    )


def _missing_check(settings: Settings, process: _Process) -> Callable[[], str | None]:
    url = f"http://127.0.0.1:{settings.port(Port.TEKTON_PROBES, process.number)}/readiness"

    def missing() -> str | None:
        found = api.answers(url)
        if found is None and process is _WEBHOOK:
            return _admission_missing(settings)
        return found

    return missing


def _admission_missing(settings: Settings) -> str | None:
    """Return why a PipelineRun cannot be created; asks all webhooks without creating one."""
    task = {"steps": [{"name": "none", "image": images.STEP, "command": ["true"]}]}
    run = {
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {"generateName": "readiness-"},
        "spec": {"pipelineSpec": {"tasks": [{"name": "none", "taskSpec": task}]}},
    }
    path = "/apis/tekton.dev/v1/namespaces/default/pipelineruns?dryRun=All"
    try:
        administrator = controlplane.client(settings, timeout_s=api.PROBE_TIMEOUT_S)
        status, content = administrator.call("POST", path, run)
    except OSError as error:
        return str(error)
    if status == http.HTTPStatus.CREATED:
        return None
    return f"creating a PipelineRun: {json.loads(content).get('message')}"

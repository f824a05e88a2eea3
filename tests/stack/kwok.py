"""The node without root: kwok plays the kubelet, and no container really runs."""

from collections.abc import Mapping
from pathlib import Path

from tests.stack import api, controlplane, node, paths
from tests.stack.process import Spec
from tests.stack.settings import Port, Settings


def register(settings: Settings) -> None:
    """Create the node, which kwok then keeps ready."""
    controlplane.client(settings).apply({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": settings.node_name,
            "labels": {"kubernetes.io/os": "linux", "type": "kwok"},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
    })


def spec(settings: Settings, programs: Mapping[str, Path]) -> Spec:
    """Return the process kwok."""
    address = f"127.0.0.1:{settings.port(Port.KWOK)}"
    return Spec(
        name="kwok",
        argv=(
            str(programs["kwok"]),
            f"--kubeconfig={controlplane.kubeconfig_path(settings, controlplane.ADMIN)}",
            f"--config={paths.MODULES / 'kwok' / 'stages.yaml'}",
            "--manage-all-nodes=true",
            f"--server-address={address}",
            f"--cidr={settings.subnet}",
        ),
        missing=lambda: api.answers(f"http://{address}/healthz") or node.missing(settings),
    )

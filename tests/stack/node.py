"""The node: kube-scheduler, containerd and the kubelet."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.stack import api, controlplane, debian, errors, images, kernel, network
from tests.stack.process import Spec
from tests.stack.settings import Port, Settings

_LOOPBACK = "127.0.0.1"
_IMPORT_DEADLINE_S = 120
_CONTAINER_LOG_LINKS = Path("/var/log/containers")
_CNI_RESULTS = Path("/var/lib/cni/results")

_CONTAINERD_CONFIG = """\
version = 2
root = "{run}/containerd/root"
state = "{run}/containerd/state"

[grpc]
  address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{run}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = {restrict_oom}
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_plugins}"
    conf_dir = "{run}/cni"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{run}/runc"
      SystemdCgroup = false
"""


def prepare(settings: Settings) -> None:
    """Write the configuration of containerd and the kubelet, make bridge and cgroups."""
    run = settings.run_dir
    for folder in ("cni", "kubelet", "containerd"):
        (run / folder).mkdir(parents=True, exist_ok=True)
    config = _CONTAINERD_CONFIG.format(
        run=run,
        socket=socket_path(settings),
        pause=images.PAUSE,
        restrict_oom=str(not kernel.may_lower_oom_score()).lower(),
        cni_plugins=debian.CNI_PLUGINS,
    )
    (run / "containerd" / "config.toml").write_text(config)
    (run / "cni" / "10-bridge.conflist").write_text(json.dumps(_cni_config(settings)))
    (run / "kubelet" / "config.yaml").write_text(yaml.safe_dump(_kubelet_config(settings)))
    kernel.remember_sysctls()
    kernel.create_cgroups(settings)
    network.create(settings)


def containerd_spec(settings: Settings) -> Spec:
    """Return the process containerd, ready when its socket answers."""
    config = settings.run_dir / "containerd" / "config.toml"
    return Spec(
        name="containerd",
        argv=(debian.find("containerd"), "--config", str(config)),
        missing=lambda: _socket_missing(socket_path(settings)),
    )


def scheduler_spec(settings: Settings, programs: Mapping[str, Path]) -> Spec:
    """Return the process kube-scheduler."""
    config = controlplane.kubeconfig_path(settings, controlplane.SCHEDULER)
    url = f"https://{_LOOPBACK}:{settings.port(Port.SCHEDULER)}/healthz"
    return Spec(
        name="kube-scheduler",
        argv=(
            str(programs["kube-scheduler"]),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--authentication-tolerate-lookup-failure",
            f"--bind-address={_LOOPBACK}",
            f"--secure-port={settings.port(Port.SCHEDULER)}",
            f"--tls-cert-file={settings.pki / 'server.crt'}",
            f"--tls-private-key-file={settings.pki / 'server.key'}",
            "--leader-elect=false",
        ),
        missing=lambda: api.answers(url, settings.pki / "ca.crt"),
    )


def kubelet_spec(settings: Settings, programs: Mapping[str, Path]) -> Spec:
    """Return the process kubelet, ready when pods can be scheduled on its node."""
    root = settings.run_dir / "kubelet"
    health = f"http://{_LOOPBACK}:{settings.port(Port.KUBELET_HEALTH)}/healthz"
    config = controlplane.kubeconfig_path(settings, controlplane.node_user(settings))
    return Spec(
        name="kubelet",
        argv=(
            str(programs["kubelet"]),
            f"--config={root / 'config.yaml'}",
            f"--kubeconfig={config}",
            f"--root-dir={root}",
            f"--cert-dir={root / 'pki'}",
            f"--hostname-override={settings.node_name}",
            f"--node-ip={settings.bridge_ip}",
        ),
        missing=lambda: api.answers(health) or missing(settings),
    )


def import_images(settings: Settings, wanted: Sequence[images.Image]) -> None:
    """Bring images onto the node.

    Raises:
        StackError: containerd refused them.
    """
    import_archive(settings, images.archive(wanted))


def import_archive(settings: Settings, archive: Path) -> None:
    """Bring the images of an archive onto the node, in OCI's format or in Docker's.

    Raises:
        StackError: containerd refused them.
    """
    command = [debian.find("ctr"), "--address", str(socket_path(settings))]
    command += ["--namespace", "k8s.io", "images", "import", str(archive)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_IMPORT_DEADLINE_S, check=False
    )
    if done.returncode != 0:
        raise errors.StackError(f"{' '.join(command)}: {done.stderr.strip()}")


def remove(settings: Settings) -> None:
    """Remove what a node leaves on the machine, after its processes have ended.

    None of it needs containerd to answer, so that it also works after a crash.
    """
    run = settings.run_dir
    kernel.remove_cgroups(settings)
    for address in run.glob("containerd/state/io.containerd.runtime.v2.task/*/*/address"):
        Path(address.read_text().strip().removeprefix("unix://")).unlink(missing_ok=True)
    kernel.unmount_below(run)
    network.remove(settings)
    _remove_links(run)
    _remove_cni_results(settings)
    kernel.restore(settings)


def socket_path(settings: Settings) -> Path:
    """Return containerd's socket."""
    return settings.run_dir / "containerd.sock"


def missing(settings: Settings) -> str | None:
    """Return what keeps pods from being scheduled on the node, or None."""
    try:
        administrator = controlplane.client(settings, timeout_s=api.PROBE_TIMEOUT_S)
        status, content = administrator.call("GET", f"/api/v1/nodes/{settings.node_name}")
    except OSError as error:
        return str(error)
    if status != 200:
        return f"the node is not registered yet ({status})"
    node = json.loads(content)
    conditions = {item["type"]: item for item in node["status"].get("conditions", [])}
    ready = conditions.get("Ready", {})
    if ready.get("status") != "True":
        return f"the node is not ready: {ready.get('message', 'no condition')}"
    taints = [taint["key"] for taint in node["spec"].get("taints", [])]
    return f"the node has taints: {taints}" if taints else None


def _remove_links(run: Path) -> None:
    # The kubelet links to its pods' logs in a folder that all kubelets of a machine share.
    for link in _CONTAINER_LOG_LINKS.glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(run):
            link.unlink(missing_ok=True)
    shutil.rmtree(run / "pod-logs", ignore_errors=True)


def _remove_cni_results(settings: Settings) -> None:
    pattern = re.compile(rf"{re.escape(settings.label)}-([0-9a-f]{{64}})-\w+")
    for result in list(_CNI_RESULTS.glob("*")):
        if found := pattern.fullmatch(result.name):
            result.unlink(missing_ok=True)
            (_CNI_RESULTS / f"cni-loopback-{found.group(1)}-lo").unlink(missing_ok=True)


def _cni_config(settings: Settings) -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": settings.label,
        # The bridge has its address already; a plugin that sets it also turns on forwarding.
        "isGateway": False,
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": str(settings.run_dir / "cni-addresses"),
            "ranges": [[{"subnet": settings.subnet, "gateway": settings.bridge_ip}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": settings.label, "plugins": [bridge]}


def _kubelet_config(settings: Settings) -> dict[str, object]:
    run = settings.run_dir
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.bridge_ip,
        "port": settings.port(Port.KUBELET),
        "healthzBindAddress": _LOOPBACK,
        "healthzPort": settings.port(Port.KUBELET_HEALTH),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(settings.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{socket_path(settings)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.label}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        # A nearly full disk of a developer is no reason to evict pods.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "100Mi"},
        # An image that was removed could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        # Firewall chains of its own would stay behind.
        "makeIPTablesUtilChains": False,
        "podLogsDir": str(run / "pod-logs"),
        "volumePluginDir": str(run / "kubelet" / "volume-plugins"),
        "clusterDomain": "cluster.local",
        # No name server is there; without an address each pod would get a warning event.
        "clusterDNS": [settings.bridge_ip],
        "serializeImagePulls": False,
    }


def _socket_missing(path: Path) -> str | None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError as error:
            return f"{path}: {error}"
    return None

"""What tells one stack from another: its name, parts, ports, subnets and folders.

Settings are decided once, at `up`, and kept in the run folder, so that every later command and
a second process find the same ones.
"""

import dataclasses
import enum
import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.stack import binaries, debian, errors, paths

_FIRST_PORT = 16443
_PORTS_PER_STACK = 40
_MAX_STACKS = 200
# As /proc/net/tcp has it.
_TIME_WAIT = "06"
FILE = "stack.json"
_NAME_LENGTH = 24

# Users of the token file beside the administrator, with their groups, for tests of roles.
DEFAULT_USERS: Mapping[str, Sequence[str]] = {
    "alice": ("operators",),
    "bob": ("viewers",),
    "carol": ("remediation",),
    "mallory": (),
}


class Parts(enum.Enum):
    """How much of a cluster is started."""

    CONTROL_PLANE = "control-plane"
    NODE = "node"
    FULL = "full"

    @property
    def has_node(self) -> bool:
        """Tell whether pods run."""
        return self is not Parts.CONTROL_PLANE

    @property
    def has_tekton(self) -> bool:
        """Tell whether Tekton and the registry run."""
        return self is Parts.FULL


class NodeKind(enum.Enum):
    """What runs the pods."""

    KUBELET = "kubelet"
    KWOK = "kwok"


class Port(enum.IntEnum):
    """The ports of a stack, as offsets from its base port."""

    APISERVER = 0
    ETCD = 1
    ETCD_PEER = 2
    CONTROLLER_MANAGER = 3
    SCHEDULER = 4
    KUBELET = 5
    KUBELET_HEALTH = 6
    REGISTRY = 7
    KWOK = 8
    TEKTON_WEBHOOK = 10
    TEKTON_PROBES = 11
    TEKTON_METRICS = 16
    TEKTON_PROFILING = 21


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the caller asks for; what is left open is decided by `settle`."""

    name: str
    parts: Parts = Parts.CONTROL_PLANE
    base_port: int | None = None
    tekton_crds: bool = False
    node_kind: NodeKind | None = None
    apiserver_flags: tuple[str, ...] = ()
    controller_manager_flags: tuple[str, ...] = ()
    users: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    tekton: str | None = None

    @property
    def tekton_module(self) -> str:
        """Return the wrapper module of the Tekton that is asked for.

        Raises:
            StackError: There is none of that version.
        """
        return binaries.TEKTON if self.tekton is None else binaries.tekton_module(self.tekton)

    @property
    def settled_node_kind(self) -> NodeKind:
        """Return what runs the pods: the kubelet where root asks for nothing else."""
        return self.node_kind or (NodeKind.KUBELET if os.geteuid() == 0 else NodeKind.KWOK)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything decided about one stack."""

    name: str
    parts: Parts
    base_port: int
    index: int
    tekton_crds: bool
    node_kind: NodeKind
    apiserver_flags: tuple[str, ...]
    controller_manager_flags: tuple[str, ...]
    users: Mapping[str, tuple[str, ...]]
    tekton: str

    @property
    def tekton_module(self) -> str:
        """Return the wrapper module of this stack's Tekton."""
        return binaries.tekton_module(self.tekton)

    @property
    def run_dir(self) -> Path:
        """Return the folder of everything this stack writes."""
        return paths.run_dir(self.name)

    @property
    def pki(self) -> Path:
        """Return the folder of the certificates."""
        return self.run_dir / "pki"

    @property
    def real_node(self) -> bool:
        """Tell whether containers really run."""
        return self.parts.has_node and self.node_kind is NodeKind.KUBELET

    @property
    def server_url(self) -> str:
        """Return the apiserver's address for processes of this machine."""
        return f"https://127.0.0.1:{self.port(Port.APISERVER)}"

    @property
    def registry(self) -> str:
        """Return the registry's host and port; loopback, where plain HTTP is spoken."""
        return f"127.0.0.1:{self.port(Port.REGISTRY)}"

    @property
    def label(self) -> str:
        """Return what names bridge, cgroup, CNI network and firewall rules on this machine.

        A name is one user's only; the index is free on the machine, since its bridge is.
        """
        return f"wfe-stack{self.index}"

    @property
    def subnet(self) -> str:
        """Return the subnet of the pods."""
        return f"10.213.{self.index}.0/24"

    @property
    def bridge_ip(self) -> str:
        """Return the machine's address on the bridge, which is the node's address."""
        return f"10.213.{self.index}.1"

    @property
    def host_ip(self) -> str:
        """Return an address of this machine that is not loopback.

        Raises:
            StackError: The machine has none.
        """
        if self.real_node:
            return self.bridge_ip
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # Only asks for a route; a datagram socket sends nothing on connect.
                probe.connect(("192.0.2.1", 9))
            except OSError as error:
                raise errors.StackError("this machine has no address but loopback") from error
            address: str = probe.getsockname()[0]
        return address

    @property
    def service_subnet(self) -> str:
        """Return the subnet of the services."""
        return f"10.214.{self.index}.0/24"

    @property
    def service_ip(self) -> str:
        """Return the address of the service `kubernetes`, always the first of the subnet."""
        return f"10.214.{self.index}.1"

    @property
    def node_name(self) -> str:
        """Return the name of the only node."""
        return f"{self.name}-node"

    @property
    def last_port(self) -> int:
        """Return the last port that belongs to this stack."""
        return self.base_port + _PORTS_PER_STACK - 1

    def port(self, port: Port, plus: int = 0) -> int:
        """Return a port number of this stack."""
        return self.base_port + port + plus

    def save(self) -> None:
        """Write the settings into the run folder."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        document = dataclasses.asdict(self)
        document |= {"parts": self.parts.value, "node_kind": self.node_kind.value}
        partial = self.run_dir / f".{FILE}.partial"
        partial.write_text(json.dumps(document, indent=2))
        partial.replace(self.run_dir / FILE)

    def answers(self, wish: Wish) -> bool:
        """Tell whether a running stack with these settings is what the caller asks for."""
        if wish.base_port not in {None, self.base_port}:
            return False
        if wish.node_kind not in {None, self.node_kind}:
            return False
        settled = _settle(wish, self.index, self.base_port, self.node_kind)
        return settled == self


def load(name: str) -> Settings | None:
    """Return the settings of the stack `name`, or None if there is no such stack."""
    return _read(paths.run_dir(name) / FILE)


def all_stacks() -> list[Settings]:
    """Return the settings of all stacks of this user that are up or were left by a crash."""
    found = [_read(path) for path in paths.run_root().glob(f"*/{FILE}")]
    return [settings for settings in found if settings]


def settle(wish: Wish) -> Settings:
    """Decide what is open in a wish, reserve it, and return the settings.

    Raises:
        StackError: The name cannot be used, or no ports or subnets are free.
    """
    _check_name(wish.name)
    if wish.base_port is not None:
        _check_ports(wish.base_port)
    kind = wish.settled_node_kind
    with paths.file_lock(paths.run_root() / "settle.lock", wait_s=30):
        taken = {other.index for other in all_stacks() if other.name != wish.name}
        for index in range(_MAX_STACKS):
            base_port = wish.base_port or _FIRST_PORT + index * _PORTS_PER_STACK
            settings = _settle(wish, index, base_port, kind)
            if index not in taken and _is_free(settings):
                settings.save()
                return settings
    raise errors.StackError("no free ports and subnets: end other stacks first")


def _settle(wish: Wish, index: int, base_port: int, kind: NodeKind) -> Settings:
    users = {**DEFAULT_USERS, **wish.users}
    return Settings(
        name=wish.name,
        parts=wish.parts,
        base_port=base_port,
        index=index,
        tekton_crds=wish.tekton_crds,
        node_kind=kind,
        apiserver_flags=wish.apiserver_flags,
        controller_manager_flags=wish.controller_manager_flags,
        users={name: tuple(groups) for name, groups in users.items()},
        tekton=binaries.module_version(wish.tekton_module),
    )


def _read(path: Path) -> Settings | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    document["parts"] = Parts(document["parts"])
    document["node_kind"] = NodeKind(document["node_kind"])
    for flags in ("apiserver_flags", "controller_manager_flags"):
        document[flags] = tuple(document[flags])
    document["users"] = {name: tuple(groups) for name, groups in document["users"].items()}
    return Settings(**document)


def _check_name(name: str) -> None:
    plain = name.replace("-", "")
    if not (plain.isascii() and plain.isalnum() and name == name.lower()):
        raise errors.StackError(f"the name {name!r} may hold lower-case letters, digits and dashes")
    if name.startswith("-") or name.endswith("-") or len(name) > _NAME_LENGTH:
        raise errors.StackError(f"the name {name!r} starts or ends with a dash, or is too long")


def _check_ports(base_port: int) -> None:
    taken = _ports_in_use().intersection(range(base_port, base_port + _PORTS_PER_STACK))
    if taken:
        raise errors.StackError(
            f"port {min(taken)} is in use; a stack takes {_PORTS_PER_STACK} from its base port on"
        )


def _is_free(settings: Settings) -> bool:
    numbers = range(settings.base_port, settings.base_port + _PORTS_PER_STACK)
    if _ports_in_use().intersection(numbers):
        return False
    if not settings.real_node:
        return True
    if Path(f"/sys/class/net/{settings.label}").exists():
        return False
    # A network of another program may hold the subnet already.
    command = [debian.find("ip"), "-4", "-oneline", "route", "show", "root", settings.subnet]
    more_specific = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return not more_specific.stdout.strip()


def _ports_in_use() -> set[int]:
    """Return the local ports of all TCP sockets that are not merely waiting to be forgotten.

    Trying to bind would tell as much, and break another process that is about to listen.
    """
    found = set()
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net", table)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            _, local, _, state, *_ = line.split()
            if state != _TIME_WAIT:
                found.add(int(local.rpartition(":")[2], 16))
    return found

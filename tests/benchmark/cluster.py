"""A fresh apiserver and etcd for one measurement."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.benchmark import access, auditlog, objects
from tests.stack import process
from tests.stack import settings as stack_settings
from tests.stack.cluster import Stack
from tests.support import controlplane

NAME = "bench"

_BASE_PROCESSES = ("kube-apiserver", "etcd", "kube-controller-manager")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A control plane with both APIs, empty but for the namespaces."""

    stack: Stack
    audit: auditlog.AuditLog

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig, with which everything here runs."""
        return self.stack.kubeconfig

    @property
    def way(self) -> access.Access:
        """Return how to reach the apiserver."""
        return access.read(self.kubeconfig)

    @property
    def logs(self) -> Path:
        """Return the folder of the logs, which is emptied at the next measurement."""
        return self.stack.logs

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what marks a process as the stack's, so that even after a crash it is ended."""
        return {process.MARKER: str(self.stack.settings.run_dir)}

    @property
    def etcd_url(self) -> str:
        """Return etcd's address, for filling it without a request for each object."""
        return f"http://127.0.0.1:{self.stack.settings.port(stack_settings.Port.ETCD)}"

    @property
    def pids(self) -> dict[str, int]:
        """Return the control plane's processes."""
        found = {name: self.stack.pid(name) for name in _BASE_PROCESSES}
        return {name: pid for name, pid in found.items() if pid is not None}


@contextlib.contextmanager
def fresh(crd: Path) -> Iterator[Cluster]:
    """Start a new control plane, and leave nothing of it but logs."""
    with controlplane.fresh(NAME, objects.NAMESPACES, crd=crd) as stack:
        yield Cluster(stack=stack, audit=auditlog.AuditLog(stack.audit_log))

"""The stack as fixtures, the demo and the benchmarks use it.

A `Stack` is a handle: `up` starts the cluster or finds it running, `down` leaves nothing behind,
and as a context manager it does both.
"""

import logging
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.stack import api, binaries, controlplane, errors, images, kubeconfig, node, paths
from tests.stack import parts as parts_module
from tests.stack import settings as settings_module
from tests.stack.process import Spec, Table
from tests.stack.settings import NodeKind, Parts, Settings, Wish

LOG = logging.getLogger(__name__)

__all__ = ["NodeKind", "Parts", "Stack"]

_STOP_GRACE_S = 10.0
_LOCK_WAIT_S = 900.0
_TOKEN_LIFETIME_S = 7 * 24 * 3600


class Stack:
    """One cluster on this machine, known by its name to every process of this user.

    Args:
        name: Lower-case letters, digits, dashes; two stacks with different names run side by side.
        parts: How much is started.
        base_port: The first of 40 ports; None takes free ones.
        tekton_crds: Installs Tekton's CRDs, without its conversion webhook, where no Tekton runs.
        node_kind: kubelet with containerd, which needs root, or kwok; None is kubelet for root.
        apiserver_flags: Further flags for kube-apiserver, like `--max-requests-inflight=20`.
        controller_manager_flags: Further flags for kube-controller-manager.
        users: Further users of the token file, with their groups, beside the default ones.
        tekton: The version, like v1.9.6; None is the long-term one.
    """

    def __init__(  # noqa: PLR0913 - the settings of a stack, all by keyword
        self,
        *,
        name: str,
        parts: Parts = Parts.CONTROL_PLANE,
        base_port: int | None = None,
        tekton_crds: bool = False,
        node_kind: NodeKind | None = None,
        apiserver_flags: Sequence[str] = (),
        controller_manager_flags: Sequence[str] = (),
        users: Mapping[str, Sequence[str]] | None = None,
        tekton: str | None = None,
    ) -> None:
        self._wish = Wish(
            name=name,
            parts=parts,
            base_port=base_port,
            tekton_crds=tekton_crds,
            node_kind=node_kind,
            apiserver_flags=tuple(apiserver_flags),
            controller_manager_flags=tuple(controller_manager_flags),
            users=users or {},
            tekton=tekton,
        )
        self._run_dir = paths.run_dir(name)
        self._table = Table(run_dir=self._run_dir)

    @classmethod
    def find(cls, name: str) -> Self:
        """Return the stack `name` as it was started, by whatever process.

        Raises:
            StackError: No such stack was started.
        """
        found = settings_module.load(name)
        if found is None:
            raise errors.StackError(f"no stack called {name} is up")
        return cls(
            name=name,
            parts=found.parts,
            base_port=found.base_port,
            tekton_crds=found.tekton_crds,
            node_kind=found.node_kind,
            apiserver_flags=found.apiserver_flags,
            controller_manager_flags=found.controller_manager_flags,
            users=found.users,
            tekton=found.tekton,
        )

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    @property
    def settings(self) -> Settings:
        """Return what was decided about the running stack: ports, addresses, folders.

        Raises:
            StackError: The stack is not up.
        """
        found = settings_module.load(self._wish.name)
        if found is None:
            raise errors.StackError(f"the stack {self._wish.name} is not up")
        return found

    @property
    def server_url(self) -> str:
        """Return the apiserver's address for processes of this machine."""
        return self.settings.server_url

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return controlplane.kubeconfig_path(self.settings, controlplane.ADMIN)

    @property
    def admin_token(self) -> str:
        """Return the administrator's bearer token."""
        return controlplane.tokens(self.settings)[controlplane.ADMIN]

    @property
    def ca_file(self) -> Path:
        """Return the certificate of the authority that signed the apiserver's."""
        return self.settings.pki / "ca.crt"

    @property
    def registry(self) -> str:
        """Return host and port of the registry, as the start of a bundle's reference."""
        return self.settings.registry

    @property
    def audit_log(self) -> Path:
        """Return the apiserver's audit log: a JSON event a line, level Metadata."""
        return controlplane.audit_log(self.settings)

    @property
    def logs(self) -> Path:
        """Return the folder with one log for each process; it outlives the stack."""
        return self._run_dir / "logs"

    @property
    def api(self) -> api.Api:
        """Return a small client of the apiserver for the administrator."""
        return controlplane.client(self.settings)

    def program(self, name: str) -> Path:
        """Return the path of a program, like kubectl, building it if need be."""
        return binaries.ensure([name])[name]

    def user_kubeconfig(self, user: str) -> Path:
        """Return the kubeconfig of a user of the token file."""
        settings = self.settings
        if user not in controlplane.tokens(settings):
            raise errors.StackError(f"the token file has no user {user}")
        return controlplane.kubeconfig_path(settings, user)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Return a new kubeconfig with a token of a service account, valid for a week."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        request = {"spec": {"expirationSeconds": _TOKEN_LIFETIME_S}}
        token = self.api.json("POST", path, request)["status"]["token"]
        return kubeconfig.write(
            self._run_dir / f"serviceaccount-{namespace}-{name}.kubeconfig",
            server_url=self.server_url,
            ca_file=self.ca_file,
            user=f"system:serviceaccount:{namespace}:{name}",
            token=token,
        )

    def wait_ready(self) -> None:
        """Wait until all processes are ready, as after one that the others need was ended.

        Raises:
            NotReady: One is not ready in time.
        """
        self._table.wait_ready(self._specs())

    def import_images(self, *wanted: images.Image) -> None:
        """Bring further images onto the node; kwok needs none."""
        if self.settings.real_node:
            node.import_images(self.settings, wanted)

    def import_archive(self, archive: Path) -> None:
        """Bring the images of an archive onto the node; kwok needs none."""
        if self.settings.real_node:
            node.import_archive(self.settings, archive)

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Run kubectl as the administrator and return what it prints.

        Raises:
            StackError: kubectl failed; the message has its error output.
        """
        command = [str(self.program("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if done.returncode != 0:
            raise errors.StackError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def build(self) -> None:
        """Build what `up` needs and does not find."""
        parts_module.provide(self._wish)

    def up(self, *, fresh: bool = False) -> None:
        """Start what does not run yet and wait until all of it is ready.

        What a crash or another run left under this name is removed first, unless it is the same
        stack and `fresh` is false.

        Raises:
            StackError: A program is missing, a process is not ready in time, or a stack with
                this name and other settings is up.
        """
        wish = self._wish
        started = time.monotonic()
        with paths.file_lock(paths.run_root() / f"{wish.name}.lock", wait_s=_LOCK_WAIT_S):
            found = settings_module.load(wish.name)
            # A crash or a restart of the machine may leave state, and shims, but no process.
            running = any(self._table.pid(process) for process in self._table.names())
            if found and running and not fresh and not found.answers(wish):
                raise errors.StackError(
                    f"a stack called {wish.name} is up with other settings; end it first"
                )
            programs = parts_module.provide(wish)
            if found is None or fresh or not running:
                parts_module.remove(self._table, wish.name, self._run_dir)
                shutil.rmtree(self._run_dir, ignore_errors=True)
                found = settings_module.settle(wish)
            parts_module.start(self._table, found, programs)
        LOG.info("stack %s is ready after %.1f s", wish.name, time.monotonic() - started)

    def down(self, *, keep_logs: bool = True) -> None:
        """End all that this stack started and remove what it made, but for its logs."""
        with paths.file_lock(paths.run_root() / f"{self._wish.name}.lock", wait_s=_LOCK_WAIT_S):
            parts_module.remove(self._table, self._wish.name, self._run_dir)
            if not keep_logs:
                shutil.rmtree(self._run_dir, ignore_errors=True)
        kept = self.logs if keep_logs else "not kept"
        LOG.info("stack %s is down, logs: %s", self._wish.name, kept)

    def stop(self, process: str) -> None:
        """End one process as an orderly shutdown does."""
        self._known(process)
        self._table.stop(process, sig=signal.SIGTERM, grace_s=_STOP_GRACE_S)

    def kill(self, process: str) -> None:
        """End one process at once, as a crash does."""
        self._known(process)
        self._table.stop(process, sig=signal.SIGKILL, grace_s=_STOP_GRACE_S)

    def start(self, process: str) -> None:
        """Start one process, unless it runs, and wait until it is ready."""
        spec = self._known(process)
        if process == "kube-apiserver" and self._table.pid(process) is None:
            controlplane.end_with_whole_line(self.audit_log)
        self._table.start(spec)
        self._table.wait_ready([spec])

    def restart(self, process: str) -> None:
        """End one process in an orderly way and start it again."""
        self.stop(process)
        self.start(process)

    def pid(self, process: str) -> int | None:
        """Return the process id of one process, or None if it does not run."""
        return self._table.pid(process)

    def status(self) -> dict[str, str]:
        """Return the state of each process: `ready`, or what is wrong."""
        states = {}
        for spec in self._specs():
            running = self._table.pid(spec.name) is not None
            missing = spec.missing() if running else "not running"
            states[spec.name] = "ready" if missing is None else missing
        return states

    def _known(self, process: str) -> Spec:
        specs = self._specs()
        for spec in specs:
            if spec.name == process:
                return spec
        names = ", ".join(spec.name for spec in specs)
        raise errors.StackError(f"this stack has no process {process}, but {names}")

    def _specs(self) -> list[Spec]:
        return parts_module.specs(self.settings, parts_module.provide(self._wish))

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

from tests.stack import (
    api,
    binaries,
    controlplane,
    crds,
    debian,
    errors,
    images,
    kubeconfig,
    kwok,
    node,
    paths,
    registry,
    tekton,
    tektonfiles,
)
from tests.stack import settings as settings_module
from tests.stack.process import Spec, Table, end
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
        users: Further users of the token file, with their groups, beside the default ones.
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
        users: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._wish = Wish(
            name=name,
            parts=parts,
            base_port=base_port,
            tekton_crds=tekton_crds,
            node_kind=node_kind,
            apiserver_flags=tuple(apiserver_flags),
            users=users or {},
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
            users=found.users,
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
        self._table.wait_ready(self._specs(self.settings, binaries.ensure(self._programs())))

    def import_images(self, *wanted: images.Image) -> None:
        """Bring further images onto the node; kwok needs none."""
        if self.settings.real_node:
            node.import_images(self.settings, wanted)

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
        binaries.ensure(self._programs())

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
        self._install()
        with paths.file_lock(paths.run_root() / f"{wish.name}.lock", wait_s=_LOCK_WAIT_S):
            found = settings_module.load(wish.name)
            if found and not fresh and self._table.marked() and not found.answers(wish):
                raise errors.StackError(
                    f"a stack called {wish.name} is up with other settings; end it first"
                )
            if found is None or fresh or not self._table.marked():
                self._remove_all()
                shutil.rmtree(self._run_dir, ignore_errors=True)
            programs = binaries.ensure(self._programs())
            settings = settings_module.load(wish.name) or settings_module.settle(wish)
            self._start_all(settings, programs)
        LOG.info("stack %s is ready after %.1f s", wish.name, time.monotonic() - started)

    def down(self) -> None:
        """End all that this stack started and remove what it made, but for its logs."""
        with paths.file_lock(paths.run_root() / f"{self._wish.name}.lock", wait_s=_LOCK_WAIT_S):
            self._remove_all()
        LOG.info("stack %s is down, its logs are in %s", self._wish.name, self.logs)

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
        settings = self.settings
        states = {}
        for spec in self._specs(settings, binaries.ensure(self._programs())):
            running = self._table.pid(spec.name) is not None
            missing = spec.missing() if running else "not running"
            states[spec.name] = "ready" if missing is None else missing
        return states

    def _known(self, process: str) -> Spec:
        specs = self._specs(self.settings, binaries.ensure(self._programs()))
        for spec in specs:
            if spec.name == process:
                return spec
        names = ", ".join(spec.name for spec in specs)
        raise errors.StackError(f"this stack has no process {process}, but {names}")

    def _install(self) -> None:
        wanted: dict[str, str] = {}
        if self._wish.parts.has_node and self._wish.settled_node_kind is NodeKind.KUBELET:
            wanted |= debian.NODE
        if self._wish.parts.has_tekton:
            wanted |= debian.REGISTRY
        debian.ensure(wanted)

    def _programs(self) -> list[str]:
        parts, kind = self._wish.parts, self._wish.settled_node_kind
        names = list(binaries.CONTROL_PLANE)
        if parts.has_node:
            names += ["kube-scheduler", kind.value]
        if parts.has_tekton:
            names += binaries.TEKTON_PROCESSES
            if kind is NodeKind.KUBELET:
                names += binaries.TEKTON_IMAGES
        return names

    def _specs(self, settings: Settings, programs: Mapping[str, Path]) -> list[Spec]:
        specs = controlplane.specs(settings, programs)
        if settings.real_node:
            specs.append(node.containerd_spec(settings))
        if settings.parts.has_node:
            specs += self._node_specs(settings, programs)
        if settings.parts.has_tekton:
            specs += [registry.spec(settings), *tekton.specs(settings, programs)]
        return specs

    def _start_all(self, settings: Settings, programs: Mapping[str, Path]) -> None:
        controlplane.prepare(settings)
        control_plane = controlplane.specs(settings, programs)
        # All at once: each retries until the one it needs answers.
        for spec in control_plane:
            self._table.start(spec)
        if settings.real_node:
            self._start_containerd(settings, programs)
        self._table.wait_ready(control_plane)
        if settings.parts.has_node:
            self._start_node(settings, programs)
        if settings.parts.has_tekton:
            self._start_tekton(settings, programs)
        elif settings.tekton_crds:
            crds.install(self.api, tektonfiles.load().crds(conversion=False))

    def _node_specs(self, settings: Settings, programs: Mapping[str, Path]) -> list[Spec]:
        kubelet = node.kubelet_spec if settings.real_node else kwok.spec
        return [node.scheduler_spec(settings, programs), kubelet(settings, programs)]

    def _start_node(self, settings: Settings, programs: Mapping[str, Path]) -> None:
        if not settings.real_node:
            kwok.register(settings)
        self._start_ready(self._node_specs(settings, programs))

    def _start_containerd(self, settings: Settings, programs: Mapping[str, Path]) -> None:
        node.prepare(settings)
        self._start_ready([node.containerd_spec(settings)])
        wanted = [*images.node_images(), images.kubectl_image(programs["kubectl"])]
        if settings.parts.has_tekton:
            wanted += images.tekton_images(programs)
        node.import_images(settings, wanted)

    def _start_tekton(self, settings: Settings, programs: Mapping[str, Path]) -> None:
        registry.prepare(settings)
        self._table.start(registry.spec(settings))
        tekton.install(settings)
        self._start_ready([registry.spec(settings), *tekton.specs(settings, programs)])

    def _start_ready(self, specs: Sequence[Spec]) -> None:
        for spec in specs:
            self._table.start(spec)
        self._table.wait_ready(specs)

    def _remove_all(self) -> None:
        settings = settings_module.load(self._wish.name)
        end(self._table.marked(), sig=signal.SIGKILL, grace_s=_STOP_GRACE_S)
        if settings is not None and settings.real_node:
            node.remove(settings)
        if not self._run_dir.exists():
            return
        for entry in self._run_dir.iterdir():
            if entry.is_dir() and entry.name != "logs":
                shutil.rmtree(entry)
            elif not entry.is_dir() and entry.name != settings_module.FILE:
                entry.unlink()
        # Last, so that a second `down` finds what an interrupted one has left.
        (self._run_dir / settings_module.FILE).unlink(missing_ok=True)

"""Which programs the stack runs, in which version, and where they are found or built.

The versions are those of the Go modules in `modules/`, whose go.mod and go.sum pin every source.
"""

import dataclasses
import hashlib
import logging
import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.stack import errors, gotool, paths

LOG = logging.getLogger(__name__)

KUBERNETES = "kubernetes"
ETCD = "etcd"
TEKTON = "tekton"
# The long-term version first, which is the default; then the newest that can be had.
TEKTONS = (TEKTON, "tekton-latest")
KWOK = "kwok"
HELM = "helm"
KUBECONFORM = "kubeconform"

_BUILD_DEADLINE_S = 1800
_PROGRESS_EVERY_S = 10


@dataclasses.dataclass(frozen=True)
class Binary:
    """A program and the package of a wrapper module that it is built from."""

    name: str
    module: str
    package: str


def _catalogue() -> dict[str, Binary]:
    kubernetes = (
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kubectl",
    )
    tekton = ("controller", "webhook", "entrypoint", "nop", "workingdirinit")
    upstream = "github.com/tektoncd/pipeline"
    programs = [
        Binary("etcd", ETCD, "go.etcd.io/etcd/server/v3"),
        Binary("kwok", KWOK, "sigs.k8s.io/kwok/cmd/kwok"),
        Binary("helm", HELM, "helm.sh/helm/v3/cmd/helm"),
        Binary("kubeconform", KUBECONFORM, "github.com/yannh/kubeconform/cmd/kubeconform"),
        *(Binary(name, KUBERNETES, f"k8s.io/kubernetes/cmd/{name}") for name in kubernetes),
        *(Binary(f"tekton-{name}", TEKTON, f"{upstream}/cmd/{name}") for name in tekton),
        Binary("tekton-resolvers", TEKTON, "./resolvers"),
    ]
    return {program.name: program for program in programs}


CATALOGUE = _catalogue()
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
# What tests use beside a cluster.
TOOLS = ("helm", "kubeconform")
TEKTON_PROCESSES = ("tekton-controller", "tekton-webhook", "tekton-resolvers")
TEKTON_IMAGES = ("tekton-entrypoint", "tekton-nop", "tekton-workingdirinit")
_FROM_ASSETS = ("etcd", "kube-apiserver", "kubectl")


def module_version(module: str) -> str:
    """Return the version of the upstream module that a wrapper module requires, like v1.34.4."""
    upstream = {
        KUBERNETES: "k8s.io/kubernetes",
        ETCD: "go.etcd.io/etcd/server/v3",
        KWOK: "sigs.k8s.io/kwok",
        **dict.fromkeys(TEKTONS, "github.com/tektoncd/pipeline"),
        HELM: "helm.sh/helm/v3",
        KUBECONFORM: "github.com/yannh/kubeconform",
    }[module]
    text = (paths.MODULES / module / "go.mod").read_text()
    found = re.search(rf"^(?:require )?\s*{re.escape(upstream)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise errors.StackError(f"modules/{module}/go.mod does not require {upstream}")
    return found.group(1)


def tekton_module(version: str) -> str:
    """Return the wrapper module of a version of Tekton, like v1.9.6.

    Raises:
        StackError: No module here requires that version.
    """
    known = {module_version(module): module for module in TEKTONS}
    if version not in known:
        raise errors.StackError(f"there is no Tekton {version} here, but {', '.join(known)}")
    return known[version]


def module_key(module: str) -> str:
    """Return what names a module's folder in the cache: its version and a hash of its files."""
    digest = hashlib.sha256(" ".join(_link_flags(module)).encode())
    for file in sorted((paths.MODULES / module).rglob("*")):
        if file.name in {"go.mod", "go.sum"} or file.suffix == ".go":
            digest.update(file.read_bytes())
    return f"{module}-{module_version(module)}-{digest.hexdigest()[:10]}"


def ensure(names: Iterable[str], *, tekton: str = TEKTON) -> Mapping[str, Path]:
    """Return the path of each program, building those that are neither found nor cached.

    KUBEBUILDER_ASSETS, when set, is where etcd, kube-apiserver and kubectl are taken from.

    Args:
        names: The programs.
        tekton: The wrapper module that Tekton's programs come from.

    Raises:
        MissingTools: Go is needed and cannot be had.
        BuildFailed: A build ended with an error.
    """
    wanted = [_from(CATALOGUE[name], tekton) for name in names]
    missing = [binary for binary in wanted if _find(binary) is None]
    if missing:
        with paths.file_lock(paths.cache_root() / "build.lock", wait_s=_BUILD_DEADLINE_S):
            _build_all([binary for binary in missing if _find(binary) is None])
    return {binary.name: _find(binary) or _cached(binary) for binary in wanted}


def _from(binary: Binary, tekton: str) -> Binary:
    return dataclasses.replace(binary, module=tekton) if binary.module == TEKTON else binary


def _find(binary: Binary) -> Path | None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    candidates = [_cached(binary)]
    if assets and binary.name in _FROM_ASSETS:
        candidates.insert(0, Path(assets) / binary.name)
    return next((path for path in candidates if os.access(path, os.X_OK)), None)


def _cached(binary: Binary) -> Path:
    return paths.cache_root() / "bin" / module_key(binary.module) / binary.name


def _link_flags(module: str) -> list[str]:
    flags = ["-s", "-w"]
    if module == KUBERNETES:
        # Without these a server built from a module calls itself v0.0.0, and clients believe it.
        version = module_version(module)
        major, minor, _ = version.removeprefix("v").split(".")
        fields = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        for field, value in fields.items():
            flags += ["-X", f"k8s.io/component-base/version.{field}={value}"]
    return flags


def _build_all(missing: list[Binary]) -> None:
    if not missing:
        return
    go = gotool.find()
    started = time.monotonic()
    for number, binary in enumerate(missing, 1):
        _build(go, binary, f"{number} of {len(missing)}")
    LOG.info("built %d programs in %.0f s", len(missing), time.monotonic() - started)


def _build(go: Path, binary: Binary, position: str) -> None:
    target = _cached(binary)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{binary.name}.partial")
    log = target.with_name(f"{binary.name}.build.log")
    command = [
        str(go),
        "build",
        "-buildvcs=false",
        "-ldflags",
        " ".join(_link_flags(binary.module)),
    ]
    command += ["-o", str(partial), binary.package]
    started = time.monotonic()
    LOG.info("building %s (%s)", binary.name, position)
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=paths.MODULES / binary.module,
            env=gotool.environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_with_progress(process, f"{binary.name} ({position})", started)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        tail = "\n".join(log.read_text().splitlines()[-20:])
        raise errors.BuildFailed(f"go build of {binary.package} failed, see {log}:\n{tail}")
    partial.replace(target)
    LOG.info("built %s (%s) in %.0f s", binary.name, position, time.monotonic() - started)


def _wait_with_progress(process: subprocess.Popen[bytes], what: str, started: float) -> None:
    while True:
        try:
            process.wait(timeout=_PROGRESS_EVERY_S)
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - started
            if elapsed > _BUILD_DEADLINE_S:
                raise errors.BuildFailed(f"building {what} took over {elapsed:.0f} s") from None
            LOG.info("building %s, %.0f s", what, elapsed)
        else:
            return

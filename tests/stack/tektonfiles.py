"""Tekton's own manifests, taken from its Go module and kept in the cache as JSON.

The cache makes a warm start need neither Go nor the slow parsing of 1.6 MB of YAML.
"""

import dataclasses
import json
import logging
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.stack import api, binaries, errors, gotool, paths

LOG = logging.getLogger(__name__)

_UPSTREAM = "github.com/tektoncd/pipeline"
_DOWNLOAD_DEADLINE_S = 600


@dataclasses.dataclass(frozen=True)
class Files:
    """The objects of Tekton's `config` folder, by the path of the file that holds them."""

    by_path: Mapping[str, Sequence[api.JsonObject]]

    def under(self, *prefixes: str) -> list[api.JsonObject]:
        """Return the objects of all files whose path starts with one of `prefixes`, in order."""
        return [
            manifest
            for prefix in prefixes
            for path, manifests in sorted(self.by_path.items())
            if path.startswith(prefix)
            for manifest in manifests
        ]

    def crds(self, *, conversion: bool) -> list[api.JsonObject]:
        """Return the CRDs.

        Args:
            conversion: Keeps the conversion by Tekton's webhook. Without that webhook every
                request for another version than the stored one would fail.
        """
        found = self.under("300-crds/")
        if not conversion:
            for crd in found:
                crd["spec"].pop("conversion", None)
        return found

    def environment(self, path: str) -> dict[str, str]:
        """Return the plain variables of the first container of the Deployment in a file."""
        deployment = next(item for item in self.by_path[path] if item["kind"] == "Deployment")
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def load(module: str = binaries.TEKTON) -> Files:
    """Return Tekton's manifests, from the cache or else from its Go module.

    Args:
        module: The wrapper module that requires it.

    Raises:
        MissingTools: Go is needed and cannot be had.
        BuildFailed: The module cannot be downloaded.
    """
    cached = paths.cache_root() / "tekton" / f"{binaries.module_key(module)}.json"
    if not cached.exists():
        with paths.file_lock(paths.cache_root() / "build.lock", wait_s=_DOWNLOAD_DEADLINE_S):
            _fill(cached, module)
    return Files(by_path=json.loads(cached.read_bytes()))


def _fill(cached: Path, module: str) -> None:
    folder = _module_folder(module) / "config"
    by_path: dict[str, list[Any]] = {}
    for path in sorted(folder.rglob("*.yaml")):
        with path.open() as file:
            manifests = yaml.load_all(file, Loader=_loader())
            by_path[str(path.relative_to(folder))] = [item for item in manifests if item]
    cached.parent.mkdir(parents=True, exist_ok=True)
    partial = cached.with_name(f".{cached.name}.partial")
    partial.write_text(json.dumps(by_path, default=str))
    partial.replace(cached)


def _loader() -> type[yaml.SafeLoader]:
    # The C loader reads the same language ten times faster, where it is compiled in.
    loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return loader


def _module_folder(module: str) -> Path:
    LOG.info("reading the manifests of Tekton from its Go module")
    go, folder = str(gotool.find()), paths.MODULES / module
    output = ""
    for arguments in (["mod", "download", _UPSTREAM], ["list", "-m", "-f", "{{.Dir}}", _UPSTREAM]):
        done = subprocess.run(
            [go, *arguments],
            cwd=folder,
            env=gotool.environment(),
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_DEADLINE_S,
            check=False,
        )
        if done.returncode != 0:
            raise errors.BuildFailed(f"go {' '.join(arguments)}: {done.stderr.strip()}")
        output = done.stdout.strip()
    return Path(output)

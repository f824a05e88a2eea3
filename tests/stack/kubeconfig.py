"""Kubeconfig files: one server, one user each."""

import base64
from pathlib import Path

import yaml


def write(path: Path, *, server_url: str, ca_file: Path, user: str, token: str) -> Path:
    """Write a kubeconfig with a bearer token; readable by its owner alone.

    The authority is embedded, so that the file works wherever it is copied on this machine.
    """
    authority = base64.b64encode(ca_file.read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "stack",
                "cluster": {"server": server_url, "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "stack", "context": {"cluster": "stack", "user": user}}],
        "current-context": "stack",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.touch(mode=0o600)
    partial.write_text(yaml.safe_dump(document, sort_keys=False))
    return partial.replace(path)

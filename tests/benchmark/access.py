"""How the benchmark's own processes reach the apiserver: a kubeconfig with a bearer token."""

import base64
import dataclasses
import ssl
from pathlib import Path
from typing import Any

import yaml


@dataclasses.dataclass(frozen=True)
class Access:
    """An apiserver and who we are to it."""

    server_url: str
    ca_pem: str
    token: str

    def ssl_context(self) -> ssl.SSLContext:
        """Return a context that trusts the apiserver."""
        return ssl.create_default_context(cadata=self.ca_pem)


def read(kubeconfig: Path) -> Access:
    """Read a kubeconfig as the stack writes it: one cluster, one user with a token."""
    document: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    return Access(
        server_url=cluster["server"],
        ca_pem=base64.b64decode(cluster["certificate-authority-data"]).decode(),
        token=document["users"][0]["user"]["token"],
    )

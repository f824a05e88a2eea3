"""Who this process is: the one name that requests, lease, metrics and logs carry."""

from __future__ import annotations

import importlib.metadata
import os
import re
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PRODUCT = "workflowexecution"

_UNSEEN = re.compile(r"[^!-~]")


def identity_of(environ: Mapping[str, str] = os.environ) -> str:
    """POD_NAME, or the host name; outside a pod with the process id, as several may run there.

    It goes into a header, which holds no line break and the like.
    """
    pod = _UNSEEN.sub("-", environ.get("POD_NAME", ""))
    if "KUBERNETES_SERVICE_HOST" in environ:
        return pod or socket.gethostname()
    return f"{pod or socket.gethostname()}-{os.getpid()}"


def version() -> str:
    """Version of the installed distribution."""
    return importlib.metadata.version(PRODUCT)


def user_agent(identity: str) -> str:
    """The User-Agent of every call, so that the apiserver's audit log is a witness."""
    return f"{PRODUCT}/{version()} ({identity})"

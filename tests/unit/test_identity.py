import importlib.metadata
import os
import socket

import pytest

from workflowexecution import identity

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({**POD, "POD_NAME": "wfe-0"}, "wfe-0", id="pod"),
        pytest.param(POD, socket.gethostname(), id="pod-without-its-name"),
        pytest.param({"POD_NAME": "x"}, f"x-{os.getpid()}", id="outside-with-a-name"),
        pytest.param({**POD, "POD_NAME": "a\nb \x7f"}, "a-b--", id="what-no-header-holds"),
        pytest.param({}, f"{socket.gethostname()}-{os.getpid()}", id="outside"),
    ],
)
def test_identity_tells_processes_apart(environ: dict[str, str], expected: str) -> None:
    assert identity.identity_of(environ) == expected


def test_user_agent_names_version_and_identity() -> None:
    version = importlib.metadata.version("workflowexecution")
    assert identity.version() == version
    assert identity.user_agent("wfe-0") == f"workflowexecution/{version} (wfe-0)"

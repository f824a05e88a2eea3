from __future__ import annotations

import pytest

from workflowexecution.adapters.tracing import work

APIS = "/apis/kubernaut.ai/v1alpha1"


@pytest.mark.parametrize(
    ("path", "about"),
    [
        (f"{APIS}/namespaces/payment/workflowexecutions/x", "workflowexecutions"),
        (f"{APIS}/namespaces/payment/workflowexecutions/x/status", "workflowexecutions/status"),
        (f"{APIS}/namespaces/payment/workflowexecutions", "workflowexecutions"),
        (f"{APIS}/workflowexecutions", "workflowexecutions"),
        ("/api/v1/namespaces/payment/pods/p/log", "pods/log"),
        ("/version", "/version"),
    ],
)
def test_request_is_named_by_its_resource(path: str, about: str) -> None:
    assert work.resource_of(path) == about

"""What a reconcile is told of the settings, where that is not the setting itself."""

import pytest

from workflowexecution import settings
from workflowexecution.wiring import policy


@pytest.mark.parametrize(
    ("execution", "allowed"),
    [
        pytest.param({}, ("kubernaut-workflow-runner",), id="default"),
        pytest.param(
            {"serviceAccount": "mine"}, ("mine", "kubernaut-workflow-runner"), id="configured"
        ),
        pytest.param(
            {"serviceAccount": "mine", "allowedServiceAccounts": []}, ("mine",), id="no-other"
        ),
        pytest.param(
            {"serviceAccount": "mine", "allowedServiceAccounts": ["b", "mine"]},
            ("mine", "b"),
            id="named-twice",
        ),
    ],
)
def test_the_configured_account_is_always_allowed(
    execution: dict[str, object], allowed: tuple[str, ...]
) -> None:
    found = settings.Settings.model_validate({"execution": execution})
    assert policy.of(found).rules.allowed_service_accounts == allowed

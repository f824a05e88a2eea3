"""What a reconcile obeys, out of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.domain import history, pipelinerun, stopping, validation
from workflowexecution.reconciler import tools

if TYPE_CHECKING:
    from workflowexecution.settings import Settings


def of(settings: Settings) -> tools.Policy:
    """The part of the settings that a reconcile obeys, in its own words."""
    return tools.Policy(
        rules=validation.Rules(
            allowed_bundles=settings.execution.allowed_bundles,
            allowed_service_accounts=settings.execution.accounts,
            require_digest=settings.execution.require_digest,
        ),
        defaults=pipelinerun.Defaults(
            namespace=settings.execution.namespace,
            service_account=settings.execution.service_account,
            timeout_s=settings.execution.default_timeout,
            instance=settings.controller.instance,
        ),
        history=history.Rules(
            cooldown_s=settings.execution.cooldown_period,
            base_s=settings.backoff.base_cooldown,
            max_s=settings.backoff.max_cooldown,
            max_exponent=settings.backoff.max_exponent,
            max_failures=settings.backoff.max_consecutive_failures,
        ),
        limits=stopping.Limits(
            deadline_grace_s=settings.limits.deadline_grace,
            stall_after_s=settings.limits.stall_after,
        ),
        suspend=settings.execution.suspend,
        run_retention_s=settings.execution.run_retention,
        create_retry_for_s=settings.limits.create_retry_for,
        deletion_give_up_s=settings.limits.deletion_give_up,
        log_tail=settings.execution.log_tail,
    )

"""Earlier executions of a target, and what they mean under the usual rules."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from tests import builders
from workflowexecution.api.status import (
    FailureDetails,
    FailureReason,
    Outcome,
    Phase,
    PipelineRunRef,
    SkipReason,
    Status,
)
from workflowexecution.domain import history

if TYPE_CHECKING:
    from collections.abc import Sequence

RULES = history.Rules(cooldown_s=300.0, base_s=60.0, max_s=600.0, max_exponent=4, max_failures=5)
NOW = builders.NOW
RESTART, SCALE = "restart-deployment", "scale-up"
BUSY_UNTIL_CLEARED = SkipReason.PREVIOUS_EXECUTION_FAILED
RECENTLY, EXHAUSTED = SkipReason.RECENTLY_REMEDIATED, SkipReason.EXHAUSTED_RETRIES


def at(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def past(after_s: float = 0.0, **parts: Any) -> history.Past:  # noqa: ANN401 - members of a Past
    settled: dict[str, Any] = {
        "uid": f"u{after_s}",
        "namespace": "payment",
        "name": f"w{after_s:g}",
        "workflow_id": RESTART,
        "target": builders.TARGET,
        "outcome": "Failed",
        "ended_at": at(after_s),
        "completed": False,
        "had_run": True,
        "ran": False,
        "cancelled": False,
    }
    return history.Past(**(settled | parts))


def completed(after_s: float = 0.0, **parts: Any) -> history.Past:  # noqa: ANN401 - as past
    return past(after_s, completed=True, ran=True, outcome="Success", **parts)


def ran(after_s: float = 0.0, **parts: Any) -> history.Past:  # noqa: ANN401 - as past
    return past(after_s, ran=True, **parts)


def unrun(after_s: float = 0.0, failures: int = 1, **parts: Any) -> history.Past:  # noqa: ANN401 - as past
    wait_s = history.backoff_s(failures, RULES)
    return past(after_s, failures=failures, next_allowed=at(after_s + wait_s), **parts)


def reason(
    pasts: Sequence[history.Past],
    now_s: float,
    workflow_id: str = RESTART,
    rules: history.Rules = RULES,
) -> SkipReason | None:
    verdict = history.judge(pasts, workflow_id, at(now_s), rules)
    return verdict.reason if verdict else None


REF = PipelineRunRef(name="wfe-0", uid="r")


def failed(after_s: float, *, was_run: bool = False, **parts: Any) -> Status:  # noqa: ANN401 - members of a Status
    details = FailureDetails(
        reason=parts.pop("reason", FailureReason.CONFIGURATION_ERROR),
        message="m",
        failed_at=at(after_s),
        execution_time_before_failure="1s",
        natural_language_summary="s",
        was_execution_failure=was_run,
    )
    settled: dict[str, Any] = {
        "phase": Phase.FAILED,
        "outcome": Outcome.FAILED,
        "completion_time": at(after_s),
        "pipeline_run_ref": REF,
        "failure_details": details,
    }
    return Status(**(settled | parts))

"""Reading executions as the API gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject


def is_recorded(execution: JsonObject) -> bool:
    """Whether its condition AuditRecorded is True."""
    conditions = (execution.get("status") or {}).get("conditions") or []
    return any(it["type"] == "AuditRecorded" and it["status"] == "True" for it in conditions)

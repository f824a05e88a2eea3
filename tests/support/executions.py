"""Reading executions, and the runs and other objects beside them, as the API gives them.

Nothing of the program is imported: what judges it, or is compared with it, reads them here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.support.kubectl import JsonObject

TERMINAL: Final = frozenset({"Completed", "Failed", "Skipped"})


def phase(execution: JsonObject) -> str:
    """The phase; empty when none was written yet."""
    return str((execution.get("status") or {}).get("phase", ""))


def has_ended(execution: JsonObject) -> bool:
    """Whether the phase is a terminal one."""
    return phase(execution) in TERMINAL


def condition_in(status: JsonObject, kind: str) -> JsonObject:
    """The condition of a type in a status; empty when it was never said."""
    found = (it for it in status.get("conditions") or () if it["type"] == kind)
    return next(found, {})


def condition(item: JsonObject, kind: str) -> JsonObject:
    """The same of an object, which may have no status yet."""
    return condition_in(item.get("status") or {}, kind)


def answer(item: JsonObject, kind: str) -> str:
    """What the condition of a type answers: True, False, Unknown; empty when it was never said."""
    return str(condition(item, kind).get("status", ""))


def is_recorded(execution: JsonObject) -> bool:
    """Whether its condition AuditRecorded is True."""
    return answer(execution, "AuditRecorded") == "True"


def is_final(run: JsonObject) -> bool:
    """Whether Tekton has ended a run."""
    return answer(run, "Succeeded") in {"True", "False"}

"""Clearance: a person has taken a failed execution out of its target's history.

Its consumption is recorded once. Where nothing guards who gives clearances, none is honoured, and
the execution says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from workflowexecution.api import times
from workflowexecution.api.status import ConditionReason, ConditionStatus, ConditionType
from workflowexecution.domain import status
from workflowexecution.reconciler import tools as common

if TYPE_CHECKING:
    from workflowexecution.reconciler import view

_log = structlog.get_logger(__name__)

_UNGUARDED = (
    "The admission policy that ties a clearance to the person who gives it is not in force: the "
    "clearance is not honoured"
)


async def take(tools: common.Tools, seen: view.Execution) -> bool:
    """Record a clearance, or say why it counts for nothing; whether that was a write.

    Raises:
        ClusterError: the server did not answer; nothing is recorded.
    """
    guarded = await tools.guard.in_force()
    # Of an execution that has ended the cache keeps no document.
    live = await common.read_same(tools, seen.key, seen.uid)
    if live is None:
        return False
    case = common.open_case(tools, live)
    given = case.status.block_clearance
    if given is None or case.status.clearance_recorded_at is not None:
        return False
    after = case.status
    if guarded:
        after = after.model_copy(update={"clearance_recorded_at": times.second(case.moment.now)})
    if not guarded or after.condition(ConditionType.CLEARANCE_UNGUARDED) is not None:
        after = status.noted(after, case.moment, [_note(guarded=guarded)])
    written = await common.write(tools, case, after)
    if guarded:
        _log.info("Clearance recorded", cleared_by=given.cleared_by)
    return written


def _note(*, guarded: bool) -> status.Note:
    if guarded:
        return status.Note(
            ConditionType.CLEARANCE_UNGUARDED, ConditionStatus.FALSE, ConditionReason.GUARDED
        )
    return status.Note(
        ConditionType.CLEARANCE_UNGUARDED,
        ConditionStatus.TRUE,
        ConditionReason.UNGUARDED,
        _UNGUARDED,
    )

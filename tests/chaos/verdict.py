"""What was wrong in a round: by the apiserver's audit log, PostgreSQL and exit codes.

The words of the controllers count for nothing here but where they are what is judged: the statuses
that they wrote, held against what was played and what the log says; and what a process has said
before it ended by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.checks import exits, leadership, outcomes, records, runs
from tests.chaos.checks.evidence import Evidence

if TYPE_CHECKING:
    from tests.chaos.checks.evidence import JsonObject
    from tests.chaos.round import Round
    from tests.chaos.stage import Stage
    from tests.integration.audit import AuditLog


async def of(played: Round, log: AuditLog) -> list[str]:
    """Everything that was wrong."""
    found = await _found(played, log)
    played.ran = len(found.created)
    played.doubles = records.doubles(found)
    return [
        *runs.wrong(found),
        *outcomes.wrong(found),
        *records.wrong(found, overlap=_is_frozen(played) and leadership.changed_hands(found)),
        *leadership.wrong(found),
        *of_processes(played),
    ]


def of_processes(played: Round) -> list[str]:
    """What was wrong with the controllers themselves, as processes."""
    replicas = played.stage.replicas
    ends = [end for it in replicas for end in it.ends]
    for it in replicas:
        it.ends.clear()
    played.lost = sum(map(exits.has_lost, ends))
    killed = played.fired + sum(it.code == "P1" for it in played.mishaps)
    stopped = any(it.code == "P5" for it in played.mishaps)
    troubles = [each for it in (*replicas, *played.stage.retired) for each in it.troubles()]
    played.stage.retired.clear()
    return [*exits.wrong(ends, killed=killed, stopped=stopped), *troubles]


async def _found(played: Round, log: AuditLog) -> Evidence:
    stage = played.stage
    requests = log.requests()
    rows = await _new_rows(stage)
    return Evidence(
        plan=played.plan,
        world=stage.world,
        wishes=played.wishes,
        probes=played.probes,
        last=stage.last,
        ended=stage.ended,
        gone=stage.gone,
        requests=requests,
        rows=rows,
        holder=played.holder,
        jumped=bool(stage.jumped),
    )


async def _new_rows(stage: Stage) -> list[JsonObject]:
    """What has been stored since the last verdict; it stays until the next.

    Who comes to lead with a cache that is late asks the store about records of the last round: a
    store that had lost them would be sent them again.
    """
    table, judged = stage.storage.table, stage.judged
    rows = [it for it in await table.all() if it["event_id"] not in judged]
    await table.remove(judged)
    stage.judged = {it["event_id"] for it in rows}
    return rows


def _is_frozen(played: Round) -> bool:
    """Whether a process stood still: what it has sent may come when another leads."""
    return any(it.code == "P2" for it in played.mishaps)

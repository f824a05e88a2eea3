"""What was wrong in a round: by the apiserver's audit log, PostgreSQL and exit codes.

The words of the controllers count for nothing here but where they are what is judged: the statuses
that they wrote, held against what was played and what the log says.
"""

from __future__ import annotations

import collections
import datetime
from typing import TYPE_CHECKING, Any

from tests.fake import kinds
from tests.integration.story import Story

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.round import Round
    from tests.integration.audit import AuditLog, Request

_OWN = "workflowexecution/"
_WRITES = frozenset({"create", "update", "patch", "delete"})
_SECOND = datetime.timedelta(seconds=1)
_WELL, _BADLY = frozenset({"full", "plain"}), frozenset({"exit-42", "bundle-missing"})
_ENDS = {"Completed": "completed", "Failed": "failed", "Skipped": "skipped"}
_KILLED, _LOST, _STOPPED = -9, (1, -14), 0


async def of(played: Round, log: AuditLog) -> list[str]:
    """Everything that was wrong."""
    requests = log.requests()
    story = Story(requests, played.stage.world)
    rows = await played.stage.storage.table.all()
    await played.stage.storage.table.clear()
    holders = list(_holders(requests, played))
    return [
        *_runs(played, requests),
        *(f"two runs at a time: {one} and {other}" for one, other in story.overlaps()),
        *_cut_short(played, requests, story),
        *_phases(played),
        *_reasons(played, story),
        *_trail(played, rows, overlap=len(holders) > 1 and _is_frozen(played)),
        *_late_writes(requests, holders),
        *_exits(played),
        *(each for replica in played.stage.replicas for each in replica.troubles()),
    ]


def _runs(played: Round, requests: list[Request]) -> Iterator[str]:
    """Every execution that ran had one run, and no other had any."""
    made = collections.Counter(
        it.owner for it in requests if it.kind == "create pipelineruns" and it.code < 300
    )
    known = set()
    for name in (*played.wishes, *played.probes):
        found = played.stage.last[name]
        uid, status = found["metadata"]["uid"], found.get("status") or {}
        known.add(uid)
        ran = "pipelineRunRef" in status
        deleted = played.is_deleted(name)
        if made[uid] != ran and not (deleted and made[uid] == 1):
            yield f"{name} has had {made[uid]} runs, and its status is {status}"
    for uid in made.keys() - known:
        yield f"{made[uid]} runs of nobody: {uid}"


def _phases(played: Round) -> Iterator[str]:
    """What the status says in the end is what was played."""
    for name, wish in played.wishes.items():
        status = played.stage.last[name].get("status") or {}
        phase, outcome = status.get("phase"), status.get("outcome")
        if wish.delete_s is not None and phase in {None, "Pending"}:
            # Deleted before anybody had looked at it.
            continue
        right = {"Skipped"}
        if wish.scenario in _WELL:
            right.add("Completed")
        if wish.scenario in _BADLY:
            right.add("Failed")
        stopped = wish.cancel_s is not None or wish.delete_s is not None
        if stopped and (phase, outcome) == ("Failed", "Cancelled"):
            continue
        if phase not in right or (phase == "Failed" and outcome == "Cancelled"):
            yield f"{name} ({wish}) ended {phase}/{outcome}: {status}"


def _cut_short(played: Round, requests: list[Request], story: Story) -> Iterator[str]:
    """No run was deleted while it worked, but for those whose execution was: it goes with them."""
    names = {it["metadata"]["uid"]: name for name, it in played.stage.last.items()}
    owners = {(it.name, it.at): names.get(it.owner, "") for it in requests if it.owner}
    for life in story.cut_short():
        name = owners.get((life.name, life.begun), "")
        if not played.is_deleted(name):
            yield f"the run of {name} was deleted while it worked: {life}"


def _reasons(played: Round, story: Story) -> Iterator[str]:
    """Who was skipped was skipped for a reason that the log bears out."""
    if played.stage.jumped:
        # Its times are of a clock that was moved.
        return
    known = {name: it for name, it in played.stage.last.items() if _is_decided(it)}
    cooldown = datetime.timedelta(seconds=played.plan.cooldown_s)
    for name in played.wishes:
        details = ((known.get(name) or {}).get("status") or {}).get("skipDetails") or {}
        named = details.get("conflictingWorkflow") or details.get("recentRemediation") or {}
        other = known.get(named.get("name", ""))
        if other is not None and "pipelineRunRef" in other["status"]:
            # Of one that is deleted the end is told first, and the run goes after.
            deleted = played.is_deleted(named["name"])
            told = (played.stage.gone if deleted else played.stage.ended)[named["name"]]
            why = _untruth(details, other["status"], story, told, cooldown)
            yield from [f"{name} was skipped: {why}"] if why else []


def _untruth(
    details: dict[str, Any],
    other: dict[str, Any],
    story: Story,
    told: datetime.datetime,
    cooldown: datetime.timedelta,
) -> str:
    """What is not so; times in a status are of whole seconds.

    A target is held until the last of its run has ended, and until its execution says so, or is
    gone when it was deleted.
    """
    said, ended = _time(details["skippedAt"]), _time(other["completionTime"])
    begun = _time(other["startTime"])
    lives = story.lives.get(other["pipelineRunRef"]["name"], [])
    worked = max((it.ended for it in lives if abs(it.begun - begun) <= 2 * _SECOND), default=ended)
    match details["reason"], other["phase"]:
        case "ResourceBusy", "Completed" | "Failed":
            true = begun <= said + _SECOND and max(worked, told) + _SECOND >= said
        case "RecentlyRemediated", "Completed":
            true = ended <= said + _SECOND and said < ended + cooldown + _SECOND
        case "PreviousExecutionFailed", "Failed":
            true = other["requiresManualReview"] and ended <= said + _SECOND
        case _:
            true = False
    if true:
        return ""
    return (
        f"{details['reason']} at {said}; it is {other['phase']} since {ended}, worked to {worked}"
    )


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def _is_decided(found: dict[str, Any]) -> bool:
    return (found.get("status") or {}).get("phase") in _ENDS


def _is_frozen(played: Round) -> bool:
    """Whether a process stood still: what it has sent may come when another leads."""
    return any(it.code == "P2" for it in played.plan.mishaps)


def _trail(played: Round, rows: list[dict[str, Any]], *, overlap: bool) -> Iterator[str]:
    """Each transition has its record, and one alone but for what two leaders may both have sent."""
    found = collections.Counter(
        (row["event_data"]["execution_name"], row["event_type"].rpartition(".")[2]) for row in rows
    )
    wanted = set()
    for name in (*played.wishes, *played.probes):
        status = played.stage.last[name].get("status") or {}
        wanted |= {(name, it) for it in _transitions(status)}
    yield from (f"no record of {it}" for it in sorted(wanted - found.keys()))
    yield from (f"a record of what never was: {it}" for it in sorted(found.keys() - wanted))
    doubles = sorted(it for it, count in found.items() if count > 1)
    played.doubles = len(doubles)
    if not overlap:
        yield from (f"{found[it]} records of {it}" for it in doubles)


def _transitions(status: dict[str, Any]) -> Iterator[str]:
    if not status.get("phase"):
        return
    yield "created"
    if status.get("startTime"):
        yield "started"
    if status["phase"] in _ENDS:
        yield _ENDS[status["phase"]]
    if status.get("clearanceRecordedAt"):
        yield "cleared"


def _holders(requests: list[Request], played: Round) -> Iterator[tuple[str, Any]]:
    """Who had the lease, and when the server got the write that took it."""
    last = ""
    place = played.stage.world.runs
    writes = [
        it
        for it in requests
        if it.resource == kinds.LEASES.plural
        and it.namespace == place
        and it.verb in {"create", "patch"}
        and it.code < 300
        and it.agent.startswith(_OWN)
    ]
    for it in sorted(writes, key=lambda each: each.at):
        if it.agent != last:
            last = it.agent
            yield it.agent, it.at


def _late_writes(requests: list[Request], holders: list[tuple[str, Any]]) -> Iterator[str]:
    """Nobody writes once another has taken the lease."""
    for number, (agent, _) in enumerate(holders[:-1]):
        until = holders[number + 1][1]
        again = next((at for who, at in holders[number + 1 :] if who == agent), None)
        for it in requests:
            if it.agent != agent or it.verb not in _WRITES or it.resource == kinds.LEASES.plural:
                continue
            if it.at > until and (again is None or it.at < again) and it.code < 300:
                yield f"{agent} wrote at {it.at}, the lease was taken at {until}: {it}"


def _exits(played: Round) -> Iterator[str]:
    """Who ended was made to, or had lost its lease and says so."""
    codes = collections.Counter(code for it in played.stage.replicas for code in it.ends)
    for it in played.stage.replicas:
        it.ends.clear()
    killed = played.fired + sum(it.code == "P1" for it in played.plan.mishaps)
    stopped = any(it.code == "P5" for it in played.plan.mishaps)
    played.lost = sum(codes.pop(code, 0) for code in _LOST)
    if codes.pop(_KILLED, 0) > killed:
        yield "a controller was killed that nobody killed"
    if codes.pop(_STOPPED, 0) and not stopped:
        yield "a controller ended well that nobody had stopped"
    if codes:
        yield f"controllers ended with {dict(codes)}"

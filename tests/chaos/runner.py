"""Plays rounds one after the other, keeps what became of them, and says how to play one again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from tests.chaos import plan, results
from tests.chaos.round import Round
from tests.fake import kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.stage import Stage

REST_S = 60.0
"""A connection that nobody uses is closed 15 to 30 s after its last use, and what is not urgent is
written some seconds after a round; what is left then is left for good."""
_QUIET_S = 17.0
_LOOK_EVERY_S = 0.5


async def play(stage: Stage, seed: int, tell: Callable[[str], None]) -> results.Result:
    """Play the round of a seed, and tell of it."""
    drawn = plan.draw(seed)
    begun = time.monotonic()
    played = Round(stage, drawn)
    codes = [it.name for it in drawn.mishaps]
    try:
        problems = await played.play()
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to this round
        problems = [*played.problems, f"the round itself failed: {error!r}"]
    await _mend(stage)
    if problems:
        await _clear(stage)
    made = results.Result(
        seed=seed,
        point=str(drawn.point or ""),
        fired=played.fired,
        mishaps=codes,
        executions=len(drawn.wishes) + len(played.probes),
        seconds=round(time.monotonic() - begun, 1),
        doubles=played.doubles,
        lost=played.lost,
        problems=problems,
        fired_in=played.fired_in,
        ran=played.ran,
        aftermath=[it.name for it in drawn.aftermath] if played.followed else [],
        unmet=played.unmet,
    )
    for replica in stage.replicas:
        replica.rounds += 1
    tell(f"seed {seed}  {made.seconds:5.1f} s  {_in_words(made)}  {played.steps}")
    for problem in problems:
        tell(f"  seed {seed}: {problem}")
    if problems:
        tell(f"  to play it again: {plan.is_replayed_by(seed)}")
        tell(f"  the controllers' logs: {stage.folder}")
    return made


def _in_words(result: results.Result) -> str:
    """Where one was killed, what befell them all, what befell the successor, what met nobody."""
    said = [result.point or "-"]
    if result.point:
        said.append(f"(in: {result.fired_in})" if result.fired else "(not reached)")
    said += [*result.mishaps, *(["then", *result.aftermath] if result.aftermath else [])]
    if result.unmet:
        said.append(f"(met nobody: {' '.join(result.unmet)})")
    return " ".join(said)


async def _mend(stage: Stage) -> None:
    """Give a new life to those whose clock was moved; leave nothing of a bad round behind."""
    for number in stage.jumped:
        await stage.replicas[number].stop()
    for replica in stage.replicas:
        replica.look()
    for number in stage.jumped:
        stage.replicas[number].ends.clear()
    stage.jumped.clear()
    stage.disturbed.clear()


async def _clear(stage: Stage) -> None:
    """Take everything away, so that the next round is not judged by what this one left."""
    api, world = stage.world.api, stage.world
    every = [
        (kinds.EXECUTIONS, world.namespace),
        (kinds.PIPELINE_RUNS, world.runs),
        (kinds.TASK_RUNS, world.runs),
        (kinds.PODS, world.runs),
    ]
    for kind, namespace in every:
        for found in (await api.list(kind, namespace)).accept()["items"]:
            name = found["metadata"]["name"]
            await api.delete(kind, namespace, name, gracePeriodSeconds=0)
            await api.patch(kind, namespace, name, {"metadata": {"finalizers": None}})
    await stage.storage.table.clear()
    stage.judged.clear()
    for replica in stage.replicas:
        replica.ends.clear()


async def take_levels(stage: Stage) -> None:
    """Note what each role holds when nothing happens."""
    await asyncio.sleep(_QUIET_S)
    leader = await stage.leader()
    for replica in stage.replicas:
        found = await replica.rest(leads=replica is leader)
        stage.levels.setdefault(found.role, found)


async def at_rest(stage: Stage) -> list[str]:
    """What controllers hold beyond their level when it has been quiet for long enough."""
    deadline = asyncio.get_running_loop().time() + REST_S
    while True:
        leader = await stage.leader()
        left = []
        for replica in stage.replicas:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                found = await replica.rest(leads=replica is leader)
                beyond = found.beyond(stage.levels[found.role])
                left += [f"replica {replica.number} ({found.role}): {it}" for it in beyond]
        if not left or asyncio.get_running_loop().time() > deadline:
            return left
        await asyncio.sleep(_LOOK_EVERY_S)

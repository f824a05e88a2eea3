"""The faults of a round at work: at the proxies, at processes, at the audit store, at the lease.

Each says whether it met anybody: a fault that met no request has shown nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

from tests.chaos import plan
from tests.fake import kinds
from tests.proxy import calls, catalogue, replies
from workflowexecution.adapters import outbox

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.chaos.plan import Mishap
    from tests.chaos.replicas import Replica
    from tests.chaos.stage import Stage
    from tests.proxy.calls import Call
    from tests.proxy.catalogue import Begun
    from tests.proxy.proxy import Proxy

KEPT = ("workflowexecutions", "pipelineruns", "taskruns")
SLOW_STORE_S = 1.4
"""More than its client waits."""
MET_S = 20.0
PAST_S = 4.0
"""An informer that has to list a third time waits up to so long before it does."""
FAR_S = 7200.0
_LOOK_EVERY_S = 0.05


def _is_first_list(call: Call) -> bool:
    """Whether an informer fills its cache; what is read to decide is always the present."""
    paged = "limit" in call.query and "fieldSelector" not in call.query
    return call.method == "GET" and paged and call.path.rpartition("/")[2] in KEPT


FITS: dict[str, Callable[[Call], bool]] = {
    "any": calls.any_at_all,
    "lease": calls.is_of_a_lease,
    "watches": calls.watches(),
    "writes": calls.writes(),
    "creates": calls.creates("pipelineruns"),
    "run-creates": calls.creates("pipelineruns"),
    "lists": _is_first_list,
    "reads": lambda call: call.method == "GET" and not (call.is_watch or calls.is_of_a_lease(call)),
    "work": lambda call: call.method != "GET" and not calls.is_of_a_lease(call),
}
"""Which requests a mishap is for."""


class Past:
    """F10 as it can happen: watches expire at once and again, and the lists between show the past.

    No informer lists twice by itself while this lasts, and so nobody would meet it.
    """

    def __init__(self, proxy: Proxy, fits: Callable[[Call], bool]) -> None:
        """Begin at a proxy."""
        self._lists = catalogue.stale_reads(proxy, fits)
        line = replies.error_event(catalogue.GONE, catalogue.EXPIRED)
        self._watches = proxy.tell(calls.watches(*KEPT), line, times=None)

    @property
    def met(self) -> int:
        """How many lists have shown the past."""
        return self._lists.met

    def end(self) -> None:
        """Let lists show the present, and watches last."""
        self._lists.end()
        self._watches.end()


async def play(
    stage: Stage, mishap: Mishap, chance: random.Random, *, patience_s: float = MET_S
) -> bool:
    """Let one mishap begin, last, and end; whether it met anybody, as far as that can be known.

    Args:
        stage: where.
        mishap: what.
        chance: its figures.
        patience_s: how long one that is of use only if somebody meets it waits for that.
    """
    await asyncio.sleep(mishap.begin_s)
    match mishap.code[0]:
        case "F":
            return await _at_proxies(stage, mishap, chance)
        case "P":
            return await _at_processes(stage, mishap, chance)
        case "S":
            return await _at_the_store(stage, mishap, patience_s)
        case _:
            return await _at_objects(stage, mishap)


async def _whom(stage: Stage, mishap: Mishap) -> list[Replica]:
    if mishap.whom == plan.ALL:
        return stage.replicas
    if mishap.whom == plan.LEADER:
        leader = await stage.leader()
        return [leader] if leader is not None else []
    return [stage.replicas[mishap.whom]]


async def _at_proxies(stage: Stage, mishap: Mishap, chance: random.Random) -> bool:
    fault, fits = catalogue.CATALOGUE[mishap.code], FITS[mishap.what]
    drawn = _drawn(mishap.code, chance)
    begun: list[Begun] = []
    for replica in await _whom(stage, mishap):
        proxy = stage.proxies[replica.number]
        begun.append((drawn or fault.begin)(proxy, fits))
    try:
        await asyncio.sleep(mishap.for_s)
        if mishap.code == "F10":
            await _until(lambda: all(it.met for it in begun), PAST_S)
    finally:
        for rule in begun:
            rule.end()
    return any(it.met for it in begun)


def _drawn(code: str, chance: random.Random) -> Callable[..., Begun] | None:
    """The same fault with figures by chance, where it has any."""
    number = chance.randint(0, 400)
    match code:
        case "F2":
            return lambda proxy, fits: catalogue.reset(proxy, fits, after_bytes=number)
        case "F4":
            return lambda proxy, fits: catalogue.torn_line(proxy, fits, after_bytes=number)
        case "F5":
            told = (410, 429, 500, 504)[number % 4]
            reason = "Expired" if told == 410 and number % 3 else ""
            return lambda proxy, fits: catalogue.error_event(
                proxy, fits, code=told, reason=reason, after_events=number % 3
            )
        case "F7":
            return lambda proxy, fits: catalogue.page(proxy, fits, code=502 + number % 3)
        case "F10":
            return Past
        case _:
            return None


async def _at_processes(stage: Stage, mishap: Mishap, chance: random.Random) -> bool:
    whom = await _whom(stage, mishap)
    for replica in whom:
        match mishap.code:
            case "P1":
                replica.signal(signal.SIGKILL)
            case "P2":
                replica.signal(signal.SIGSTOP)
                stage.disturbed.add(replica.number)
            case "P3":
                await replica.obey(block_s=mishap.for_s)
            case "P4":
                await replica.obey(jump_s=chance.choice((-FAR_S, FAR_S)))
                stage.jumped.add(replica.number)
            case _:
                replica.signal(signal.SIGTERM)
    await asyncio.sleep(mishap.for_s)
    if mishap.code == "P2":
        for replica in stage.replicas:
            replica.signal(signal.SIGCONT)
    return bool(whom)


async def _at_the_store(stage: Stage, mishap: Mishap, patience_s: float) -> bool:
    faults, seen = stage.storage.faults, stage.storage.seen
    doubtful, batches = seen.doubtful, len(seen.batches)
    try:
        match mishap.code:
            case "S1":
                await stage.storage.stop()
            case "S2":
                faults.broken = True
            case "S3":
                faults.broken_after = True
            case _:
                faults.after_s = SLOW_STORE_S
        await asyncio.sleep(mishap.for_s)
        if mishap.code == "S3":
            await _until(lambda: seen.doubtful > doubtful, patience_s)
    finally:
        faults.broken = faults.broken_after = False
        faults.after_s = 0.0
        if mishap.code == "S1" and not stage.storage.is_running:
            await stage.storage.start()
    # Who finds it stopped leaves no trace.
    return mishap.code == "S1" or len(seen.batches) > batches


async def _until(met: Callable[[], bool], patience_s: float) -> None:
    """Wait until a fault was met by somebody, be they as slow as they are; or by nobody at all."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while not met():  # noqa: ASYNC110 - neither store nor proxy tells of it
                await asyncio.sleep(_LOOK_EVERY_S)


async def _at_objects(stage: Stage, mishap: Mishap) -> bool:
    """Somebody deletes the lease, or the outbox; or there is an outbox with nothing in it."""
    world, name = stage.world, outbox.NAME
    if mishap.code == "L1":
        return (await world.api.delete(*stage.lease)).status == 200
    await world.api.delete(kinds.CONFIG_MAPS, world.runs, name)
    if mishap.code == "O2":
        await world.api.create(kinds.CONFIG_MAPS, world.runs, {"metadata": {"name": name}})
    return True

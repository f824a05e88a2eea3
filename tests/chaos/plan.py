"""What happens in a round: drawn from its seed, and from nothing else."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.chaos import points
from tests.chaos.points import Kind, Point, When

if TYPE_CHECKING:
    from collections.abc import Iterable

REPLICAS = 3
ALL, LEADER = -1, -2
BUSY_S = 2.0
"""So long executions and mishaps come; then it is quiet."""
LONG_S = 4.5
"""What costs a leader its lease goes on for so long at most: longer than that holds."""
SETTINGS_FOR = 10
"""So many seeds in a row are played with the same settings, and by controllers that nobody ends but
by what a round does to them."""
AFTER_S = 2.0
"""So long what befalls a successor goes on at most."""

_SCENARIOS = ("full", "full", "full", "plain", "exit-42", "bundle-missing", "hangs")
_HANGS = "hangs"


@dataclass(frozen=True, slots=True)
class Wish:
    """One execution.

    Attributes:
        target: its number.
        scenario: what the simulated Tekton makes of its run.
        at_s: when it is created, from the round's beginning.
        cancel_s: when it is cancelled; None: never.
        delete_s: when it is deleted; None: when the round is over.
        told: an event of it stands there from before, as another process would have written it.
    """

    target: int
    scenario: str
    at_s: float
    cancel_s: float | None = None
    delete_s: float | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Mishap:
    """A fault for a while.

    Attributes:
        code: F1 to F14 of the catalogue at the proxy, P2 to P5 of processes, S1 to S4 of the audit
            store, L1 of the lease.
        begin_s: from the round's beginning.
        for_s: how long.
        whom: number of a replica, or ALL, or LEADER.
        what: which requests, by a name in `mishaps.FITS`.
    """

    code: str
    begin_s: float
    for_s: float
    whom: int = ALL
    what: str = "any"

    @property
    def name(self) -> str:
        """Its code, and what it is for."""
        return f"{self.code}{'/' + self.what if self.what else ''}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A round.

    Attributes:
        point: where the first controller that gets there is killed; None: nowhere.
        times: the how manieth time that it gets there.
        cooldown_s: of the controllers, the same for some seeds in a row.
        aftermath: what befalls the successor of a controller that was killed; its times count from
            when that one has the lease.
    """

    seed: int
    point: Point | None
    times: int
    wishes: tuple[Wish, ...]
    mishaps: tuple[Mishap, ...]
    cooldown_s: int
    aftermath: tuple[Mishap, ...] = ()

    @property
    def targets(self) -> int:
        """How many there are."""
        return 1 + max(it.target for it in self.wishes)


def draw(seed: int) -> Plan:
    """The round of a seed. Every point has its turn, and comes again."""
    chance = random.Random(seed)
    turns = [it for it in points.POINTS if it.kind not in points.SLOW]
    # One round in seven kills nobody at a point.
    turn, rest = divmod(seed, 7)
    point = None if rest == 6 else turns[(turn * 6 + rest) * 31 % len(turns)]
    mishaps = list(_mishaps(chance))
    wishes = _wishes(chance)
    if point is not None:
        wishes, needed = _needs(point, wishes)
        mishaps = [*needed, *(it for it in mishaps if chance.random() < 0.6)]
    return Plan(
        seed=seed,
        point=point,
        times=_times(chance, point),
        wishes=tuple(wishes),
        mishaps=tuple(mishaps),
        cooldown_s=seed // SETTINGS_FOR % 2,
        # A stream of its own: what a seed draws otherwise does not hang on it.
        aftermath=tuple(_aftermath(random.Random(f"{seed}/after"))) if point is not None else (),
    )


def is_last_of_settings(seed: int) -> bool:
    """Whether the next seed is played by other controllers: these are as old as they get."""
    return (seed + 1) % SETTINGS_FOR == 0


def _times(chance: random.Random, point: Point | None) -> int:
    often = {Kind.CLAIM, Kind.RUN_CREATE, Kind.STATUS_RUNNING, Kind.STATUS_TERMINAL}
    drawn = chance.randint(1, 3)
    return drawn if point is not None and point.kind in often else 1


def _wishes(chance: random.Random) -> list[Wish]:
    targets = chance.randint(2, 4)
    made = []
    for number in range(chance.randint(targets + 2, targets + 5)):
        # The first ones have a target each; the others come too late, or too early.
        target = number if number < targets else chance.randrange(targets)
        at_s = round(chance.uniform(0, BUSY_S * 0.7), 2)
        scenario = chance.choice(_SCENARIOS)
        wish = Wish(target, scenario, at_s)
        fate = chance.random()
        later = round(at_s + chance.uniform(0.0, 1.2), 2)
        if scenario == _HANGS and fate < 0.7:
            wish = replace(wish, cancel_s=later)
        elif scenario == _HANGS or fate < 0.15:
            wish = replace(wish, delete_s=later)
        elif fate < 0.3:
            wish = replace(wish, cancel_s=later)
        made.append(wish)
    return made


def _mishaps(chance: random.Random) -> Iterable[Mishap]:
    """None, one or two at a time, now and then three."""
    for _ in range(chance.choice((0, 1, 2, 2, 3))):
        code, what = chance.choice(_DRAWN)
        begin_s = round(chance.uniform(0.0, BUSY_S * 0.6), 2)
        long = what == "lease" or code in {"P2", "P3"}
        for_s = round(chance.uniform(0.2, LONG_S if long else BUSY_S - begin_s), 2)
        whom = chance.choice((ALL, LEADER, LEADER, *range(REPLICAS)))
        yield Mishap(code, begin_s, for_s, whom, what)


def _aftermath(chance: random.Random) -> Iterable[Mishap]:
    """One to three at a time, from the first moment of a successor on."""
    for _ in range(chance.choice((1, 1, 2, 2, 3))):
        code, what = chance.choice(_DRAWN_AFTER)
        begin_s = round(chance.choice((0.0, 0.0, chance.uniform(0.0, 0.4))), 2)
        for_s = round(chance.uniform(0.3, AFTER_S - begin_s), 2)
        yield Mishap(code, begin_s, for_s, chance.choice((ALL, LEADER)), what)


_DRAWN = (
    ("F1", "any"), ("F1", "lease"), ("F1", "watches"), ("F1", "writes"),
    ("F2", "watches"), ("F2", "writes"), ("F2", "lease"),
    ("F3", "any"), ("F4", "any"), ("F5", "any"),
    ("F6", "any"), ("F6", "lease"), ("F6", "watches"),
    ("F7", "any"), ("F7", "writes"), ("F7", "lease"),
    ("F8", "any"), ("F8", "creates"), ("F8", "lease"),
    ("F9", "any"), ("F9", "writes"), ("F10", "lists"), ("F11", "any"), ("F11", "any"),
    ("F12", "any"), ("F13", "any"), ("F14", "any"),
    ("P2", ""), ("P2", ""), ("P3", ""), ("P3", ""), ("P4", ""), ("P5", ""),
    ("S1", ""), ("S2", ""), ("S3", ""), ("S4", ""), ("L1", ""),
)  # fmt: skip

_DRAWN_AFTER = (
    ("F8", "work"), ("F8", "work"), ("F8", "creates"), ("F8", "any"),
    ("F9", "work"), ("F9", "creates"), ("F9", "reads"), ("F9", "any"),
    ("F1", "watches"), ("F2", "watches"), ("F3", "any"), ("F4", "any"), ("F5", "any"),
    ("F11", "any"), ("F10", "lists"), ("F10", "lists"),
    ("F1", "reads"), ("F6", "reads"), ("F7", "reads"), ("F2", "work"),
    ("F1", "creates"), ("F7", "creates"), ("F6", "work"),
    ("S1", ""), ("S2", ""), ("S3", ""), ("S4", ""),
)  # fmt: skip
"""What a successor begins with: it reads what to decide on, takes on what runs, says what was not
said yet. Of the lease nothing is taken away: who leads is to go on."""

_KILLED = Mishap("P1", 0.4, 0.0, LEADER)
_STOPPED = Mishap("P5", 0.6, 0.0, LEADER)
_STORE_AWAY = Mishap("S1", 0.0, 2.6)
_STORE_DOUBTFUL = Mishap("S3", 0.0, 1.0)
_LEASE_DELETED = Mishap("L1", 0.3, 0.0)
_CREATES_FAIL = Mishap("F7", 0.0, 0.8, ALL, "run-creates")

_MISHAPS_FOR = {
    Kind.START_ATTEMPT: (_CREATES_FAIL,),
    Kind.STATUS_PENDING: (_CREATES_FAIL,),
    Kind.OUTBOX_CREATE: (_STORE_AWAY, Mishap("O1", 0.0, 0.0)),
    Kind.OUTBOX_PUT: (_STORE_AWAY, Mishap("O2", 0.0, 0.0)),
    Kind.OUTBOX_TAKE: (_STORE_AWAY,),
    Kind.LEASE_CREATE: (_LEASE_DELETED,),
    Kind.LEASE_TAKE: (_KILLED,),
    Kind.LEASE_RELEASE: (_STOPPED,),
    Kind.AUDIT_QUERY: (_STORE_DOUBTFUL,),
}
_RIVAL = (Wish(0, "full", 0.0), Wish(0, "plain", 0.15))
_WISHES_FOR = {
    Kind.FINALIZER_ADD: _RIVAL,
    Kind.STATUS_SKIPPED: _RIVAL,
    Kind.RUN_CANCEL: (Wish(0, _HANGS, 0.0, cancel_s=0.9),),
    Kind.CLEARANCE: (Wish(0, "exit-42", 0.0),),
    Kind.EVENT_COUNT: (Wish(0, "full", 0.0, told=True),),
    Kind.OUTBOX_CREATE: (Wish(0, "plain", 0.0, delete_s=0.9),),
    Kind.OUTBOX_PUT: (Wish(0, "plain", 0.0, delete_s=0.9),),
    Kind.OUTBOX_TAKE: (Wish(0, "plain", 0.0, delete_s=0.9),),
}


def _needs(point: Point, wishes: list[Wish]) -> tuple[list[Wish], tuple[Mishap, ...]]:
    """What makes a controller get there for sure, on a target where nothing else is."""
    added = _WISHES_FOR.get(point.kind, ())
    apart = [replace(it, target=it.target + 1) for it in wishes] if added else wishes
    return [*added, *apart], _MISHAPS_FOR.get(point.kind, ())


def is_replayed_by(seed: int) -> str:
    """The one command that plays a round again."""
    return f"make chaos ROUNDS=1 SEED={seed}"


__all__ = ["ALL", "LEADER", "Mishap", "Plan", "Point", "When", "Wish", "draw", "is_replayed_by"]

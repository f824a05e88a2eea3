"""Runs: one for each execution that ran, one at a time on a target, under the target's one name."""

from __future__ import annotations

import collections
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.checks.evidence import Evidence
    from tests.integration.story import Life


def wrong(found: Evidence) -> Iterator[str]:
    """What is wrong with the runs."""
    yield from _counts(found)
    yield from _names(found)
    yield from _idle_targets(found)
    for one, other in _overlaps(found):
        yield f"two runs at a time: {one} and {other}"
    yield from _cut_short(found)


def _counts(found: Evidence) -> Iterator[str]:
    """Every execution that ran had one run, and no other had any."""
    for name in found.targets:
        status, made = found.status(name), found.runs_of(name)
        ran = "pipelineRunRef" in status
        if made != ran and not (found.is_deleted(name) and made == 1):
            yield f"{name} has had {made} runs, and its status is {status}"
    for uid in found.runs.keys() - found.names.keys():
        yield f"{found.runs[uid]} runs of nobody: {uid}"


def _names(found: Evidence) -> Iterator[str]:
    """The name of the run is the lock of a target: a second name would be a second lock."""
    names = collections.defaultdict(set)
    for it in found.created:
        if it.owner in found.names:
            names[found.targets[found.names[it.owner]]].add(it.name)
    for target, of in sorted(names.items()):
        if len(of) > 1 or "" in of:
            yield f"target {target} has had runs of several names, or of none: {sorted(of)}"


def _idle_targets(found: Evidence) -> Iterator[str]:
    """On each target something ran, unless all that was to was cancelled or deleted."""
    wanted = collections.defaultdict(list)
    for name, wish in found.wishes.items():
        wanted[wish.target].append(name)
    for target, names in sorted(wanted.items()):
        if any(found.runs_of(it) for it in names) or all(map(found.is_stopped, names)):
            continue
        yield f"nothing ran on target {target}: {names}"


def _overlaps(found: Evidence) -> Iterator[tuple[Life, Life]]:
    """Runs that held one target at the same time, be their names what they are."""
    yield from found.story.overlaps()
    lives = collections.defaultdict(list)
    for life in (it for of in found.story.lives.values() for it in of):
        if life.owner in found.names:
            lives[found.targets[found.names[life.owner]]].append(life)
    for of in lives.values():
        for one, other in itertools.pairwise(sorted(of, key=lambda it: it.begun)):
            if one.name != other.name and one.ended >= other.begun:
                yield one, other


def _cut_short(found: Evidence) -> Iterator[str]:
    """No run was deleted while it worked, but for those whose execution was: it goes with them."""
    for life in found.story.cut_short():
        name = found.names.get(life.owner, "")
        if not found.is_deleted(name):
            yield f"the run of {name} was deleted while it worked: {life}"

"""A few rounds of chance, the same each time; `make chaos` plays as many others as are wanted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.chaos import runner, stage
from tests.integration import people

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.chaos.stage import Stage
    from tests.stack.cluster import Stack

LOG = logging.getLogger(__name__)

SEEDS = (45, 2, 9, 24, 8, 5, 20, 42)
"""Deaths around a create, a deletion, a query for a doubt, a claim, statuses and a finalizer; lost
answers, a black hole before the lease, late and long events, resets, a store in doubt."""


@pytest.fixture(scope="module")
def policy(stack: Stack) -> Iterator[None]:
    """Clearances count."""
    with people.policy(stack):
        yield


@pytest_asyncio.fixture
async def place(stack: Stack, policy: None, database: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """Three controllers, each with a way of its own."""
    assert policy is None
    async with stage.opened(stack, database, tmp_path) as made:
        yield made


@pytest.mark.timeout(600)
async def test_everything_is_as_it_should_be_after_rounds_of_chance(place: Stage) -> None:
    results = [await runner.play(place, seed, LOG.info) for seed in SEEDS]
    assert {it.seed: it.problems for it in results if it.problems} == {}
    assert [it.seed for it in results if it.point and not it.fired] == []

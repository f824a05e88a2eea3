"""A real kube-apiserver does what the fake cluster is believed to imitate: the contract suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.contract import bed as contract_bed
from tests.contract.suite import *  # noqa: F403 - whatever is in it

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake.api import Endpoint


@pytest_asyncio.fixture
async def bed(endpoint: Endpoint) -> AsyncIterator[contract_bed.Bed]:
    """The stack as the contract suite wants it; its controller manager collects garbage."""
    async with contract_bed.open_bed(endpoint, collects=True) as made:
        yield made

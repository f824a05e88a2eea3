"""A real kube-apiserver does what the fake cluster is believed to imitate: the contract suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.contract import bed as contract_bed
from tests.contract import client, deleting, reading, refusals, watching, writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fake.api import Endpoint


@pytest_asyncio.fixture
async def bed(endpoint: Endpoint) -> AsyncIterator[contract_bed.Bed]:
    """The stack as the contract suite wants it; its controller manager collects garbage."""
    async with contract_bed.open_bed(endpoint, collects=True) as made:
        yield made


class TestReading(reading.ReadingContract):
    pass


class TestCreate(writing.CreateContract):
    pass


class TestPatch(writing.PatchContract):
    pass


class TestUpdate(writing.UpdateContract):
    pass


class TestDelete(deleting.DeleteContract):
    pass


class TestFinalizer(deleting.FinalizerContract):
    pass


class TestOwner(deleting.OwnerContract):
    pass


class TestWatch(watching.WatchContract):
    pass


class TestSelectiveWatch(watching.SelectiveWatchContract):
    pass


class TestWatchRefusal(watching.WatchRefusalContract):
    pass


class TestPath(refusals.PathContract):
    pass


class TestQuery(refusals.QueryContract):
    pass


class TestBody(refusals.BodyContract):
    pass


class TestDefinition(refusals.DefinitionContract):
    pass


class TestClientWrite(client.ClientWriteContract):
    pass


class TestClientRead(client.ClientReadContract):
    pass

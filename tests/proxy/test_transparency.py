"""Without rules nobody can tell that there is a proxy: the contract suite goes by it."""

import pytest

from tests.contract import client, deleting, reading, refusals, watching, writing

pytestmark = pytest.mark.looptime


class TestReading(reading.ReadingContract):
    pass


class TestPatch(writing.PatchContract):
    pass


class TestDelete(deleting.DeleteContract):
    pass


class TestWatch(watching.WatchContract):
    pass


class TestWatchRefusal(watching.WatchRefusalContract):
    pass


class TestBody(refusals.BodyContract):
    pass


class TestClientWrite(client.ClientWriteContract):
    pass


class TestClientRead(client.ClientReadContract):
    pass

"""All classes of the suite, under names that are collected where they are imported."""

from tests.contract import client, deleting, reading, refusals, watching, writing


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

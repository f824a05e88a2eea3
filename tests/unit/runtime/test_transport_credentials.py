"""The credentials of a client: renewed once when a request is rejected, kept up, and closed."""

import pytest

from tests.unit.runtime import objects, servers
from tests.unit.runtime.conftest import Connect, Pair
from workflowexecution.runtime import connection, errors

pytestmark = pytest.mark.looptime


class Rotating:
    """Credentials that have another value each time one is rejected, as long as there are any."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.rejected: list[str] = []
        self.kept = False
        self.closed = False

    async def authorization(self) -> str:
        return self.values[0]

    async def renew(self, rejected: str) -> bool:
        self.rejected.append(rejected)
        if len(self.values) > 1:
            self.values.pop(0)
        return self.values[0] != rejected

    async def keep(self) -> None:
        self.kept = True

    async def close(self) -> None:
        self.closed = True


def unauthorized_unless(good: str) -> servers.Handler:
    async def handler(exchange: servers.Exchange) -> None:
        ok = exchange.headers.get("authorization") == good
        await exchange.reply({}, status=200 if ok else 401)

    return handler


def rotating(way: connection.Connection, credentials: Rotating) -> connection.Connection:
    return connection.Connection(way.configuration, credentials)


async def test_rejected_credentials_are_renewed_and_the_request_repeated(connect: Connect) -> None:
    credentials = Rotating("old", "new")
    async with servers.serving(unauthorized_unless("new")) as server:
        way = rotating(await connect(server.url), credentials)
        async with servers.talking_to(way) as asking:
            assert await asking.get_json("/x") == {}
    assert credentials.rejected == ["old"]
    assert [seen.headers["authorization"] for seen in server.seen] == ["old", "new"]


async def test_request_is_repeated_only_once(connect: Connect) -> None:
    credentials = Rotating("old", "new", "newer")
    async with servers.serving(unauthorized_unless("newer")) as server:
        way = rotating(await connect(server.url), credentials)
        async with servers.talking_to(way) as asking:
            with pytest.raises(errors.Unauthorized):
                await asking.get_json("/x")
    assert len(server.seen) == 2


async def test_watch_is_opened_again_with_renewed_credentials(connect: Connect) -> None:
    credentials = Rotating("old", "new")
    async with servers.serving(unauthorized_unless("new")) as server:
        way = rotating(await connect(server.url), credentials)
        async with (
            servers.talking_to(way) as asking,
            asking.watch(objects.WIDGETS, resource_version="1", timeout_s=9, idle_s=9),
        ):
            assert len(server.seen) == 2


async def test_no_authorization_is_sent_when_there_is_none(connect: Connect) -> None:
    async def empty(exchange: servers.Exchange) -> None:
        await exchange.reply({})

    async with (
        servers.serving(empty) as server,
        servers.talking_to(await connect(server.url)) as asking,
    ):
        await asking.get_json("/x")
    assert "authorization" not in server.seen[0].headers


async def test_credentials_are_kept_and_closed_by_whoever_runs_the_client(
    pair: Pair, connect: Connect
) -> None:
    kept = Rotating("x")
    way = rotating(await connect(pair.server.url), kept)
    async with servers.talking_to(way) as asking:
        await asking.keep_credentials()
        assert not kept.closed
    assert (kept.kept, kept.closed) == (True, True)

import pytest

from tests.unit.clocks import Clock
from tests.unit.runtime import servers, sources
from tests.unit.runtime.conftest import Connect
from workflowexecution.runtime import client, errors, fence, resource

WIDGETS = resource.Resource("example.org", "v1", "widgets", "Widget")
KEY = resource.ObjectKey("space", "one")


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def held(clock: Clock) -> fence.LeaseFence:
    made = fence.LeaseFence(closes_after_s=10, ends_after_s=12.5, now=clock)
    made.renewed(1000)
    return made


def test_no_fence_allows_everything_for_ever() -> None:
    assert fence.NoFence().check() == float("inf")


def test_fence_is_shut_before_the_first_renewal_and_opens_with_it(clock: Clock) -> None:
    made = fence.LeaseFence(closes_after_s=10, ends_after_s=12.5, now=clock)
    assert made.left_s < 0
    with pytest.raises(errors.LeaseLost):
        made.check()
    made.renewed(1000)
    assert made.check() == 12.5


def test_fence_counts_from_the_start_of_the_renewal(held: fence.LeaseFence, clock: Clock) -> None:
    clock.at = 1004
    held.renewed(1002)
    assert (held.left_s, held.ends_in_s) == (8, 10.5)


@pytest.mark.parametrize(("at", "is_open"), [(1009.999, True), (1010, False), (1e9, False)])
def test_fence_shuts_by_itself(
    held: fence.LeaseFence, clock: Clock, at: float, is_open: bool
) -> None:
    clock.at = at
    if is_open:
        assert held.check() == pytest.approx(2.501)
        return
    with pytest.raises(errors.LeaseLost):
        held.check()


def test_fence_that_was_shut_never_opens_again(held: fence.LeaseFence, clock: Clock) -> None:
    clock.at = 1010
    for again in (1010, 1011):
        clock.at = again
        with pytest.raises(errors.LeaseLost):
            held.renewed(again)
    with pytest.raises(errors.LeaseLost):
        held.check()
    assert held.left_s == float("-inf")


def test_renewal_that_came_back_too_late_does_not_count(clock: Clock) -> None:
    made = fence.LeaseFence(closes_after_s=10, ends_after_s=12.5, now=clock)
    clock.at = 1010
    with pytest.raises(errors.LeaseLost):
        made.renewed(1000)


def test_closed_fence_stays_shut(held: fence.LeaseFence) -> None:
    held.close()
    with pytest.raises(errors.LeaseLost):
        held.check()
    with pytest.raises(errors.LeaseLost):
        held.renewed(1001)


class Countdown:
    """Allows so many checks, and gives each write so many seconds."""

    def __init__(self, checks: int, write_s: float = 5.0) -> None:
        self.checks = checks
        self.write_s = write_s

    def check(self) -> float:
        if self.checks == 0:
            message = "no more"
            raise errors.LeaseLost(message)
        self.checks -= 1
        return self.write_s


async def write(opened: client.Client, verb: str) -> None:
    match verb:
        case "create":
            await opened.create(WIDGETS, "space", {})
        case "patch":
            await opened.merge_patch(WIDGETS, KEY, {})
        case _:
            await opened.delete(WIDGETS, KEY, uid="u")


async def empty(exchange: servers.Exchange) -> None:
    await exchange.reply({})


async def silent(exchange: servers.Exchange) -> None:
    await exchange.stay_silent()


VERBS = ["create", "patch", "delete"]


@pytest.mark.looptime
class TestClient:
    @pytest.mark.parametrize("checks", [0, 1], ids=["before-connecting", "before-sending"])
    @pytest.mark.parametrize("verb", VERBS)
    async def test_nothing_is_sent_when_the_fence_is_shut(
        self, connect: Connect, verb: str, checks: int
    ) -> None:
        async with servers.serving(empty) as server:
            way = await connect(server.url)
            opened = client.Client(connection=way, user_agent="t", fence=Countdown(checks))
            with pytest.raises(errors.LeaseLost, match="no more"):
                await write(opened, verb)
            # The connection is not used for what comes after.
            assert await opened.get_json("/x") == {}
            await opened.close()
        assert [it.method for it in server.seen] == ["GET"]
        assert server.connections == checks + 1

    @pytest.mark.parametrize("verb", VERBS)
    async def test_write_is_sent_when_the_fence_is_open(self, connect: Connect, verb: str) -> None:
        async with servers.serving(empty) as server:
            way = await connect(server.url)
            allowed = Countdown(2)
            opened = client.Client(connection=way, user_agent="t", fence=allowed)
            await write(opened, verb)
            await opened.close()
        assert (len(server.seen), allowed.checks) == (1, 0)

    @pytest.mark.parametrize("verb", VERBS)
    async def test_write_is_given_up_when_the_lease_may_end(
        self, connect: Connect, verb: str
    ) -> None:
        async with servers.serving(silent) as server:
            way = await connect(server.url)
            opened = client.Client(connection=way, user_agent="t", fence=Countdown(2, 3.0))
            began = sources.now()
            with pytest.raises(errors.TransportError) as caught:
                await write(opened, verb)
            await opened.close()
        assert caught.value.sent
        assert sources.now() - began == pytest.approx(3.0, abs=0.01)

    async def test_reading_and_asking_need_no_lease(self, connect: Connect) -> None:
        async with servers.serving(empty) as server:
            way = await connect(server.url)
            opened = client.Client(connection=way, user_agent="t", fence=Countdown(0))
            await opened.get(WIDGETS, KEY)
            await opened.post_json("/review", {})
            await opened.close()
        assert [it.method for it in server.seen] == ["GET", "POST"]

import asyncio
import datetime
import pathlib

import pytest
import structlog.testing

from workflowexecution.runtime import credentials, errors

START = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


class Provider:
    """Gives the tokens t1, t2, ... valid for some seconds of loop time, after some seconds."""

    def __init__(self, *, lifetime_s: float | None = None, takes_s: float = 0) -> None:
        self.lifetime_s = lifetime_s
        self.takes_s = takes_s
        self.fetched_at: list[float] = []
        self.failing = False

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=asyncio.get_running_loop().time())

    async def fetch(self) -> credentials.Fetched:
        self.fetched_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes_s)
        if self.failing:
            message = "provider is down"
            raise errors.ConnectionConfigError(message)
        return self.token(len(self.fetched_at))

    def token(self, number: int) -> credentials.Fetched:
        expires_at = None
        if self.lifetime_s is not None:
            expires_at = self.now() + datetime.timedelta(seconds=self.lifetime_s)
        return credentials.Fetched(f"t{number}", expires_at)

    def source(self) -> credentials.FetchedToken:
        return credentials.FetchedToken(first=self.token(0), fetch=self.fetch, now=self.now)


async def test_fixed_value_never_changes() -> None:
    fixed = credentials.Fixed("Basic x")
    assert await fixed.authorization() == "Basic x"
    assert not await fixed.renew("Basic x")
    await fixed.close()


async def test_no_credentials_send_nothing() -> None:
    assert await credentials.Fixed().authorization() == ""


def write(path: pathlib.Path, content: bytes | None) -> None:
    """Put something into a file, or take the file away."""
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


@pytest.fixture
def token_file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "token"
    path.write_text("one\n")
    return path


@pytest.mark.looptime
async def test_token_file_is_read_each_minute(token_file: pathlib.Path) -> None:
    source = credentials.TokenFile(str(token_file))
    assert await source.authorization() == "Bearer one"
    write(token_file, b"two")
    await asyncio.sleep(59)
    assert await source.authorization() == "Bearer one"
    await asyncio.sleep(1)
    assert await source.authorization() == "Bearer two"


@pytest.mark.looptime
async def test_token_file_is_read_at_once_when_the_token_was_rejected(
    token_file: pathlib.Path,
) -> None:
    source = credentials.TokenFile(str(token_file))
    assert not await source.renew("Bearer one")
    write(token_file, b"two")
    assert await source.renew("Bearer one")
    await source.close()
    assert await source.authorization() == "Bearer two"


@pytest.mark.looptime
@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", None, b"a\nb", b"a b", b"a\0"])
async def test_old_token_stays_when_the_file_cannot_be_used(
    token_file: pathlib.Path, content: bytes | None
) -> None:
    source = credentials.TokenFile(str(token_file))
    write(token_file, content)
    assert not await source.renew("Bearer one")
    assert await source.authorization() == "Bearer one"


@pytest.mark.looptime
async def test_file_that_holds_no_token_is_told_without_what_it_holds(
    token_file: pathlib.Path,
) -> None:
    source = credentials.TokenFile(str(token_file))
    write(token_file, b"secret\nsecret\n")
    with structlog.testing.capture_logs() as logs:
        await source.renew("Bearer one")
    (line,) = logs
    assert (line["log_level"], line["path"]) == ("warning", str(token_file))
    assert line["error"].startswith("the token of the file holds a line break, a space or")
    assert "secret" not in str(line)


@pytest.mark.parametrize("token", ["a\nb", "a\rb", "a b", "a\tb", "a\0b", "a\x7f", "\xe4", "\n"])
def test_token_that_no_header_holds_is_refused_with_its_holder(token: str) -> None:
    with pytest.raises(errors.ConnectionConfigError, match="the token of the drawer holds"):
        credentials.bearer(token, "the drawer")


def test_token_loses_the_space_around_it() -> None:
    assert credentials.bearer(" a.b-c_d~e+f/g==\n", "x") == "Bearer a.b-c_d~e+f/g=="


@pytest.mark.parametrize("content", ["", None, "a\nb", "a b"])
def test_token_file_without_a_token_is_refused_at_first(
    tmp_path: pathlib.Path, content: str | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(errors.ConnectionConfigError, match="token file"):
        credentials.TokenFile(str(path))


@pytest.mark.looptime
async def test_token_is_fetched_a_minute_before_it_expires() -> None:
    provider = Provider(lifetime_s=900)
    source = provider.source()
    await asyncio.sleep(839)
    assert await source.authorization() == "t0"
    await asyncio.sleep(1)
    assert await source.authorization() == "t1"
    assert provider.fetched_at == [840]


@pytest.mark.looptime
async def test_token_without_expiry_is_kept_until_it_is_rejected() -> None:
    provider = Provider()
    source = provider.source()
    await asyncio.sleep(1e6)
    assert await source.authorization() == "t0"
    assert await source.renew("t0")
    assert await source.authorization() == "t1"


@pytest.mark.looptime
async def test_token_is_fetched_once_for_all_who_were_rejected() -> None:
    provider = Provider(takes_s=5)
    source = provider.source()
    await asyncio.sleep(20)
    assert await asyncio.gather(*(source.renew("t0") for _ in range(5))) == [True] * 5
    # Who was rejected with the old one comes late.
    assert await source.renew("t0")
    assert provider.fetched_at == [20]


@pytest.mark.looptime
async def test_nobody_waits_for_a_slow_fetch_while_the_old_token_holds() -> None:
    provider = Provider(lifetime_s=900, takes_s=25)
    source = provider.source()
    loop = asyncio.get_running_loop()
    await asyncio.sleep(850)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(source.authorization())
        await asyncio.sleep(1)
        assert (await source.authorization(), loop.time()) == ("t0", 851)
    assert (first.result(), provider.fetched_at) == ("t1", [850])


@pytest.mark.looptime
async def test_whoever_comes_after_the_expiry_waits_for_the_fetch() -> None:
    provider = Provider(lifetime_s=900, takes_s=25)
    source = provider.source()
    await asyncio.sleep(900)
    assert await asyncio.gather(*(source.authorization() for _ in range(3))) == ["t1"] * 3
    assert provider.fetched_at == [900]


@pytest.mark.looptime
@pytest.mark.parametrize("lifetime_s", [900, None], ids=["expires", "for-ever"])
async def test_kept_token_is_fetched_before_anybody_has_to_wait(lifetime_s: float | None) -> None:
    provider = Provider(lifetime_s=lifetime_s, takes_s=25)
    source = provider.source()
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(source.keep())
        for _ in range(2000):
            await asyncio.sleep(1)
            before = loop.time()
            await source.authorization()
            assert loop.time() == before
        keeping.cancel()
    assert len(provider.fetched_at) == (0 if lifetime_s is None else 2)


@pytest.mark.looptime
async def test_what_needs_no_keeper_has_an_idle_one(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token"
    path.write_text("t")
    for source in (credentials.Fixed("x"), credentials.TokenFile(str(path))):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1e6):
                await source.keep()


@pytest.mark.looptime
async def test_old_token_stays_when_no_other_can_be_fetched() -> None:
    provider = Provider()
    source = provider.source()
    provider.failing = True
    await asyncio.sleep(20)
    with structlog.testing.capture_logs() as logs:
        assert not await source.renew("t0")
        assert not await source.renew("t0")
    assert await source.authorization() == "t0"
    assert (provider.fetched_at, len(logs)) == ([20], 1)
    provider.failing = False
    await asyncio.sleep(10)
    assert await source.renew("t0")


@pytest.mark.looptime
async def test_fetch_outlasts_the_deadlines_of_those_who_wait_for_it() -> None:
    provider = Provider(takes_s=4)
    source = provider.source()
    await asyncio.sleep(20)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await source.renew("t0")
    async with asyncio.timeout(1.5):
        assert await source.renew("t0")
    assert provider.fetched_at == [20]


@pytest.mark.looptime
async def test_fetch_ends_when_the_source_is_closed() -> None:
    provider = Provider(takes_s=4)
    source = provider.source()
    await asyncio.sleep(20)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(source.renew("t0"))
        await asyncio.sleep(1)
        await source.close()
        assert asyncio.all_tasks() <= {waiting, asyncio.current_task()}
    assert (waiting.result(), await source.authorization()) == (False, "t0")


@pytest.mark.looptime
async def test_no_fetch_begins_when_the_source_is_closed() -> None:
    provider = Provider(lifetime_s=10)
    source = provider.source()
    await source.close()
    await asyncio.sleep(20)
    assert await source.authorization() == "t0"
    assert not await source.renew("t0")
    assert provider.fetched_at == []


@pytest.mark.looptime
async def test_fetch_that_fails_in_an_unknown_way_tells_those_who_wait() -> None:
    async def fetch() -> credentials.Fetched:
        raise LookupError

    first = credentials.Fetched("t0")
    source = credentials.FetchedToken(first=first, fetch=fetch, now=lambda: START)
    await asyncio.sleep(20)
    with pytest.raises(LookupError):
        await source.renew("t0")


@pytest.mark.looptime
async def test_token_is_not_fetched_all_the_time_when_it_is_always_about_to_expire() -> None:
    provider = Provider(lifetime_s=30)
    source = provider.source()
    for _ in range(100):
        await asyncio.sleep(1)
        await source.authorization()
    assert provider.fetched_at == list(range(1, 100, 10))

import asyncio
import datetime
import pathlib
import time

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
    assert await source.authorization() == "Bearer two"


@pytest.mark.looptime
@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", None])
async def test_old_token_stays_when_the_file_cannot_be_used(
    token_file: pathlib.Path, content: bytes | None
) -> None:
    source = credentials.TokenFile(str(token_file))
    write(token_file, content)
    assert not await source.renew("Bearer one")
    assert await source.authorization() == "Bearer one"


@pytest.mark.parametrize("content", ["", None])
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
async def test_token_is_not_fetched_all_the_time_when_it_is_always_about_to_expire() -> None:
    provider = Provider(lifetime_s=30)
    source = provider.source()
    for _ in range(100):
        await asyncio.sleep(1)
        await source.authorization()
    assert provider.fetched_at == list(range(1, 100, 10))


def plugin(script: str, folder: pathlib.Path, **section: object) -> credentials.ExecPlugin:
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    spec = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", **section}
    return credentials.ExecPlugin(spec, folder=str(folder), environ={"PATH": "/usr/bin:/bin"})


ANSWER = '{"apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "%s"}}'


async def test_plugin_gets_arguments_and_environment_and_gives_its_status(
    tmp_path: pathlib.Path,
) -> None:
    script = "echo '" + ANSWER % "'$1-$EXTRA-$(expr length \"$KUBERNETES_EXEC_INFO\")'" + "'"
    runner = plugin(script, tmp_path, args=["a"], env=[{"name": "EXTRA", "value": "b"}])
    token = (await runner.run())["token"]
    assert token.startswith("a-b-")
    assert int(token[4:]) > 50


async def test_plugin_is_found_on_the_path_when_its_command_has_no_slash() -> None:
    spec = {"apiVersion": "v", "command": "echo", "args": ['{"apiVersion":"v","status":{"a":1}}']}
    runner = credentials.ExecPlugin(spec, folder="/nowhere", environ={"PATH": "/usr/bin:/bin"})
    assert await runner.run() == {"a": 1}


async def test_plugin_that_talks_much_on_stderr_does_not_block(tmp_path: pathlib.Path) -> None:
    script = "head -c 3000000 /dev/zero >&2\necho '" + ANSWER % "x" + "'"
    assert await plugin(script, tmp_path).run() == {"token": "x"}


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param("echo no such user >&2; exit 3", "code 3: no such user", id="fails"),
        pytest.param("echo secret", "did not answer with JSON", id="not-json"),
        pytest.param("echo []", "another API version", id="not-an-object"),
        pytest.param("""echo '{"apiVersion": "v0"}'""", "another API version", id="version"),
        pytest.param(
            """echo '{"apiVersion": "client.authentication.k8s.io/v1"}'""",
            "without a status",
            id="no-status",
        ),
    ],
)
async def test_plugin_that_fails_is_reported_without_its_output(
    tmp_path: pathlib.Path, script: str, message: str
) -> None:
    with pytest.raises(errors.ConnectionConfigError, match=message) as caught:
        await plugin(script, tmp_path).run()
    assert "secret" not in str(caught.value)


async def test_plugin_that_does_not_exist_is_reported(tmp_path: pathlib.Path) -> None:
    runner = plugin("", tmp_path)
    (tmp_path / "plugin").unlink()
    with pytest.raises(errors.ConnectionConfigError, match="cannot be run"):
        await runner.run()


async def test_plugin_that_hangs_is_killed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "FETCH_LIMIT_S", 0.2)
    began = time.monotonic()
    with pytest.raises(errors.ConnectionConfigError, match="took longer"):
        await plugin("exec sleep 60", tmp_path).run()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "section",
    [
        pytest.param({}, id="empty"),
        pytest.param({"apiVersion": "v", "command": "c", "env": [{}]}, id="odd-env"),
        pytest.param({"apiVersion": "v", "command": "c", "args": 3}, id="odd-args"),
    ],
)
def test_malformed_plugin_section_is_refused(section: dict[str, object]) -> None:
    with pytest.raises(errors.ConnectionConfigError, match="malformed"):
        credentials.ExecPlugin(section, folder="", environ={})


@pytest.mark.parametrize(
    ("expiry", "expected"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("2026-03-01T00:00:00Z", START, id="utc"),
        pytest.param("2026-03-01T02:00:00+02:00", START, id="offset"),
        pytest.param("2026-03-01T00:00:00", START, id="no-zone"),
    ],
)
def test_token_of_a_status_carries_its_expiry(
    expiry: str | None, expected: datetime.datetime | None
) -> None:
    status = {"token": " x\n"} | ({} if expiry is None else {"expirationTimestamp": expiry})
    assert credentials.token_of(status) == credentials.Fetched("Bearer x", expected)


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="no-token"),
        pytest.param({"token": " "}, id="empty-token"),
        pytest.param({"token": 3}, id="odd-token"),
        pytest.param({"token": "x", "expirationTimestamp": "soon"}, id="odd-expiry"),
        pytest.param({"token": "x", "expirationTimestamp": 3}, id="number-as-expiry"),
    ],
)
def test_token_of_an_odd_status_is_refused(status: dict[str, object]) -> None:
    with pytest.raises(errors.ConnectionConfigError, match="credential plugin gave"):
        credentials.token_of(status)

import asyncio
import datetime
import os
import pathlib
import select
import signal
import time

import pytest

from workflowexecution.runtime import credentials, errors, execplugin

START = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


def plugin(script: str, folder: pathlib.Path, **section: object) -> execplugin.ExecPlugin:
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    spec = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", **section}
    return execplugin.ExecPlugin(spec, folder=str(folder), environ={"PATH": "/usr/bin:/bin"})


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
    runner = execplugin.ExecPlugin(spec, folder="/nowhere", environ={"PATH": "/usr/bin:/bin"})
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


def has_ended(pid: int) -> bool:
    """Whether it ends soon; one that nobody has buried yet has."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], 5)[0])
    finally:
        os.close(watched)


async def test_plugin_whose_child_hangs_is_killed_with_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "FETCH_LIMIT_S", 0.5)
    began = time.monotonic()
    with pytest.raises(errors.ConnectionConfigError, match="took longer"):
        await plugin(f"sleep 60 &\necho $! > {tmp_path}/child\nwait", tmp_path).run()
    assert time.monotonic() - began < 10
    assert has_ended(int((tmp_path / "child").read_text()))


async def test_plugin_is_not_waited_for_when_a_child_has_left_its_group(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "FETCH_LIMIT_S", 0.5)
    script = f"setsid sh -c 'echo $$ > {tmp_path}/child; exec sleep 60' &\nwait"
    began = time.monotonic()
    try:
        with pytest.raises(errors.ConnectionConfigError, match="took longer"):
            await plugin(script, tmp_path).run()
        assert time.monotonic() - began < 10
    finally:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


async def test_child_that_is_left_over_is_killed_when_its_plugin_has_ended(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "FETCH_LIMIT_S", 0.5)
    with pytest.raises(errors.ConnectionConfigError, match="took longer"):
        await plugin(f"sleep 60 &\necho $! > {tmp_path}/child", tmp_path).run()
    assert has_ended(int((tmp_path / "child").read_text()))


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
        execplugin.ExecPlugin(section, folder="", environ={})


@pytest.mark.parametrize(
    ("expiry", "expected"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("2026-03-01T00:00:00Z", START, id="utc"),
        pytest.param("2026-03-01T02:00:00+02:00", START, id="offset"),
        pytest.param("2026-03-01T00:00:00", START, id="no-zone"),
        pytest.param("0001-01-01T00:00:00Z", None, id="zero-time"),
        pytest.param("0001-01-01T00:00:00+14:00", None, id="before-all-times"),
    ],
)
def test_token_of_a_status_carries_its_expiry(
    expiry: str | None, expected: datetime.datetime | None
) -> None:
    status = {"token": " x\n"} | ({} if expiry is None else {"expirationTimestamp": expiry})
    assert execplugin.token_of(status) == credentials.Fetched("Bearer x", expected)


@pytest.mark.parametrize(
    "expiry",
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00"],
)
async def test_token_with_an_expiry_at_an_end_of_the_calendar_is_used(expiry: str) -> None:
    first = execplugin.token_of({"token": "x", "expirationTimestamp": expiry})

    async def fetch() -> credentials.Fetched:
        raise AssertionError

    source = credentials.FetchedToken(first=first, fetch=fetch, now=lambda: START)
    assert await source.authorization() == "Bearer x"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await source.keep()


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
        execplugin.token_of(status)


@pytest.mark.parametrize("token", ["a\nb", "a b", "a\0b"])
def test_token_that_no_header_holds_is_refused_without_it(token: str) -> None:
    with pytest.raises(errors.ConnectionConfigError) as caught:
        execplugin.token_of({"token": token})
    assert str(caught.value).startswith("the token of the credential plugin holds")
    assert token not in str(caught.value)

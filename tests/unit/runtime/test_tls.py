"""Certificates of server and client, made by the test."""

import asyncio
import base64
import contextlib
import json
import pathlib
import ssl
from collections.abc import AsyncIterator

import pytest
import structlog.testing

from tests.unit.runtime import servers
from tests.unit.runtime.authority import Authority
from workflowexecution.runtime import connection, errors, trust

pytestmark = pytest.mark.usefixtures("parted")


@pytest.fixture
def authority(tmp_path: pathlib.Path) -> Authority:
    return Authority(tmp_path)


@contextlib.asynccontextmanager
async def secure_server(authority: Authority) -> AsyncIterator[str]:
    """Serve over TLS, answering with the common name of the client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    context.load_verify_locations(authority.ca)
    context.verify_mode = ssl.CERT_OPTIONAL

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            certificate = writer.get_extra_info("peercert") or {}
            body = json.dumps({"subject": certificate.get("subject")}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await reader.read()
        writer.transport.abort()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()


async def ask(path: pathlib.Path, config: dict[str, object], paths: str = "") -> str:
    """Talk to the server with a kubeconfig; returns what it knows of the client."""
    write(path, json.dumps(config))
    way = await connection.connect(kubeconfig=paths or str(path), environ={})
    async with servers.talking_to(way) as asking:
        answer = await asking.get_json("/x")
    return json.dumps(answer["subject"])


def write(path: pathlib.Path, text: str) -> None:
    path.write_text(text)


def make(folder: pathlib.Path) -> None:
    folder.mkdir()


def encoded(path: pathlib.Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


async def test_server_is_verified_with_the_authority_of_the_kubeconfig(
    authority: Authority, tmp_path: pathlib.Path
) -> None:
    async with secure_server(authority) as url:
        config = servers.kubeconfig(url, None, **{"certificate-authority": "ca.crt"})
        assert await ask(tmp_path / "config", config) == "null"


async def test_server_of_another_authority_is_refused(
    authority: Authority, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    async with secure_server(authority) as url:
        data = {"certificate-authority-data": encoded(other.ca)}
        config = servers.kubeconfig(url, None, **data)
        with pytest.raises(errors.TransportError, match="Certificate") as caught:
            await ask(tmp_path / "config", config)
        assert not caught.value.sent


async def test_server_is_not_verified_when_the_kubeconfig_says_so(
    authority: Authority, tmp_path: pathlib.Path
) -> None:
    async with secure_server(authority) as url:
        config = servers.kubeconfig(url, None, **{"insecure-skip-tls-verify": True})
        assert await ask(tmp_path / "config", config) == "null"


async def test_client_shows_the_certificate_beside_the_kubeconfig_of_its_user(
    authority: Authority, tmp_path: pathlib.Path
) -> None:
    authority.issue("client")
    user: dict[str, object] = {"client-certificate": "client.crt", "client-key": "client.key"}
    async with secure_server(authority) as url:
        config = servers.kubeconfig(url, user, **{"certificate-authority": "ca.crt"})
        assert '"client"' in await ask(tmp_path / "config", config)


async def test_client_certificate_is_looked_for_beside_the_file_of_its_user(
    authority: Authority, tmp_path: pathlib.Path
) -> None:
    authority.issue("client")
    elsewhere = tmp_path / "clusters"
    make(elsewhere)
    user: dict[str, object] = {"client-certificate": "client.crt", "client-key": "client.key"}
    async with secure_server(authority) as url:
        config = servers.kubeconfig(url, user, **{"certificate-authority": str(authority.ca)})
        write(tmp_path / "users", json.dumps({"users": config.pop("users")}))
        both = f"{elsewhere / 'config'}:{tmp_path / 'users'}"
        assert '"client"' in await ask(elsewhere / "config", {**config, "users": []}, both)


@pytest.mark.parametrize("token", [{}, {"token": "t"}], ids=["alone", "with-token"])
async def test_client_shows_the_certificate_that_a_plugin_gave(
    authority: Authority, tmp_path: pathlib.Path, token: dict[str, str]
) -> None:
    certificate, key = authority.issue("plugged")
    status = {
        "clientCertificateData": certificate.read_text(),
        "clientKeyData": key.read_text(),
        **token,
    }
    write(tmp_path / "answer", json.dumps({"apiVersion": "v", "status": status}))
    section = {"apiVersion": "v", "command": "cat", "args": [str(tmp_path / "answer")]}
    async with secure_server(authority) as url:
        ca = {"certificate-authority": "ca.crt"}
        config = servers.kubeconfig(url, {"exec": {**section, "env": None}}, **ca)
        assert '"plugged"' in await ask(tmp_path / "config", config)


class Rotation:
    """A server whose authority changes, and the file by which it is trusted."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.old, self.new = (Authority(_made(folder / name)) for name in ("old", "new"))
        self.trusted = folder / "trusted.crt"
        self.trust(self.old)

    def trust(self, authority: Authority) -> None:
        """Replace the file, as the kubelet does."""
        partial = self.folder / "partial"
        partial.write_bytes(authority.ca.read_bytes())
        partial.replace(self.trusted)

    async def connect(self, *urls: str) -> list[connection.Connection]:
        """Ways to servers that are trusted by the file."""
        found = []
        for number, url in enumerate(urls):
            config = servers.kubeconfig(url, None, **{"certificate-authority": str(self.trusted)})
            path = self.folder / f"config-{number}"
            path.write_text(json.dumps(config))
            found.append(await connection.connect(kubeconfig=str(path), environ={}))
        return found


def _made(folder: pathlib.Path) -> pathlib.Path:
    make(folder)
    return folder


async def test_authority_that_is_new_in_the_file_is_trusted_by_the_same_client(
    tmp_path: pathlib.Path,
) -> None:
    rotation = Rotation(tmp_path)
    async with secure_server(rotation.new) as url:
        (way,) = await rotation.connect(url)
        async with servers.talking_to(way) as asking:
            with pytest.raises(errors.TransportError, match="Certificate") as caught:
                await asking.get_json("/x")
            assert not caught.value.sent
            rotation.trust(rotation.new)
            # Without another failure: the handshake that fails looks at the file.
            assert await asking.get_json("/x") == {"subject": None}


async def test_all_requests_that_were_begun_with_the_old_authority_have_a_second_try(
    tmp_path: pathlib.Path,
) -> None:
    rotation = Rotation(tmp_path)
    async with secure_server(rotation.new) as url:
        (way,) = await rotation.connect(url)
        async with servers.talking_to(way) as asking:
            with pytest.raises(errors.TransportError, match="Certificate"):
                await asking.get_json("/x")
            rotation.trust(rotation.new)
            answers = await asyncio.gather(*(asking.get_json("/x") for _ in range(4)))
            assert answers == [{"subject": None}] * 4


async def test_authority_that_is_gone_from_the_file_is_not_trusted_any_more(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_LOOK_EVERY_S", 0.0)
    rotation = Rotation(tmp_path)
    async with secure_server(rotation.old) as url:
        (way,) = await rotation.connect(url)
        async with servers.talking_to(way) as asking:
            assert await asking.get_json("/x") == {"subject": None}
            rotation.trust(rotation.new)
            with pytest.raises(errors.TransportError, match="Certificate"):
                await asking.get_json("/x")


async def test_what_was_trusted_stays_so_while_the_file_cannot_be_used(
    tmp_path: pathlib.Path,
) -> None:
    rotation = Rotation(tmp_path)
    async with secure_server(rotation.old) as url:
        (way,) = await rotation.connect(url)
        followed = way.load_trust()
        before = followed.context()
        with structlog.testing.capture_logs() as logs:
            rotation.trusted.write_text("half of a certif")
            followed.renew()
            followed.renew()
            rotation.trusted.unlink()
            followed.renew()
            assert followed.context() is before
            rotation.trust(rotation.new)
            followed.renew()
        assert followed.context() is not before
    levels = [entry["log_level"] for entry in logs]
    assert levels == ["warning", "warning", "info"]

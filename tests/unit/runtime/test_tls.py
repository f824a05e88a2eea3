"""Certificates of server and client, made by the test."""

import asyncio
import base64
import contextlib
import json
import pathlib
import ssl
from collections.abc import AsyncIterator

import pytest

from tests.unit.runtime import servers
from tests.unit.runtime.authority import Authority
from workflowexecution.runtime import connection, errors


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
    yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    listener.close()


async def ask(path: pathlib.Path, config: dict[str, object], paths: str = "") -> str:
    """Talk to the server with a kubeconfig; returns what it knows of the client."""
    write(path, json.dumps(config))
    way = await connection.connect(kubeconfig=paths or str(path), environ={})
    async with servers.talking_to(way) as asking:
        answer = await asking.get_json("/x")
    # The transports of TLS close in a later turn.
    await asyncio.sleep(0.05)
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

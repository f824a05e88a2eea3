"""A registry that keeps what is pushed, and wants to know who pushes."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workflowexecution.bundles import image

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

ELSEWHERE = "0.0.0.0"
"""An address of this machine that does not look like one."""


Scripted = tuple[int, dict[str, str], bytes]


@dataclass
class Registry:
    """What it has, and how it behaves.

    Attributes:
        scheme: `Basic` or `Bearer`: what it asks for; empty lets everybody.
        wanted: the header that it takes, or that the giver of tokens takes.
        broken: answers each manifest with 500.
        scripted: status, headers and body of an answer, by the method and a part of the path.
    """

    scheme: str = ""
    wanted: str = ""
    broken: bool = False
    scripted: dict[tuple[str, str], Scripted] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    host: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers for the registry of its server."""

    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def do_GET(self) -> None:
        self._is_known()

    def do_HEAD(self) -> None:
        if self._is_known():
            known = self.path.rpartition("/")[2] in self.server.registry.blobs
            self._answer(200 if known else 404)

    def do_POST(self) -> None:
        if self._is_known():
            self._answer(202, Location=f"{self.path}1?_state=a")

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_known():
            return
        registry = self.server.registry
        path, _, query = self.path.partition("?")
        if "/manifests/" in path:
            registry.manifests[path.rpartition("/")[2]] = content
            self._answer(500 if registry.broken else 201, b"no room" * registry.broken)
            return
        (digest,) = urllib.parse.parse_qs(query)["digest"]
        assert image.digest_of(content) == digest
        registry.blobs[digest] = content
        self._answer(201)

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _is_known(self) -> bool:
        registry = self.server.registry
        given = self.headers.get("Authorization", "")
        registry.calls.append((self.command, self.path.partition("?")[0], given))
        for (method, part), (status, headers, body) in registry.scripted.items():
            if method == self.command and part in self.path:
                self._answer(status, body, **headers)
                return False
        if self.path.startswith("/token"):
            known = given == registry.wanted
            said = {"token": "t-1"} if known else {"error": "unknown"}
            self._answer(200 if known else 401, json.dumps(said).encode())
            return False
        wanted = "Bearer t-1" if registry.scheme == "Bearer" else registry.wanted
        if not registry.scheme or given == wanted:
            return True
        realm = f'realm="http://{registry.host}/token",service="r",scope="repository:w:push"'
        challenge = f"Bearer {realm}" if registry.scheme == "Bearer" else 'Basic realm="r"'
        self._answer(401, b"who are you?", WWW_Authenticate=challenge)
        return False


class Server(http.server.ThreadingHTTPServer):
    """A port, and the registry behind it."""

    registry: Registry


@contextlib.contextmanager
def running(registry: Registry, tls: ssl.SSLContext | None = None) -> Iterator[Registry]:
    """The registry on a port of this machine; with TLS under an address that is not its name."""
    server = Server(("127.0.0.1", 0), Handler)
    server.registry = registry
    registry.host = f"{ELSEWHERE if tls else '127.0.0.1'}:{server.server_address[1]}"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

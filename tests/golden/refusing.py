"""A registry that answers each request with one status, as one that wants credentials does."""

from __future__ import annotations

import contextlib
import http
import http.server
import json
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


# Source: "Error Codes" of the OCI distribution specification.
_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}


@contextlib.contextmanager
def registry(status: int) -> Iterator[str]:
    """Serve on loopback, where plain HTTP is spoken; yields host and port."""

    class Refusal(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            refusal = {"code": _CODES.get(status, "UNKNOWN"), "message": "as the case wants it"}
            body = json.dumps({"errors": [refusal]}).encode()
            self.send_response(status)
            if status == http.HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", 'Basic realm="registry"')
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

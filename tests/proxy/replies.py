"""Answers that no healthy server gives, as bytes on the wire.

Each is what the real thing sends: a kube-apiserver that sheds load, a balancer before it, an API
that is not served.
"""

from __future__ import annotations

from http import HTTPStatus

import orjson

CLOSES = b"\r\nConnection: close\r\n"
LAST_CHUNK = b"0\r\n\r\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def trouble(code: int) -> bytes:
    """A Status of an API server in trouble."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    body = orjson.dumps({**said, "message": "the proxy says so", "reason": "InternalError"})
    return _answer(code, "application/json", body)


def throttled(seconds: int) -> bytes:
    """What Priority and Fairness sends: plain text, and the connection is closed."""
    text = b"Too many requests, please try again later.\n"
    head = {"Retry-After": str(seconds), "Connection": "close"}
    return _answer(429, "text/plain; charset=utf-8", text, head)


def page(code: int) -> bytes:
    """What a balancer without a server behind it sends."""
    words = HTTPStatus(code).phrase
    body = f"<html><head><title>{code} {words}</title></head><body>{words}</body></html>"
    return _answer(code, "text/html", body.encode())


def unauthorized() -> bytes:
    """What an API server says to a token that it does not know."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 401}
    body = orjson.dumps({**said, "message": "Unauthorized", "reason": "Unauthorized"})
    return _answer(401, "application/json", body)


def not_served() -> bytes:
    """What an API server says where there is no API: no Status."""
    return _answer(404, "text/plain; charset=utf-8", b"404 page not found\n")


def error_event(code: int, reason: str = "") -> bytes:
    """A line of a watch that tells of an error; the reason is left out when there is none."""
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    status = {**said, "message": "the proxy says so"} | ({"reason": reason} if reason else {})
    return orjson.dumps({"type": "ERROR", "object": status}) + b"\n"


def chunk(content: bytes) -> bytes:
    """Content in the framing of a chunk."""
    return b"%x\r\n" % len(content) + content + b"\r\n"


def _answer(code: int, kind: str, body: bytes, fields: dict[str, str] | None = None) -> bytes:
    lines = [
        f"HTTP/1.1 {code} {HTTPStatus(code).phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in (fields or {}).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body

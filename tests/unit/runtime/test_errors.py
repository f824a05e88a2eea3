import json
from typing import Any

import pytest

from workflowexecution.runtime import errors


def status(code: int, reason: str = "", message: str = "", **details: object) -> dict[str, Any]:
    return {
        "kind": "Status",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        pytest.param(400, status(400, "BadRequest"), errors.BadRequest, id="400"),
        pytest.param(401, status(401, "Unauthorized"), errors.Unauthorized, id="401"),
        pytest.param(403, status(403, "Forbidden"), errors.Forbidden, id="403"),
        pytest.param(404, status(404, "NotFound", name="a"), errors.NotFound, id="404-object"),
        pytest.param(404, "404 page not found\n", errors.EndpointMissing, id="404-endpoint"),
        pytest.param(404, {"kind": "Other"}, errors.EndpointMissing, id="404-other-json"),
        pytest.param(409, status(409, "Conflict"), errors.Conflict, id="409"),
        pytest.param(409, status(409, "AlreadyExists"), errors.AlreadyExists, id="409-exists"),
        pytest.param(409, "conflict", errors.Conflict, id="409-text"),
        pytest.param(410, status(410, "Expired"), errors.Gone, id="410"),
        pytest.param(410, "", errors.Gone, id="410-empty"),
        pytest.param(500, status(500, "Expired"), errors.Gone, id="expired-in-500"),
        pytest.param(413, "too big", errors.TooLarge, id="413"),
        pytest.param(
            500, status(500, "", "etcdserver: request is too large"), errors.TooLarge, id="etcd"
        ),
        pytest.param(
            500,
            status(500, "", "rpc error: trying to send message larger than max (1 vs. 2)"),
            errors.TooLarge,
            id="grpc",
        ),
        pytest.param(422, status(422, "Invalid"), errors.Invalid, id="422"),
        pytest.param(
            429, "Too many requests, please try again later.\n", errors.Throttled, id="429"
        ),
        pytest.param(500, status(500, "InternalError"), errors.ServerError, id="500"),
        pytest.param(502, "<html>Bad Gateway</html>", errors.ServerError, id="502-html"),
        pytest.param(302, "", errors.ServerError, id="redirect"),
    ],
)
def test_map_response_picks_the_class_by_status_and_reason(
    code: int, body: str | dict[str, Any], expected: type[errors.ApiError]
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    error = errors.map_response(code, content.encode())
    assert type(error) is expected
    assert error.status == code
    assert error.is_status == (isinstance(body, dict) and body["kind"] == "Status")


def test_already_exists_is_no_conflict() -> None:
    assert not issubclass(errors.AlreadyExists, errors.Conflict)


def test_endpoint_missing_is_no_not_found() -> None:
    assert not issubclass(errors.EndpointMissing, errors.NotFound)


def test_map_response_keeps_what_the_status_says() -> None:
    body = status(403, "Forbidden", "no", causes=[{"reason": "NamespaceTerminating"}])
    error = errors.map_response(403, json.dumps(body).encode())
    assert isinstance(error, errors.Forbidden)
    assert error.namespace_terminating
    assert (error.reason, error.message) == ("Forbidden", "no")
    assert str(error) == "403 Forbidden: no"


@pytest.mark.parametrize("body", [b"no", b'{"kind":"Status","code":403}'], ids=["text", "status"])
def test_a_read_that_is_forbidden_is_told_from_a_write(body: bytes) -> None:
    assert type(errors.map_response(403, body, is_read=True)) is errors.Unreadable
    assert type(errors.map_response(403, body)) is errors.Forbidden
    assert type(errors.map_response(404, body, is_read=True)) is not errors.Unreadable


def test_forbidden_is_about_rights_when_no_cause_says_otherwise() -> None:
    error = errors.map_response(403, b"")
    assert isinstance(error, errors.Forbidden)
    assert not error.namespace_terminating


@pytest.mark.parametrize(
    ("header", "details", "expected"),
    [
        pytest.param("7", {"retryAfterSeconds": 1}, 7.0, id="header-first"),
        pytest.param(None, {"retryAfterSeconds": 1}, 1.0, id="details"),
        pytest.param("Wed, 21 Oct 2015 07:28:00 GMT", {}, None, id="date"),
        pytest.param("-3", {}, None, id="negative"),
        pytest.param("0", {}, None, id="at-once"),
        pytest.param("inf", {}, None, id="infinite"),
        pytest.param("1e999", {}, None, id="beyond-all-numbers"),
        pytest.param("nan", {}, None, id="not-a-number"),
        pytest.param("60", {}, 60.0, id="as-long-as-is-waited"),
        pytest.param("86400", {}, 60.0, id="a-day"),
        pytest.param("1e300", {}, 60.0, id="longer-than-time"),
        pytest.param(None, {"retryAfterSeconds": 86400}, 60.0, id="a-day-in-details"),
        pytest.param(None, {"retryAfterSeconds": 10**30}, 60.0, id="large-in-details"),
        pytest.param("soon", {"retryAfterSeconds": 2}, 2.0, id="details-when-the-header-is-odd"),
        pytest.param(None, {}, None, id="absent"),
    ],
)
def test_retry_after_is_read_from_header_or_details(
    header: str | None, details: dict[str, Any], expected: float | None
) -> None:
    body = json.dumps(status(429, "TooManyRequests", **details)).encode()
    assert errors.map_response(429, body, retry_after=header).retry_after_s == expected


def test_retry_after_is_kept_when_the_body_is_plain_text() -> None:
    assert errors.map_response(429, b"slow down", retry_after="1").retry_after_s == 1.0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="empty"),
        pytest.param({"details": None, "code": "x", "reason": 1, "message": []}, id="odd-types"),
        pytest.param({"details": {"causes": "x"}}, id="odd-causes"),
        pytest.param({"details": {"causes": ["x", {}, {"reason": 3}]}}, id="odd-cause"),
    ],
)
def test_map_status_takes_odd_fields_as_empty(body: dict[str, Any]) -> None:
    error = errors.map_status(body)
    assert type(error) is errors.ServerError
    assert (error.status, error.reason, error.message) == (500, "", "")


def test_status_of_the_answer_counts_more_than_the_code_in_its_body() -> None:
    assert errors.map_response(503, json.dumps(status(410)).encode()).status == 503


def test_map_status_uses_the_code_when_there_is_no_answer() -> None:
    assert type(errors.map_status(status(410))) is errors.Gone


@pytest.mark.parametrize(
    ("message", "expected"),
    [("storage is (re)initializing", True), ("too many requests, please try again later", False)],
)
def test_storage_that_starts_is_told_by_the_words(message: str, expected: bool) -> None:
    error = errors.map_status({"kind": "Status", "message": message}, status=429)
    assert isinstance(error, errors.Throttled)
    assert error.storage_starting is expected


def test_version_too_large_is_seen_among_the_causes() -> None:
    body = status(504, "Timeout", causes=[{"reason": "ResourceVersionTooLarge"}])
    assert errors.map_status(body).resource_version_too_large
    assert not errors.map_status(status(504)).resource_version_too_large


def test_message_is_cut_when_the_server_talks_too_much() -> None:
    assert len(errors.map_response(500, b"x" * 100_000).message) == 512
    assert len(errors.map_status(status(500, "", "x" * 100_000)).message) == 512


def test_transport_error_says_whether_anything_was_sent() -> None:
    assert errors.TransportError("a").sent
    assert not errors.TransportError("a", sent=False).sent

"""The cause of a failure stays readable beside what is blanked."""

from __future__ import annotations

import pytest

from workflowexecution.domain import redaction

B = redaction.BLANK


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param("[couldn't reach 10.0.0.1:82, retrying]", B, id="apostrophe-in-a-list"),
        pytest.param("[it's, that's] x", f"{B} x", id="two-apostrophes"),
        pytest.param("{'a': it's} caused by x", f"{B} caused by x", id="apostrophe-in-an-object"),
        pytest.param("'tis invalid", B, id="apostrophe"),
        pytest.param('"', B, id="quote"),
        pytest.param('\\"a', B, id="escaped-quote"),
        pytest.param("[unterminated list", B, id="list"),
        pytest.param("[a [b]", B, id="list-in-a-list"),
        pytest.param("{", B, id="object"),
        pytest.param('{\n  "a": {\n    "b": "c",', B, id="object-that-was-cut"),
        pytest.param('["a",\n"b"] x', f"{B} x", id="list-of-many-lines"),
        pytest.param('{\n"a": [{"b": {"c": [1]}}]\n}', B, id="object-of-many-lines"),
        pytest.param("'a\nb' x", f"{B} x", id="string-of-many-lines"),
    ],
)
def test_a_value_that_never_ends_hides_no_other_line(given: str, redacted: str) -> None:
    behind = "\nFATAL: disk full\nexit status 28\n"
    assert redaction.redact(f"bad token: {given}{behind}") == f"bad token: {redacted}{behind}"


@pytest.mark.parametrize(
    "harmless",
    [
        'Get "https://auth.docker.io/token": EOF',
        'Get \\"https://auth.docker.io/token\\": EOF',
        'Post "https://sts.example/token": x509: certificate signed by unknown authority',
        'Post "https://x/token": dial tcp: lookup auth.docker.io: no such host',
        "open /var/run/secrets/x/token: no such file or directory",
        "deployment/auth: exceeded its progress deadline",
        "deployment/auth: 1 of 3 updated replicas are available",
        "https://x/token: 403 Forbidden",
        "PASS: TestFoo (0.00s)",
        "x\nPASS: TestFoo (0.00s)\n    --- PASS: TestBar/a (0.1s)",
        "ok pass=3 fail=2",
        "pass: 12, fail: 1",
        '{"failed": 2, "pass": 12}',
        "2 tests, errors: 1, pass: 1",
        "PASS: math.add (12 ms)",
        "x\nPASS: it-adds - 2 numbers",
        "PASS=12\nFAIL=3",
        'etcd key "/registry/deployments/payment/paymentapi" too large',
        "configmap key /registry/configmaps/payment/paymentapi not found",
    ],
)
def test_a_cause_stays_whole(harmless: str) -> None:
    assert redaction.redact(harmless) == harmless


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param("/etc/token:eof", f"/etc/token:{B}", id="line-of-a-file"),
        pytest.param("app/token: hunter2", f"app/token: {B}", id="no-word"),
        pytest.param("app/token: hunter", f"app/token: {B}", id="one-word"),
        pytest.param("app/auth: Token abc", f"app/auth: {B}", id="scheme"),
        pytest.param("app/token: a # b", f"app/token: {B} # b", id="comment"),
        pytest.param("Username/Password: ab (c)", f"Username/Password: {B} (c)", id="slash"),
        pytest.param("admin/password: ab is it", f"admin/password: {B} is it", id="no-error"),
        pytest.param("/prod/db/password: ab v3", f"/prod/db/password: {B} v3", id="parameter"),
        pytest.param("lookup token: ab cd", f"lookup token: {B} cd", id="no-error-of-a-host"),
        pytest.param("token: no such", f"token: {B} such", id="no-path"),
        pytest.param("lookups auth.x: ab", f"lookups auth.x: {B}", id="no-lookup"),
        pytest.param("pass=1234x", f"pass={B}", id="no-count"),
        pytest.param("db.pass=12", f"db.pass={B}", id="no-result"),
        pytest.param("PASS: s3cr", f"PASS: {B}", id="no-test"),
        pytest.param("x PASS: TestFoo (0s)", f"x PASS: {B} (0s)", id="within-a-line"),
        pytest.param("x\nPASS: s3cr cd", f"x\nPASS: {B} cd", id="no-name-of-a-test"),
        pytest.param('"pass": 4711', f'"pass": {B}', id="number-in-json"),
        pytest.param("user=root pass=4711", f"user=root pass={B}", id="number-alone"),
        pytest.param("pass=4711 error=1045", f"pass={B} error=1045", id="number-of-an-error"),
        pytest.param("PASS=4711\nUSER=a", f"PASS={B}\nUSER=a", id="number-of-a-variable"),
        pytest.param("Pass: ab cd", f"Pass: {B} cd", id="no-capitals"),
        pytest.param("PASS:ab cd", f"PASS:{B} cd", id="no-gap"),
    ],
)
def test_what_only_looks_like_a_cause_is_blanked(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


def test_a_path_is_no_opaque_value() -> None:
    path = "/registry/deployments/payment/paymentapi"
    assert redaction.redact_value("etcd_key", path) == path

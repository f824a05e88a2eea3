"""Names of secrets, and names that only look like one."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import workflowexecution
from tests.unit.domain import auditevents
from workflowexecution.domain import secretnames
from workflowexecution.domain.audit import Transition

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAYS = {
    "debug", "info", "warning", "error", "exception", "critical", "bind_contextvars",
    "bound_contextvars",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "password", "DB_PASSWORD", "PGPASSWORD", "MYSQLPASSWORD", "PASSWORD1", "dbPassword",
        "password_hash", "passwd", "MYSQL_PWD", "passphrase", "KEY_PASSPHRASE", "pass_word",
        "secret", "clientSecret", "client-secret", "secretKey", "SECRETKEY", "secrets",
        "token", "accessToken", "githubToken", "AUTHTOKEN", "x-auth-token", "tokenValue",
        "api_key", "apiKey", "API-KEY", "api.key", "X_API_KEY_ID",
        "privateKey", "PRIVATE_KEY", "AWS_ACCESS_KEY_ID", "aws_secret_access_key", "accessKey",
        "credential", "GOOGLE_CREDENTIALS", "registryCredentials",
        "connection_string", "ConnectionString", "DATABASE_URL", "database-url",
        "auth", "AUTH", "auth_mode", "httpAuth", "X-Auth", "oauth2", "Authorization",
        "pass", "DB_PASS", "dbPass", "smtp.pass", "PASS2", "dbpass", "keypass",
        "tls.key", "SSH_KEY", "encryptionKey", "signing-key",
    ],
)  # fmt: skip
def test_a_name_is_that_of_a_secret_however_it_is_spelled(name: str) -> None:
    assert secretnames.is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer", "TOKENIZER", "tokenised", "author", "AUTHORS", "authority", "authentication",
        "authorized", "authz", "keyboard", "monkey", "key", "keys", "KEY_ID", "event_key",
        "primaryKey", "public_key", "partition-key", "compass", "bypass", "PASS_COUNT", "passed",
        "passing", "passive", "rbac.authorization.k8s.io", "mode", "",
    ],
)  # fmt: skip
def test_a_name_that_only_looks_like_one_is_none(name: str) -> None:
    assert not secretnames.is_secret(name)


def _logged() -> Iterator[str]:
    """The keys of the program's own log lines."""
    for path in Path(workflowexecution.__file__).parent.rglob("*.py"):
        calls = (it for it in ast.walk(ast.parse(path.read_text())) if isinstance(it, ast.Call))
        for call in calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr in _SAYS:
                yield from (it.arg for it in call.keywords if it.arg)


def _members(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _members(inner)


def test_no_name_of_the_programs_own_is_that_of_a_secret() -> None:
    documents: list[dict[str, Any]] = [
        auditevents.built(transition, style).document
        for transition in Transition
        for style in (auditevents.DECEMBER, auditevents.CURRENT)
    ]
    audited = {key for document in documents for key in _members(document)}
    logged = set(_logged())
    assert {"event_key", "workflow_id", "correlation_id"} <= audited
    assert {"event_key", "run_uid", "key", "url"} <= logged

    assert [it for it in sorted(audited | logged) if secretnames.is_secret(it)] == []

import re
import sys
import time

import pytest

from workflowexecution.domain import redaction

B = redaction.BLANK
_MOST = 6
"""How many times as long as an ordinary text one made for it may take, of the same length."""


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param("password=hunter2 next", f"password={B} next", id="password"),
        pytest.param("PASSWD: hunter2", f"PASSWD: {B}", id="colon"),
        pytest.param("?DB_PASSWORD=x&y=1", f"?DB_PASSWORD={B}&y=1", id="prefixed"),
        pytest.param('{"pwd": "a b c"}', f'{{"pwd": {B}}}', id="json"),
        pytest.param("api-key='k 1'", f"api-key={B}", id="quoted"),
        pytest.param("apikey=k1, mode=fast", f"apikey={B}, mode=fast", id="list"),
        pytest.param("AWS_ACCESS_KEY_ID=AKIA1", f"AWS_ACCESS_KEY_ID={B}", id="aws-id"),
        pytest.param("aws_secret_access_key=abc/d", f"aws_secret_access_key={B}", id="aws-secret"),
        pytest.param("connection_string=host", f"connection_string={B}", id="connection-string"),
        pytest.param("DATABASE_URL=pg://u:p@h/d", f"DATABASE_URL={B}", id="database-url"),
        pytest.param("Authorization: Bearer abcdefgh.1", f"Authorization: {B}", id="header"),
        pytest.param("got Bearer abcdefgh1234", f"got Bearer {B}", id="bearer"),
        pytest.param("jwt eyJhbGciOi.eyJzdWIi.c2ln", f"jwt {B}", id="jwt"),
        pytest.param('password="cut in the mid', f"password={B}", id="unclosed"),
        pytest.param(r"{\"token\": \"a b\"}", rf"{{\"token\": {B}}}", id="json-in-json"),
        pytest.param(r"secret=\a,b", rf"secret={B},b", id="backslash"),
        pytest.param("secret " + "A" * 40, f"secret {B}", id="long-base64"),
        pytest.param("pa\u017f\u017fword=x", f"pa\u017f\u017fword={B}", id="long-s"),
    ],
)
def test_redact_blanks_the_value_when_it_looks_secret(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param('"step-run" exited with code 42: Error', id="exit-code"),
        pytest.param('secrets "db" is forbidden: User cannot get', id="rbac"),
        pytest.param("author: somebody", id="author"),
        pytest.param("authentication failed", id="authentication"),
        pytest.param("3 tokens left", id="tokens"),
        pytest.param("the room is full", id="no-hint"),
    ],
)
def test_redact_leaves_the_text_when_nothing_is_secret(harmless: str) -> None:
    assert redaction.redact(harmless) == harmless


@pytest.mark.parametrize("key", ["password", "PGPASSWORD", "dbPassword", "DB_PASS"])
def test_redact_value_blanks_all_when_the_key_is_secret(key: str) -> None:
    assert redaction.redact_value(key, "anything") == B


@pytest.mark.parametrize("key", ["event", "keys", "author", "tokenizer"])
def test_redact_value_looks_inside_when_the_key_is_not_secret(key: str) -> None:
    assert redaction.redact_value(key, "token=abc fine") == f"token={B} fine"


def took_s(text: str) -> float:
    begun = time.process_time()
    redaction.redact(text)
    return time.process_time() - begun


def long(piece: str, length: int) -> str:
    return "key" + piece * (length // len(piece)) + "key://-----@"


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param("a", id="word"),
        pytest.param("token.", id="dotted-keys"),
        pytest.param("token:a/", id="names"),
        pytest.param("a/token:v1 ", id="images"),
        pytest.param(" ", id="spaces"),
        pytest.param("password='\"", id="quotes"),
        pytest.param('password="\\"', id="escaped-quotes"),
        pytest.param('\\"token\\":\\"', id="json-in-json"),
        pytest.param("password=[{", id="brackets"),
        pytest.param("password=[", id="lists"),
        pytest.param("password: |\n  a\n", id="blocks"),
        pytest.param("basic ", id="schemes"),
        pytest.param('authorization:="', id="headers"),
        pytest.param("eyJaaaaa-", id="jwt-heads"),
        pytest.param("\\", id="backslashes"),
        pytest.param("a://b:@", id="urls"),
        pytest.param("a://b:c", id="urls-without-a-host"),
        pytest.param("-----BEGIN PRIVATE KEY", id="key-heads"),
        pytest.param("abcd\n", id="lines-of-a-key"),
        pytest.param("-----", id="dashes"),
        pytest.param("name=token value=", id="variables"),
        pytest.param("name:token,", id="variables-without-a-value"),
        pytest.param(" --token", id="flags"),
        pytest.param("-token-", id="long-flags"),
        pytest.param(".-", id="dots-and-dashes"),
        pytest.param(".--", id="dots-and-two-dashes"),
        pytest.param("./x/.-", id="hidden-paths"),
        pytest.param("curl ", id="curls"),
        pytest.param("curl -u a:", id="curl-flags"),
        pytest.param("mysql ", id="mysqls"),
        pytest.param("mysql -p' ", id="mysql-flags"),
        pytest.param("<token ", id="elements"),
        pytest.param("<token>a", id="elements-without-an-end"),
        pytest.param("ghp_", id="token-heads"),
        pytest.param("token: [\n", id="lists-without-an-end"),
        pytest.param("token: [{'\"", id="brackets-with-odd-quotes"),
        pytest.param('"secret:["\n', id="lists-in-strings"),
        pytest.param("'secret:{'\n", id="objects-in-strings"),
        pytest.param('"--secret ["\n', id="flags-in-strings"),
        pytest.param('"authorization:["\n', id="headers-in-strings"),
        pytest.param('token: \\"token: "token: \'', id="strings-without-an-end"),
        pytest.param("token='a''", id="doubled-quotes"),
        pytest.param("\nTOKEN=a b", id="lines-of-env"),
        pytest.param("\n  TOKEN:   ", id="columns"),
        pytest.param("\n- --token", id="flags-in-lines"),
        pytest.param("docker login ", id="logins"),
        pytest.param("\na_token    ", id="tables"),
        pytest.param("api key: ", id="spoken-keys"),
        pytest.param("a:@tcp(", id="addresses-of-mysql"),
        pytest.param("machine h login a ", id="machines"),
        pytest.param("set password for a ", id="passwords-for"),
        pytest.param("private-lines: 1\nAAAA\n", id="keys-of-putty"),
        pytest.param("sk-ant-", id="heads-of-models"),
        pytest.param("LS0tLS1CRUdJTi\n", id="keys-in-base64"),
    ],
)
def test_redact_takes_time_in_proportion_when_the_text_is_long(piece: str) -> None:
    # Against an ordinary text, at the same time and on the same machine: what is read again from
    # many places costs tens of times as much, and the more the longer the text is.
    ordinary = long("word ", 20_000)
    assert any(took_s(long(piece, 80_000)) < 4 * _MOST * took_s(ordinary) for _ in range(5))


def test_redact_takes_the_beginning_of_a_text_that_is_long() -> None:
    shown = redaction.redact("password=hunter2 " + "word " * 100_000)
    assert shown.startswith(f"password={B} word ")
    assert shown.endswith("…[cut]")
    assert len(shown) < redaction.MAX_TEXT + 100


@pytest.mark.parametrize("shown", [0, 5, 11, 14, 300])
@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("https://ann:s3cr3ts3cr3t@host/", id="url"),
        pytest.param("password=s3cr3ts3cr3t", id="value"),
        pytest.param("ghp_s3cr3ts3cr3ts3cr3t", id="token"),
        pytest.param("s3cr3ts3\n" * 40 + "-----END PRIVATE KEY-----", id="end-of-a-key"),
        pytest.param('password: "' + "s3cr3ts3\n" * 2000 + '"', id="string-of-many-lines"),
        pytest.param("password: [" + "s3cr3ts3,\n" * 2000 + "]", id="list-of-many-lines"),
    ],
)
def test_redact_shows_no_secret_that_the_end_of_what_is_taken_parts(
    secret: str, shown: int
) -> None:
    before = "x" * (redaction.MAX_TEXT - shown - 1)
    assert "s3cr" not in redaction.redact(f"{before} {secret} {before}")


def test_folded_keeps_the_place_of_each_letter_that_is_alike() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    lowered = redaction.folded(every)
    alike = [it.start() for it in re.finditer("[a-z]", every, re.IGNORECASE)]
    assert [it.start() for it in re.finditer("[a-z]", lowered)] == alike

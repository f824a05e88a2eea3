import base64
import json
import re
import sys
import time

import pytest

from tests.unit.domain import redactions
from workflowexecution.domain import logend, redaction

B = redaction.BLANK
STORE = base64.encodebytes(bytes(range(256)) * 40).decode()
_MOST = 6
"""How many times as long as an ordinary text one made for it may take, of the same length."""
CASES = [
    *(
        pytest.param(text, id=f"{table}/{row}")
        for table, secrets in redactions.SECRETS.items()
        for row, text in secrets.items()
    ),
    *(
        pytest.param(text, id=f"harmless-{table}/{row}")
        for table, texts in redactions.HARMLESS.items()
        for row, text in enumerate(texts)
    ),
]


@pytest.mark.parametrize("text", CASES)
def test_redact_blanks_what_is_secret_and_nothing_else(text: str) -> None:
    given = re.sub("[«»]", "", text)
    assert redaction.redact(given) == re.sub("«.*?»", B, text, flags=re.DOTALL)


@pytest.mark.parametrize("key", ["password", "PGPASSWORD", "dbPassword", "DB_PASS"])
def test_redact_value_blanks_all_when_the_key_is_secret(key: str) -> None:
    assert redaction.redact_value(key, "anything") == B


@pytest.mark.parametrize("key", ["event", "keys", "author", "tokenizer"])
def test_redact_value_looks_inside_when_the_key_is_not_secret(key: str) -> None:
    assert redaction.redact_value(key, "token=abc fine") == f"token={B} fine"


def test_an_opaque_value_is_blanked_under_any_key() -> None:
    assert redaction.redact_value("signature_key", redactions.KEY_44) == B
    assert redaction.redact_value("event_key", "0d1f2a3b-uid.completed") == "0d1f2a3b-uid.completed"


def test_a_path_is_no_opaque_value() -> None:
    path = "/registry/deployments/payment/paymentapi"
    assert redaction.redact_value("etcd_key", path) == path


@pytest.mark.parametrize("times", range(4))
def test_json_in_json_is_blanked_however_deep(times: int) -> None:
    text = json.dumps({"password": 'hun"ter2', "user": "ann", "tls.crt.key": redactions.KEY_44})
    for _ in range(times):
        text = json.dumps({"said": text})
    told = redaction.redact(text)
    assert "hun" not in told
    assert "ter2" not in told
    assert redactions.KEY_44[:-1] not in told
    assert "ann" in told


@pytest.mark.parametrize(
    "text",
    [f'{{"password": "x", "n": ["{redactions.GITHUB}"]}}', redactions.PEM, "--token x"],
)
def test_a_text_that_is_redacted_stays_as_it_is(text: str) -> None:
    told = redaction.redact(text)
    assert redaction.redact(told) == told


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


def shown_of_store(text: str) -> list[str]:
    return [line for line in STORE.splitlines() if line in text]


def test_a_string_of_base64_that_was_cut_shows_none_of_its_lines() -> None:
    before = "x" * (redaction.MAX_TEXT - redaction.AROUND - 2000)
    text = f'{before}\nkeystore_secret: "{STORE}"\nend: 1\n{before}'
    assert shown_of_store(redaction.redact(text)) == []


def test_a_log_that_ends_within_a_string_of_base64_shows_none_of_its_lines() -> None:
    shown, _ = logend.redacted(f'log\n{{"keystore_secret": "{STORE}')
    assert shown_of_store(shown) == []


def test_folded_keeps_the_place_of_each_letter_that_is_alike() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    lowered = redaction.folded(every)
    alike = [it.start() for it in re.finditer("[a-z]", every, re.IGNORECASE)]
    assert [it.start() for it in re.finditer("[a-z]", lowered)] == alike

"""The end of a log is looked through alone, and what a cut would part is blanked."""

from __future__ import annotations

import itertools

import pytest

from workflowexecution.domain import logend, redaction

B = redaction.BLANK
LINE = "nothing to see here\n"
END = "\nERROR it went wrong"


def filled(length: int) -> str:
    return (LINE * (length // len(LINE) + 1))[:length]


def marked(length: int, mark: str = "s3cr3t") -> str:
    return (mark * (length // len(mark) + 1))[:length]


def lines(length: int, indent: str = "") -> str:
    return f"\n{indent}".join(marked(60) for _ in range(length // 60))


SECRETS = {
    "plain": lambda it: f"password={marked(it)}",
    "header": lambda it: f"Authorization: Bearer {marked(it)}",
    "quoted": lambda it: f'"password": "{lines(it)}"',
    "escaped": lambda it: f'{{\\"token\\": \\"{lines(it)}\\"}}',
    "list": lambda it: 'secretKeys: ["' + '",\n"'.join(itertools.repeat("s3cr3t", it // 6)) + '"]',
    "block": lambda it: f"password: |\n  {lines(it, '  ')}\n",
    "flag": lambda it: f"--db-password '{lines(it)}'",
    "flag-above": lambda it: f"  --db-password\n  '{lines(it)}'",
    "shell": lambda it: f"+ TOKEN=$'{lines(it)}'",
    "variable": lambda it: f'name: DB_TOKEN\n  value: "{lines(it)}"',
    "key": lambda it: (
        f"-----BEGIN RSA PRIVATE KEY-----\n{lines(it)}\n-----END RSA PRIVATE KEY-----"
    ),
    "key-in-json": lambda it: (
        f"-----BEGIN PRIVATE KEY-----\\n{lines(it)}\\n-----END PRIVATE KEY-----"
    ),
    "element": lambda it: f"<password>{lines(min(it, 3600))}</password>",
    "url": lambda it: f"https://ann:{marked(min(it, 300))}@host/",
    "curl": lambda it: f"curl -s -u ann:{marked(min(it, 300))} host",
}


@pytest.mark.parametrize("hidden", [10, 300, 2990])
@pytest.mark.parametrize("form", SECRETS)
def test_redacted_shows_no_secret_that_begins_before_the_end_that_is_read(
    form: str, hidden: int
) -> None:
    secret = SECRETS[form](3000)
    behind = redaction.MAX_TEXT - len(secret) + hidden - len(END)
    shown, is_cut = logend.redacted(f"{filled(9000)}\n{secret}\n{filled(behind)}{END}")
    assert is_cut
    assert "s3cr3t" not in shown
    assert shown.endswith(END)


@pytest.mark.parametrize(
    "form", ["plain", "header", "quoted", "list", "block", "flag", "flag-above", "key"]
)
def test_redacted_shows_no_secret_that_is_longer_than_the_end_that_is_read(form: str) -> None:
    secret = SECRETS[form](redaction.MAX_TEXT + 9000)
    shown, is_cut = logend.redacted(f"{filled(9000)}\n{secret}\n{END}")
    assert is_cut
    assert "s3cr3t" not in shown
    assert shown.endswith(END)


def test_redacted_shows_nothing_of_a_key_without_an_end() -> None:
    key = SECRETS["key"](200_000).removesuffix("-----END RSA PRIVATE KEY-----")
    assert logend.redacted(f"{filled(100)}\n{key}") == (B, True)


def test_redacted_takes_up_behind_a_key_that_has_ended() -> None:
    log = f"{SECRETS['key'](100)}\n{filled(redaction.MAX_TEXT)}"
    shown, is_cut = logend.redacted(log)
    assert is_cut
    assert shown.startswith(LINE)
    assert log.endswith(shown)


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param("unexpected token [", id="no-flag"),
        pytest.param('monkey="', id="no-name"),
        pytest.param("--token [a] key", id="closed"),
        pytest.param("secret: [couldn't reach it", id="list-without-an-end"),
        pytest.param("token: 'tis wrong", id="string-without-an-end"),
    ],
)
def test_redacted_shows_the_end_when_nothing_is_open_before_it(harmless: str) -> None:
    log = f"{harmless}\n{filled(redaction.MAX_TEXT + 9000)}{END}"
    shown, _ = logend.redacted(log)
    assert log.endswith(shown)


def test_redacted_begins_with_a_line_where_lines_are_short() -> None:
    shown, is_cut = logend.redacted(filled(40_000))
    assert is_cut
    assert shown.startswith(LINE)


def test_redacted_begins_with_a_word_where_lines_are_long() -> None:
    shown, _ = logend.redacted("some words " * 9000)
    assert shown.startswith(("some ", "words "))


def test_redacted_begins_anywhere_where_words_are_long() -> None:
    assert logend.redacted("x" * 100_000) == ("x" * redaction.MAX_TEXT, True)

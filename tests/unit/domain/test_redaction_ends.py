"""Where the value of a secret ends that has no end of its own."""

from __future__ import annotations

import base64

import pytest

from workflowexecution.domain import logend, redaction

B = redaction.BLANK
STORE = base64.encodebytes(bytes(range(256)) * 40).decode()


def shown_of_store(text: str) -> list[str]:
    return [line for line in STORE.splitlines() if line in text]


def test_a_string_of_base64_that_was_cut_shows_none_of_its_lines() -> None:
    before = "x" * (redaction.MAX_TEXT - redaction.AROUND - 2000)
    text = f'{before}\nkeystore_secret: "{STORE}"\nend: 1\n{before}'
    assert shown_of_store(redaction.redact(text)) == []


def test_a_log_that_ends_within_a_string_of_base64_shows_none_of_its_lines() -> None:
    shown, _ = logend.redacted(f'log\n{{"keystore_secret": "{STORE}')
    assert shown_of_store(shown) == []


@pytest.mark.parametrize(
    ("given", "redacted"),
    [
        pytest.param('"password": "Zq7a\nZq7b\nZq', f'"password": {B}', id="string"),
        pytest.param(
            f'password: "{"abcd" * 10}\n{"e" * 40}\nx y', f"password: {B}\nx y", id="long"
        ),
        pytest.param('token: "bad\nFATAL\nexit 28', f"token: {B}\nFATAL\nexit 28", id="words"),
        pytest.param('secrets: { "a": "x",\n "b": "y"\nz', f"secrets: {B}\nz", id="object"),
        pytest.param('secrets: ["a", \n "b"\nz', f"secrets: {B}\nz", id="list"),
        pytest.param('secret: {"a": "x\n } y", "b": "z"} w', f"secret: {B} w", id="lines-within"),
        pytest.param("token: [bad\n\tat a.b(C)", f"token: {B}\n\tat a.b(C)", id="trace"),
        pytest.param('token: [a"\nFATAL: "x"', f'token: {B}\nFATAL: "x"', id="odd-quote"),
    ],
)
def test_what_was_cut_ends_with_the_lines_that_are_its_own(given: str, redacted: str) -> None:
    assert redaction.redact(given) == redacted

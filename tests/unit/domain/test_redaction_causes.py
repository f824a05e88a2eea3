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

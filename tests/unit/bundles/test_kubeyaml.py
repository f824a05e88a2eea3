"""YAML means what it means to Kubernetes, and what JSON has no word for is refused by its line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workflowexecution.bundles import documents, errors


def read(text: str) -> Any:  # noqa: ANN401 - raw YAML
    (found,) = documents.parse(f"kind: Task\nvalue: {text}\n", "f.yaml")
    return found.content["value"]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        # What PyYAML reads in another way than Kubernetes.
        ("10:30", "10:30"),
        ("12:34:56", "12:34:56"),
        ("1:30.5", "1:30.5"),
        ("2024-01-01", "2024-01-01"),
        ("2024-99-99", "2024-99-99"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("0x_", "0x_"),
        ("=", "="),
        ("<<", "<<"),
        ("1.0", 1),
        ("1e400", "1e400"),
        (".5_0", ".5_0"),
        # And what both read alike.
        ("yes", True),
        ("Off", False),
        ("true", True),
        ("~", None),
        ("", None),
        ("0644", 420),
        ("-0x1F", -31),
        ("0b101", 5),
        ("1_000", 1000),
        ("+5", 5),
        ("1.5", 1.5),
        (".5", 0.5),
        ("-2.5e-1", -0.25),
        ("18446744073709551615", 18446744073709551615),
        ("'10'", "10"),
        ('"yes"', "yes"),
        ("!!str 5", "5"),
        ("!!str y", "y"),
        ("'y'", "y"),
        ("!!int 5", 5),
        ("!!float 5", 5),
        ("[~]", [None]),
        ("5m", "5m"),
        ("yES", "yES"),
        ("+", "+"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_a_value_is_read_as_kubernetes_reads_it(text: str, meant: object) -> None:
    found = read(text)
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("!!int foo", "'foo' is no !!int"),
        ("!!int 10:30", "'10:30' is no !!int"),
        ("!!bool 5", "'5' is no !!bool"),
        ("!!float x", "'x' is no !!float"),
        ("!!binary aGVsbG8=", "JSON has no !!binary"),
        ("!!timestamp 2024-01-01", "JSON has no !!timestamp"),
        ("!!set {a: , b: }", "JSON has no !!set"),
        ("!!omap [a: b]", "JSON has no !!omap"),
        ("!mine a", "JSON has no !mine"),
        ("y", "y is a !!bool to Kubernetes, and text to others: quote it, or write it plainly"),
        ("N", "N is a !!bool to Kubernetes"),
        ("0o17", "0o17 is a !!int to Kubernetes"),
        ("08", "08 is a !!int to Kubernetes"),
        ("1e3", "1e3 is a !!int to Kubernetes"),
        ("12e-4", "12e-4 is a !!float to Kubernetes"),
        (".nan", r"JSON has no \.nan"),
        ("-.INF", r"JSON has no -\.INF"),
        ("{1: a, b: c}", "the key 1 is not text: quote it"),
        ("{on: a}", "the key on is not text: quote it"),
        ("{? [a] : b}", "a key is not text"),
        ("{<<: a}", "<< takes objects"),
        ("{<<: [a]}", "<< takes objects"),
        (r'"\ud800"', "holds half a character"),
        (r'{"\ud800": a}', "holds half a character"),
    ],
)
def test_what_json_has_no_word_for_is_refused_by_its_line(text: str, says: str) -> None:
    with pytest.raises(errors.NotReadable, match=rf"^f\.yaml:2: .*{says}"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "kind: Task\nspec:\n  script: a\n  image: i\n  'script': b\n",
        "kind: Task\nspec:\n  script: a\n  <<: {script: c}\n  script: b\n",
    ],
)
def test_a_key_that_stands_twice_is_refused_by_both_its_lines(text: str) -> None:
    says = r"^f\.yaml:5: the key script stands here again, after line 3$"
    with pytest.raises(errors.NotReadable, match=says):
        list(documents.parse(text, "f.yaml"))


def test_of_what_is_merged_and_what_stands_there_the_last_counts() -> None:
    """As for kubectl; of a list of sources it takes the first that has the key."""
    text = "a: &a {p: 1, q: 9}\nb: &b {p: 2}\nc: {<<: *a, <<: *b}\nd: {q: 5, <<: *a}\n"
    (found,) = documents.parse(text, "f.yaml")
    assert found.content["c"] == {"p": 2, "q": 9}
    assert found.content["d"] == {"p": 1, "q": 9}


def test_a_character_that_json_writes_as_two_escapes_is_one() -> None:
    (found,) = documents.parse(r'{"a": "\ud83d\ude00", "\ud83d\ude00": 1}', "f.yaml")
    assert found.content == {"a": "\U0001f600", "\U0001f600": 1}


def test_what_is_merged_gives_way_to_what_stands_there() -> None:
    text = (
        "a: &a {x: 1, v: 1}\nb: &b {x: 2, z: 2}\nc: &c {<<: [*a, *b], z: 3}\nd:\n  <<: *c\n  e: 4\n"
    )
    (found,) = documents.parse(text, "f.yaml")
    assert found.content["c"] == {"x": 1, "v": 1, "z": 3}
    assert found.content["d"] == {"x": 1, "v": 1, "z": 3, "e": 4}
    assert found.line_of(("d", "e")) == 6
    assert found.line_of(("d", "z")) == 3
    assert found.line_of(("d", "none")) == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Task\nspec: " + "[" * 2000, "f.yaml:2: nested more than 100 deep"),
        ("kind: Task\nspec: " + "[" * 101 + "]" * 101, "f.yaml:2: nested more than 100 deep"),
        ("&a\nkind: Task\nspec: *a\n", "f.yaml:[0-9]: nested more than 100 deep"),
        ("kind: Task\nspec: &a\n  <<: *a\n", "f.yaml:3: nested more than 100 deep"),
    ],
)
def test_what_has_no_end_is_refused(text: str, says: str) -> None:
    with pytest.raises(errors.NotReadable, match=says):
        list(documents.parse(text, "f.yaml"))


def test_what_is_nested_as_deep_as_that_is_read() -> None:
    depth = 99
    (found,) = documents.parse(f"spec: {'[' * depth}{']' * depth}", "f.yaml")
    assert json.dumps(found.content).count("[") == depth


@pytest.mark.parametrize("form", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_do_not_multiply_without_end(form: str) -> None:
    lines = ["l0: &l0 {a: b}"]
    lines += [f"l{n}: &l{n} {form.format(', '.join([f'*l{n - 1}'] * 10))}" for n in range(1, 20)]
    with pytest.raises(errors.NotReadable, match="more than 100000 values"):
        list(documents.parse("\n".join(lines), "f.yaml"))

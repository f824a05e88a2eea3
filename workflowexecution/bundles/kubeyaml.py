"""YAML as Kubernetes reads it: what is pushed is what `kubectl apply` and `tkn` make of the file.

PyYAML follows YAML 1.1 to the letter, and Kubernetes' parser does not. That one has no numbers in
base 60 (`10:30` is text), and leaves dates and `=` as text; so it is here. Both take `yes` and `on`
for booleans, and `0644` for octal. `y` and `n`, `0o17`, `08` and `1e3` are booleans and numbers to
Kubernetes alone: they are refused, for whoever wrote them may have meant the text, which a field of
text needs. What is no JSON is refused too, and so are numbers and booleans as keys, of which that
parser makes texts (`on` is "true").

Source: `goyaml.v2/resolve.go` and `yaml.go` of kubernetes-sigs/yaml; JSON as Go writes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

import yaml

from workflowexecution.bundles import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    Members = dict[str, tuple[yaml.ScalarNode, yaml.Node]]

MAX_DEPTH: Final = 100
# Aliases of aliases make a short file endless. An object of so many values is none that etcd takes.
MAX_VALUES: Final = 100_000
_YAML: Final = "tag:yaml.org,2002:"
_TEXT, _LIST, _OBJECT, _MERGE = (f"{_YAML}{it}" for it in ("str", "seq", "map", "merge"))
_TAGS: Final[dict[type, str]] = {
    bool: f"{_YAML}bool", int: f"{_YAML}int", float: f"{_YAML}float", type(None): f"{_YAML}null",
    str: _TEXT,
}  # fmt: skip
_WORDS: Final[dict[str, bool | None]] = {
    form: meaning
    for words, meaning in (
        ("y yes true on", True),
        ("n no false off", False),
        ("null", None),
    )
    for word in words.split()
    for form in (word, word.capitalize(), word.upper())
} | {"": None, "~": None}
_INTEGER: Final = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"\.(nan|NaN|NAN)|[-+]?\.(inf|Inf|INF)")
_BASES: Final = {"x": 16, "b": 2}
# Of numbers that Go reads as integers; larger ones are floats.
_INTEGERS: Final = range(-(2**63), 2**64)
# Go writes a whole number without a point up to here.
_PLAIN_BELOW: Final = 1e21


def compose(text: str, file: str) -> Iterator[yaml.Node]:
    """The documents of a text.

    Raises:
        NotReadable: it is nested too deeply.
        yaml.YAMLError: it is not YAML.
    """
    loader = _Loader(text)
    loader.name = file
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node
    finally:
        loader.dispose()


def value(node: yaml.Node) -> Any:  # noqa: ANN401 - raw YAML
    """What a node is in JSON.

    Raises:
        NotReadable: there is no such JSON, or a key stands twice; the message names the line.
    """
    return _Reader().value(node, 0)


def members(node: yaml.MappingNode) -> Members:
    """The keys of an object and their values, with those that `<<` brings.

    Raises:
        NotReadable: a key is no text, or stands twice.
    """
    return _Reader().members(node, 0)


class _Loader(yaml.SafeLoader):
    """Makes nodes, whose tags are those that Kubernetes' parser would give them."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, if it is not too deep for what reads it by recursion."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            _refuse(self.peek_event(), _TOO_DEEP)  # type: ignore[no-untyped-call] # of the stubs
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:  # noqa: ANN401
        """The tag of a node that has none."""
        if kind is yaml.ScalarNode and implicit[0]:
            return _MERGE if value == "<<" else _tag_of(value)
        tag: str = super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call] # the same
        return tag


@dataclass(slots=True)
class _Reader:
    """Reads one document, and counts what it reads, each alias anew."""

    _count: int = field(default=0, init=False)

    def value(self, node: yaml.Node, depth: int) -> Any:  # noqa: ANN401 - raw YAML
        """What a node is in JSON."""
        self._enter(node, depth)
        if isinstance(node, yaml.MappingNode) and node.tag == _OBJECT:
            found = self.members(node, depth)
            return {name: self.value(inner, depth + 1) for name, (_, inner) in found.items()}
        if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
            return [self.value(item, depth + 1) for item in node.value]
        if isinstance(node, yaml.ScalarNode) and node.tag in {*_TAGS.values(), _MERGE}:
            return _scalar(node)
        _refuse(node, f"JSON has no {_short(node.tag)}")

    def members(self, node: yaml.MappingNode, depth: int) -> Members:
        """The keys of an object and their values; of its own and what it merges the last wins."""
        own: Members = {}
        found: Members = {}
        for key, inner in node.value:
            if key.tag == _MERGE:
                # In a list of sources what is named first wins.
                for source in reversed(_sources(inner)):
                    self._enter(key, depth)
                    found |= self.members(source, depth + 1)
                continue
            name = _key(key)
            if name in own:
                first = own[name][0].start_mark.line + 1
                _refuse(key, f"the key {name} stands here again, after line {first}")
            found[name] = own[name] = (key, inner)
        return found

    def _enter(self, node: yaml.Node, depth: int) -> None:
        self._count += 1
        if depth >= MAX_DEPTH:
            _refuse(node, _TOO_DEEP)
        if self._count > MAX_VALUES:
            _refuse(node, f"more than {MAX_VALUES} values, aliases included")


_YAML_1_1: Final = yaml.resolver.Resolver()
_TOO_DEEP: Final = f"nested more than {MAX_DEPTH} deep"


def _sources(node: yaml.Node) -> list[yaml.MappingNode]:
    found = node.value if isinstance(node, yaml.SequenceNode) else [node]
    if not all(isinstance(it, yaml.MappingNode) for it in found):
        _refuse(node, "<< takes objects")
    return list(found)


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        _refuse(node, "a key is not text")
    if node.tag != _TEXT:
        _refuse(node, f"the key {node.value} is not text: quote it")
    return _text(node)


def _scalar(node: yaml.ScalarNode) -> bool | int | float | str | None:
    if node.tag in {_TEXT, _MERGE}:
        return _text(node)
    if _NO_NUMBER.fullmatch(node.value):
        _refuse(node, f"JSON has no {node.value}")
    meant = _tag_of(node.value)
    if meant != _TEXT and _is_text_in_yaml_1_1(node.value):
        why = f"{node.value} is a {_short(meant)} to Kubernetes, and text to others"
        _refuse(node, f"{why}: quote it, or write it plainly")
    found = _plain(node.value)
    if node.tag != meant and not (node.tag == _TAGS[float] and type(found) is int):
        _refuse(node, f"{node.value!r} is no {_short(node.tag)}")
    return found


def _is_text_in_yaml_1_1(text: str) -> bool:
    asked = (yaml.ScalarNode, text, (True, False))
    tag: str = _YAML_1_1.resolve(*asked)  # type: ignore[no-untyped-call] # of the stubs
    return tag == _TEXT


def _text(node: yaml.ScalarNode) -> str:
    text: str = node.value
    try:
        # JSON writes a character beyond 16 bits as two escapes, which PyYAML leaves apart.
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        _refuse(node, f"{text!a} holds half a character")


def _tag_of(text: str) -> str:
    return _TAGS[float] if _NO_NUMBER.fullmatch(text) else _TAGS[type(_plain(text))]


def _plain(text: str) -> bool | int | float | str | None:
    """What a text without quotes means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    digits = text if text[0] == "." else text.replace("_", "")
    if _INTEGER.fullmatch(digits) and (number := _integer(digits)) in _INTEGERS:
        return number
    if not _FLOAT.fullmatch(digits) or abs(found := float(digits)) == float("inf"):
        return text
    return int(found) if found.is_integer() and abs(found) < _PLAIN_BELOW else found


def _integer(digits: str) -> int:
    sign = -1 if digits[0] == "-" else 1
    body = digits.lstrip("+-").lower()
    if len(body) > 1 and body[0] == "0":
        base = _BASES.get(body[1], 8)
        return sign * int(body[2:] if body[1] in "xbo" else body, base)
    # Python refuses to read thousands of digits; that many are a float, whatever they are.
    return sign * int(body) if len(body) <= len(str(_INTEGERS.stop)) else _INTEGERS.stop


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_YAML)}" if tag.startswith(_YAML) else tag


def _refuse(where: yaml.Node | yaml.Event, why: str) -> NoReturn:
    mark: Any = where.start_mark
    message = f"{mark.name}:{mark.line + 1}: {why}"
    raise errors.NotReadable(message)

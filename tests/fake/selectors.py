"""Label and field selectors, as far as clients of the project use them."""

import re
from collections.abc import Callable, Mapping

from tests.fake import statuses
from tests.fake.resources import ResourceType
from tests.fake.statuses import JsonObject

Predicate = Callable[[JsonObject], bool]

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET_BASED = re.compile(rf"^(?P<key>{_NAME})\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALITY = re.compile(rf"^(?P<key>{_NAME})\s*(?P<op>==|=|!=)\s*(?P<value>[-A-Za-z0-9_.]*)$")
_EXISTS = re.compile(rf"^(?P<op>!?)(?P<key>{_NAME})$")
# Commas between requirements, not those between the parentheses of `in (a,b)`.
_SEPARATOR = re.compile(r",(?![^(]*\))")


def parse_labels(text: str) -> Predicate:
    """Return the test that a label selector stands for.

    Raises:
        StatusError: 400, the text is not a selector.
    """
    terms = [_parse_label_term(part.strip()) for part in _SEPARATOR.split(text) if part.strip()]

    def matches(item: JsonObject) -> bool:
        labels = item["metadata"].get("labels") or {}
        return all(term(labels) for term in terms)

    return matches


def _parse_label_term(text: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET_BASED.match(text):
        key = found["key"]
        values = {value.strip() for value in found["values"].split(",")}
        wanted = found["op"] == "in"
        return lambda labels: (labels.get(key) in values) == wanted
    if found := _EQUALITY.match(text):
        key, value, equal = found["key"], found["value"], found["op"] != "!="
        return lambda labels: (labels.get(key) == value) == equal
    if found := _EXISTS.match(text):
        key, present = found["key"], not found["op"]
        return lambda labels: (key in labels) == present
    raise statuses.bad_request(f"unable to parse requirement: {text}")


def parse_fields(text: str, resource: ResourceType) -> Predicate:
    """Return the test that a field selector stands for.

    Raises:
        StatusError: 400, the text is no selector or names a field that is not selectable.
    """
    terms: list[tuple[list[str], str, bool]] = []
    for part in filter(None, text.split(",")):
        found = re.match(r"^([A-Za-z0-9_.]+)(==|=|!=)(.*)$", part)
        if found is None:
            raise statuses.bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        field, sign, value = found.groups()
        if field not in {"metadata.name", "metadata.namespace", *resource.selectable}:
            raise statuses.bad_request(f"field label not supported: {field}")
        terms.append((field.split("."), value, sign != "!="))

    def matches(item: JsonObject) -> bool:
        return all((_field(item, path) == value) == equal for path, value, equal in terms)

    return matches


def _field(item: JsonObject, path: list[str]) -> str:
    value: object = item
    for part in path:
        value = value.get(part, "") if isinstance(value, dict) else ""
    return str(value)

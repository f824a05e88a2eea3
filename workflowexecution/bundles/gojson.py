"""How Go writes a Pipeline as JSON, byte for byte: what Tekton makes the checksum of.

A signature is over the text that Go's encoder makes of Tekton's own structs: their fields in their
order, empty ones left out or not, as `tekton-fields.json` says of each. What cannot be written
with certainty is refused.

Source: encoding/json of Go; `pkg/apis/pipeline/v1` of Tekton; `resource.Quantity` of Kubernetes.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from workflowexecution.api import duration
from workflowexecution.bundles import errors

_FIELDS: Final = Path(__file__).parent / "tekton-fields.json"
_EMPTY: Final[Mapping[str, object]] = {
    "string": "", "bool": False, "int": 0, "int32": 0, "int64": 0, "[]": [], "{}": {},
}  # fmt: skip
_QUANTITY: Final = re.compile(r"(?P<number>0|[1-9][0-9]*)(?P<unit>m|[kMGTPE]|[KMGTPE]i)?")
_ESCAPED: Final = {ord(it): f"\\u{ord(it):04x}" for it in "<>&\u2028\u2029"}


def write(kind: str, value: object) -> str:
    """Return the JSON of a struct.

    Args:
        kind: Its name in `tekton-fields.json`, like v1.PipelineSpec.
        value: As it stands in a manifest.

    Raises:
        BundleError: Something in it has no such field, or is not of the field's type, or is
            written in another form than Go's; the message names it.
    """
    return _struct(kind, value, kind.rpartition(".")[2])


def text(value: str) -> str:
    """Return the JSON of a string."""
    return json.dumps(value, ensure_ascii=False).translate(_ESCAPED)


@functools.cache
def _fields() -> Mapping[str, Sequence[tuple[str, str, str]]]:
    found: Mapping[str, Sequence[tuple[str, str, str]]] = json.loads(_FIELDS.read_bytes())
    return found


def _struct(kind: str, value: object, where: str) -> str:
    if not isinstance(value, Mapping):
        message = f"{where} is not an object"
        raise errors.BundleError(message)
    unknown = sorted(set(value) - {name for name, _, _ in _fields()[kind]})
    if unknown:
        message = f"{where} has no field {unknown[0]}"
        raise errors.BundleError(message)
    members = []
    for name, type_name, options in _fields()[kind]:
        given = value.get(name)
        if "omitempty" in options and _is_empty(type_name, options, given):
            continue
        members.append(f"{text(name)}:{_value(type_name, given, f'{where}.{name}')}")
    return "{" + ",".join(members) + "}"


def _is_empty(type_name: str, options: str, value: object) -> bool:
    """Tell whether Go leaves a member out; a struct never is, and a pointer only if it is none."""
    if type_name[0] == "*" or "omitzero" in options:
        return value is None
    empty = _EMPTY.get(type_name, _EMPTY.get(type_name[:2]))
    if empty is None:
        return False
    return value is None or (type(value) is type(empty) and value == empty)


def _value(type_name: str, value: object, where: str) -> str:
    if type_name[0] == "*":
        return "null" if value is None else _value(type_name[1:], value, where)
    if type_name[0] == "!":
        return _special(type_name[1:], value, where)
    if type_name[:2] == "[]":
        return _list(type_name[2:], value, where)
    if type_name[:2] == "{}":
        return _map(type_name[2:], value, where)
    if type_name in _EMPTY:
        return _plain(type_name, _EMPTY[type_name] if value is None else value, where)
    return _struct(type_name, {} if value is None else value, where)


def _list(item: str, value: object, where: str) -> str:
    if value is None:
        return "null"
    if not isinstance(value, list):
        message = f"{where} is not a list"
        raise errors.BundleError(message)
    found = (_item(item, it, f"{where}[{number}]") for number, it in enumerate(value))
    return "[" + ",".join(found) + "]"


def _map(item: str, value: object, where: str) -> str:
    if value is None:
        return "null"
    if not isinstance(value, Mapping):
        message = f"{where} is not an object"
        raise errors.BundleError(message)
    found = (f"{text(key)}:{_item(item, value[key], f'{where}.{key}')}" for key in sorted(value))
    return "{" + ",".join(found) + "}"


def _item(type_name: str, value: object, where: str) -> str:
    """Return the JSON of a member of a list or a map.

    Go would make an empty struct of null there, which Tekton then refuses.
    """
    if value is None and type_name in _fields():
        message = f"{where} is not an object"
        raise errors.BundleError(message)
    return _value(type_name, value, where)


def _plain(type_name: str, value: object, where: str) -> str:
    wanted = {"string": str, "bool": bool}.get(type_name, int)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        message = f"{where} is not of type {type_name}"
        raise errors.BundleError(message)
    return text(value) if isinstance(value, str) else json.dumps(value)


def _special(type_name: str, value: object, where: str) -> str:
    """Return the JSON of what writes itself."""
    match type_name, value:
        case "RawExtension", None:
            return "null"
        case "RawExtension", dict():
            # Passed on as it stands in the bundle, whose members are sorted.
            return json.dumps(
                value, sort_keys=True, separators=(",", ":"), ensure_ascii=False
            ).translate(_ESCAPED)
        case "ParamValue", str():
            return text(value)
        case "ParamValue", list():
            return _list("string", value, where)
        case "ParamValue", dict():
            return _map("string", value, where)
        case "IntOrString", str() | int():
            return _plain("string" if isinstance(value, str) else "int", value, where)
        case "Duration", str():
            return text(_duration(value, where))
        case "Quantity", str():
            return text(_quantity(value, where))
        case _:
            problem = f"{value!r} is no {type_name} in Go's form"
            message = f"{where} cannot be signed: {problem}"
            raise errors.BundleError(message)


def _duration(value: str, where: str) -> str:
    try:
        return duration.format_seconds(duration.parse(value))
    except ValueError as error:
        message = f"{where}: {error}"
        raise errors.BundleError(message) from error


def _quantity(value: str, where: str) -> str:
    """Return a quantity that has the only form in which Go writes it."""
    found = _QUANTITY.fullmatch(value)
    if found and (found["number"] == "0") <= (not found["unit"]):
        step = 1024 if (found["unit"] or "").endswith("i") else 1000
        if found["number"] == "0" or int(found["number"]) % step:
            return value
    message = f"{where}: {value!r} is not the short form of a quantity, like 500m"
    raise errors.BundleError(message)

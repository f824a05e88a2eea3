"""Objects of one cluster as objects of no cluster in particular.

What differs between two recordings of the same truth is given a fixed value; what tells something
is kept: which UIDs are equal, which container is which, the order of resourceVersions, and of times
the distance in whole seconds. The names are numbered in the order of their first appearance.
"""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workflowexecution.api import times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.kubectl import JsonObject

EPOCH = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)
MAX_TEXT = 4096
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_TIME = re.compile(r"\b2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_LOG_TIME = re.compile(r"\b(2\d{3})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d)\b")
_RESOLUTION = re.compile(r"\bbundles-[0-9a-f]{32}\b")
_VOLUME = re.compile(r"\b(kube-api-access-)[a-z0-9]{5}\b")
_PORT = re.compile(r"\b(127\.0\.0\.1:)[3-6]\d{4}\b")
_TOOK = re.compile(r"(Successfully pulled .* in |Image size: )[^\n\"]*")
_SIGNATURE = re.compile(r'("tekton\.dev/signature": ")[^"]*')
_POD_IP = re.compile(r"\b10\.213\.\d+\.\d+\b")
_WIDTH = 110
_DROPPED = frozenset({
    "managedFields",
    "featureFlags",
    "kubectl.kubernetes.io/last-applied-configuration",
})
# What is numbered by first appearance is first looked for where changes are rare.
_ORDER = (
    "case", "about", "workflowExecution", "pipelineRun", "taskRuns", "customRuns",
    "lastUnfinished", "resolutionRequests", "pods", "events", "logs",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """What names the machine in what it says."""

    namespace: str
    registry: str
    refusing: str
    node: str


def normalise(raw: JsonObject, machine: Machine) -> JsonObject:
    """The golden form of what was taken home."""
    raw = {key: value for key, value in raw.items() if key != "refusing"}
    raw["pods"] = [_pod(pod) for pod in raw["pods"]]
    events = [_event(event) for event in raw["events"] if not _is_noise(event)]
    raw["events"] = sorted(events, key=_event_order)
    raw["resolutionRequests"] = [_resolution(it) for it in raw["resolutionRequests"]]
    for kind in ("taskRuns", "customRuns", "resolutionRequests"):
        raw[kind] = sorted(raw[kind], key=_age)
    text = json.dumps(_ordered(_versions(_trimmed(raw))))
    for name, instead in (
        (machine.namespace, "kubernaut-workflows"),
        (machine.registry, "registry.example:5000"),
        (machine.refusing, "refusing.example:5000"),
        (machine.node, "node-1"),
    ):
        text = text.replace(name, instead)
    for replace in (_uids, _digests, _times, _odds):
        text = replace(text)
    done: JsonObject = json.loads(text)
    return done


def write(document: JsonObject) -> str:
    """A golden file's text: what fits on a line is on one."""
    return "\n".join(_lines(_ordered(document), "", "")) + "\n"


def _ordered(document: JsonObject) -> JsonObject:
    inside = json.loads(json.dumps(document, sort_keys=True))
    return {key: inside[key] for key in _ORDER if key in inside}


def _lines(value: Any, indent: str, name: str) -> Iterator[str]:  # noqa: ANN401 - raw JSON
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or len(indent) + len(name) + len(flat) <= _WIDTH:
        yield f"{indent}{name}{flat}"
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield f"{indent}{name}{opening}"
    members: list[tuple[str, Any]] = (
        [(f"{json.dumps(key)}: ", it) for key, it in value.items()]
        if isinstance(value, dict)
        else [("", it) for it in value]
    )
    for number, (key, item) in enumerate(members, start=1):
        *inner, last = _lines(item, f"{indent} ", key)
        yield from inner
        yield last + ("," if number < len(members) else "")
    yield f"{indent}{closing}"


def _trimmed(value: Any) -> Any:  # noqa: ANN401 - raw JSON
    """Without what no reader needs: field managers, feature flags, endless texts."""
    match value:
        case dict():
            dropped = {
                "managedFields",
                "featureFlags",
                "kubectl.kubernetes.io/last-applied-configuration",
            }
            return {key: _trimmed(it) for key, it in value.items() if key not in dropped}
        case list():
            return [_trimmed(it) for it in value]
        case str() if len(value) > MAX_TEXT:
            return f"{value[:64]}[{len(value)} characters in all]"
        case _:
            return value


def _pod(pod: JsonObject) -> JsonObject:
    """Of a pod's spec only what it asked for; its volumes and mounts are Tekton's own."""
    spec = pod["spec"]
    kept = {
        key: spec[key] for key in ("nodeName", "serviceAccountName", "restartPolicy") if key in spec
    }
    for part in ("initContainers", "containers"):
        kept[part] = [
            {key: it[key] for key in ("name", "image", "imagePullPolicy", "resources") if key in it}
            for it in spec.get(part, ())
        ]
    return {**pod, "spec": kept}


def _event(event: JsonObject) -> JsonObject:
    kept = ("type", "reason", "message", "count", "firstTimestamp", "lastTimestamp", "eventTime",
            "reportingComponent")  # fmt: skip
    about = event["involvedObject"]
    return {
        "involvedObject": {
            key: about[key] for key in ("kind", "name", "uid", "fieldPath") if key in about
        },
        **{key: event[key] for key in kept if event.get(key)},
    }


def _is_noise(event: JsonObject) -> bool:
    """Whether it is the hiccup of a kubelet that has much to do at a time."""
    return event["reason"] == "FailedMount" and "kube-api-access-" in event["message"]


def _event_order(event: JsonObject) -> tuple[str, ...]:
    about = event["involvedObject"]
    return (
        about["name"],
        # Of two forms, of which one has microseconds.
        (event.get("firstTimestamp") or event.get("eventTime") or "")[:19],
        about.get("fieldPath", ""),
        event["reason"],
        event.get("message", ""),
    )


def _resolution(request: JsonObject) -> JsonObject:
    status = {**request.get("status", {})}
    if status.get("data"):
        status["data"] = "[the pipeline, in base64]"
    return {**request, "status": status}


def _age(item: JsonObject) -> tuple[str, str]:
    return item["metadata"]["creationTimestamp"], item["metadata"]["name"]


def _versions(document: Any) -> Any:  # noqa: ANN401 - raw JSON
    found = sorted({int(it) for it in _find(document, "resourceVersion") if it.isdigit()})
    ranks = {str(version): str(rank) for rank, version in enumerate(found, start=1)}
    return _put(document, "resourceVersion", lambda it: ranks.get(it, it))


def _find(value: Any, key: str) -> Iterator[str]:  # noqa: ANN401 - raw JSON
    if isinstance(value, dict):
        for name, item in value.items():
            if name == key and isinstance(item, str):
                yield item
            else:
                yield from _find(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _find(item, key)


def _put(value: Any, key: str, change: Callable[[str], str]) -> Any:  # noqa: ANN401 - raw JSON
    if isinstance(value, dict):
        return {
            name: change(item) if name == key and isinstance(item, str) else _put(item, key, change)
            for name, item in value.items()
        }
    return [_put(item, key, change) for item in value] if isinstance(value, list) else value


def _uids(text: str) -> str:
    return _numbered(_UUID, text, lambda number: f"00000000-0000-4000-8000-{number:012d}")


def _digests(text: str) -> str:
    return _numbered(_DIGEST, text, lambda number: f"{number:064x}")


def _times(text: str) -> str:
    # A log in Go's own form.
    text = _LOG_TIME.sub(r"\1-\2-\3T\4Z", text)
    stamps = [_parse(found) for found in _TIME.findall(text)]
    first = min(stamps, default=EPOCH)

    def moved(found: re.Match[str]) -> str:
        return times.stamp(EPOCH + (_parse(found[0]) - first))

    return _TIME.sub(moved, text)


def _odds(text: str) -> str:
    text = _numbered(_RESOLUTION, text, lambda number: f"bundles-{number:032x}")
    text = _VOLUME.sub(r"\g<1>00000", text)
    text = _PORT.sub(r"\g<1>40000", text)
    text = _SIGNATURE.sub(r"\g<1>a signature", text)
    text = _TOOK.sub(r"\g<1>some time", text)
    return _numbered(_POD_IP, text, lambda number: f"192.0.2.{number}")


def _parse(stamp: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(stamp).replace(microsecond=0)


def _numbered(pattern: re.Pattern[str], text: str, name: Callable[[int], str]) -> str:
    known: dict[str, str] = {}
    return pattern.sub(lambda found: known.setdefault(found[0], name(len(known) + 1)), text)

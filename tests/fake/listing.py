"""Lists: selectors, versions and pages."""

import base64
import binascii
from collections.abc import Mapping

import orjson

from tests.fake import selectors, statuses
from tests.fake.paths import Target
from tests.fake.selectors import Predicate
from tests.fake.statuses import JsonObject
from tests.fake.storage import Key, Storage, key_of


def parse_selection(target: Target, query: Mapping[str, str]) -> Predicate:
    """Return the test for namespace, label and field selector together.

    Raises:
        StatusError: 400 for a selector that cannot be read.
    """
    labels = selectors.parse_labels(query.get("labelSelector", ""))
    fields = selectors.parse_fields(query.get("fieldSelector", ""), target.resource)
    namespace = target.namespace

    def selects(item: JsonObject) -> bool:
        inside = not namespace or item["metadata"].get("namespace", "") == namespace
        return inside and labels(item) and fields(item)

    return selects


def parse_version(text: str, *, code: int = 400) -> int:
    """Return a resourceVersion as a number; "" is 0.

    Raises:
        StatusError: it is no number. Lists answer 400, watches 500 without a reason.
    """
    if not text:
        return 0
    if text.isdecimal():
        return int(text)
    message = (
        f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
        "invalid syntax"
    )
    if code == 400:
        raise statuses.bad_request(f"invalid resource version: {message}")
    raise statuses.StatusError(code, "", message)


def build_list(
    storage: Storage, target: Target, query: Mapping[str, str], *, stale: int | None = None
) -> JsonObject:
    """Answer a list request; `stale` makes it a list of that past version.

    Raises:
        StatusError: 400, 410 (a page token from before a compaction), 504 (a future version).
    """
    version, start = _list_version(storage, query, stale)
    selects = parse_selection(target, query)
    found = [
        item
        for item in storage.items(target.resource, version=version)
        if key_of(item) > start and selects(item)
    ]
    limit = int(query.get("limit", "") or 0)
    metadata: JsonObject = {"continue": "", "resourceVersion": str(version)}
    if 0 < limit < len(found):
        metadata["continue"] = _write_token(version, key_of(found[limit - 1]))
        if not (query.get("labelSelector") or query.get("fieldSelector")):
            metadata["remainingItemCount"] = len(found) - limit
        found = found[:limit]
    return {
        "apiVersion": target.resource.api_version,
        "kind": f"{target.resource.kind}List",
        "metadata": metadata,
        "items": found,
    }


def _list_version(storage: Storage, query: Mapping[str, str], stale: int | None) -> tuple[int, Key]:
    token = query.get("continue", "")
    if token:
        version, start = _read_token(token)
        if version < storage.compacted:
            raise statuses.expired_continue()
        return version, start
    asked = parse_version(query.get("resourceVersion", ""))
    if asked > storage.version:
        raise statuses.version_too_large(asked, storage.version)
    if query.get("resourceVersionMatch") == "Exact":
        if asked < storage.compacted:
            message = "The resourceVersion for the provided list is too old."
            raise statuses.StatusError(410, "Expired", message)
        return asked, ("", "")
    return (storage.version if stale is None else stale), ("", "")


def _write_token(version: int, last: Key) -> str:
    raw = orjson.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": list(last)})
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, Key]:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        content = orjson.loads(raw)
        namespace, name = content["start"]
        return int(content["rv"]), (str(namespace), str(name))
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        message = f"invalid continue token: continue key is not valid: {error}"
        raise statuses.bad_request(message) from error

"""The checks of object metadata that clients run into."""

import re

from tests.fake import statuses
from tests.fake.resources import ResourceType
from tests.fake.statuses import JsonObject

_LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_MICRO_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$")

_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_TOTAL_ANNOTATIONS = 256 * 1024


def check_metadata(resource: ResourceType, item: JsonObject) -> None:
    """Check name, labels and the size of the annotations.

    Raises:
        StatusError: 422 with one cause per finding.
    """
    metadata = item["metadata"]
    name = metadata.get("name", "")
    causes: list[tuple[str, str, str]] = []
    if not name:
        text = "Required value: name or generateName is required"
        causes.append(("FieldValueRequired", text, "metadata.name"))
    elif len(name) > 253 or not _SUBDOMAIN.match(name):
        text = f'Invalid value: "{name}": {_SUBDOMAIN_TEXT}'
        causes.append(("FieldValueInvalid", text, "metadata.name"))
    for value in (metadata.get("labels") or {}).values():
        causes.extend(_check_label(value))
    sizes = (len(k) + len(v) for k, v in (metadata.get("annotations") or {}).items())
    if sum(sizes) > _TOTAL_ANNOTATIONS:
        text = f"Too long: may not be more than {_TOTAL_ANNOTATIONS} bytes"
        causes.append(("FieldValueTooLong", text, "metadata.annotations"))
    if causes:
        raise statuses.invalid(resource.group, resource.kind, name, *causes)


def _check_label(value: str) -> list[tuple[str, str, str]]:
    found = []
    if len(value) > 63:
        text = f'Invalid value: "{value}": must be no more than 63 bytes'
        found.append(("FieldValueInvalid", text, "metadata.labels"))
    if not _LABEL_VALUE.match(value):
        text = f'Invalid value: "{value}": {_LABEL_TEXT}'
        found.append(("FieldValueInvalid", text, "metadata.labels"))
    return found


def check_identity(resource: ResourceType, old: JsonObject, new: JsonObject) -> None:
    """Check what an update must not change.

    Raises:
        StatusError: 422 for another uid, or for a finalizer added to an object on its way out.
    """
    before, after = old["metadata"], new["metadata"]
    name = before["name"]
    if after.get("uid", before["uid"]) != before["uid"]:
        text = f'Invalid value: "{after["uid"]}": field is immutable'
        cause = ("FieldValueInvalid", text, "metadata.uid")
        raise statuses.invalid(resource.group, resource.kind, name, cause)
    if "deletionTimestamp" not in before:
        return
    known = before.get("finalizers") or []
    added = [each for each in after.get("finalizers") or [] if each not in known]
    if added:
        listed = ", ".join(f'"{each}"' for each in added)
        text = (
            "Forbidden: no new finalizers can be added if the object is being deleted, "
            f"found new finalizers []string{{{listed}}}"
        )
        cause = ("FieldValueForbidden", text, "metadata.finalizers")
        raise statuses.invalid(resource.group, resource.kind, name, cause)


def check_lease(new: JsonObject, _old: JsonObject | None) -> None:
    """Refuse what the real server refuses of a Lease: times need exactly six digits.

    Raises:
        StatusError: 400 for a time, 422 for a duration that is not positive.
    """
    spec = new.get("spec") or {}
    for field in ("acquireTime", "renewTime"):
        text = spec.get(field)
        if text is not None and not _MICRO_TIME.match(text):
            raise statuses.bad_request(
                f'Lease in version "v1" cannot be handled as a Lease: parsing time "{text}" as '
                f'"2006-01-02T15:04:05.000000Z07:00": cannot parse'
            )
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        text = f"Invalid value: {seconds}: must be greater than 0"
        cause = ("FieldValueInvalid", text, "spec.leaseDurationSeconds")
        raise statuses.invalid("coordination.k8s.io", "Lease", new["metadata"]["name"], cause)

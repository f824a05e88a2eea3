"""The marks of a claim: which object it was that was taken up, and where a run of it may be.

A backup brings back metadata and spec, and mostly no status. What comes back looks like an
execution that nobody has worked on, and would be run once more. Its mark names the UID that it had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workflowexecution.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workflowexecution.api.workflowexecution import ObjectMeta

_NONE: Mapping[str, str | None] = {}


def former_uid(metadata: ObjectMeta) -> str | None:
    """The UID under which this very name was taken up, where that was another object.

    A mark with another name is none: somebody has made a new execution out of an old one.
    """
    mark = metadata.annotations.get(names.ANNOTATION_CLAIMED)
    if mark is None:
        return None
    name, _, uid = mark.partition("/")
    return uid if name == metadata.name and uid != metadata.uid else None


def marks(metadata: ObjectMeta) -> Mapping[str, str | None]:
    """What the first write puts on; nothing where it stands already, or tells of another object.

    It takes off the place of a claim that was another object's: beside the mark of this one it
    would tell of a run that may be there.
    """
    mark = f"{metadata.name}/{metadata.uid}"
    if metadata.annotations.get(names.ANNOTATION_CLAIMED) == mark:
        return _NONE
    if former_uid(metadata) is not None:
        return _NONE
    put_on: dict[str, str | None] = {names.ANNOTATION_CLAIMED: mark}
    if names.ANNOTATION_CLAIMED_IN in metadata.annotations:
        put_on[names.ANNOTATION_CLAIMED_IN] = None
    return put_on


def namespace(name: str, uid: str, annotations: Mapping[str, str]) -> str:
    """Where the run of an object was to be created; empty where its own claim tells no place."""
    if annotations.get(names.ANNOTATION_CLAIMED) != f"{name}/{uid}":
        return ""
    return annotations.get(names.ANNOTATION_CLAIMED_IN, "")


def refusal(uid: str) -> str:
    """Why a copy is not run, and what is to be done about it."""
    return (
        "This is a copy, as from a backup, of an execution that was taken up before "
        f"(UID {uid or 'unknown'}), and its status is not there: what it asks for may have been "
        "done, so nothing is run. To have it run again, create an execution under another name, "
        f"or this one without the annotation {names.ANNOTATION_CLAIMED}"
    )

"""What a workflow is made of: its tasks and their steps, each with the path of its field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workflowexecution.bundles.documents import Document, FieldPath, JsonObject

# $(params.NAME), $(params["NAME"]), $(params['NAME'][*]), $(tasks.x.results.y), ...
REFERENCE = re.compile(r"\$\(([A-Za-z][^()\s]*)\)")
_PARAMETER = re.compile(r"""params(?:\.([A-Za-z0-9_-]+)|\[(?:"([^"]+)"|'([^']+)')\])""")


@dataclass(frozen=True, slots=True)
class Step:
    """A step, or a sidecar, which has the same fields.

    Attributes:
        template: what `stepTemplate` of its task gives it; empty for a sidecar.
        task: the name of its task.
    """

    path: FieldPath
    content: JsonObject
    template: JsonObject
    task: str
    is_sidecar: bool = False

    @property
    def title(self) -> str:
        """How a person calls it."""
        kind = "sidecar" if self.is_sidecar else "step"
        return f"{kind} {self.content.get('name') or self.path[-1]} of task {self.task}"

    def of(self, section: str, key: str) -> Any:  # noqa: ANN401 - raw YAML
        """A field of an object of its own, such as `securityContext`, else of its template's."""
        own = mapping(self.content.get(section))
        return own[key] if key in own else mapping(self.template.get(section)).get(key)


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a Pipeline, or a Task object of the bundle.

    Attributes:
        content: the entry of the Pipeline, whose `taskSpec` is `spec`; both are one in a Task.
        declared: parameters that its steps may name.
    """

    path: FieldPath
    name: str
    content: JsonObject
    spec_path: FieldPath
    spec: JsonObject | None
    declared: frozenset[str]
    is_entry: bool = True

    def steps(self) -> Iterator[Step]:
        """Its steps and sidecars."""
        spec = self.spec or {}
        template = mapping(spec.get("stepTemplate"))
        for index, step in enumerate(objects(spec.get("steps"))):
            yield Step((*self.spec_path, "steps", index), step, template, self.name)
        for index, sidecar in enumerate(objects(spec.get("sidecars"))):
            path = (*self.spec_path, "sidecars", index)
            yield Step(path, sidecar, {}, self.name, is_sidecar=True)


def tasks(document: Document) -> Iterator[Task]:
    """The tasks of a Pipeline, `finally` included, or the one that a Task is."""
    spec = mapping(document.content.get("spec"))
    own = declared(spec)
    if document.kind == "Task":
        yield Task(("spec",), document.name, spec, ("spec",), spec, own, is_entry=False)
        return
    for part in ("tasks", "finally"):
        for index, task in enumerate(objects(spec.get(part))):
            path: FieldPath = ("spec", part, index)
            inner = task.get("taskSpec")
            known = own | declared(inner) if isinstance(inner, dict) else own
            yield Task(
                path=path,
                name=str(task.get("name") or index),
                content=task,
                spec_path=(*path, "taskSpec"),
                spec=inner if isinstance(inner, dict) else None,
                declared=known,
            )


def declared(spec: JsonObject) -> frozenset[str]:
    """The names of the parameters that a Pipeline or a Task declares."""
    return frozenset(str(param.get("name")) for param in objects(spec.get("params")))


def mapping(value: object) -> JsonObject:
    """The value, if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[JsonObject]:
    """The objects of a list; those that are none count as empty, so that the indexes stay."""
    return [mapping(item) for item in value] if isinstance(value, list) else []


def texts(value: object, path: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    """All texts below a field."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, (*path, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts(inner, (*path, index))


def parameters_in(text: str) -> Iterator[str]:
    """The names of the parameters that a text refers to."""
    for reference in REFERENCE.findall(text):
        found = _PARAMETER.match(reference)
        if found:
            yield next(name for name in found.groups() if name)

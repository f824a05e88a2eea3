"""Checks a bundle by all rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workflowexecution.api import names
from workflowexecution.bundles import catalogue, checks, documents, image, parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workflowexecution.bundles.catalogue import Rule
    from workflowexecution.bundles.documents import Document, FieldPath


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A place where a rule is broken."""

    file: str
    line: int
    rule: str
    name: str
    severity: str
    path: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {field: getattr(self, field) for field in self.__slots__}


def check(bundle: Sequence[Document]) -> list[Finding]:
    """What is wrong with the objects of one bundle, in their order."""
    found = list(_of_bundle(bundle))
    for document in bundle:
        found.extend(_of_document(document))
    return sorted(found)


def _of_bundle(bundle: Sequence[Document]) -> Iterator[Finding]:
    if not bundle:
        return
    pipelines = [it for it in bundle if it.kind == "Pipeline"]
    if not any(it.name == names.PIPELINE_IN_BUNDLE for it in pipelines):
        first = (pipelines or bundle)[0]
        called = ", ".join(it.name for it in pipelines) or "none"
        message = f"no Pipeline is called {names.PIPELINE_IN_BUNDLE} ({called})"
        yield _finding(first, catalogue.NOT_CALLED_WORKFLOW, ("metadata", "name"), message)
    if len(bundle) > image.MAX_OBJECTS:
        message = f"{len(bundle)} objects are more than {image.MAX_OBJECTS}"
        yield _finding(bundle[image.MAX_OBJECTS], catalogue.NO_TEKTON_OBJECT, (), message)


def _of_document(document: Document) -> Iterator[Finding]:
    foreign = list(checks.no_tekton_object(document))
    if foreign:
        for path, message in foreign:
            yield _finding(document, catalogue.NO_TEKTON_OBJECT, path, message)
        return
    for rule, path, message in _broken(document):
        yield _finding(document, rule, path, message)


def _broken(document: Document) -> Iterator[tuple[Rule, FieldPath, str]]:
    if document.kind == "Pipeline":
        for rule, of_pipeline in checks.OF_PIPELINES:
            yield from ((rule, *found) for found in of_pipeline(document))
    for task in parts.tasks(document):
        for rule, of_task in checks.OF_TASKS:
            yield from ((rule, *found) for found in of_task(task))
        for step in task.steps():
            yield from _broken_by_step(step)


def _broken_by_step(step: parts.Step) -> Iterator[tuple[Rule, FieldPath, str]]:
    for rule, of_step in checks.OF_STEPS:
        yield from ((rule, *found) for found in of_step(step))


def _finding(document: Document, rule: Rule, path: FieldPath, message: str) -> Finding:
    return Finding(
        file=document.file,
        line=document.line_of(path),
        rule=rule.id,
        name=rule.name,
        severity=rule.severity.value,
        path=documents.path_text(path),
        message=message,
    )

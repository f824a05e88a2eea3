"""Which test proves which acceptance criterion: `python -m tests.support.requirements [--check]`.

docs/requirements.yaml has the criteria, the tests carry `@pytest.mark.requirement(id, criterion)`,
and docs/requirements.md is written from both. The markers are read from the source with `ast`, so
nothing is imported and no test runs.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
CRITERIA: Final = Path("docs/requirements.yaml")
DOCUMENT: Final = Path("docs/requirements.md")

LAYERS: Final = {
    "unit": "unit",
    "component": "component",
    "integration": "integration",
    "e2e": "end-to-end",
}
"""Folder under tests/ and its title; a marker anywhere else is a mistake."""
NEEDED: Final = ("unit", "integration", "e2e")
_MARKER: Final = "pytest.mark.requirement"
_HEAD: Final = """\
<!-- Written by `make docs` from docs/requirements.yaml and the tests; a test checks it. -->
# Requirements and their tests

Each acceptance criterion of the requirement documents, with the tests that prove it by kind of
test. **open** marks a kind of test that is asked for and does not exist yet, a dash one that is not
asked for. Component tests are never asked for: they are the fast way to the same proof.

"""


class MarkerError(Exception):
    """A marker cannot be read from the source."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One acceptance criterion; `layers` are the kinds of tests that are asked for."""

    text: str
    layers: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """What belongs together under one id."""

    id: str
    title: str
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A requirement document."""

    title: str
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """A marker: this test proves that criterion."""

    id: str
    criterion: str
    path: Path
    line: int
    test: str

    @property
    def layer(self) -> str:
        """The folder under tests/."""
        return self.path.parts[1]


Proofs = dict[tuple[str, str], list[Proof]]


def load(text: str) -> list[Document]:
    """The documents of docs/requirements.yaml."""
    return [
        Document(
            document["document"],
            tuple(_requirement(raw) for raw in document["requirements"]),
        )
        for document in yaml.safe_load(text)
    ]


def collect(root: Path) -> list[Proof]:
    """Every marker of the tests below a folder, by file and line.

    Raises:
        MarkerError: a marker's arguments are not two literal texts.
    """
    found: list[Proof] = []
    for path in sorted(root.glob("tests/**/*.py")):
        source = path.read_text("utf-8")
        if _MARKER in source:
            found += _Reader(path.relative_to(root), ast.parse(source)).proofs()
    return found


def problems(documents: Sequence[Document], proofs: Iterable[Proof]) -> Iterator[str]:
    """Each marker that names no criterion, or stands where no kind of test is."""
    known = {(it.id, criterion.text) for it in _all(documents) for criterion in it.criteria}
    of = {it.id: [criterion.text for criterion in it.criteria] for it in _all(documents)}
    for proof in proofs:
        where = f"{proof.path}:{proof.line}"
        if proof.id not in of:
            yield f"{where}: no requirement {proof.id!r}; there are {', '.join(of)}"
        elif (proof.id, proof.criterion) not in known:
            yield f"{where}: {proof.id} has no {proof.criterion!r}; it has {of[proof.id]}"
        if proof.layer not in LAYERS:
            yield f"{where}: a requirement is proved in tests/{{{','.join(LAYERS)}}} only"


def render(documents: Sequence[Document], proofs: Iterable[Proof]) -> str:
    """The text of docs/requirements.md."""
    by: Proofs = defaultdict(list)
    for proof in proofs:
        by[proof.id, proof.criterion].append(proof)
    lines = []
    for document in documents:
        lines += [f"## {document.title}", ""]
        for requirement in document.requirements:
            lines += _section(requirement, by)
    return _HEAD + _summary(documents, by) + "\n".join(lines).rstrip() + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write docs/requirements.md, or with --check tell whether it is current."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.requirements")
    parser.add_argument("--check", action="store_true", help="change nothing; 1 when it differs")
    check = parser.parse_args(argv).check
    documents = load((ROOT / CRITERIA).read_text("utf-8"))
    proofs = collect(ROOT)
    wrong = list(problems(documents, proofs))
    text = render(documents, proofs)
    target = ROOT / DOCUMENT
    if check and (not target.exists() or target.read_text("utf-8") != text):
        wrong.append(f"{DOCUMENT} is not current: run `make docs`")
    for problem in wrong:
        sys.stderr.write(f"{problem}\n")
    if not check:
        target.write_text(text, "utf-8")
    return int(bool(wrong))


def _requirement(raw: Mapping[str, Any]) -> Requirement:
    layers = tuple(raw.get("tests", NEEDED))
    criteria = []
    for item in raw["criteria"]:
        entry = {"text": item} if isinstance(item, str) else item
        asked = tuple(entry.get("tests", layers))
        criteria.append(Criterion(entry["text"], asked, entry.get("note", "")))
    return Requirement(raw["id"], raw["title"], tuple(criteria))


def _all(documents: Iterable[Document]) -> Iterator[Requirement]:
    return (requirement for document in documents for requirement in document.requirements)


class _Reader:
    """The markers of one file, `pytest.mark.requirement` also under a name the file gives it."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        self._path = path
        self._tree = tree
        self._names = {_MARKER}
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.value) == _MARKER:
                self._names |= {ast.unparse(target) for target in node.targets}

    def proofs(self) -> Iterator[Proof]:
        """Every marker, in the order of the file."""
        return self._inside(self._tree, "")

    def _inside(self, tree: ast.Module | ast.ClassDef, outer: str) -> Iterator[Proof]:
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in self._markers(node.decorator_list):
                    ident, criterion = self._arguments(call)
                    yield Proof(ident, criterion, self._path, call.lineno, outer + node.name)
            elif isinstance(node, ast.ClassDef):
                if next(self._markers(node.decorator_list), None) is not None:
                    msg = f"{self._path}:{node.lineno}: mark the tests of a class, not the class"
                    raise MarkerError(msg)
                yield from self._inside(node, f"{outer}{node.name}.")

    def _markers(self, decorators: Iterable[ast.expr]) -> Iterator[ast.Call]:
        for decorator in decorators:
            for node in ast.walk(decorator):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in self._names:
                    yield node

    def _arguments(self, call: ast.Call) -> tuple[str, str]:
        given = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
        texts = [value for value in given if isinstance(value, str)]
        if len(texts) != 2 or len(call.args) != 2 or call.keywords:
            msg = f"{self._path}:{call.lineno}: a marker is requirement(id, criterion), literally"
            raise MarkerError(msg)
        return texts[0], texts[1]


def _summary(documents: Sequence[Document], by: Proofs) -> str:
    rows = [
        "| document | criteria | proved as asked | partly | open |",
        "| --- | --- | --- | --- | --- |",
    ]
    for document in documents:
        counts = {"proved": 0, "partly": 0, "open": 0}
        for requirement in document.requirements:
            for criterion in requirement.criteria:
                counts[_state(criterion, by[requirement.id, criterion.text])] += 1
        cells = [document.title, str(sum(counts.values())), *map(str, counts.values())]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n\n"


def _state(criterion: Criterion, proofs: Sequence[Proof]) -> str:
    layers = {proof.layer for proof in proofs}
    if layers.issuperset(criterion.layers):
        return "proved"
    return "partly" if layers else "open"


def _section(requirement: Requirement, by: Proofs) -> list[str]:
    lines = [f"### {requirement.id}: {requirement.title}", ""]
    lines.append(f"| criterion | {' | '.join(LAYERS.values())} |")
    lines.append(f"| --- |{' --- |' * len(LAYERS)}")
    for criterion in requirement.criteria:
        proofs = by[requirement.id, criterion.text]
        cells = [_cell(criterion, layer, proofs) for layer in LAYERS]
        lines.append(f"| {_escaped(criterion.text)} | {' | '.join(cells)} |")
    lines.append("")
    for criterion in requirement.criteria:
        if criterion.note:
            lines += [f"*{_escaped(criterion.text)}*: {criterion.note}", ""]
    return lines


def _cell(criterion: Criterion, layer: str, proofs: Sequence[Proof]) -> str:
    tests = dict.fromkeys((proof.test, proof.path) for proof in proofs if proof.layer == layer)
    if tests:
        return "<br>".join(f"[{test}](../{path.as_posix()})" for test, path in sorted(tests))
    return "**open**" if layer in criterion.layers else "-"


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "\\|")


if __name__ == "__main__":
    raise SystemExit(main())

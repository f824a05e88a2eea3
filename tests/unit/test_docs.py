"""What the documents say is so, as far as a program can check it."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from workflowexecution import cli, config, settingkeys
from workflowexecution.adapters import place
from workflowexecution.api import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflowexecution"
CONFIGURATION = "docs/configuration.md"

_ROW = re.compile(
    r"^\| `(?P<key>[a-zA-Z.]+)` \| `(?P<default>[^`]*)` \| (?P<text>.+) \|$", re.MULTILINE
)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\((?!\w+:)([^)\s]+)\)")
_MAKE = re.compile(r"(?:^ *|`)make\s+([a-z0-9-]+)", re.MULTILINE)
_TARGET = re.compile(r"^([a-z0-9-]+):", re.MULTILINE)
_VARIABLE = re.compile(r"\bWE_[A-Z_]*[A-Z]\b")
_FRAGMENT = re.compile(r"[a-z0-9-]+\.(added|changed|deprecated|removed|fixed|security)\.md")


def documents() -> list[Path]:
    """Every Markdown file of the project, without hidden folders."""
    folders = [it for it in ROOT.iterdir() if it.is_dir() and not it.name.startswith(".")]
    found = [*ROOT.glob("*.md"), *(path for it in folders for path in it.rglob("*.md"))]
    return sorted(path.relative_to(ROOT) for path in found)


@functools.cache
def text_of(path: Path | str) -> str:
    return (ROOT / path).read_text("utf-8")


def documented() -> dict[str, re.Match[str]]:
    """The rows of the configuration's tables, by key."""
    return {row["key"]: row for row in _ROW.finditer(text_of(CONFIGURATION))}


@pytest.mark.parametrize(
    ("key", "field"), [pytest.param(*it, id=it[0]) for it in settingkeys.known_keys()]
)
def test_setting_is_documented_with_its_default(key: str, field: FieldInfo) -> None:
    row = documented()[key]
    assert written(row["default"], field) == field.default


def test_documents_name_the_settings_that_are_reloaded() -> None:
    text = text_of(CONFIGURATION).split("## Changes while it runs\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`([a-z]+\.[a-zA-Z]+)`", text))
    assert named == settingkeys.RELOADED


def test_documented_settings_exist() -> None:
    assert set(documented()) == {key for key, _ in settingkeys.known_keys()}


def test_documented_variables_are_those_of_settings() -> None:
    names = {config.env_name(key) for key, _ in settingkeys.known_keys()} | {config.ENV_COOLDOWN}
    said = {name for path in documents() for name in _VARIABLE.findall(text_of(path))}
    assert said <= names


def test_every_flag_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    said = set(re.findall(r"--[a-z][a-z-]+", text_of(CONFIGURATION)))
    assert flags == said


@pytest.mark.parametrize("path", documents(), ids=str)
def test_make_targets_of_a_document_exist(path: Path) -> None:
    targets = set(_TARGET.findall(text_of("Makefile")))
    assert set(_MAKE.findall(text_of(path))) <= targets


@pytest.mark.parametrize("path", documents(), ids=str)
def test_links_of_a_document_lead_somewhere(path: Path) -> None:
    text = _CODE.sub("", prose(path))
    broken = [link for link in _LINK.findall(text) if not leads_somewhere(path, link)]
    assert broken == []


def test_decisions_are_all_in_the_index() -> None:
    notes = {it.name for it in (ROOT / "docs/adr").glob("[0-9]*.md")}
    assert {Path(link).name for link in _LINK.findall(text_of("docs/adr/README.md"))} == notes


def test_modules_are_all_on_the_map() -> None:
    modules = {it.relative_to(PACKAGE).as_posix() for it in PACKAGE.rglob("*.py")}
    said = set(re.findall(r"`([a-z_/]+\.py)`", text_of("ARCHITECTURE.md")))
    assert said == {it for it in modules if not it.endswith("__init__.py")}


@pytest.mark.parametrize("path", documents(), ids=str)
def test_log_of_several_pods_is_asked_for_whole(path: Path) -> None:
    """A Deployment stands for one of its pods, and with a selector kubectl shows ten lines."""
    asked = [*re.findall(r"`(kubectl logs[^`]*)`", text_of(path))]
    asked += re.findall(r"^ *(kubectl logs .*)$", text_of(path), re.MULTILINE)
    assert [it for it in asked if "deployment/" in it] == []
    assert [
        it for it in asked if " -l " in it and not {"--tail=-1", "--prefix"} <= set(it.split())
    ] == []


def test_log_lines_that_an_alert_names_are_written() -> None:
    text = " ".join(text_of("docs/alerts.md").split())
    named = set(re.findall(r"log lines? `([^`]+)`", text))
    code = "".join(it.read_text("utf-8") for it in PACKAGE.rglob("*.py"))
    assert [it for it in named if f'"{it}"' not in code] == []
    assert len(named) > 5


# What the program does about it by itself, and nobody needs to.
NOTHING_TO_DO = {
    # Events are for people to look at, and no record.
    "Events are lost at the stop",
    # The sweep comes back to it; what lasts is an error of every other read as well.
    "Execution cannot be read for its audit",
    # The others wait for the lease's end.
    "Lease is not given back",
    "Lease is not given back: work was cut off",
    # No API server sends such a thing.
    "Object without a name is skipped",
    "Watch event is too long and skipped",
    "Watch event of unknown type",
    # Of the runtime; no reconcile of this program ends so.
    "Reconcile cannot succeed",
    # Steps that follow one upon the other; the last of them is an error that is on a page.
    "Run does not leave resolution, Tekton is nudged",
    "Run of a deleted execution deleted after a failure",
    "Run that does not end is deleted",
}


def warnings() -> set[str]:
    """Every line that the program warns with."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="warning" | "error"), args=[line]):
                    # One that is put together could not be looked for.
                    assert isinstance(line, ast.Constant), ast.unparse(node)
                    found.add(str(line.value))
                case _:
                    pass
    return found


def test_warnings_that_ask_for_something_are_on_a_page() -> None:
    said = " ".join(" ".join(text_of(it).split()) for it in documents() if it.parts[0] == "docs")
    unsaid = {it for it in warnings() if f"`{it}`" not in said}
    assert unsaid == NOTHING_TO_DO


def test_warnings_of_the_table_are_written() -> None:
    text = text_of("docs/troubleshooting.md").split("## Warnings in the log\n")[1]
    cells = [row.split(" | ")[0] for row in text.splitlines() if row.startswith("| `")]
    named = {it for cell in cells for it in re.findall(r"`([^`]+)`", cell)}
    assert named <= warnings()
    assert len(named) > 20


async def test_every_trouble_with_the_place_of_runs_is_in_the_table() -> None:
    absent, shut = place.Place("…"), place.Place("…")
    absent.absent()
    shut.shut()
    text = text_of("docs/troubleshooting.md")
    assert [it.trouble for it in (absent, shut) if f"`{it.trouble}`" not in text] == []


def test_news_of_the_next_release_have_a_kind() -> None:
    names = {it.name for it in (ROOT / "changes").iterdir()} - {"README.md"}
    assert [name for name in names if not _FRAGMENT.fullmatch(name)] == []


def written(cell: str, field: FieldInfo) -> Any:  # noqa: ANN401 - of any setting
    """The value of a default as the document writes it."""
    is_duration = any(getattr(it, "func", None) is duration.seconds_of for it in field.metadata)
    if is_duration:
        return duration.parse(cell)
    value = yaml.safe_load(cell)
    if isinstance(field.default, str):
        return str(value)
    return tuple(value) if isinstance(value, list) else value


def prose(path: Path) -> str:
    return _FENCE.sub("", text_of(path))


def leads_somewhere(path: Path, link: str) -> bool:
    """Whether the file is there, and the heading in it."""
    file, _, anchor = link.partition("#")
    target = (ROOT / path.parent / file).resolve() if file else ROOT / path
    if not target.exists():
        return False
    return not anchor or anchor in set(anchors(target))


def anchors(path: Path) -> Iterator[str]:
    """The anchors that a hosting site makes of the headings."""
    for heading in re.findall(r"^#+ (.+)$", prose(path.relative_to(ROOT)), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")

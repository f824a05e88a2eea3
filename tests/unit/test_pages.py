"""The blocks of the documents: each is marked, and those that need no cluster are tried here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support import pages, reader
from workflowexecution import config
from workflowexecution.api import names
from workflowexecution.api.workflowexecution import WorkflowExecution

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.pages import Block, Page


def all_of(*kinds: str) -> list[Block]:
    return [block for it in pages.pages() for block in it.of(*kinds)]


@pytest.mark.parametrize("found", pages.pages(), ids=lambda it: it.name)
def test_every_block_of_a_page_is_marked(found: Page) -> None:
    for block in found.blocks:
        block.check_mark()


@pytest.mark.parametrize("found", pages.pages(), ids=lambda it: it.name)
def test_no_command_of_a_page_stands_outside_of_a_block(found: Page) -> None:
    """Indented, it would be seen by readers and by no test."""
    text = (pages.ROOT / found.name).read_text("utf-8")
    outside = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = r"^ {4,}(?:workflowexecution|kubectl|helm|docker|pip) .*"
    assert re.findall(indented, outside, re.MULTILINE) == []


@pytest.mark.parametrize(
    "found", [it for it in pages.pages() if it.of("offline")], ids=lambda it: it.name
)
def test_commands_of_a_page_that_need_no_cluster_work(found: Page, tmp_path: Path) -> None:
    with reader.reading(tmp_path, environment={}, words={}) as somebody:
        for block in found.of("offline"):
            somebody.follow(block)


@pytest.mark.parametrize("block", all_of("settings"), ids=lambda it: it.place)
def test_settings_of_a_page_are_taken(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(block.text)
    assert config.load(path, flags={}) is not None


@pytest.mark.parametrize("block", all_of("part", "object"), ids=lambda it: it.place)
def test_data_of_a_page_is_yaml(block: Block) -> None:
    documents = block.documents()
    assert documents
    for it in documents:
        if isinstance(it, dict) and it.get("kind") == names.KIND:
            WorkflowExecution.model_validate(it)


TEXT = """\
Text.

<!-- block: stack NAME=api, exit 1 -->
```sh
kubectl get NAME $NAME
```

1. Item:

   This needs docker:

   <!-- block: needs docker -->
   ```sh
   kind create cluster
   ```
"""


def test_block_says_what_becomes_of_it() -> None:
    first, second = pages.blocks(TEXT, "page.md")
    assert (first.kind, first.exit_code, first.values) == ("stack", 1, {"NAME": "api"})
    assert (second.kind, second.content) == ("needs", "kind create cluster\n")
    second.check_mark()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("```sh\nls\n```\n", "no mark"),
        ("<!-- block: object -->\n```sh\nls\n```\n", "object, wanted offline"),
        ("Text.\n\n<!-- block: needs docker -->\n```sh\nls\n```\n", "the reader is not told"),
        ("<!-- block: stack -->\n```yaml\na: 1\n```\n", "wanted object"),
        ("```\nls\n```\n", "no language"),
    ],
)
def test_block_without_a_word_on_itself_is_found(text: str, says: str) -> None:
    (block,) = pages.blocks(text, "page.md")
    with pytest.raises(pages.MarkError, match=says):
        block.check_mark()


def test_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    text = "```sh\n{}\n```\n"
    steps = ["mkdir inner; cd inner; export WORD=there", "pwd; echo $WORD", "false"]
    made = [pages.blocks(text.format(step), "page.md")[0] for step in steps]
    with reader.reading(tmp_path, environment={}, words={"there": "here"}) as somebody:
        somebody.follow(made[0])
        assert somebody.follow(made[1]).splitlines() == [str(tmp_path / "inner"), "here"]
        with pytest.raises(AssertionError, match=r"page\.md:1 ended with 1"):
            somebody.follow(made[2])


def test_reader_keeps_files_and_leaves_running_what_stays(tmp_path: Path) -> None:
    data = "<!-- block: object file a.yaml -->\n```yaml\na: 1\n```\n"
    stays = "<!-- block: stack stays running -->\n```sh\ntouch begun; exec sleep 99\n```\n"
    looks = "```sh\nuntil test -e begun; do sleep 0.01; done; cat a.yaml\n```\n"
    with reader.reading(tmp_path, environment={}, words={}) as somebody:
        for text in (data, stays):
            somebody.follow(pages.blocks(text, "page.md")[0])
        (process,) = somebody.running
        assert yaml.safe_load(somebody.follow(pages.blocks(looks, "page.md")[0])) == {"a": 1}
        assert process.poll() is None
    assert process.returncode is not None

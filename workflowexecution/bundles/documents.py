"""Files of objects, with the lines that their fields stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from workflowexecution.bundles import errors, kubeyaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

JsonObject = dict[str, Any]
FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file.

    Attributes:
        file: its name, as the user gave it.
        content: the object.
        node: the same as YAML has it, which knows the lines.
    """

    file: str
    content: JsonObject
    node: yaml.Node

    @property
    def kind(self) -> str:
        """Its kind; empty if it says none."""
        return _said(self.content.get("kind"))

    @property
    def name(self) -> str:
        """Its name; empty if it says none."""
        metadata = self.content.get("metadata")
        return _said(metadata.get("name")) if isinstance(metadata, dict) else ""

    def line_of(self, path: FieldPath) -> int:
        """The line of a field, from 1; of what is not there, that of what it would stand in."""
        node = self.node
        line = node.start_mark.line
        for part in path:
            found = _child(node, part)
            if found is None:
                break
            line, node = found
        return line + 1


def read(files: Iterable[Path]) -> list[Document]:
    """The objects of files, in their order.

    Raises:
        NotReadable: a file is not there, is not YAML, or holds something else than objects.
    """
    found: list[Document] = []
    for path in files:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            message = f"{path}: {error}"
            raise errors.NotReadable(message) from error
        found.extend(parse(text, str(path)))
    return found


def parse(text: str, file: str) -> Iterator[Document]:
    """The objects of a text.

    Raises:
        NotReadable: it is not YAML, holds something else than objects, or what is not JSON.
    """
    try:
        for node in kubeyaml.compose(text, file):
            content = kubeyaml.value(node)
            if content is None:
                continue
            if not isinstance(content, dict):
                message = f"{file}:{node.start_mark.line + 1}: an object is wanted"
                raise errors.NotReadable(message)
            yield Document(file, content, node)
    except yaml.YAMLError as error:
        message = f"{file}: {error}"
        raise errors.NotReadable(message) from error


def path_text(path: FieldPath) -> str:
    """A path as people write it: `spec.tasks[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def with_images(content: Any, images: Mapping[str, str]) -> Any:  # noqa: ANN401 - raw YAML
    """The same content, each `image` that is a key of `images` replaced by its value.

    A workflow that is handed on names its images by a word, and who pushes it says which they are.
    """
    if isinstance(content, list):
        return [with_images(item, images) for item in content]
    if not isinstance(content, dict):
        return content
    made = {key: with_images(value, images) for key, value in content.items()}
    image = made.get("image")
    if isinstance(image, str) and image in images:
        made["image"] = images[image]
    return made


def images_in(content: Any) -> Iterator[str]:  # noqa: ANN401 - raw YAML
    """What `with_images` could replace."""
    inner: Iterable[Any] = content if isinstance(content, list) else ()
    if isinstance(content, dict):
        inner = content.values()
        if isinstance(image := content.get("image"), str):
            yield image
    for value in inner:
        yield from images_in(value)


def _said(word: object) -> str:
    return "" if word is None else str(word)


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    """The line of a field, which is its key's, and its value."""
    if isinstance(node, yaml.MappingNode):
        found = kubeyaml.members(node).get(str(part))
        if found is not None:
            return found[0].start_mark.line, found[1]
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line, item
    return None

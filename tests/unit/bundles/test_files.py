"""References, files of objects, and the layout of a bundle."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from workflowexecution.bundles import documents, errors, image, reference

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = f"sha256:{'a' * 64}"
PIPELINE = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "workflow"}}


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("registry.example/workflows/a:1.0", "registry.example", "workflows/a", "1.0", ""),
        ("127.0.0.1:5000/a", "127.0.0.1:5000", "a", "", ""),
        ("[::1]:5000/a:v1", "[::1]:5000", "a", "v1", ""),
        (f"localhost/a/b__c@{DIGEST}", "localhost", "a/b__c", "", DIGEST),
    ],
)
def test_reference_is_read(text: str, host: str, repository: str, tag: str, digest: str) -> None:
    assert reference.parse(text) == reference.Reference(host, repository, tag, digest)


@pytest.mark.parametrize("text", ["", "busybox", "library/busybox", "r.example/A", "r.example/a:"])
def test_reference_names_its_registry(text: str) -> None:
    with pytest.raises(errors.BundleError, match="is not like registry"):
        reference.parse(text)


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [("localhost:5000", True), ("127.0.0.1", True), ("[::1]:5000", True), ("r.localhost", True),
     ("registry.example", False), ("127.0.0.1.example", False)],
)  # fmt: skip
def test_reference_tells_whether_it_is_here(host: str, *, is_loopback: bool) -> None:
    assert reference.Reference(host, "a").is_loopback is is_loopback


def test_reference_is_pinned_with_its_tag() -> None:
    assert reference.Reference("r.example", "a", "v1").pinned(DIGEST) == f"r.example/a:v1@{DIGEST}"
    assert reference.Reference("r.example", "a").pinned(DIGEST) == f"r.example/a@{DIGEST}"


def layers_of(packed: image.Image) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(packed.manifest)["layers"]
    return found


def test_image_has_a_layer_for_each_object() -> None:
    packed = image.build([PIPELINE, {**PIPELINE, "kind": "Task"}])
    kinds = [it["annotations"]["dev.tekton.image.kind"] for it in layers_of(packed)]
    assert kinds == ["pipeline", "task"]
    assert layers_of(packed)[0]["annotations"] == {
        "dev.tekton.image.name": "workflow",
        "dev.tekton.image.kind": "pipeline",
        "dev.tekton.image.apiVersion": "v1",
    }
    content = gzip.decompress(packed.blobs[layers_of(packed)[0]["digest"]])
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        (file,) = archive.getmembers()
        stream = archive.extractfile(file)
        assert stream is not None
        assert json.loads(stream.read()) == PIPELINE


def test_image_of_the_same_objects_has_the_same_digest() -> None:
    other = dict(reversed(PIPELINE.items()))
    assert image.build([PIPELINE]).digest == image.build([other]).digest
    assert image.build([PIPELINE]).digest == image.digest_of(image.build([PIPELINE]).manifest)


@pytest.mark.parametrize(
    ("objects", "says"),
    [
        ([], "holds 1 to 20 objects, not 0"),
        ([PIPELINE] * 21, "not 21"),
        ([PIPELINE, PIPELINE], "two objects are called Pipeline workflow"),
        ([{"kind": "Pipeline"}], "no apiVersion, no kind or no metadata.name"),
    ],
)
def test_image_refuses_what_tekton_would_not_read(objects: list[Any], says: str) -> None:
    with pytest.raises(errors.BundleError, match=says):
        image.build(objects)


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: [", "pipeline.yaml: while parsing"), ("--- 3\n", "pipeline.yaml:1: an object is wanted")],
)
def test_document_says_what_is_wrong_with_the_file(text: str, says: str) -> None:
    with pytest.raises(errors.NotReadable, match=says):
        list(documents.parse(text, "pipeline.yaml"))


def test_document_names_the_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(errors.NotReadable, match="No such file"):
        documents.read([tmp_path / "pipeline.yaml"])


def test_document_knows_the_lines_of_its_fields() -> None:
    text = "# head\nspec:\n  tasks:\n    - name: a\n    - name: b\n---\n---\nkind: Task\n"
    first, second = documents.parse(text, "pipeline.yaml")
    assert first.line_of(("spec", "tasks", 1, "name")) == 5
    assert first.line_of(("spec", "tasks", 7)) == 3
    assert first.line_of(()) == 2
    assert (second.kind, second.name, second.line_of(("kind",))) == ("Task", "", 8)


def test_images_are_replaced_wherever_they_stand() -> None:
    content = {"steps": [{"image": "tools", "env": [{"name": "image", "value": "tools"}]}]}
    made = documents.with_images(content, {"tools": "r.example/tools:1"})
    assert made["steps"][0]["image"] == "r.example/tools:1"
    assert made["steps"][0]["env"] == [{"name": "image", "value": "tools"}]

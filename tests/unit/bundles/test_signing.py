"""Signing Pipelines: the checksum is Tekton's own, and what cannot be signed is refused by name.

The checksums are those that `tests/stack/tektontypes` prints with the code of Tekton itself.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.support import keys
from workflowexecution.api import names
from workflowexecution.bundles import errors, signing

LTS, NEWEST = "v1.9.6", "v1.15.1"
RICH = Path(__file__).parent / "pipeline.json"


def pipeline(**task: Any) -> dict[str, Any]:  # noqa: ANN401 - raw JSON
    spec = {"tasks": [{"name": "work", **task}]}
    metadata = {"name": "workflow"}
    return {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": metadata, "spec": spec}


def with_step(**step: Any) -> dict[str, Any]:  # noqa: ANN401 - raw JSON
    return pipeline(taskSpec={"steps": [{"image": "i", **step}]})


def annotated(annotations: object) -> dict[str, Any]:
    return {**pipeline(), "metadata": {"name": "workflow", "annotations": annotations}}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v1.9.6", "8017a9eee44728057fdd92d6a84ca1cc8aa1c0943261b4e26808ce6e49d2a568"),
        ("v1.15.1", "0867443bbbc4c077482c26cd027b15fce47ea0f5c4408d5639fed9889c5727ea"),
    ],
)
def test_checksum_is_the_one_that_tekton_makes(version: str, expected: str) -> None:
    assert signing.checksum(json.loads(RICH.read_text()), tekton=version).hex() == expected


def test_signature_is_over_the_checksum_and_replaces_an_older_one() -> None:
    key = keys.generate()
    unsigned = pipeline(taskRef={"name": "t"})
    signed = signing.sign(unsigned, key, tekton=LTS)
    again = signing.sign(signed, key, tekton=LTS)
    assert names.ANNOTATION_SIGNATURE not in unsigned["metadata"].get("annotations", {})
    for made in (signed, again):
        signature = base64.b64decode(made["metadata"]["annotations"][names.ANNOTATION_SIGNATURE])
        digest = signing.checksum(made, tekton=LTS)
        key.public_key().verify(signature, digest, ec.ECDSA(hashes.SHA256()))
        other = keys.generate().public_key()
        with pytest.raises(InvalidSignature):
            other.verify(signature, digest, ec.ECDSA(hashes.SHA256()))


def test_a_key_of_the_other_kind_signs_too() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    signed = signing.sign(pipeline(taskRef={"name": "t"}), key, tekton=NEWEST)
    signature = base64.b64decode(signed["metadata"]["annotations"][names.ANNOTATION_SIGNATURE])
    key.public_key().verify(signature, signing.checksum(signed, tekton=NEWEST))


def test_what_is_signed_for_one_version_is_not_for_one_beyond_the_border() -> None:
    made = pipeline(taskRef={"name": "t"})
    sums = {it: signing.checksum(made, tekton=it) for it in ("v1.0.0", "v1.9.9", "v1.10.0", "v2.0")}
    assert sums["v1.0.0"] == sums["v1.9.9"] != sums["v1.10.0"] == sums["v2.0"]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        pytest.param({**pipeline(), "kind": "Task"}, "only a Pipeline", id="kind"),
        pytest.param(pipeline(taskRefs={}), r"tasks\[0\] has no field taskRefs", id="field"),
        pytest.param(pipeline(retries="2"), r"tasks\[0\].retries is not of type int", id="type"),
        pytest.param(pipeline(retries=True), "retries is not of type int", id="bool"),
        pytest.param(pipeline(runAfter="a"), r"runAfter is not a list", id="list"),
        pytest.param(pipeline(taskSpec=[]), "taskSpec is not an object", id="object"),
        pytest.param(pipeline(taskRef={}), "work: taskRef needs name or resolver", id="ref"),
        pytest.param(pipeline(timeout="soon"), "timeout: 'soon' is not a duration", id="duration"),
        pytest.param(pipeline(timeout=5), "timeout cannot be signed: 5", id="no-duration"),
        pytest.param(
            with_step(computeResources={"limits": {"memory": "1024Mi"}}),
            r"limits.memory: '1024Mi' is not the short form",
            id="quantity",
        ),
        pytest.param(
            with_step(computeResources={"limits": []}), "limits is not an object", id="map"
        ),
        pytest.param(
            {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "spec": {}},
            "a Pipeline without metadata",
            id="no-metadata",
        ),
        pytest.param({**pipeline(), "metadata": "a"}, "without metadata", id="metadata"),
        pytest.param({**pipeline(), "metadata": {"name": 5}}, "name is not of type", id="name"),
        pytest.param(
            {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "a"}},
            "PipelineSpec is not an object",
            id="no-spec",
        ),
        pytest.param(annotated(["a"]), "annotations is not an object", id="annotations"),
        pytest.param(annotated({"a": 5}), "annotations.a is not of type", id="annotation"),
        pytest.param(pipeline(params=[None]), r"params\[0\] is not an object", id="null"),
        pytest.param(
            pipeline(taskSpec={"results": [{"name": "a", "properties": {"b": None}}]}),
            "properties.b is not an object",
            id="null-property",
        ),
    ],
)
def test_what_cannot_be_signed_is_refused_by_its_name(made: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.BundleError, match=message):
        signing.checksum(made, tekton=LTS)


@pytest.mark.parametrize("quantity", ["0", "1", "500m", "24Mi", "1500M", "1000Ki"])
def test_quantities_in_their_short_form_are_signed(quantity: str) -> None:
    made = with_step(computeResources={"limits": {"memory": quantity}})
    assert len(signing.checksum(made, tekton=LTS)) == 32


def test_a_pipeline_with_empty_metadata_is_signed_as_one_without() -> None:
    empty = {**pipeline(), "metadata": {"name": "workflow", "annotations": None, "labels": None}}
    signed = signing.sign(empty, keys.generate(), tekton=LTS)
    assert list(signed["metadata"]["annotations"]) == [names.ANNOTATION_SIGNATURE]
    assert signing.checksum(signed, tekton=LTS) == signing.checksum(pipeline(), tekton=LTS)
    assert empty["metadata"] == {"name": "workflow", "annotations": None, "labels": None}

"""The WorkflowExecution: metadata, spec, status.

The CRD is generated from these models. The API server has checked an object by that schema; one
that got past it (an old CRD, a relaxed one) is read leniently, to be told what is wrong with it.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import pydantic
from pydantic import Field

from workflowexecution.api import duration, formats
from workflowexecution.api import raw as rawjson
from workflowexecution.api.status import Status, Time, WireModel

if TYPE_CHECKING:
    from collections.abc import Mapping

_KIND = r"[A-Za-z]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
TARGET_PATTERN = rf"^({formats.LABEL}/)?{_KIND}/{formats.SUBDOMAIN}$"
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$"
IMAGE_PATTERN = r"^\S+$"
# Looser than a name: the settings list what may stand there.
ACCOUNT_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

# What a pattern cannot say, in CEL, which only the API server evaluates.
_TIMEOUT_RULE: dict[str, pydantic.JsonValue] = {
    # Behind the pattern again: both are evaluated, and CEL's own complaint would be no help.
    "rule": f"!self.matches(r'{DURATION_PATTERN}') || "
    "(duration(self) >= duration('1s') && duration(self) <= duration('24h'))",
    "message": "must be between 1s and 24h",
}
_TARGET_NAME_RULE: dict[str, pydantic.JsonValue] = {
    "rule": f"self.substring(self.lastIndexOf('/') + 1).size() <= {formats.MAX_NAME}",
    "message": f"its name must not be longer than {formats.MAX_NAME} characters",
}

Duration = Annotated[
    float,
    pydantic.BeforeValidator(duration.seconds_of),
    pydantic.PlainSerializer(duration.format_seconds, return_type=str),
    pydantic.WithJsonSchema({
        "type": "string",
        "maxLength": 64,
        "pattern": DURATION_PATTERN,
        "x-kubernetes-validations": [_TIMEOUT_RULE],
    }),
]
"""Seconds here, Go's duration text on the wire."""


ModelT = TypeVar("ModelT", bound=WireModel)


class Engine(StrEnum):
    """What runs a workflow."""

    TEKTON = "tekton"


class ObjectReference(WireModel):
    """core/v1 ObjectReference."""

    api_version: Annotated[str, Field(max_length=253)] | None = None
    kind: Annotated[str, Field(max_length=63)] | None = None
    namespace: Annotated[str, Field(max_length=63)] | None = None
    name: Annotated[str, Field(max_length=formats.MAX_NAME)] | None = None
    uid: Annotated[str, Field(max_length=128)] | None = None
    resource_version: Annotated[str, Field(max_length=128)] | None = None
    field_path: Annotated[str, Field(max_length=253)] | None = None


class WorkflowRef(WireModel):
    """Which workflow, and where its bundle is."""

    workflow_id: str = Field(min_length=1, max_length=253, description="Id in the catalog.")
    version: str = Field(min_length=1, max_length=128, description="Version in the catalog.")
    container_image: str = Field(
        min_length=1,
        max_length=1024,
        pattern=IMAGE_PATTERN,
        description="OCI reference of the Tekton bundle.",
    )
    container_digest: str | None = Field(
        None,
        max_length=71,
        pattern=rf"^{formats.DIGEST}$",
        description="Digest of the reviewed bundle; the run is pinned to it.",
    )
    engine: Engine = Field(Engine.TEKTON, description="What runs it.")


class ExecutionConfig(WireModel):
    """How it is run."""

    timeout: Duration | None = Field(
        None, description="Of the whole run, 1s to 24h; the controller's default when absent."
    )
    service_account_name: str | None = Field(
        None,
        min_length=1,
        max_length=formats.MAX_NAME,
        pattern=ACCOUNT_PATTERN,
        description="Account of the steps, if the controller allows it.",
    )


class Cancel(WireModel):
    """A person or program asks that it ends now. May be set once."""

    requested_by: str = Field(min_length=1, max_length=253)
    reason: str = Field(min_length=1, max_length=1024)


class Spec(WireModel):
    """What is asked for. It cannot change after creation, but for cancel, which may be set once."""

    remediation_request_ref: ObjectReference = Field(
        description="The remediation this belongs to; its name correlates audit records."
    )
    workflow_ref: WorkflowRef
    target_resource: str = Field(
        min_length=1,
        max_length=formats.MAX_TARGET,
        pattern=TARGET_PATTERN,
        description="namespace/kind/name, or kind/name of a cluster-scoped resource.",
        json_schema_extra={"x-kubernetes-validations": [_TARGET_NAME_RULE]},
    )
    parameters: dict[str, str] | None = Field(
        None, description="Passed to the run unchanged; names are UPPER_SNAKE_CASE by custom."
    )
    confidence: float | None = Field(
        None, ge=0, le=1, description="Of whoever chose the workflow; informational."
    )
    rationale: str | None = Field(None, max_length=16384, description="Informational.")
    execution_config: ExecutionConfig | None = None
    cancel: Cancel | None = None


class ObjectMeta(WireModel):
    """The part of metav1.ObjectMeta that is read."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 1
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class WorkflowExecution(WireModel):
    """One remediation workflow, to be run once against one target."""

    metadata: ObjectMeta
    spec: Spec
    status: Status = Field(default_factory=Status)


def parse_execution(raw: Mapping[str, Any]) -> WorkflowExecution:
    """The model of an object as the API gives it.

    Raises:
        pydantic.ValidationError: it is not what the schema says; see `describe_errors`.
    """
    return WorkflowExecution.model_validate(raw)


def parse_leniently(raw: Mapping[str, Any]) -> WorkflowExecution:
    """The model of an object whose spec or status cannot be read, as far as it can be.

    What cannot be read is empty: enough to say in its status what is wrong with it.
    """
    metadata = rawjson.mapping(raw.get("metadata"))
    return WorkflowExecution(
        # Without its UID and namespace a run would be nobody's: one odd member costs no other.
        metadata=_readable(ObjectMeta, {**metadata, "name": rawjson.text(metadata.get("name"))}),
        spec=_readable_spec(raw),
        status=_readable(Status, rawjson.mapping(raw.get("status"))),
    )


def parse_readable(raw: Mapping[str, Any]) -> WorkflowExecution:
    """The model of an object: all of it, or as much as can be read."""
    try:
        return parse_execution(raw)
    except pydantic.ValidationError:
        return parse_leniently(raw)


def describe_errors(error: pydantic.ValidationError) -> list[str]:
    """One sentence for each fault, beginning with the field as it is written on the wire."""
    return [
        f"{'.'.join(str(part) for part in detail['loc'])}: "
        f"{detail['msg'].removeprefix('Value error, ')}"
        for detail in error.errors(include_url=False, include_input=False)
    ]


def _readable_spec(raw: Mapping[str, Any]) -> Spec:
    """The spec in full or, where it has a fault, what names the execution to people."""
    try:
        return Spec.model_validate(raw.get("spec"))
    except pydantic.ValidationError:
        spec = rawjson.mapping(raw.get("spec"))
        reference = rawjson.mapping(spec.get("workflowRef"))
        remediation = rawjson.mapping(spec.get("remediationRequestRef"))
        return Spec.model_construct(
            remediation_request_ref=ObjectReference.model_construct(
                name=rawjson.text(remediation.get("name")) or None
            ),
            workflow_ref=WorkflowRef.model_construct(
                workflow_id=rawjson.text(reference.get("workflowId")),
                version=rawjson.text(reference.get("version")),
                container_image=rawjson.text(reference.get("containerImage")),
                container_digest=_readable_digest(reference.get("containerDigest")),
            ),
            target_resource=rawjson.text(spec.get("targetResource")),
            cancel=_readable_cancel(spec.get("cancel")),
        )


def _readable_digest(value: object) -> str | None:
    """What the run is pinned to holds, too."""
    text = rawjson.text(value)
    return text if re.fullmatch(formats.DIGEST, text) else None


def _readable_cancel(value: object) -> Cancel | None:
    """What asks for the end holds whatever else of the spec cannot be read."""
    try:
        return Cancel.model_validate(value) if value is not None else None
    except pydantic.ValidationError:
        return None


def _readable(model: type[ModelT], members: Mapping[str, Any]) -> ModelT:
    """The model without its faulty members; a member is all or nothing."""
    try:
        return model.model_validate(members)
    except pydantic.ValidationError as error:
        faulty = {detail["loc"][0] for detail in error.errors(include_url=False)}
        return model.model_validate({k: v for k, v in members.items() if k not in faulty})

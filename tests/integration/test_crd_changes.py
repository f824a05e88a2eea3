"""The spec after creation: nothing changes but cancel, which is set once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.fake import kinds
from tests.integration import objects
from tests.integration.objects import REMOVED

if TYPE_CHECKING:
    from tests.fake.api import Reply
    from tests.integration.world import World

CANCEL = {"requestedBy": "alice", "reason": "it makes things worse"}
OPTIONAL = {
    "parameters": {"REPLICAS": "4"},
    "confidence": 0.5,
    "rationale": "another one",
    "executionConfig": {"timeout": "11m"},
}
INNER = {
    "spec.remediationRequestRef.name": "rr-2",
    "spec.remediationRequestRef.namespace": REMOVED,
    "spec.remediationRequestRef.uid": "6f0e",
    "spec.workflowRef.workflowId": "delete-everything",
    "spec.workflowRef.version": "1.0.1",
    "spec.workflowRef.containerImage": "registry.example/workflows/other:v1",
    "spec.workflowRef.containerDigest": objects.OTHER_DIGEST,
    "spec.workflowRef.containerDigest-removed": REMOVED,
    "spec.targetResource": "payment/deployment/other",
    "spec.parameters.REPLICAS": "4",
    "spec.parameters.MODE": REMOVED,
    "spec.parameters.MORE": "1",
    "spec.confidence": 0.91,
    "spec.rationale": "Out of memory twice",
    "spec.executionConfig.timeout": "600s",
    "spec.executionConfig.timeout-removed": REMOVED,
    "spec.executionConfig.serviceAccountName": objects.OTHER_ACCOUNT,
}


async def replace(world: World, path: str, value: object) -> Reply:
    """Read, change one field, write the whole object back."""
    now = await world.read("restart")
    body = objects.changed(now, path, value)
    item = kinds.EXECUTIONS.path(world.namespace, "restart")
    return await world.api.request("PUT", item, body=body)


def assert_immutable(reply: Reply, field: str) -> None:
    """A 422 whose cause names the field of the spec, and says that it cannot change."""
    assert reply.status == 422, reply.raw
    (cause,) = reply.body["details"]["causes"]
    assert cause["field"] == f"spec.{field}"
    assert f"{field} cannot change after creation" in cause["message"]


@pytest.mark.parametrize(("path", "value"), INNER.items(), ids=INNER)
async def test_spec_is_refused_when_a_value_changes(world: World, path: str, value: object) -> None:
    await world.create(objects.execution())
    path = path.removesuffix("-removed")
    assert_immutable(await replace(world, path, value), path.split(".")[1])


@pytest.mark.parametrize("field", OPTIONAL)
async def test_spec_is_refused_when_an_optional_field_is_removed(world: World, field: str) -> None:
    await world.create(objects.execution())
    assert_immutable(await world.change("restart", {"spec": {field: None}}), field)


@pytest.mark.parametrize(("field", "value"), OPTIONAL.items(), ids=OPTIONAL)
async def test_spec_is_refused_when_an_optional_field_is_added(
    world: World, field: str, value: object
) -> None:
    await world.create(objects.changed(objects.execution(), f"spec.{field}", REMOVED))
    assert_immutable(await world.change("restart", {"spec": {field: value}}), field)


@pytest.mark.parametrize("field", ["remediationRequestRef", "workflowRef", "targetResource"])
async def test_spec_is_refused_when_a_required_field_is_removed(world: World, field: str) -> None:
    await world.create(objects.execution())
    reply = await world.change("restart", {"spec": {field: None}})
    assert reply.status == 422
    assert f"spec.{field}: Required value" in reply.body["message"]


async def test_spec_is_refused_when_it_is_removed(world: World) -> None:
    await world.create(objects.execution())
    reply = await world.change("restart", {"spec": None})
    assert reply.status == 422
    assert "spec: Required value" in reply.body["message"]


async def test_spec_is_kept_when_it_is_written_back_unchanged(world: World) -> None:
    before = await world.create(objects.execution())
    after = (await replace(world, "metadata.labels", {"team": "payment"})).accept()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == 1


async def test_cancel_is_accepted_when_it_is_set_later(world: World) -> None:
    await world.create(objects.execution())
    after = (await world.change("restart", {"spec": {"cancel": CANCEL}})).accept()
    assert after["spec"]["cancel"] == CANCEL
    assert after["metadata"]["generation"] == 2


async def test_cancel_is_accepted_when_it_is_there_from_the_start(world: World) -> None:
    made = await world.create(objects.execution(cancel=CANCEL))
    assert made["spec"]["cancel"] == CANCEL


CANCEL_CHANGES: dict[str, Any] = {
    "requestedBy": {"requestedBy": "bob"},
    "reason": {"reason": "on second thought"},
    "removed": None,
}


@pytest.mark.parametrize("change", CANCEL_CHANGES.values(), ids=CANCEL_CHANGES)
async def test_cancel_is_refused_when_it_changes_once_it_is_set(
    world: World, change: object
) -> None:
    await world.create(objects.execution(cancel=CANCEL))
    reply = await world.change("restart", {"spec": {"cancel": change}})
    assert reply.status == 422
    (cause,) = reply.body["details"]["causes"]
    assert cause["field"] == "spec.cancel"
    assert "cancel can be set once and then neither changed nor removed" in cause["message"]


async def test_cancel_is_refused_when_something_else_changes_with_it(world: World) -> None:
    await world.create(objects.execution())
    patch = {"spec": {"cancel": CANCEL, "targetResource": "payment/deployment/other"}}
    assert_immutable(await world.change("restart", patch), "targetResource")


async def test_status_is_not_written_when_the_object_itself_is(world: World) -> None:
    await world.create({**objects.execution(), "status": {"phase": "Completed"}})
    patch = {"status": {"phase": "Completed"}, "metadata": {"labels": {"team": "payment"}}}
    after = (await world.change("restart", patch)).accept()
    assert "status" not in after


async def test_spec_is_not_written_when_the_status_is(world: World) -> None:
    await world.create(objects.execution())
    patch = {"status": {"phase": "Running"}, "spec": {"targetResource": "a/b/c"}}
    reply = await world.api.patch(
        kinds.EXECUTIONS, world.namespace, "restart", patch, subresource="status"
    )
    after = reply.accept()
    assert after["status"] == {"phase": "Running"}
    assert after["spec"]["targetResource"] == "payment/deployment/restart"

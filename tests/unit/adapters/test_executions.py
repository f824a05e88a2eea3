import pytest

from tests.unit.adapters import fakes
from workflowexecution.adapters import executions
from workflowexecution.runtime import errors

ANSWER = {"metadata": {"uid": "u", "resourceVersion": "8"}}


@pytest.fixture
def bed() -> fakes.Bed:
    return fakes.Bed()


def writer(bed: fakes.Bed) -> executions.Executions:
    return executions.Executions(client=bed.client, freshness=bed.freshness)


async def test_patch_carries_the_version_it_was_decided_on(bed: fakes.Bed) -> None:
    bed.client.answer = ANSWER
    changes = {"metadata": {"finalizers": ["f"]}}
    assert await writer(bed).patch(fakes.KEY, changes, resource_version="7") == "8"
    body = {"metadata": {"finalizers": ["f"], "resourceVersion": "7"}}
    assert bed.client.calls == [("patch", executions.EXECUTIONS, fakes.KEY, body, "")]
    assert changes == {"metadata": {"finalizers": ["f"]}}


async def test_patch_status_goes_to_the_subresource_alone(bed: fakes.Bed) -> None:
    bed.client.answer = ANSWER
    changes = {"phase": "Running"}
    assert await writer(bed).patch_status(fakes.KEY, changes, resource_version="7") == "8"
    body = {"status": {"phase": "Running"}, "metadata": {"resourceVersion": "7"}}
    assert bed.client.calls == [("patch", executions.EXECUTIONS, fakes.KEY, body, "status")]


async def test_a_written_key_waits_for_the_cache(bed: fakes.Bed) -> None:
    bed.client.answer = ANSWER
    await writer(bed).patch(fakes.KEY, {}, resource_version="7")
    assert bed.freshness.parked(fakes.KEY)
    bed.freshness.seen(executions.EXECUTIONS, fakes.KEY, "u", "8")
    assert not bed.freshness.parked(fakes.KEY)


async def test_a_refused_write_keeps_nothing_waiting(bed: fakes.Bed) -> None:
    bed.client.answer = fakes.refusal(errors.Conflict)
    with pytest.raises(errors.Conflict):
        await writer(bed).patch(fakes.KEY, {}, resource_version="7")
    assert not bed.freshness.parked(fakes.KEY)


async def test_an_execution_is_read_from_the_server_or_not_there(bed: fakes.Bed) -> None:
    bed.client.answer = ANSWER
    assert await writer(bed).read(fakes.KEY) == ANSWER
    bed.client.answer = fakes.refusal(errors.NotFound)
    assert await writer(bed).read(fakes.KEY) is None
    bed.client.answer = fakes.refusal(errors.Forbidden)
    with pytest.raises(errors.Forbidden):
        await writer(bed).read(fakes.KEY)

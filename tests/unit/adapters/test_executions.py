import pytest

from tests.unit.adapters import fakes
from workflowexecution.adapters import executions
from workflowexecution.runtime import errors, resource

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


async def test_read_asks_the_server(bed: fakes.Bed) -> None:
    bed.client.answer = ANSWER
    assert await writer(bed).read(fakes.KEY) == ANSWER
    assert bed.client.calls == [("get", executions.EXECUTIONS, fakes.KEY)]
    bed.client.answer = fakes.refusal(errors.NotFound)
    assert await writer(bed).read(fakes.KEY) is None


@pytest.mark.parametrize("kind", [errors.EndpointMissing, errors.Forbidden])
async def test_read_takes_no_refusal_for_a_missing_execution(
    bed: fakes.Bed, kind: type[errors.ApiError]
) -> None:
    bed.client.answer = fakes.refusal(kind)
    with pytest.raises(kind):
        await writer(bed).read(fakes.KEY)


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        pytest.param("payment", "../secrets", id="path"),
        pytest.param("..", "restart", id="parent"),
        pytest.param("payment", "", id="no-name"),
        pytest.param("", "restart", id="no-namespace"),
        pytest.param("payment", "a?watch=1", id="query"),
        pytest.param("payment", "a\n", id="line-end"),
        pytest.param("payment", "a" * 254, id="too-long"),
    ],
)
async def test_a_name_that_cannot_be_is_of_nobody_and_no_path(
    bed: fakes.Bed, namespace: str, name: str
) -> None:
    """A run says whose it is in labels that anybody may write."""
    assert await writer(bed).read(resource.ObjectKey(namespace, name)) is None
    assert bed.client.calls == []


async def test_list_target_lists_by_the_label_of_the_target_in_every_namespace(
    bed: fakes.Bed,
) -> None:
    bed.client.items = [ANSWER]
    assert await writer(bed).list_target("cf0cc089293b1165") == [ANSWER]
    selector = "kubernaut.ai/target=cf0cc089293b1165"
    assert bed.client.calls == [("list", executions.EXECUTIONS, "", selector, "", 0)]


async def test_a_failed_list_is_no_empty_one(bed: fakes.Bed) -> None:
    bed.client.answer = errors.TransportError("away")
    with pytest.raises(errors.TransportError):
        await writer(bed).list_target("cf0cc089293b1165")

import pytest

from tests.unit.runtime import objects
from workflowexecution.runtime import resource


def test_key_reads_as_path_when_namespaced() -> None:
    assert str(objects.key("a", "ns")) == "ns/a"


def test_key_reads_as_name_when_cluster_scoped() -> None:
    assert str(objects.key("a", "")) == "a"


def test_key_of_reads_metadata_when_there_is_no_namespace() -> None:
    assert resource.key_of({"metadata": {"name": "a"}}) == ("", "a")


def test_key_of_raises_when_there_is_no_metadata() -> None:
    with pytest.raises(KeyError):
        resource.key_of({})


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param(objects.PODS, "v1", id="core"),
        pytest.param(objects.WIDGETS, "example.org/v1", id="group"),
    ],
)
def test_api_version_names_group_and_version(kind: resource.Resource, expected: str) -> None:
    assert kind.api_version == expected


@pytest.mark.parametrize(
    ("kind", "where", "expected"),
    [
        pytest.param(objects.PODS, {}, "/api/v1/pods", id="core-everywhere"),
        pytest.param(
            objects.WIDGETS,
            {"namespace": "n", "name": "a", "subresource": "status"},
            "/apis/example.org/v1/namespaces/n/widgets/a/status",
            id="subresource",
        ),
        pytest.param(
            objects.WIDGETS,
            {"namespace": "n", "name": "a/../b?c"},
            "/apis/example.org/v1/namespaces/n/widgets/a%2F..%2Fb%3Fc",
            id="escaped",
        ),
        pytest.param(objects.PODS, {"name": "system:a"}, "/api/v1/pods/system:a", id="colon"),
    ],
)
def test_path_addresses_what_is_asked_for(
    kind: resource.Resource, where: dict[str, str], expected: str
) -> None:
    assert kind.path(**where) == expected


@pytest.mark.parametrize("name", [".", ".."])
def test_path_refuses_a_name_that_would_be_resolved_away(name: str) -> None:
    with pytest.raises(ValueError, match="path segment"):
        objects.PODS.path(name=name)


def test_resources_are_equal_when_they_name_the_same_kind() -> None:
    again = resource.Resource("example.org", "v1", "widgets", "Widget")
    assert {objects.WIDGETS: 1}[again] == 1

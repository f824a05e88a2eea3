"""The load: who measures looks on from the first execution to the last."""

from collections.abc import Iterator

import pytest

from tests.benchmark import access, load, objects
from tests.fake import kinds, threaded
from tests.fake.threaded import ThreadedCluster
from tests.support import numbered
from tests.support.processes import Failed

SIZE = 3
PLACE = kinds.EXECUTIONS, objects.EXECUTIONS_NAMESPACE
# Half a second for each: the last is not sent before the first look.
SHAPE = load.Shape(size=SIZE, rate=2.0, limit_s=30.0)


@pytest.fixture
def cluster() -> Iterator[ThreadedCluster]:
    place = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": objects.EXECUTIONS_NAMESPACE},
    }
    with threaded.running() as running:
        running.call(lambda it: it.create(place))
        yield running


def way(cluster: ThreadedCluster) -> access.Access:
    return access.Access(server_url=cluster.url, ca_pem="", token="")


def there(cluster: ThreadedCluster) -> int:
    """How many executions were created."""
    return len(cluster.call(lambda it: it.items(*PLACE)))


def end(cluster: ThreadedCluster, number: int) -> None:
    """Play the controller."""
    place = *PLACE, numbered.name(number)
    ended = {"status": {"phase": "Completed"}}
    cluster.call(lambda it: it.patch(*place, ended, subresource="status"))


def test_checks_begin_with_the_load_and_go_on_to_its_end(cluster: ThreadedCluster) -> None:
    seen: list[int] = []

    def check() -> None:
        seen.append(there(cluster))
        if seen[-1] == SIZE:
            for number in range(SIZE):
                end(cluster, number)

    course = load.run(way(cluster), SHAPE, check=check)
    assert seen[0] < SIZE
    assert seen[-1] == SIZE
    assert set(course.terminal) == set(range(SIZE))


def test_a_check_that_fails_ends_the_load_at_once(cluster: ThreadedCluster) -> None:
    def check() -> None:
        raise Failed("controller ended with 1")

    with pytest.raises(Failed, match="ended with 1"):
        load.run(way(cluster), SHAPE, check=check)
    assert there(cluster) < SIZE


def test_a_load_that_is_never_finished_is_given_up(cluster: ThreadedCluster) -> None:
    shape = load.Shape(size=1, rate=0.0, limit_s=0.2)
    course = load.run(way(cluster), shape, check=lambda: None)
    assert (set(course.sent), course.terminal) == ({0}, {})

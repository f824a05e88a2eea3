"""What the settings make of the election."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.runtime import servers
from workflowexecution import settings
from workflowexecution.runtime import connection, fence, resource, watchdog
from workflowexecution.wiring import election

if TYPE_CHECKING:
    import pathlib


class NoWatchdog:
    """Leaves the signals of the tests' own process alone."""

    def __init__(self, *, spare_s: float) -> None:
        self.spare_s = spare_s


@pytest.fixture
async def way(tmp_path: pathlib.Path) -> connection.Connection:
    config = tmp_path / "config"
    config.write_text(str(servers.kubeconfig("http://127.0.0.1:1")))
    return await connection.connect(kubeconfig=str(config), environ={})


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """No pod, and no watchdog over the tests."""
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setattr(watchdog, "Watchdog", NoWatchdog)


async def test_nothing_is_prepared_when_no_leader_is_elected(way: connection.Connection) -> None:
    assert election.prepare(settings.Controller(), way, identity="me") is None


@pytest.mark.parametrize(
    ("said", "pod", "namespace"),
    [
        pytest.param("", "", "kubernaut-system", id="outside"),
        pytest.param("", "here", "here", id="in-a-pod"),
        pytest.param("there", "here", "there", id="said"),
    ],
)
async def test_lease_is_in_the_namespace_that_is_said_or_in_the_pods(
    way: connection.Connection,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    pod: str,
    namespace: str,
) -> None:
    monkeypatch.setenv("POD_NAMESPACE", pod)
    wished = settings.Controller(leaderElection=True, leaderElectionNamespace=said)
    made = election.prepare(wished, way, identity="me")
    assert made is not None
    await made.api.close()
    assert made.key == resource.ObjectKey(namespace, "workflowexecution.kubernaut.ai")


async def test_times_are_those_of_the_settings(way: connection.Connection) -> None:
    document = {"leaderElection": True, "leaseDuration": "60s", "renewDeadline": "40s"}
    wished = settings.Controller.model_validate(document)
    made = election.prepare(wished, way, identity="me")
    assert made is not None
    await made.api.close()
    assert (made.timing.duration_s, made.timing.renew_deadline_s) == (60, 40)
    assert isinstance(made.fence, fence.LeaseFence)
    made.fence.renewed(made.fence.now())
    assert made.fence.left_s == pytest.approx(40, abs=1)
    assert made.fence.ends_in_s == pytest.approx(50, abs=1)


@pytest.mark.parametrize(
    ("instance", "said", "name"),
    [
        pytest.param("", {}, "workflowexecution.kubernaut.ai", id="alone"),
        pytest.param("blue", {}, "blue.workflowexecution.kubernaut.ai", id="instance"),
        pytest.param("a.b-c", {}, "a.b-c.workflowexecution.kubernaut.ai", id="dotted"),
        pytest.param("Blue_1", {}, "20c6c1d917f0.workflowexecution.kubernaut.ai", id="no-name"),
        pytest.param("blue", {"leaderElectionId": "mine"}, "mine", id="said"),
    ],
)
def test_instances_do_not_share_a_lease(instance: str, said: dict[str, str], name: str) -> None:
    assert election.lease_name(settings.Controller(instance=instance, **said)) == name

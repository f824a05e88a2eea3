"""How long a load had no leader: told only where the leader was killed in the midst of it."""

import pytest

from tests.benchmark import failover
from tests.benchmark.auditlog import Request
from tests.support.processes import Failed

KILLED = 100.0
LEADER, HEIR = "workflowexecution/1.0 (host-17)", "workflowexecution/1.0 (host-7)"


def create(agent: str, received: float, code: int = 201) -> Request:
    return Request(
        agent=agent,
        verb="create",
        resource="pipelineruns",
        name=f"run-{received}",
        code=code,
        received=received,
        answered=received + 0.01,
    )


def test_it_lasts_until_the_other_creates_a_run() -> None:
    requests = [
        create(LEADER, 99.0),
        # It was on its way.
        create(LEADER, 100.1),
        create(HEIR, 113.0, code=409),
        create(HEIR, 114.5),
        create(HEIR, 115.0),
    ]
    assert failover.without_leader_s(requests, killed=KILLED, heir="-7)") == 14.5


@pytest.mark.parametrize(
    ("agents", "killed"),
    [
        pytest.param([LEADER, LEADER], KILLED, id="over-before-the-other-led"),
        pytest.param([HEIR, HEIR], KILLED, id="the-other-has-led-all-along"),
        pytest.param([LEADER, HEIR], 0.0, id="nobody-was-killed"),
        pytest.param([], KILLED, id="nothing-was-done"),
    ],
)
def test_a_leader_that_was_not_killed_under_load_is_no_measurement(
    agents: list[str], killed: float
) -> None:
    requests = [create(agent, 99.0 + number) for number, agent in enumerate(agents)]
    with pytest.raises(Failed, match=f"of {len(agents)} runs"):
        failover.without_leader_s(requests, killed=killed, heir="-7)")

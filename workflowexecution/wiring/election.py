"""What the election of a leader has of its own: connections, fence, watchdog, lease."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflowexecution import identity as who
from workflowexecution.runtime import client, connection, fence, lease, resource, watchdog

if TYPE_CHECKING:
    from workflowexecution.runtime import leader
    from workflowexecution.settings import Controller

DEFAULT_NAMESPACE = "kubernaut-system"


@dataclass(frozen=True, slots=True)
class Election:
    """The parts of it.

    Attributes:
        api: a client whose connections nobody else uses, and that asks no fence.
        fence: the one that stands before every write of the program.
        key: of the lease.
        identity: what this process calls itself in the lease.
    """

    api: client.Client
    fence: fence.LeaseFence
    watchdog: leader.Watchdog
    timing: lease.Timing
    key: resource.ObjectKey
    identity: str


def prepare(wished: Controller, way: connection.Connection, *, identity: str) -> Election | None:
    """Build the parts in the running loop; None when this process acts without asking.

    Raises:
        errors.ConnectionConfigError: certificates or proxy cannot be used.
    """
    if not wished.leader_election:
        return None
    timing = lease.Timing(
        duration_s=wished.lease_duration,
        renew_deadline_s=wished.renew_deadline,
        retry_period_s=wished.retry_period,
    )
    return Election(
        api=client.Client(connection=way, user_agent=who.user_agent(identity), max_connections=1),
        fence=fence.LeaseFence(
            closes_after_s=timing.renew_deadline_s, ends_after_s=timing.ends_after_s
        ),
        watchdog=watchdog.Watchdog(spare_s=timing.spare_s),
        timing=timing,
        key=resource.ObjectKey(
            wished.leader_election_namespace or connection.own_namespace() or DEFAULT_NAMESPACE,
            wished.leader_election_id,
        ),
        identity=identity,
    )

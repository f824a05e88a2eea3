"""What the election of a leader has of its own: connections, fence, watchdog, lease."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workflowexecution import identity as who
from workflowexecution.adapters.prometheus import records
from workflowexecution.api import formats
from workflowexecution.runtime import (
    client,
    connection,
    fence,
    leader,
    lease,
    manager,
    resource,
    watchdog,
)
from workflowexecution.settings import Controller

if TYPE_CHECKING:
    from collections.abc import Callable

    from workflowexecution.adapters.prometheus import book
    from workflowexecution.runtime import transport

DEFAULT_NAMESPACE = "kubernaut-system"
_DEFAULT_NAME = Controller().leader_election_id
_FIT = re.compile(formats.SUBDOMAIN)


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
        key=resource.ObjectKey(home(wished), lease_name(wished)),
        identity=identity,
    )


def candidate(
    chosen: Election | None, idle: Callable[[], bool], observer: transport.RequestObserver
) -> leader.Elector | None:
    """Who asks for the lease; gives it back at the end only if the program was idle then.

    The observer sees its requests, which tell nothing of how the others fare.
    """
    if chosen is None:
        return None
    chosen.api.observe(observer)
    return leader.Elector(
        client=chosen.api,
        key=chosen.key,
        identity=chosen.identity,
        timing=chosen.timing,
        fence=chosen.fence,
        watchdog=chosen.watchdog,
        idle=idle,
    )


def services(elector: leader.Elector | None) -> list[manager.Service]:
    """What keeps the lease, if there is one to keep."""
    if elector is None:
        return []
    ready, stop = elector.wait_leading, elector.stop
    return [manager.Service(name="leader", run=elector.run, ready=ready, stop=stop)]


def show(families: book.Book, elector: leader.Elector | None, *, name: str) -> None:
    """Say where the metrics of the lease come from."""
    records.add_leader(
        families,
        name=name,
        leading=lambda: elector is None or elector.is_leading,
        left_s=lambda: float("inf") if elector is None else elector.left_s,
    )


def home(wished: Controller) -> str:
    """The namespace of what is the controller's own: as set, else its pod's, else the usual one."""
    return wished.leader_election_namespace or connection.own_namespace() or DEFAULT_NAMESPACE


def lease_name(wished: Controller) -> str:
    """Return the name of the lease: a wished one as it is, else one that the instance has alone.

    Two installations with one lease would make one of them wait for ever.
    """
    name, instance = wished.leader_election_id, wished.instance
    if not instance or name != _DEFAULT_NAME:
        return name
    if _FIT.fullmatch(instance) is None:
        instance = hashlib.sha256(instance.encode()).hexdigest()[:12]
    return f"{instance}.{name}"

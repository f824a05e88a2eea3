"""The Lease: its record as it is read and written, and what one may conclude from it.

Source: kubernetes coordination.k8s.io/v1 LeaseSpec; client-go tools/leaderelection.
"""

import dataclasses
import datetime
import math
from collections.abc import Callable
from typing import Any

from workflowexecution.runtime import errors, resource

LEASES = resource.Resource("coordination.k8s.io", "v1", "leases", "Lease")

JITTER = 1.2
"""A pause lasts between one and so many retry periods."""

_RELEASED_S = 1
"""Duration in the record of a lease that was given back."""

_TRIES = 3
_SHORTEST_CALL_S = 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a lease holds, and how it is kept; all in seconds.

    The holder begins to write for `renew_deadline_s` after the start of its last good renewal.
    From then to the end of the lease nobody acts, for the sake of what is still on its way: in the
    first half of that gap the holder's last requests end, and with the first half its process; the
    second half is for requests that the server has and has not done, and for clocks of different
    speed.
    """

    duration_s: float
    """Others wait so long without a sign of the holder before they take the lease."""
    renew_deadline_s: float
    """The holder gives up so long after the start of its last good renewal."""
    retry_period_s: float
    """From the start of one renewal, or one try of it, to that of the next, but for the jitter."""

    def __post_init__(self) -> None:
        """Check what goes with what.

        Raises:
            ValueError: the holder would not give up in time, or hardly try.
        """
        if self.duration_s <= self.renew_deadline_s:
            message = "duration_s must be longer than renew_deadline_s"
            raise ValueError(message)
        if self.renew_deadline_s <= JITTER * self.retry_period_s:
            message = f"renew_deadline_s must be longer than {JITTER} x retry_period_s"
            raise ValueError(message)

    @property
    def call_deadline_s(self) -> float:
        """Bound of one try: three that hang fit between a renewal that is due and giving up."""
        spare_s = self.renew_deadline_s - JITTER * self.retry_period_s
        return max(_SHORTEST_CALL_S, spare_s / _TRIES)

    @property
    def ends_after_s(self) -> float:
        """When the holder's requests must be over, and its process if it has lost the lease."""
        return (self.renew_deadline_s + self.duration_s) / 2

    @property
    def spare_s(self) -> float:
        """What the last guard may take beyond that: half of what is left of the lease."""
        return (self.duration_s - self.renew_deadline_s) / 4


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What a lease says. Times stay text: nobody judges by another machine's clock."""

    holder: str = ""
    duration_s: int = 0
    acquire_time: str = ""
    renew_time: str = ""
    transitions: int = 0

    def spec(self) -> resource.JsonObject:
        """The record as the spec of a Lease, without what others may have put there."""
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.duration_s,
            "acquireTime": self.acquire_time,
            "renewTime": self.renew_time,
            "leaseTransitions": self.transitions,
        }


def stamp(now: datetime.datetime) -> str:
    """Write a time as the server wants it: UTC, always with six digits after the second."""
    return now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read(spec: Any) -> Record:  # noqa: ANN401 - raw JSON enters here
    """Read a spec; what is missing or odd is taken as empty."""
    if not isinstance(spec, dict):
        return Record()
    return Record(
        holder=_text(spec.get("holderIdentity")),
        duration_s=_count(spec.get("leaseDurationSeconds")),
        acquire_time=_text(spec.get("acquireTime")),
        renew_time=_text(spec.get("renewTime")),
        transitions=_count(spec.get("leaseTransitions")),
    )


def _text(value: Any) -> str:  # noqa: ANN401 - raw JSON enters here
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:  # noqa: ANN401 - raw JSON enters here
    return value if type(value) is int and value > 0 else 0


class View:
    """What one process has seen of a lease, since when by its own clock, and what is its own there.

    A lease may be taken when it has been seen unchanged for as long as it says itself; a lease that
    is deleted or emptied, or whose holder somebody has wiped out, still counts as held until then,
    since its holder may not know it yet. Only a lease that was given back, or on which nothing was
    ever seen that a holder writes, is free at once.

    A record is this process's own by holder and time of acquisition: a process of the same name,
    as the one before a restart, is another one.

    Lock-free: it changes only between awaits.
    """

    def __init__(self, *, identity: str, duration_s: float, now: Callable[[], float]) -> None:
        """Begin without having seen anything.

        Args:
            identity: what this process calls itself in the record.
            duration_s: for how long this process takes the lease; a record that does not say how
                long it holds is taken to hold as long. Written in whole seconds, rounded up: others
                must never wait for less.
            now: the clock, in seconds.
        """
        self._identity = identity
        self._duration_s = math.ceil(duration_s)
        self._now = now
        self._uid = ""
        self._seen_at = float("-inf")
        self._acquired = ""
        self._may_be_held = False
        """Whether anything was seen that a holder has written, and no giving back since."""
        self.record = Record()
        """As it was seen last."""
        self.version = ""
        """The resourceVersion that was seen last, for preconditions; empty: no lease is there."""

    def saw(self, obj: resource.JsonObject) -> None:
        """Take note of the lease as it is.

        Raises:
            errors.TransportError: the answer is no Lease.
        """
        metadata = obj.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if not isinstance(metadata, dict) or not version:
            message = "answer is not a Lease"
            raise errors.TransportError(message)
        uid, record = _text(metadata.get("uid")), read(obj.get("spec"))
        self.version = version
        if (uid, record) != (self._uid, self.record):
            self._uid, self.record, self._seen_at = uid, record, self._now()
        if not record.holder and record.duration_s == _RELEASED_S:
            self._may_be_held = False
        elif record != Record():
            self._may_be_held = True

    def missed(self) -> None:
        """Take note that no lease is there; what was seen before still counts."""
        self.version = ""

    @property
    def claimed(self) -> bool:
        """Whether this process has ever tried to take the lease, with success or without."""
        return bool(self._acquired)

    @property
    def is_mine(self) -> bool:
        """Whether the record is this process's own."""
        acquired = self.record.acquire_time
        return self.claimed and (self.record.holder, acquired) == (self._identity, self._acquired)

    @property
    def wait_s(self) -> float:
        """Seconds until this process may take the lease; not positive: it may now."""
        if self.is_mine or not self._may_be_held:
            return 0.0
        return self._seen_at + (self.record.duration_s or self._duration_s) - self._now()

    def next_record(self, now: datetime.datetime) -> Record:
        """Return what this process writes to take the lease, or to keep what is its own."""
        text = stamp(now)
        if self.is_mine:
            return dataclasses.replace(self.record, duration_s=self._duration_s, renew_time=text)
        self._acquired = text
        transitions = self.record.transitions + 1 if self._uid else 0
        return Record(self._identity, self._duration_s, text, text, transitions)

    def released_record(self, now: datetime.datetime) -> Record:
        """Return what this process writes to give the lease back."""
        return Record("", _RELEASED_S, stamp(now), stamp(now), self.record.transitions)

"""Two controllers of which one leads: killed, started again, and looked at."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import re
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.fake import kinds
from tests.outage import objects
from tests.outage.schedule import Act
from tests.support import procfs, program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake.api import Api
    from tests.outage.schedule import Schedule
    from tests.outage.witness import Window
    from tests.support.program import Program

LOOK_EVERY_S = 0.1
_LED_S = 180.0
_SERIES = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_RECONCILES = "controller_runtime_reconcile_time_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Sample:
    """The leader at one moment.

    Attributes:
        term: how many times somebody was killed before.
        executions: in its cache.
    """

    term: int
    at: float
    executions: int
    rss_bytes: int


@dataclass
class Seen:
    """What was seen of all processes of a run.

    Attributes:
        disturbed: from each kill until its successor has found its feet.
        reconciles: of each process, how many reconciles took at most so many seconds.
        records: of each process, what became of audit records.
        killed: how many processes each kind of kill has ended, of those that were alive until then.
        gave_up: how many processes ended by themselves, as who loses its lease must.
    """

    samples: list[Sample] = field(default_factory=list)
    disturbed: list[Window] = field(default_factory=list)
    reconciles: dict[int, dict[float, float]] = field(default_factory=dict)
    records: dict[int, dict[str, float]] = field(default_factory=dict)
    killed: collections.Counter[Act] = field(default_factory=collections.Counter)
    gave_up: int = 0


@dataclass(frozen=True, slots=True)
class _Replica:
    program: Program
    metrics_port: int
    ended: contextlib.ExitStack


class Replicas:
    """The controllers of a run."""

    def __init__(
        self, api: Api, schedule: Schedule, folder: Path, kubeconfig: Path, store_url: str
    ) -> None:
        """Have none yet.

        Args:
            api: of the cluster.
            schedule: the lengths of what they wait for.
            folder: for their configuration and logs.
            kubeconfig: of the cluster.
            store_url: where their records go.
        """
        self._api = api
        self._schedule = schedule
        self._folder = folder
        self._kubeconfig = kubeconfig
        self._store_url = store_url
        self._living: list[_Replica] = []
        self._term = 0
        self._busy = asyncio.Lock()
        self.seen = Seen()

    @property
    def settings(self) -> dict[str, Any]:
        """What all of them have in their configuration."""
        duration, renew, retry = self._schedule.lease_s
        return {
            "controller": {
                "leaderElection": True,
                "leaderElectionNamespace": objects.OWN,
                "leaderElectionId": objects.LEASE,
                "leaseDuration": duration,
                "renewDeadline": renew,
                "retryPeriod": retry,
                "metricsAuth": False,
            },
            "datastorage": {
                "url": self._store_url,
                "timeout": self._schedule.store_timeout_s,
            },
            "limits": {"auditBeforeDeletion": self._schedule.before_deletion_s},
        }

    async def start(self) -> None:
        """Start one, and do not wait for it: that is what the lease is for."""
        port = program.free_port()
        sections = self.settings
        sections["controller"]["metricsAddr"] = f"127.0.0.1:{port}"
        ended = contextlib.ExitStack()
        running = program.running(
            self._folder, self._kubeconfig, ready=False, module=program.PROGRAM, **sections
        )
        started = await asyncio.to_thread(ended.enter_context, running)
        self._living.append(_Replica(started, port, ended))

    async def end(self) -> None:
        """End all of them as their users would."""
        for replica in self._living:
            await asyncio.to_thread(replica.ended.close)
        self._living.clear()

    async def kill(self, act: Act) -> None:
        """Kill the leader or all, start as many again, and wait until somebody leads."""
        async with self._busy:
            leader = await self.leader()
            await self._look(leader)
            hit = list(self._living) if act is Act.KILL_ALL else [leader]
            for replica in hit:
                replica.program.kill()
                # One that has ended by itself meanwhile was not killed, though it is asked to end.
                self.seen.killed[act] += replica.program.process.returncode == -signal.SIGKILL
            await self._replace(hit)

    async def look(self) -> None:
        """Read the metrics of all of them, and the memory of the leader; who has ended starts."""
        async with self._busy:
            ended = [it for it in self._living if it.program.process.poll() is not None]
            if ended:
                self.seen.gave_up += len(ended)
                await self._replace(ended)
            await self._look(await self.leader())

    async def _replace(self, ended: list[_Replica]) -> None:
        begin = time.time()
        self._term += 1
        for replica in ended:
            self._living.remove(replica)
        for _ in ended:
            await self.start()
        await self.leader()
        # What went wrong began before it was seen.
        early_s = self._schedule.lease_s[0] if self.seen.gave_up else 0.0
        self.seen.disturbed.append((begin - early_s, time.time() + self._schedule.rest_s))

    async def leader(self) -> _Replica:
        """Wait until one of the living leads."""
        async with asyncio.timeout(_LED_S):
            while (found := await self._holder()) is None:  # noqa: ASYNC110 - as `until` does
                await asyncio.sleep(LOOK_EVERY_S)
        return found

    async def _holder(self) -> _Replica | None:
        reply = await self._api.get(kinds.LEASES, objects.OWN, objects.LEASE)
        holder = str(reply.body["spec"].get("holderIdentity")) if reply.status == 200 else ""
        mine = (it for it in self._living if it.program.is_called(holder))
        return next(mine, None)

    async def _look(self, leader: _Replica) -> None:
        for replica in self._living:
            try:
                series = await _scrape(replica.metrics_port)
            except (aiohttp.ClientError, TimeoutError):
                # It is about to end; the next look finds it.
                continue
            pid = replica.program.process.pid
            self.seen.reconciles[pid] = {
                float(labels["le"]): value for name, labels, value in series if name == _RECONCILES
            }
            self.seen.records[pid] = {
                labels["result"]: value
                for name, labels, value in series
                if name == "workflowexecution_audit_records_total"
            }
            if replica is leader:
                cached = next(
                    value
                    for name, labels, value in series
                    if name == "workflowexecution_cached_objects"
                    and labels["resource"] == "workflowexecutions"
                )
                rss = procfs.read(pid).rss_bytes
                self.seen.samples.append(Sample(self._term, time.time(), int(cached), rss))


async def _scrape(port: int) -> list[tuple[str, dict[str, str], float]]:
    url = f"http://127.0.0.1:{port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    return [
        (name, dict(_LABEL.findall(labels)), float(value))
        for name, labels, value in _SERIES.findall(text)
    ]

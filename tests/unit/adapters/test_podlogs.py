"""Logs are read where kubelets answer, and keep nobody for long where they do not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.unit.adapters import fakes
from workflowexecution.adapters import podlogs
from workflowexecution.runtime import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.looptime

HANGS = 1e9
MANY = 96


def now() -> float:
    return asyncio.get_running_loop().time()


class Kubelets(fakes.FakeClient):
    """Answers after a while, or with an error; gives up at the deadline as the client does."""

    def __init__(self) -> None:
        super().__init__()
        self.takes_s = 0.3
        self.renews_s = 0.0
        """How long credentials are renewed before each; that has a deadline of its own."""
        self.error: errors.ClusterError | None = None
        self.asked_at: list[float] = []
        self.reading = 0
        self.most = 0

    async def get_text(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        max_bytes: int,
        deadline_s: float = 10.0,
    ) -> str:
        self.asked_at.append(now())
        self.reading += 1
        self.most = max(self.most, self.reading)
        await asyncio.sleep(self.renews_s + min(self.takes_s, deadline_s))
        self.reading -= 1
        if self.takes_s > deadline_s:
            message = "TimeoutError: "
            raise errors.TransportError(message) from TimeoutError()
        if self.error is not None:
            raise self.error
        return "said"


class Bed:
    """Logs of pods, and what became of each reading with its time."""

    def __init__(self) -> None:
        self.kubelets = Kubelets()
        self.logs = podlogs.PodLogs(self.kubelets, "runs")

    async def read(self) -> tuple[float, str]:
        try:
            text = await self.logs.read("pod", "run")
        except errors.ClusterError as error:
            text = str(error)
        return now(), text

    async def read_many(self, number: int) -> list[tuple[float, str]]:
        return await asyncio.gather(*(self.read() for _ in range(number)))


@pytest.fixture
def bed() -> Bed:
    return Bed()


async def test_every_log_is_read_where_kubelets_answer_few_at_a_time(bed: Bed) -> None:
    found = await bed.read_many(MANY)
    assert {text for _, text in found} == {"said"}
    assert bed.kubelets.most == podlogs.AT_ONCE
    assert now() == pytest.approx(MANY / podlogs.AT_ONCE * 0.3)


@pytest.mark.parametrize("takes_s", [1.2, 2.9])
async def test_every_log_is_read_where_kubelets_are_slow(bed: Bed, takes_s: float) -> None:
    bed.kubelets.takes_s = takes_s
    assert {text for _, text in await bed.read_many(MANY)} == {"said"}


async def test_room_is_not_waited_for_while_no_reading_ends(bed: Bed) -> None:
    bed.kubelets.takes_s = HANGS
    bed.kubelets.renews_s = 30
    found = await bed.read_many(16)
    late, rest = found[: podlogs.AT_ONCE], found[podlogs.AT_ONCE :]
    assert late == [(33, "it has not come within 3 s")] * 4
    assert rest == [(3.5, "it was not asked for, since no log has come for 3.5 s")] * 12


async def test_nothing_is_asked_for_while_kubelets_are_silent_but_by_one(bed: Bed) -> None:
    bed.kubelets.takes_s = HANGS
    assert {at for at, _ in await bed.read_many(4)} == {3}
    told = "it was not asked for, since the logs of other pods do not come"
    assert await bed.read_many(MANY) == [(3, told)] * MANY
    await asyncio.sleep(podlogs.PAUSE_S)
    late = [(11, "it has not come within 3 s")]
    assert await bed.read_many(MANY) == late + [(8, told)] * (MANY - 1)
    assert bed.kubelets.asked_at == [0, 0, 0, 0, 8]


async def test_logs_are_read_again_when_one_has_come(bed: Bed) -> None:
    bed.kubelets.takes_s = HANGS
    await bed.read_many(4)
    bed.kubelets.takes_s = 0.3
    await asyncio.sleep(podlogs.PAUSE_S)
    assert (await bed.read())[1] == "said"
    assert {text for _, text in await bed.read_many(MANY)} == {"said"}


async def test_logs_come_within_seconds_after_a_silence_however_long(bed: Bed) -> None:
    bed.kubelets.takes_s = HANGS
    for _ in range(20):
        await bed.read_many(4)
        await asyncio.sleep(30)
    await bed.read()
    bed.kubelets.takes_s = 0.3
    await asyncio.sleep(podlogs.PAUSE_S)
    assert (await bed.read())[1] == "said"


async def test_silent_kubelet_among_others_that_answer_keeps_no_log_away(bed: Bed) -> None:
    for _ in range(10):
        bed.kubelets.takes_s = HANGS
        await bed.read_many(podlogs.SILENT_AFTER - 1)
        bed.kubelets.takes_s = 0.3
        assert (await bed.read())[1] == "said"


REFUSED = errors.TransportError("refused", sent=False)


async def test_api_server_that_is_away_makes_no_kubelet_a_silent_one(bed: Bed) -> None:
    bed.kubelets.error = REFUSED
    for _ in range(10):
        await bed.read()
    bed.kubelets.error = None
    assert (await bed.read())[1] == "said"


async def test_api_server_that_is_away_leaves_it_to_the_next_to_find_out(bed: Bed) -> None:
    bed.kubelets.takes_s = HANGS
    await bed.read_many(podlogs.SILENT_AFTER)
    await asyncio.sleep(podlogs.PAUSE_S)
    bed.kubelets.takes_s, bed.kubelets.error = 0.3, REFUSED
    assert (await bed.read())[1] == "refused"
    bed.kubelets.error = None
    assert (await bed.read())[1] == "said"


async def test_refusal_of_a_log_is_an_answer(bed: Bed) -> None:
    bed.kubelets.error = fakes.refusal(errors.NotFound)
    await bed.read_many(MANY)
    assert len(bed.kubelets.asked_at) == MANY


async def test_connection_that_is_lost_is_told_as_it_is(bed: Bed) -> None:
    bed.kubelets.error = errors.TransportError("reset")
    assert await bed.read() == (0.3, "reset")

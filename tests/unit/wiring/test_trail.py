"""How auditing is wired from the settings."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.adapters import fakes
from tests.unit.clocks import WallClock
from workflowexecution import settings
from workflowexecution.adapters import breaker, executions
from workflowexecution.reconciler import auditing, duty, view
from workflowexecution.runtime import connection, errors, store
from workflowexecution.wiring import tracing, trail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def settled(**sections: Any) -> settings.Settings:  # noqa: ANN401 - raw settings
    return settings.Settings.model_validate(sections)


@contextlib.asynccontextmanager
async def prepared(wished: settings.Settings) -> AsyncIterator[trail.Trail]:
    bed = fakes.Bed()
    around = trail.Around(
        identity="unit",
        traced=tracing.OFF.recording,
        api=bed.client,
        executions=store.StoreWriter[view.Execution](view.indexes()),
        writer=executions.Executions(client=bed.client, freshness=bed.freshness),
        clock=WallClock(),
        wake=lambda _: None,
        busy=lambda: False,
    )
    made = trail.prepare(wished, around)
    try:
        yield made
    finally:
        await made.close()


async def test_without_a_sink_nothing_runs() -> None:
    async with prepared(settled(audit={"sink": "none"})) as made:
        assert isinstance(made.audit, duty.NoAudit)
        assert (made.observers, made.services, made.sender) == ((), (), None)
        assert (made.pending(), made.breaker()) == (0, None)


async def test_the_log_needs_no_sender() -> None:
    async with prepared(settled()) as made:
        assert isinstance(made.audit, auditing.Auditor)
        assert made.observers == (made.auditor,)
        assert [it.name for it in made.services] == ["audit-outbox", "audit-sweep"]


async def test_the_sender_starts_first_and_ends_last() -> None:
    async with prepared(settled(datastorage={"url": "http://x", "timeout": "2s"})) as made:
        assert [it.name for it in made.services] == ["audit", "audit-outbox", "audit-sweep"]
        assert made.services[0].stop is not None
        assert made.sender is not None
        assert made.sender.has_room()
        assert made.breaker() is breaker.State.CLOSED


async def test_all_that_can_become_of_records_is_counted_from_the_start() -> None:
    results = ["recorded", "found", "refused", "untaken", "shed", "failed_attempts"]
    sections: list[dict[str, Any]] = [
        {"audit": {"sink": "none"}}, {}, {"datastorage": {"url": "http://x"}},
    ]  # fmt: skip
    for wished in sections:
        async with prepared(settled(**wished)) as made:
            assert made.counts() == dict.fromkeys([*results, "moved", "lost"], 0)


async def test_a_token_that_cannot_be_read_is_told_with_its_section(tmp_path: Path) -> None:
    wished = settled(datastorage={"url": "http://x", "tokenFile": str(tmp_path / "gone")})
    with pytest.raises(errors.ConnectionConfigError, match="datastorage: token file"):
        async with prepared(wished):
            pass


def test_the_outbox_is_where_the_controller_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connection, "SERVICE_ACCOUNT", tmp_path)
    assert trail.outbox_namespace(settled()) == "kubernaut-system"
    (tmp_path / "namespace").write_text("pods-own\n")
    assert trail.outbox_namespace(settled()) == "pods-own"
    named = settled(controller={"leaderElectionNamespace": "named"})
    assert trail.outbox_namespace(named) == "named"


def test_records_are_spelled_as_the_settings_say() -> None:
    wished = {"dialect": "current", "category": "workflow", "skippedOutcome": "skipped"}
    style = trail.style_of(settled(audit=wished))
    assert (style.dialect, style.category, style.skipped_outcome) == (
        "current",
        "workflow",
        "skipped",
    )

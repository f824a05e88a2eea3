"""Audit records in a real Data Storage's table: each transition once, whatever happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.fake import kinds
from tests.integration import trail
from tests.integration.world import COLLECTED_S, delete, until
from tests.support import executions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datastorage.server import DataStorage
    from tests.integration.controllers import Controllers
    from tests.integration.world import JsonObject, World

requirement = pytest.mark.requirement

OUTBOX = "workflowexecution-audit-outbox"
SLOW_S, PATIENCE = 3.0, "2s"
"""A store that stores after its client's deadline, three seconds before it is asked for that."""


async def condition(world: World, name: str) -> tuple[str, str]:
    """Status and reason of AuditRecorded, once it is there."""

    def of(found: JsonObject) -> JsonObject:
        return executions.condition(found, "AuditRecorded")

    said = of(await world.until(name, lambda it: bool(of(it)), deadline_s=trail.WAIT_S))
    return said["status"], said["reason"]


class TestRecords:
    @requirement("BR-WF-005", "Audit records written to Data Storage")
    @requirement("BR-WF-005", "Events correlatable via remediation_id")
    @requirement("BR-WF-005", "Event details include workflow_id, outcome, duration")
    async def test_completed_execution_leaves_each_record_once(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world = controllers.world
        async with trail.recording(controllers, storage):
            status = await trail.play(world, "good")
            found = await trail.until_recorded(world, "good")
        assert found["status"]["auditedTransitions"] == ["created", "started", "completed"]
        assert await trail.counts(storage) == trail.once("good")
        rows = await trail.rows_of(storage, "good")
        remediation = found["spec"]["remediationRequestRef"]["name"]
        assert {row["correlation_id"] for row in rows.values()} == {remediation}
        assert rows["created"]["event_timestamp"] == found["metadata"]["creationTimestamp"]
        assert rows["started"]["event_timestamp"] == status["startTime"]
        assert rows["completed"]["event_timestamp"] == status["completionTime"]
        assert rows["started"]["event_data"]["parameters"]["DB_PASSWORD"] == "***REDACTED***"
        data = rows["completed"]["event_data"]
        assert data["workflow_id"] == found["spec"]["workflowRef"]["workflowId"]
        assert (data["outcome"], data["duration"]) == ("Success", status["duration"])

    @requirement("WE-PRACTICE", "Write audit trail for all executions (including Skipped)")
    async def test_failed_refused_and_skipped_executions_leave_records(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world = controllers.world
        async with trail.recording(controllers, storage):
            await trail.play(world, "bad", exit_code=42)
            target = world.execution("bad")["spec"]["targetResource"]
            await world.create(world.execution("late", targetResource=target))
            account = {"serviceAccountName": "nobody-allowed"}
            await world.create(world.execution("odd", executionConfig=account))
            for name in ("bad", "late", "odd"):
                await trail.until_recorded(world, name)
        wanted = trail.once("bad", end="failed")
        wanted |= {("late", "created"): 1, ("late", "skipped"): 1}
        wanted |= {("odd", "created"): 1, ("odd", "failed"): 1}
        assert await trail.counts(storage) == wanted
        bad = (await trail.rows_of(storage, "bad"))["failed"]
        assert (bad["event_outcome"], bad["event_data"]["exit_code"]) == ("failure", 42)
        late = (await trail.rows_of(storage, "late"))["skipped"]
        assert (late["event_outcome"], late["event_data"]["skip_reason"]) == (
            "success",
            "PreviousExecutionFailed",
        )

    async def test_current_dialect_is_taken_by_that_server(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        storage.dialect = "current"
        world = controllers.world
        async with trail.recording(controllers, storage) as program:
            await trail.play(world, "good")
            found = await trail.until_recorded(world, "good")
        assert found["status"]["auditedTransitions"] == ["created", "started", "completed"]
        assert await trail.counts(storage) == {("good", "started"): 1, ("good", "completed"): 1}
        assert "workflow.created" in program.log.read_text()

    async def test_default_sink_writes_each_record_on_the_log(
        self, controllers: Controllers
    ) -> None:
        world = controllers.world
        async with controllers.running(audit={}) as program:
            await trail.play(world, "good")
            await trail.until_recorded(world, "good")
        log = program.log.read_text()
        for word in ("created", "started", "completed"):
            assert log.count(f'"event_type":"workflowexecution.workflow.{word}"') == 1
        assert "hunter2" not in log


class TestOutage:
    async def test_nothing_is_lost_or_doubled_when_the_store_was_away(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world, names = controllers.world, [f"away-{number}" for number in range(4)]
        await storage.stop()
        async with trail.recording(controllers, storage):
            for name in names:
                await trail.play(world, name)
            await storage.start()
            await trail.until_counts(storage, trail.once(*names), deadline_s=60)
            for name in names:
                await trail.until_recorded(world, name)
        assert await trail.counts(storage) == trail.once(*names)

    async def test_what_found_no_room_is_read_again(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world, names = controllers.world, [f"room-{number}" for number in range(4)]
        await storage.stop()
        small = {"buffer": {"bufferSize": 2, "batchSize": 2}}
        async with trail.recording(controllers, storage, datastorage=small):
            for name in names:
                await trail.play(world, name)
            await storage.start()
            await trail.until_counts(storage, trail.once(*names), deadline_s=60)
            for name in names:
                await trail.until_recorded(world, name, deadline_s=60)
        assert await trail.counts(storage) == trail.once(*names)

    async def test_500_after_storing_doubles_nothing(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world = controllers.world
        storage.faults.broken_after = True
        async with trail.recording(controllers, storage):
            await trail.play(world, "stored")
            await trail.until_recorded(world, "stored")
        assert await trail.counts(storage) == trail.once("stored")
        assert storage.seen.queries > 0

    async def test_slow_store_that_stores_late_doubles_nothing(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world = controllers.world
        storage.faults.before_s = SLOW_S
        async with trail.recording(controllers, storage, datastorage={"timeout": PATIENCE}):
            await trail.play(world, "late")
            await trail.until_counts(storage, trail.once("late"))
            await trail.until_recorded(world, "late", deadline_s=60)
        assert await trail.counts(storage) == trail.once("late")


class TestRestart:
    @pytest.mark.parametrize("fault", ["none", "away", "broken-after", "slow"])
    async def test_killed_controller_loses_and_doubles_nothing(
        self, controllers: Controllers, storage: DataStorage, fault: str
    ) -> None:
        world, names = controllers.world, [f"killed-{number}" for number in range(3)]
        storage.faults.broken_after = fault == "broken-after"
        slow = fault == "slow"
        storage.faults.before_s = SLOW_S if slow else 0.0
        way = {"timeout": PATIENCE if slow else "1s"}
        if fault == "away":
            await storage.stop()
        async with trail.recording(controllers, storage, datastorage=way) as first:
            for name in names:
                await trail.play(world, name)
            first.kill()
        storage.faults.broken_after = False
        if fault == "away":
            await storage.start()
        async with trail.recording(controllers, storage, datastorage=way):
            for name in names:
                await trail.until_recorded(world, name)
        assert await trail.counts(storage) == trail.once(*names)

    async def test_restart_writes_nothing_when_nothing_is_due(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world = controllers.world
        async with trail.recording(controllers, storage):
            await trail.play(world, "done")
            await trail.until_recorded(world, "done")
        before = len(storage.seen.batches), storage.seen.queries
        async with trail.recording(controllers, storage):
            await world.stays("done", for_s=2.0)
        assert (len(storage.seen.batches), storage.seen.queries) == before

    async def test_what_is_under_way_is_sent_before_a_clean_stop(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        # A request that is given up at the end is not sent again.
        late = {"timeout": "30s", "buffer": {"flushInterval": "1h"}}
        async with trail.recording(controllers, storage, datastorage=late):
            await trail.play(controllers.world, "flushed")
        assert await trail.counts(storage) == trail.once("flushed")


class TestDeletion:
    async def test_deleted_execution_waits_for_its_records(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world = controllers.world
        await storage.stop()
        async with trail.recording(controllers, storage):
            await trail.play(world, "waits")
            await delete(world.api, (kinds.EXECUTIONS, world.namespace, "waits"))
            await storage.start()
            await world.until_gone("waits", deadline_s=COLLECTED_S)
        assert await trail.counts(storage) == trail.once("waits")

    async def test_records_outlive_their_execution_in_the_outbox(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world = controllers.world
        place = (kinds.CONFIG_MAPS, world.runs, OUTBOX)
        limits = {"auditBeforeDeletion": "1s"}
        own = {"leaderElectionNamespace": world.runs}
        await storage.stop()
        async with trail.recording(controllers, storage, limits=limits, controller=own) as first:
            await trail.play(world, "moved")
            await delete(world.api, (kinds.EXECUTIONS, world.namespace, "moved"))
            await world.until_gone("moved", deadline_s=COLLECTED_S)
            kept = await until(world.api, place, lambda it: bool(it.get("data")))
            first.kill()
        assert len(kept["data"]) == 3
        await storage.start()
        async with trail.recording(controllers, storage, controller=dict(own)):
            await trail.until_counts(storage, trail.once("moved"))
            await until(world.api, place, lambda it: not it.get("data"), deadline_s=trail.WAIT_S)
        assert await trail.counts(storage) == trail.once("moved")


class TestStore:
    async def test_token_is_renewed_when_it_was_rejected(
        self, controllers: Controllers, storage: DataStorage, tmp_path: Path
    ) -> None:
        world, file = controllers.world, tmp_path / "token"
        file.write_text("first")
        storage.faults.tokens = {"first"}
        # A request that is given up is sent again, with the same token.
        way = {"tokenFile": str(file), "timeout": "30s"}
        async with trail.recording(controllers, storage, datastorage=way):
            await trail.play(world, "one")
            await trail.until_recorded(world, "one")
            file.write_text("second")
            storage.faults.tokens = {"second"}
            await trail.play(world, "two")
            await trail.until_recorded(world, "two")
        assert await trail.counts(storage) == trail.once("one", "two")
        assert storage.seen.unauthorized == 1

    async def test_bad_record_is_put_aside_and_the_others_are_kept(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world, names = controllers.world, ("good", "bad", "fine")
        storage.faults.refused = "bad"
        slow = {"timeout": "30s", "buffer": {"flushInterval": "2s"}}
        async with trail.recording(controllers, storage, datastorage=slow) as program:
            await asyncio.gather(*(trail.play(world, name) for name in names))
            await trail.until_recorded(world, "good")
            await trail.until_recorded(world, "fine")
            await trail.until_refused(world, "bad")
            assert await condition(world, "bad") == ("False", "AuditFailed")
            sent = len(storage.seen.batches)
            await world.stays("bad", for_s=3.0)
        assert len(storage.seen.batches) == sent
        assert await trail.counts(storage) == trail.once("good", "fine")
        assert program.log.read_text().count("Audit event refused") == 3

    async def test_refused_record_is_sent_again_by_a_controller_that_is_set_right(
        self, controllers: Controllers, storage: DataStorage
    ) -> None:
        world = controllers.world
        storage.dialect = "current"
        wrong = {"category": "nonsense"}
        async with trail.recording(controllers, storage, audit=wrong) as program:
            await trail.play(world, "refused")
            assert await condition(world, "refused") == ("False", "AuditFailed")
        assert '"not_stored":"400' in program.log.read_text()
        async with trail.recording(controllers, storage):
            await trail.until_recorded(world, "refused")

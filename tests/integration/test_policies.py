"""Who may cancel, and who may write what else: the admission policy under real users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from tests.fake import kinds
from tests.integration import objects, people, policed, tekton
from tests.integration.people import assert_denied
from tests.integration.policed import EXECUTIONS, FAILED, READY
from tests.integration.world import COLLECTED_S, until_gone

if TYPE_CHECKING:
    from tests.integration.people import Person
    from tests.integration.world import JsonObject, World
    from tests.stack.cluster import Stack

CONTROL = [EXECUTIONS | {"verbs": ["control"]}]
REQUESTED_BY = "spec.cancel.requestedBy must be who sets it: "
RESERVED = "the verb control on workflowexecutions is needed to set "
HOLD = "integration.test/hold"

policy = policed.policy
alice, bob, admin = policed.alice, policed.bob, policed.admin
blocked, cleared = policed.blocked, policed.cleared


class TestCancel:
    @pytest.mark.parametrize("who", ["alice", "admin"])
    async def test_create_is_refused_when_cancel_names_another(
        self, request: pytest.FixtureRequest, alice: Person, admin: Person, who: str
    ) -> None:
        person = {"alice": alice, "admin": admin}[who]
        cancel = {"requestedBy": "bob", "reason": people.REASON}
        body = objects.execution(cancel=cancel)
        assert_denied(await person.create(body), REQUESTED_BY + who)

    async def test_create_is_accepted_when_cancel_names_its_user(self, alice: Person) -> None:
        cancel = {"requestedBy": "alice", "reason": people.REASON}
        made = (await alice.create(objects.execution(cancel=cancel))).accept()
        assert made["spec"]["cancel"] == cancel

    async def test_create_is_accepted_when_nothing_is_cancelled(self, alice: Person) -> None:
        assert (await alice.create(objects.execution())).status == 201

    async def test_cancel_is_refused_when_it_names_another(
        self, world: World, alice: Person, admin: Person
    ) -> None:
        await world.create(objects.execution())
        assert_denied(await alice.cancel("restart", by="bob"), f"{REQUESTED_BY}alice")
        assert_denied(await admin.cancel("restart", by="bob"), f"{REQUESTED_BY}admin")
        assert "cancel" not in (await world.read("restart"))["spec"]

    async def test_cancel_is_accepted_when_it_names_its_user(
        self, world: World, alice: Person
    ) -> None:
        await world.create(objects.execution())
        after = (await alice.cancel("restart", by="alice")).accept()
        assert after["spec"]["cancel"]["requestedBy"] == "alice"

    async def test_cancel_is_refused_when_its_reason_is_blank(
        self, world: World, alice: Person
    ) -> None:
        await world.create(objects.execution())
        reply = await alice.cancel("restart", by="alice", reason=" \n ")
        assert_denied(reply, "spec.cancel.reason must not be blank", status=422)

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"requestedBy": "bob"}, id="requestedBy"),
            pytest.param({"reason": "on second thought"}, id="reason"),
            pytest.param(None, id="removed"),
        ],
    )
    async def test_cancel_stays_as_it_was_set(
        self, world: World, alice: Person, bob: Person, change: JsonObject | None
    ) -> None:
        await world.create(objects.execution())
        (await alice.cancel("restart", by="alice")).accept()
        for person in (alice, bob):
            reply = await person.change("restart", {"spec": {"cancel": change}})
            assert reply.status == 422
            assert [it["field"] for it in reply.body["details"]["causes"]] == ["spec.cancel"]


class TestControl:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("phase", "Completed"),
            ("outcome", "Success"),
            ("message", None),
            ("clearanceRecordedAt", "2026-03-01T12:00:00Z"),
            ("conditions", [{**READY, "reason": "Completed"}]),
            ("conditions", []),
            ("auditedTransitions", ["block.cleared"]),
        ],
    )
    @pytest.mark.parametrize("beside", [True, False], ids=["with-clearance", "alone"])
    async def test_status_is_refused_without_control(
        self, world: World, blocked: str, alice: Person, field: str, value: object, beside: bool
    ) -> None:
        clearance = {"blockClearance": alice.clearance()} if beside else {}
        reply = await alice.set_status(blocked, **{field: value}, **clearance)
        assert_denied(reply, f"{RESERVED}status.{field}")
        assert (await world.read(blocked))["status"] == FAILED

    async def test_refusal_names_every_field(self, blocked: str, alice: Person) -> None:
        reply = await alice.patch_status(blocked, {"status": None})
        said = reply.body["message"].partition(RESERVED)[2]
        assert sorted(said.split(", ")) == sorted(f"status.{field}" for field in FAILED)

    async def test_record_of_a_clearance_is_the_controller_s(
        self, cleared: str, alice: Person, admin: Person
    ) -> None:
        recorded = {"clearanceRecordedAt": tekton.now()}
        said = f"{RESERVED}status.clearanceRecordedAt"
        assert_denied(await alice.set_status(cleared, **recorded), said)
        (await admin.set_status(cleared, **recorded)).accept()

    async def test_control_is_a_right_within_a_namespace(
        self, stack: Stack, blocked: str, bob: Person
    ) -> None:
        said = f"{RESERVED}status.progress"
        with people.granted(stack, "bob", CONTROL, namespace="default"):
            assert_denied(await bob.set_status(blocked, progress="1/2"), said)
        with people.granted(stack, "bob", CONTROL, namespace=bob.namespace):
            (await bob.set_status(blocked, progress="1/2")).accept()

    async def test_clearance_is_accepted_when_the_status_is_as_large_as_it_gets(
        self, blocked: str, alice: Person, admin: Person
    ) -> None:
        tasks = [{"name": f"n{i}", "task": "t" * 100, "phase": "Succeeded"} for i in range(256)]
        large = {"taskRuns": tasks, "message": "m" * 32000, "duration": "d" * 4000}
        assert len(orjson.dumps(large)) > 64 * 1024
        (await admin.set_status(blocked, **large)).accept()
        (await alice.clear(blocked)).accept()

    async def test_status_is_no_matter_when_it_is_written_back_unchanged(
        self, cleared: str, bob: Person
    ) -> None:
        (await bob.set_status(cleared, **FAILED)).accept()


class TestRights:
    @pytest.mark.parametrize("user", ["carol", "mallory"])
    async def test_rbac_comes_first_when_a_user_has_no_right(
        self, stack: Stack, world: World, blocked: str, user: str
    ) -> None:
        async with people.at_work(stack, user, world.namespace) as person:
            replies = [await person.clear(blocked), await person.cancel(blocked, by=user)]
        for reply, what in zip(replies, ("/status", ""), strict=True):
            assert reply.status == 403
            said = f'User "{user}" cannot patch resource "workflowexecutions{what}"'
            assert said in reply.body["message"]

    async def test_clearer_may_clear_and_nothing_else(
        self, stack: Stack, world: World, blocked: str
    ) -> None:
        async with people.at_work(stack, "carol", world.namespace) as carol:
            with people.granted(stack, "carol", people.CLEARER, namespace=world.namespace):
                (await carol.clear(blocked)).accept()
                for refused in (
                    await carol.cancel(blocked, by="carol"),
                    await carol.api.delete(kinds.EXECUTIONS, world.namespace, blocked),
                ):
                    assert refused.status == 403
                    assert 'User "carol" cannot' in refused.body["message"]


class TestEverythingElse:
    """What an execution carries does not hinder those who do not touch it."""

    @pytest.fixture(autouse=True)
    async def _carried(self, cleared: str, alice: Person) -> None:
        (await alice.cancel(cleared, by="alice")).accept()

    async def test_metadata_is_free(self, cleared: str, bob: Person) -> None:
        marks = {"labels": {"team": "payment"}, "annotations": {"seen": "yes"}}
        after = (await bob.change(cleared, {"metadata": marks})).accept()
        assert after["metadata"]["labels"] == marks["labels"]

    async def test_execution_goes_when_its_last_finalizer_does(
        self, world: World, cleared: str, bob: Person
    ) -> None:
        (await bob.change(cleared, {"metadata": {"finalizers": [HOLD]}})).accept()
        (await bob.api.delete(kinds.EXECUTIONS, world.namespace, cleared)).accept()
        assert "deletionTimestamp" in (await world.read(cleared))["metadata"]
        (await bob.change(cleared, {"metadata": {"finalizers": None}})).accept()
        await world.until_gone(cleared)

    async def test_garbage_collector_ends_a_foreground_deletion(
        self, world: World, cleared: str, bob: Person
    ) -> None:
        deletion = {"propagationPolicy": "Foreground"}
        (await bob.api.delete(kinds.EXECUTIONS, world.namespace, cleared, **deletion)).accept()
        await world.until_gone(cleared, deadline_s=COLLECTED_S)

    async def test_namespace_goes_with_its_executions(self, world: World, cleared: str) -> None:
        place = kinds.NAMESPACES, "", world.namespace
        (await world.api.delete(*place)).accept()
        await until_gone(world.api, place, deadline_s=COLLECTED_S)

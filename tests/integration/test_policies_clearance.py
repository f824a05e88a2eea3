"""Who may clear, what a clearance must say, and that it stays: the policy under real users."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.fake import kinds
from tests.integration import objects, policed
from tests.integration.people import assert_denied
from tests.integration.policed import FAILED
from workflowexecution.api import times

if TYPE_CHECKING:
    from tests.fake.api import Reply
    from tests.integration.people import Person
    from tests.integration.world import JsonObject, World
    from tests.stack.cluster import Stack

CLEARED_BY = "status.blockClearance.clearedBy must be who sets it: "
ONCE = "status.blockClearance can be set once and then neither changed nor removed"

policy = policed.policy
alice, bob, admin = policed.alice, policed.bob, policed.admin
blocked, cleared = policed.blocked, policed.cleared


def later(seconds: float) -> str:
    """The time in so many seconds."""
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return times.stamp(at)


class TestClearance:
    async def test_clearance_is_accepted_when_it_names_its_user(
        self, world: World, blocked: str, alice: Person
    ) -> None:
        clearance = alice.clearance()
        (await alice.set_status(blocked, blockClearance=clearance)).accept()
        status = (await world.read(blocked))["status"]
        assert status == {**FAILED, "blockClearance": clearance}

    async def test_clearance_is_refused_when_it_names_another(
        self, world: World, blocked: str, alice: Person, admin: Person
    ) -> None:
        assert_denied(await alice.clear(blocked, clearedBy="bob"), f"{CLEARED_BY}alice")
        assert_denied(await admin.clear(blocked, clearedBy="bob"), f"{CLEARED_BY}admin")
        assert (await world.read(blocked))["status"] == FAILED

    async def test_clearance_names_whom_its_user_acts_as(
        self, stack: Stack, world: World, blocked: str, alice: Person, admin: Person
    ) -> None:
        def clear(person: Person) -> None:
            patch = orjson.dumps({"status": {"blockClearance": person.clearance()}}).decode()
            stack.kubectl(
                "patch", "wfe", blocked, "-n", world.namespace, "--as=alice",
                "--subresource=status", "--type=merge", "-p", patch,
            )  # fmt: skip

        with pytest.raises(Exception, match=f"{CLEARED_BY}alice"):
            clear(admin)
        clear(alice)
        status = (await world.read(blocked))["status"]
        assert status["blockClearance"]["clearedBy"] == "alice"

    @pytest.mark.parametrize("reason", ["", "too short", "   too short   ", " " * 20])
    async def test_clearance_is_refused_when_its_reason_is_short(
        self, blocked: str, alice: Person, reason: str
    ) -> None:
        said = "status.blockClearance.clearReason must have at least 10 characters"
        assert_denied(await alice.clear(blocked, clearReason=reason), said, status=422)

    @pytest.mark.parametrize("reason", ["ten of it!", "Gerät läuft"[:10]])
    async def test_clearance_is_accepted_when_its_reason_is_just_long_enough(
        self, blocked: str, alice: Person, reason: str
    ) -> None:
        assert len(reason) == 10
        (await alice.clear(blocked, clearReason=reason)).accept()

    @pytest.mark.parametrize("field", ["clearedAt", "clearedBy", "clearReason", "clearMethod"])
    async def test_clearance_is_refused_when_a_field_is_missing(
        self, blocked: str, alice: Person, field: str
    ) -> None:
        clearance = alice.clearance()
        del clearance[field]
        reply = await alice.set_status(blocked, blockClearance=clearance)
        assert reply.status == 422
        assert f"status.blockClearance.{field}: Required value" in reply.body["message"]

    async def test_clearance_on_create_is_dropped(self, alice: Person) -> None:
        status = {**FAILED, "blockClearance": alice.clearance(clearedBy="bob")}
        made = (await alice.create({**objects.execution(), "status": status})).accept()
        assert "status" not in made

    async def test_clearance_beside_the_spec_is_dropped(
        self, world: World, blocked: str, alice: Person
    ) -> None:
        status = {"blockClearance": alice.clearance(clearedBy="bob")}
        (await alice.change(blocked, {"status": status})).accept()
        assert (await world.read(blocked))["status"] == FAILED


class TestClearedAt:
    SAID = "status.blockClearance.clearedAt must not be in the future"

    async def test_clearance_is_accepted_when_clocks_differ_a_little(
        self, blocked: str, alice: Person
    ) -> None:
        (await alice.clear(blocked, clearedAt=later(30))).accept()

    async def test_clearance_is_refused_when_it_is_to_be_in_the_future(
        self, blocked: str, alice: Person
    ) -> None:
        assert_denied(await alice.clear(blocked, clearedAt=later(90)), self.SAID, status=422)

    @pytest.mark.parametrize("manager", ["kubectl-patch", "another", None])
    async def test_clearance_is_refused_when_the_server_s_stamps_are_forged(
        self, blocked: str, alice: Person, manager: str | None
    ) -> None:
        forged: JsonObject = {
            "manager": manager,
            "operation": "Update",
            "apiVersion": "kubernaut.ai/v1alpha1",
            "time": later(3600),
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:status": {"f:blockClearance": {".": {}, "f:clearedAt": {}}}},
            "subresource": "status",
        }
        patch = {
            "metadata": {"managedFields": [forged if manager else {}]},
            "status": {"blockClearance": alice.clearance(clearedAt=later(90))},
        }
        assert_denied(await alice.patch_status(blocked, patch), self.SAID, status=422)

    async def test_clearance_is_held_to_it_when_it_is_applied(
        self, world: World, blocked: str, alice: Person
    ) -> None:
        path = kinds.EXECUTIONS.path(world.namespace, blocked, "status")

        async def apply(at: str) -> Reply:
            clearance = alice.clearance(clearedAt=at)
            whose = {"apiVersion": "kubernaut.ai/v1alpha1", "kind": "WorkflowExecution"}
            return await alice.api.request(
                "PATCH",
                path,
                query={"fieldManager": "alice"},
                body={**whose, "status": {"blockClearance": clearance}},
                content_type="application/apply-patch+yaml",
            )

        assert_denied(await apply(later(90)), self.SAID, status=422)
        (await apply(later(-90))).accept()


class TestOnce:
    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"clearedBy": "bob"}, id="clearedBy"),
            pytest.param({"clearReason": "on second thought, no"}, id="clearReason"),
            pytest.param({"clearedAt": "2026-03-01T12:00:00Z"}, id="clearedAt"),
            pytest.param({"clearMethod": "APIEndpoint"}, id="clearMethod"),
            pytest.param(None, id="removed"),
        ],
    )
    async def test_clearance_stays_as_it_was_given(
        self, cleared: str, alice: Person, bob: Person, admin: Person, change: JsonObject | None
    ) -> None:
        for person in (alice, bob, admin):
            assert_denied(await person.set_status(cleared, blockClearance=change), ONCE)

    async def test_clearance_is_not_given_again_by_another(self, cleared: str, bob: Person) -> None:
        assert_denied(await bob.clear(cleared), ONCE)

    async def test_clearance_stays_when_the_whole_status_is_removed(
        self, cleared: str, admin: Person
    ) -> None:
        assert_denied(await admin.patch_status(cleared, {"status": None}), ONCE)

    async def test_clearance_stays_when_the_status_is_replaced(
        self, world: World, cleared: str, admin: Person
    ) -> None:
        body = {**await world.read(cleared), "status": FAILED}
        path = kinds.EXECUTIONS.path(world.namespace, cleared, "status")
        assert_denied(await admin.api.request("PUT", path, body=body), ONCE)

"""Who may cancel and who may clear: the admission policy under real users with real rights."""

from __future__ import annotations

import contextlib
import datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import pytest_asyncio

from tests.fake import kinds
from tests.integration import objects, people, tekton
from tests.integration.world import COLLECTED_S, until_gone
from workflowexecution.api import times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fake.api import Reply
    from tests.integration.people import Person
    from tests.integration.world import JsonObject, World
    from tests.stack.cluster import Stack

EXECUTIONS: dict[str, Any] = {"apiGroups": ["kubernaut.ai"], "resources": ["workflowexecutions"]}
USE = [EXECUTIONS | {"verbs": ["get", "list", "create", "update", "delete", "patch"]}]
CONTROL = [EXECUTIONS | {"verbs": ["control"]}]
READY = {
    "type": "Ready",
    "status": "False",
    "reason": "TaskFailed",
    "message": "",
    "lastTransitionTime": "2026-03-01T12:00:00Z",
}
FAILED = {
    "phase": "Failed",
    "outcome": "Failed",
    "message": "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 1",
    "requiresManualReview": True,
    "conditions": [READY],
}
CLEARED_BY = "status.blockClearance.clearedBy must be who sets it: "
REQUESTED_BY = "spec.cancel.requestedBy must be who sets it: "
ONCE = "status.blockClearance can be set once and then neither changed nor removed"
RESERVED = "the verb control on workflowexecutions is needed to set "
HOLD = "integration.test/hold"


@pytest.fixture(scope="module", autouse=True)
def policy(stack: Stack) -> Iterator[None]:
    """The policy, and two people who may use and clear executions everywhere."""
    with people.policy(stack), contextlib.ExitStack() as rights:
        for user in ("alice", "bob"):
            rights.enter_context(people.granted(stack, user, USE))
            rights.enter_context(people.granted(stack, user, people.CLEARER))
        yield


alice = people.fixture("alice")
bob = people.fixture("bob")
admin = people.fixture("admin")
"""Has every verb, control among them."""


@pytest_asyncio.fixture
async def blocked(world: World, admin: Person) -> str:
    """An execution that has failed after it had begun."""
    await world.create(objects.execution("blocked"))
    (await admin.set_status("blocked", **FAILED)).accept()
    return "blocked"


@pytest_asyncio.fixture
async def cleared(blocked: str, alice: Person) -> str:
    """The same, cleared by alice."""
    (await alice.clear(blocked)).accept()
    return blocked


def assert_denied(reply: Reply, message: str, *, status: int = 403) -> None:
    """A refusal by the policy with exactly this message, which names the field."""
    assert reply.status == status, reply.raw
    by, _, said = reply.body["message"].partition("denied request: ")
    assert f"ValidatingAdmissionPolicy '{people.NAME}'" in by
    assert said == message


def later(seconds: float) -> str:
    """The time in so many seconds."""
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return times.stamp(at)


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

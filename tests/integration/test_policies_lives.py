"""Who may decide that an execution goes: owners, finalizers, and the admission policy over both."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.fake import kinds
from tests.integration import objects, people
from tests.integration.people import assert_denied
from tests.integration.world import COLLECTED_S, until_gone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.integration.people import Person
    from tests.integration.world import JsonObject, World
    from tests.stack.cluster import Stack

EDITOR = "workflowexecution-editor"
FINALIZER = "kubernaut.ai/workflowexecution-cleanup"
LEGACY_FINALIZER = "workflowexecution.kubernaut.ai/workflowexecution-cleanup"
HOLD = "integration.test/hold"
FAILED = {"phase": "Failed", "outcome": "Failed", "requiresManualReview": True}

_GROUP: dict[str, Any] = {"apiGroups": ["kubernaut.ai"]}
_USE = ["get", "list", "watch", "create", "update", "patch"]
# As the chart of Kubernaut has it.
ORCHESTRATOR = [
    _GROUP | {"resources": ["workflowexecutions"], "verbs": _USE},
    _GROUP | {"resources": ["remediationrequests"], "verbs": [*_USE, "delete"]},
]
DELETER = [_GROUP | {"resources": ["workflowexecutions"], "verbs": [*_USE, "delete"]}]
NAMED = [
    _GROUP
    | {"resources": ["workflowexecutions"], "resourceNames": ["blocked"], "verbs": ["delete"]}
]
CONTROL = [_GROUP | {"resources": ["workflowexecutions"], "verbs": ["control"]}]
GONE = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "name": "gone",
    "uid": "00000000-0000-0000-0000-000000000001",
}
NOT_SET = "the verb delete on workflowexecutions is needed to set metadata.ownerReferences"
NOT_CREATED = f"{NOT_SET}, or on the RemediationRequest that is the owner"
NOT_FREED = "the verb delete or control on workflowexecutions is needed to take off the finalizer "


@pytest.fixture(scope="module", autouse=True)
def policy(stack: Stack, account: object) -> Iterator[None]:
    """The policy; alice edits, bob may delete, carol orchestrates."""
    assert account
    with people.policy(stack), contextlib.ExitStack() as rights:
        rights.enter_context(people.granted(stack, "alice", EDITOR))
        rights.enter_context(people.granted(stack, "bob", DELETER))
        rights.enter_context(people.granted(stack, "carol", ORCHESTRATOR))
        yield


alice = people.fixture("alice")
"""Has the role of editors and no other."""
bob = people.fixture("bob")
"""May delete executions."""
carol = people.fixture("carol")
"""Is the orchestrator, who may delete remediations and no executions."""


@pytest_asyncio.fixture
async def blocked(world: World) -> str:
    """An execution that has failed after it had begun, and is held as the controller holds it."""
    body = objects.execution("blocked")
    body["metadata"]["finalizers"] = [HOLD, FINALIZER]
    await world.create(body)
    place = kinds.EXECUTIONS, world.namespace, "blocked"
    (await world.api.patch(*place, {"status": FAILED}, subresource="status")).accept()
    return "blocked"


@pytest_asyncio.fixture(autouse=True)
async def _nothing_is_held(world: World) -> AsyncIterator[None]:
    yield
    for made in (await world.api.list(kinds.EXECUTIONS, world.namespace)).accept()["items"]:
        await world.change(made["metadata"]["name"], finalizers())


def finalizers(*names: str) -> JsonObject:
    """The patch that leaves these."""
    return {"metadata": {"finalizers": list(names) or None}}


def owners(*references: JsonObject) -> JsonObject:
    """The patch that leaves these."""
    return {"metadata": {"ownerReferences": list(references) or None}}


def owned(name: str, *references: JsonObject) -> JsonObject:
    """An execution with these owners."""
    body = objects.execution(name)
    body["metadata"] |= owners(*references)["metadata"]
    return body


def reference(owner: JsonObject, **flags: bool) -> JsonObject:
    """What names an object as an owner."""
    metadata = owner["metadata"]
    named = {"name": metadata["name"], "uid": metadata["uid"]}
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], **named, **flags}


async def remediation(world: World, name: str = "remediation") -> JsonObject:
    """A RemediationRequest."""
    body = {"metadata": {"name": name}}
    return (await world.api.create(kinds.REMEDIATION_REQUESTS, world.namespace, body)).accept()


async def note(world: World) -> JsonObject:
    """A ConfigMap."""
    body = {"metadata": {"name": "note"}}
    made = (await world.api.create(kinds.CONFIG_MAPS, world.namespace, body)).accept()
    return {"apiVersion": "v1", "kind": "ConfigMap", **made}


async def collector_has_seen_all(world: World) -> None:
    """Wait until the garbage collector knows every execution there is; it hears of them in turn.

    What it does not know when the owner goes, it does not take from it, and deletes later.
    """
    await world.create(owned("last", GONE))
    await world.until_gone("last", deadline_s=COLLECTED_S)


class TestOwnersOfWhatIsThere:
    async def test_owner_is_refused_when_its_user_may_not_delete(
        self, world: World, blocked: str, alice: Person, carol: Person
    ) -> None:
        real = reference(await remediation(world))
        for person in (alice, carol):
            assert_denied(await person.change(blocked, owners(GONE)), NOT_SET)
            assert_denied(await person.change(blocked, owners(real)), NOT_SET)
        await world.stays(blocked, for_s=1.0)

    async def test_kubectl_tells_an_editor_why_it_is_refused(
        self, stack: Stack, world: World, blocked: str
    ) -> None:
        patch = (
            '{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap",'
            '"name":"gone","uid":"00000000-0000-0000-0000-000000000001"}]}}'
        )
        with pytest.raises(Exception, match=NOT_SET):
            stack.kubectl(
                "patch", "wfe", blocked, "-n", world.namespace, "--as=alice", "--type=merge",
                "-p", patch,
            )  # fmt: skip

    async def test_owner_is_refused_when_it_is_applied(
        self, world: World, blocked: str, alice: Person
    ) -> None:
        reply = await alice.api.request(
            "PATCH",
            kinds.EXECUTIONS.path(world.namespace, blocked),
            query={"fieldManager": "alice", "force": "true"},
            body={
                "apiVersion": "kubernaut.ai/v1alpha1",
                "kind": "WorkflowExecution",
                **owners(GONE),
            },
            content_type="application/apply-patch+yaml",
        )
        assert_denied(reply, NOT_SET)

    async def test_owner_in_a_write_of_the_status_is_dropped(
        self, stack: Stack, world: World, blocked: str, alice: Person
    ) -> None:
        with people.granted(stack, "alice", people.CLEARER, namespace=world.namespace):
            given = {"status": {"blockClearance": alice.clearance()}}
            (await alice.patch_status(blocked, {**owners(GONE), **finalizers(), **given})).accept()
        metadata = (await world.read(blocked))["metadata"]
        assert "ownerReferences" not in metadata
        assert metadata["finalizers"] == [HOLD, FINALIZER]

    async def test_owner_stays_when_its_user_may_not_delete(
        self, world: World, alice: Person, carol: Person
    ) -> None:
        whose = reference(await remediation(world), controller=True, blockOwnerDeletion=True)
        await world.create(owned("kept", whose))
        for person in (alice, carol):
            assert_denied(await person.change("kept", owners()), NOT_SET)
            less = {**whose, "blockOwnerDeletion": False}
            assert_denied(await person.change("kept", owners(less)), NOT_SET)
            (await person.change("kept", {"metadata": {"labels": {"team": "a"}}})).accept()
        assert (await world.read("kept"))["metadata"]["ownerReferences"] == [whose]

    async def test_owner_is_who_may_delete_s_to_set(
        self, world: World, blocked: str, bob: Person
    ) -> None:
        (await bob.change(blocked, owners(GONE))).accept()
        (await bob.change(blocked, finalizers())).accept()
        await world.until_gone(blocked, deadline_s=COLLECTED_S)

    async def test_owner_is_theirs_to_set_who_may_delete_this_one(
        self, stack: Stack, world: World, blocked: str, alice: Person
    ) -> None:
        await world.create(objects.execution("another"))
        with people.granted(stack, "alice", NAMED, namespace=world.namespace):
            assert_denied(await alice.change("another", owners(GONE)), NOT_SET)
            (await alice.change(blocked, owners(GONE))).accept()


class TestOwnersAtTheCreate:
    @pytest.mark.parametrize(
        "kind",
        [
            pytest.param({}, id="configmap"),
            pytest.param({"kind": "RemediationRequest"}, id="core"),
            pytest.param(
                {"apiVersion": "kubernaut.ai/v1alpha1", "kind": "WorkflowExecution"}, id="execution"
            ),
            pytest.param(
                {"apiVersion": "kubernaut.ai.example/v1", "kind": "RemediationRequest"}, id="group"
            ),
        ],
    )
    async def test_execution_is_refused_when_its_owner_is_no_remediation(
        self, alice: Person, carol: Person, kind: JsonObject
    ) -> None:
        for person in (alice, carol):
            assert_denied(await person.create(owned("owned", GONE | kind)), NOT_CREATED)

    async def test_execution_is_refused_when_one_of_its_owners_is_no_remediation(
        self, world: World, carol: Person
    ) -> None:
        whose = reference(await remediation(world), controller=True)
        assert_denied(await carol.create(owned("owned", whose, GONE)), NOT_CREATED)

    async def test_execution_is_refused_when_its_user_may_not_delete_the_remediation(
        self, world: World, alice: Person
    ) -> None:
        whose = reference(await remediation(world))
        for owner in (whose, {**whose, "uid": GONE["uid"], "name": "gone"}):
            assert_denied(await alice.create(owned("owned", owner)), NOT_CREATED)

    async def test_execution_is_accepted_when_its_user_may_delete_it(
        self, world: World, bob: Person
    ) -> None:
        whose = reference(await note(world))
        (await bob.create(owned("owned", whose))).accept()
        (await bob.create(owned("brief", GONE))).accept()
        await world.until_gone("brief", deadline_s=COLLECTED_S)
        await world.stays("owned", for_s=0.5)


class TestRemediation:
    """An execution as the orchestrator makes it, with the garbage collector at work."""

    @pytest_asyncio.fixture
    async def whose(self, world: World) -> JsonObject:
        return reference(await remediation(world), controller=True, blockOwnerDeletion=True)

    @pytest.mark.parametrize("way", ["Background", "Foreground"])
    async def test_execution_goes_with_its_remediation(
        self, world: World, carol: Person, whose: JsonObject, way: str
    ) -> None:
        (await carol.create(owned("owned", whose))).accept()
        (await carol.change("owned", {"metadata": {"annotations": {"seen": "yes"}}})).accept()
        owner = kinds.REMEDIATION_REQUESTS, world.namespace, whose["name"]
        (await carol.api.delete(*owner, propagationPolicy=way)).accept()
        await world.until_gone("owned", deadline_s=COLLECTED_S)
        await until_gone(world.api, owner, deadline_s=COLLECTED_S)

    async def test_execution_stays_when_its_remediation_leaves_it(
        self, world: World, carol: Person, whose: JsonObject
    ) -> None:
        (await carol.create(owned("owned", whose))).accept()
        await collector_has_seen_all(world)
        owner = kinds.REMEDIATION_REQUESTS, world.namespace, whose["name"]
        (await carol.api.delete(*owner, propagationPolicy="Orphan")).accept()
        await until_gone(world.api, owner, deadline_s=COLLECTED_S)
        assert "ownerReferences" not in (await world.read("owned"))["metadata"]

    async def test_collector_takes_off_one_of_two_owners(
        self, world: World, bob: Person, whose: JsonObject
    ) -> None:
        second = reference(await note(world))
        (await bob.create(owned("owned", whose, second))).accept()
        owner = kinds.REMEDIATION_REQUESTS, world.namespace, whose["name"]
        (await world.api.delete(*owner)).accept()
        await world.until(
            "owned",
            lambda it: it["metadata"]["ownerReferences"] == [second],
            deadline_s=COLLECTED_S,
        )


class TestFinalizers:
    @pytest.mark.parametrize("deleted", [False, True], ids=["there", "deleted"])
    async def test_finalizer_of_the_controller_stays_when_its_user_may_not_delete(
        self, world: World, blocked: str, alice: Person, carol: Person, deleted: bool
    ) -> None:
        if deleted:
            (await world.api.delete(kinds.EXECUTIONS, world.namespace, blocked)).accept()
        for person in (alice, carol):
            for left in ((), (HOLD,)):
                reply = await person.change(blocked, finalizers(*left))
                assert_denied(reply, NOT_FREED + FINALIZER)
        assert (await world.read(blocked))["metadata"]["finalizers"] == [HOLD, FINALIZER]

    async def test_finalizer_of_the_former_controller_stays_too(
        self, world: World, blocked: str, alice: Person
    ) -> None:
        (await world.change(blocked, finalizers(LEGACY_FINALIZER, FINALIZER))).accept()
        reply = await alice.change(blocked, finalizers())
        assert_denied(reply, f"{NOT_FREED}{LEGACY_FINALIZER}, {FINALIZER}")

    async def test_finalizers_of_others_come_and_go(
        self, world: World, blocked: str, alice: Person
    ) -> None:
        (await alice.change(blocked, finalizers(FINALIZER))).accept()
        (await alice.change(blocked, finalizers(FINALIZER, HOLD))).accept()
        assert (await world.read(blocked))["metadata"]["finalizers"] == [FINALIZER, HOLD]

    @pytest.mark.parametrize("name", ["orphan", "foregroundDeletion"])
    async def test_finalizer_of_the_collector_deletes_nothing(
        self, world: World, blocked: str, alice: Person, name: str
    ) -> None:
        (await alice.change(blocked, finalizers(FINALIZER, name))).accept()
        await world.stays(blocked, for_s=1.0)
        assert "deletionTimestamp" not in (await world.read(blocked))["metadata"]

    @pytest.mark.parametrize("rules", [CONTROL, DELETER], ids=["control", "delete"])
    async def test_finalizer_goes_by_who_controls_or_deletes(
        self, stack: Stack, world: World, blocked: str, alice: Person, rules: list[JsonObject]
    ) -> None:
        with people.granted(stack, "alice", rules, namespace=world.namespace):
            (await alice.change(blocked, finalizers(HOLD))).accept()
        assert (await world.read(blocked))["metadata"]["finalizers"] == [HOLD]


class TestTimeOfDeletion:
    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"deletionTimestamp": "2026-01-01T00:00:00Z"}, id="deletionTimestamp"),
            pytest.param({"deletionGracePeriodSeconds": 0}, id="deletionGracePeriodSeconds"),
            pytest.param({"creationTimestamp": "2020-01-01T00:00:00Z"}, id="creationTimestamp"),
            pytest.param({"uid": GONE["uid"]}, id="uid"),
        ],
    )
    async def test_time_of_deletion_is_nobody_s_to_set(
        self, world: World, blocked: str, alice: Person, fields: JsonObject
    ) -> None:
        before = (await world.read(blocked))["metadata"]
        await alice.change(blocked, {"metadata": {**fields, "finalizers": [HOLD, FINALIZER]}})
        after = (await world.read(blocked))["metadata"]
        changed = {name for name in fields if before.get(name) != after.get(name)}
        assert changed == set()

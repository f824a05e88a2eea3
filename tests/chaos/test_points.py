"""Every write of the program has its crash points, and the trap kills where it was told to."""

from __future__ import annotations

import ast
import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chaos import points, trap
from tests.chaos.points import Kind, Point, When
from workflowexecution.adapters import executions, outbox, tekton
from workflowexecution.adapters.events import EVENTS
from workflowexecution.runtime import lease

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workflowexecution.runtime.resource import Resource

PACKAGE = Path(__file__).parents[2] / "workflowexecution"
CLIENTS = {"client", "_client", "api", "_api"}
WRITES = {"create", "merge_patch", "delete"}
FINALIZER = "kubernaut.ai/workflowexecution-cleanup"


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every function of a module with its qualified name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node


def is_write(node: ast.AST) -> bool:
    """Whether this is a call by which something is written: of a client, or the audit store."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner = node.func.value
    of = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    sends = (of, node.func.attr) == ("_store", "send")
    return sends or (of in CLIENTS and node.func.attr in WRITES)


def places() -> set[str]:
    """Where the program writes."""
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for name, function in functions(ast.parse(path.read_text())):
            if any(is_write(node) for node in ast.walk(function)):
                found.add(f"{module}:{name}")
    return {it for it in found if it.partition(":")[0] not in points.COMMANDS}


class TestTable:
    def test_every_place_that_writes_has_its_points(self) -> None:
        assert places() == set(points.PLACES)

    def test_every_kind_is_made_somewhere_and_has_two_points(self) -> None:
        made = {*points.kinds_of_places(), Kind.AUDIT_QUERY}
        assert made == set(Kind)
        assert len(points.POINTS) == 2 * len(Kind)

    def test_client_has_no_other_verb_that_writes(self) -> None:
        tree = ast.parse((PACKAGE / "runtime" / "client.py").read_text())
        guarded = {
            name
            for name, function in functions(tree)
            if any(
                isinstance(it, ast.Attribute) and it.attr == "_fence" for it in ast.walk(function)
            )
        }
        assert guarded == {f"Client.{verb}" for verb in WRITES} | {"Client.__init__"}

    @pytest.mark.parametrize("point", points.POINTS, ids=str)
    def test_point_is_known_by_its_name(self, point: Point) -> None:
        assert points.parse(str(point)) == point


STATUS = [
    pytest.param({"phase": "Pending"}, Kind.STATUS_PENDING, id="pending"),
    pytest.param({"phase": "Running", "startTime": "x"}, Kind.STATUS_RUNNING, id="running"),
    pytest.param({"phase": "Completed"}, Kind.STATUS_TERMINAL, id="completed"),
    pytest.param({"phase": "Failed"}, Kind.STATUS_TERMINAL, id="failed"),
    pytest.param({"phase": "Skipped"}, Kind.STATUS_SKIPPED, id="skipped"),
    pytest.param({"progress": "1/2", "conditions": []}, Kind.STATUS_PROGRESS, id="progress"),
    pytest.param({"clearanceRecordedAt": "x"}, Kind.CLEARANCE, id="clearance"),
    pytest.param({"auditedTransitions": []}, Kind.ACKNOWLEDGEMENT, id="acknowledgement"),
]
METADATA = [
    pytest.param({"finalizers": [FINALIZER], "labels": {}}, Kind.CLAIM, id="claim"),
    pytest.param({"finalizers": [FINALIZER]}, Kind.FINALIZER_ADD, id="add"),
    pytest.param({"finalizers": None}, Kind.FINALIZER_REMOVE, id="remove"),
    pytest.param({"finalizers": ["other"]}, Kind.FINALIZER_REMOVE, id="leave-others"),
    pytest.param(
        {"annotations": {"kubernaut.ai/start-attempt": "2"}}, Kind.START_ATTEMPT, id="attempt"
    ),
]
OTHERS = [
    pytest.param(
        tekton.PIPELINERUNS,
        {"metadata": {"annotations": {"kubernaut.ai/cancel-cause": "x"}}},
        Kind.RUN_CANCEL,
        id="cancel",
    ),
    pytest.param(
        tekton.PIPELINERUNS,
        {"metadata": {"annotations": {"kubernaut.ai/nudged-at": "x"}}},
        Kind.RUN_NUDGE,
        id="nudge",
    ),
    pytest.param(EVENTS, {"count": 2}, Kind.EVENT_COUNT, id="event"),
    pytest.param(outbox.CONFIGMAPS, {"data": {"a": "b"}}, Kind.OUTBOX_PUT, id="put"),
    pytest.param(outbox.CONFIGMAPS, {"data": {"a": None}}, Kind.OUTBOX_TAKE, id="take"),
    pytest.param(
        lease.LEASES,
        {"spec": lease.Record("me", 3, "then", "then").spec()},
        Kind.LEASE_TAKE,
        id="lease-take",
    ),
    pytest.param(
        lease.LEASES,
        {"spec": lease.Record("me", 3, "then", "now").spec()},
        Kind.LEASE_RENEW,
        id="renew",
    ),
    pytest.param(
        lease.LEASES,
        {"spec": lease.Record("", 1, "x", "x").spec()},
        Kind.LEASE_RELEASE,
        id="release",
    ),
]


class TestKinds:
    @pytest.mark.parametrize(("status", "kind"), STATUS)
    def test_status_is_told_by_what_it_says(self, status: dict[str, Any], kind: Kind) -> None:
        assert points.of_patch(executions.EXECUTIONS, {"status": status}, "status") is kind

    @pytest.mark.parametrize(("metadata", "kind"), METADATA)
    def test_patch_of_an_execution_is_told_by_its_fields(
        self, metadata: dict[str, Any], kind: Kind
    ) -> None:
        assert points.of_patch(executions.EXECUTIONS, {"metadata": metadata}, "") is kind

    @pytest.mark.parametrize(("resource", "patch", "kind"), OTHERS)
    def test_other_patches_are_told_by_resource_and_content(
        self, resource: Resource, patch: dict[str, Any], kind: Kind
    ) -> None:
        assert points.of_patch(resource, patch, "") is kind

    def test_request_of_no_kind_is_an_error(self) -> None:
        with pytest.raises(points.UnknownWrite):
            points.of_create(tekton.PODS)
        with pytest.raises(points.UnknownWrite):
            points.of_delete(executions.EXECUTIONS)
        with pytest.raises(points.UnknownWrite):
            points.of_patch(tekton.TASKRUNS, {}, "")
        with pytest.raises(points.UnknownWrite):
            points.of_patch(executions.EXECUTIONS, {"metadata": {"labels": {}}}, "")


class Died(Exception):
    """What a process does that the trap has caught."""


def die() -> None:
    raise Died


def died(order: str, folder: Path, *reached: Point) -> bool:
    """Whether a process that reaches these points dies of the order."""
    (folder / trap.ARMED).write_text(order)
    made = trap.Trap(folder, die=die)
    try:
        for point in reached:
            made.reached(point)
    except Died:
        return True
    return False


class TestTrap:
    CREATE = Point(When.BEFORE, Kind.RUN_CREATE)
    CREATED = Point(When.AFTER, Kind.RUN_CREATE)

    def test_process_dies_at_the_point_and_says_so(self, tmp_path: Path) -> None:
        assert died("1 before:run-create 1", tmp_path, self.CREATED, self.CREATE)
        assert (tmp_path / trap.FIRED).exists()
        assert not (tmp_path / trap.ARMED).exists()

    def test_process_dies_the_how_manieth_time(self, tmp_path: Path) -> None:
        assert not died("1 before:run-create 3", tmp_path, *[self.CREATE] * 2)
        assert died("2 before:run-create 3", tmp_path, *[self.CREATE] * 3)

    def test_process_dies_for_what_another_has_begun_to_count(self, tmp_path: Path) -> None:
        order = "1 before:run-create 3"
        assert not died(order, tmp_path, self.CREATE, self.CREATED, self.CREATE)
        assert died(order, tmp_path, self.CREATE)

    def test_process_lives_at_other_points_and_without_an_order(self, tmp_path: Path) -> None:
        assert not died("1 before:run-create 1", tmp_path, self.CREATED)
        assert not died("", tmp_path, self.CREATE)

    def test_process_is_killed_and_not_asked(self, tmp_path: Path) -> None:
        (tmp_path / trap.ARMED).write_text("1 before:run-create 1")
        code = (
            "import pathlib, sys; from tests.chaos import points, trap; "
            "trap.Trap(pathlib.Path(sys.argv[1])).reached(points.parse('before:run-create'))"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, cwd=PACKAGE.parent, check=False)
        assert done.returncode == -signal.SIGKILL

    def test_only_the_first_of_several_dies(self, tmp_path: Path) -> None:
        made = trap.Trap(tmp_path, die=die)
        (tmp_path / trap.ARMED).write_text("1 before:run-create 2")
        made.reached(self.CREATE)
        assert died("1 before:run-create 2", tmp_path, *[self.CREATE] * 2)
        # The order that it had begun to count is another's by now.
        made.reached(self.CREATE)

    def test_request_that_fails_has_no_second_point(self, tmp_path: Path) -> None:
        seen: list[Point] = []

        class Noting(trap.Trap):
            def reached(self, point: Point) -> None:
                seen.append(point)

        async def fail() -> None:
            async with Noting(tmp_path).around(Kind.RUN_CREATE):
                raise OSError

        with pytest.raises(OSError):  # noqa: PT011 - any
            asyncio.run(fail())
        assert seen == [self.CREATE]

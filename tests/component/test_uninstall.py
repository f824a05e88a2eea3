"""`workflowexecution uninstall --finalizers`, as a person calls it, against the fake cluster."""

from __future__ import annotations

import errno
import functools
import io
import signal
from typing import TYPE_CHECKING

import pytest

from tests.fake import faults, kinds, statuses, threaded
from tests.fake.cluster import FakeCluster
from tests.fake.paths import Match
from workflowexecution import cli, screen
from workflowexecution.api import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fake.threaded import ThreadedCluster

OTHER = "others.test/hold"
# In one cluster: by namespace and name, the finalizers of each execution.
HELD = {
    ("payment", "ours"): [names.FINALIZER],
    ("payment", "older"): [names.LEGACY_FINALIZER],
    ("shop", "shared"): [OTHER, names.FINALIZER],
    ("shop", "free"): [],
}


@pytest.fixture
def cluster() -> Iterator[ThreadedCluster]:
    with threaded.running() as running:
        for namespace in ("payment", "shop"):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            running.call(functools.partial(FakeCluster.create, item=body))
        for (namespace, name), finalizers in HELD.items():
            made = _execution(namespace, name, finalizers)
            running.call(functools.partial(FakeCluster.create, item=made))
        yield running


@pytest.fixture
def uninstall(cluster: ThreadedCluster, tmp_path: Path) -> Callable[..., int]:
    """Calls the program with further arguments; gives its exit code."""
    path = tmp_path / "kubeconfig"
    cluster.call(lambda inside: inside.write_kubeconfig(path))
    return functools.partial(_call, str(path))


def _call(kubeconfig: str, *arguments: str) -> int:
    return cli.main(["uninstall", "--finalizers", "--kubeconfig", kubeconfig, *arguments])


def _execution(namespace: str, name: str, finalizers: list[str]) -> dict[str, object]:
    metadata = {"namespace": namespace, "name": name, "finalizers": finalizers}
    return {
        "apiVersion": kinds.EXECUTIONS.api_version,
        "kind": kinds.EXECUTIONS.kind,
        "metadata": metadata,
        "spec": {"targetResource": f"{namespace}/deployment/{name}"},
    }


def left(cluster: ThreadedCluster) -> dict[tuple[str, str], list[str]]:
    """The finalizers that each execution has now."""
    found = cluster.call(lambda inside: inside.items(kinds.EXECUTIONS))
    metadata = [it["metadata"] for it in found]
    return {(it["namespace"], it["name"]): it.get("finalizers", []) for it in metadata}


FREED = {key: [OTHER] if OTHER in finalizers else [] for key, finalizers in HELD.items()}


def test_own_finalizers_go_and_those_of_others_stay(
    cluster: ThreadedCluster, uninstall: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert uninstall("--yes") == cli.EXIT_OK
    assert left(cluster) == FREED
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first.startswith("3 executions in all namespaces of http://127.0.0.1:")
    assert sorted(lines) == ["payment/older: freed", "payment/ours: freed", "shop/shared: freed"]
    assert last == "3 freed, 0 failed"


def test_nothing_is_written_when_nothing_is_held(
    cluster: ThreadedCluster, uninstall: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    uninstall("--yes")
    before = left(cluster)
    assert uninstall() == cli.EXIT_OK
    assert capsys.readouterr().out.splitlines()[-1] == "0 freed, 0 failed"
    assert left(cluster) == before


def test_other_namespaces_are_left_alone_when_one_is_named(
    cluster: ThreadedCluster, uninstall: Callable[..., int]
) -> None:
    assert uninstall("--yes", "--namespace", "payment") == cli.EXIT_OK
    assert left(cluster)["payment", "ours"] == []
    assert left(cluster)["shop", "shared"] == HELD["shop", "shared"]


def test_nothing_is_changed_when_it_is_dry(
    cluster: ThreadedCluster, uninstall: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert uninstall("--dry-run") == cli.EXIT_OK
    assert left(cluster) == HELD
    assert "payment/ours: would be freed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "code", "finalizers"),
    [
        pytest.param("yes\n", cli.EXIT_OK, FREED, id="yes"),
        pytest.param("Y\n", cli.EXIT_OK, FREED, id="y"),
        pytest.param("\n", cli.EXIT_FAILED, HELD, id="nothing"),
        pytest.param("no\n", cli.EXIT_FAILED, HELD, id="no"),
        pytest.param("", cli.EXIT_FAILED, HELD, id="nobody-there"),
    ],
)
def test_answer_decides_when_it_asks(
    cluster: ThreadedCluster,
    uninstall: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    finalizers: dict[tuple[str, str], list[str]],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert uninstall() == code
    assert left(cluster) == finalizers


def test_nothing_is_changed_when_the_person_breaks_off_at_the_question(
    cluster: ThreadedCluster,
    uninstall: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    heard: list[str] = []

    def read(_: str) -> str:
        signal.raise_signal(signal.SIGINT)
        heard.append("nothing")
        return "no"

    monkeypatch.setattr("builtins.input", read)
    assert uninstall() == screen.EXIT_INTERRUPTED
    assert heard == []
    assert left(cluster) == HELD
    assert capsys.readouterr().err == ""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interruption_that_is_ignored_stays_so_at_the_question(
    uninstall: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)

    def read(_: str) -> str:
        signal.raise_signal(signal.SIGINT)
        return "no"

    monkeypatch.setattr("builtins.input", read)
    try:
        assert uninstall() == cli.EXIT_FAILED
    finally:
        signal.signal(signal.SIGINT, former)


class _Full(io.StringIO):
    """Takes the first lines."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._left = lines

    def write(self, text: str) -> int:
        self._left -= text.count("\n")
        if self._left < 0:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        return super().write(text)


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_all_are_freed_when_nobody_listens_any_more(
    cluster: ThreadedCluster,
    uninstall: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    lines: int,
) -> None:
    monkeypatch.setattr("sys.stdout", _Full(lines))
    assert uninstall("--yes") == screen.EXIT_UNHEARD
    assert left(cluster) == FREED


def test_answer_to_a_question_that_nobody_has_read_is_no(
    cluster: ThreadedCluster, uninstall: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", _Full(0))
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert uninstall() == screen.EXIT_UNHEARD
    assert left(cluster) == HELD


def test_execution_is_freed_when_somebody_writes_to_it_meanwhile(
    cluster: ThreadedCluster, uninstall: Callable[..., int]
) -> None:
    refused = faults.refused(
        statuses.conflict("kubernaut.ai", "workflowexecutions", "ours", "written to")
    )
    cluster.call(lambda inside: inside.faults.add(refused, Match(verbs=("patch",))))
    assert uninstall("--yes") == cli.EXIT_OK
    assert left(cluster) == FREED


def test_failure_is_told_when_somebody_writes_to_an_execution_all_the_time(
    cluster: ThreadedCluster, uninstall: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    refused = faults.refused(
        statuses.conflict("kubernaut.ai", "workflowexecutions", "ours", "busy")
    )
    match = Match(verbs=("patch",), name="ours")
    cluster.call(lambda inside: inside.faults.add(refused, match, times=None))
    assert uninstall("--yes") == cli.EXIT_FAILED
    assert "payment/ours: 409" in capsys.readouterr().out


def test_execution_that_goes_meanwhile_is_free(
    cluster: ThreadedCluster, uninstall: Callable[..., int]
) -> None:
    refused = faults.refused(statuses.not_found("kubernaut.ai", "workflowexecutions", "ours"))
    match = Match(verbs=("get",), name="ours")
    cluster.call(lambda inside: inside.faults.add(refused, match))
    assert uninstall("--yes") == cli.EXIT_OK
    assert left(cluster) == {**FREED, ("payment", "ours"): HELD["payment", "ours"]}


def test_every_page_of_a_long_list_is_read(
    cluster: ThreadedCluster, uninstall: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(501):
        made = _execution("payment", f"more-{number:03}", [names.FINALIZER])
        cluster.call(functools.partial(FakeCluster.create, item=made))
    assert uninstall("--dry-run", "--namespace", "payment") == cli.EXIT_OK
    assert capsys.readouterr().out.startswith("503 executions in namespace payment of ")


def test_failure_is_told_and_the_others_are_freed(
    cluster: ThreadedCluster, uninstall: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    match = Match(verbs=("patch",), name="older")
    cluster.call(lambda inside: inside.faults.add(faults.bad_gateway(), match, times=None))
    assert uninstall("--yes") == cli.EXIT_FAILED
    assert left(cluster) == {**FREED, ("payment", "older"): HELD["payment", "older"]}
    out = capsys.readouterr().out
    assert "payment/older: 502" in out
    assert "2 freed, 1 failed" in out


def test_failure_is_told_when_the_api_is_not_there(
    cluster: ThreadedCluster, uninstall: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.call(lambda inside: inside.remove_api(kinds.EXECUTIONS))
    assert uninstall("--yes") == cli.EXIT_FAILED
    assert capsys.readouterr().err.startswith("workflowexecution: ")


def test_arguments_are_wrong_when_nothing_is_to_be_taken_away(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["uninstall"])
    assert caught.value.code == cli.EXIT_USAGE
    assert "--finalizers" in capsys.readouterr().err


def test_arguments_are_wrong_when_there_is_no_way_to_a_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(str(tmp_path / "none")) == cli.EXIT_USAGE
    assert "kubeconfig not found" in capsys.readouterr().err

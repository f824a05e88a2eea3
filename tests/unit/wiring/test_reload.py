"""The file changes, and the program follows it or says why not."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing

from workflowexecution import config, logs
from workflowexecution.wiring import reload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from workflowexecution.runtime import manager

pytestmark = pytest.mark.looptime

SEEN_S = 2 * reload.LOOK_EVERY_S + 1


class Rig:
    """A file, who follows it, and those who are told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = folder / "config.yaml"
        self.file.write_text("controller: {workers: 2}")
        self.levels: list[str] = []
        self.told: list[object] = []
        monkeypatch.setattr(logs, "set_level", self.levels.append)
        source = config.Source(self.file, environ={})
        self.live = reload.Live(source.load(), source)
        self.live.obeyed_by(self, lambda: self.told.append("all"))
        self.said: list[Any] = []

    def resize(self, workers: int) -> None:
        self.told.append(workers)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        (service,) = self.live.services()
        with structlog.testing.capture_logs() as said:
            task = asyncio.create_task(_run(service))
            self.said = said
            try:
                yield
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def write(self, text: str) -> None:
        self.file.write_text(text)
        await asyncio.sleep(SEEN_S)

    @property
    def outcome(self) -> tuple[int, int, bool]:
        return self.live.applied, self.live.refused, self.live.current


async def _run(service: manager.Service) -> None:
    await service.run()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, monkeypatch)


async def test_changed_file_is_taken_over(rig: Rig) -> None:
    async with rig.running():
        await asyncio.sleep(SEEN_S)
        assert rig.told == []
        await rig.write("controller: {workers: 7}\nexecution: {cooldownPeriod: 1m}")
    assert rig.told == [7, "all"]
    assert rig.levels == ["info"]
    assert rig.live.policy.history.cooldown_s == 60
    assert rig.outcome == (1, 0, True)
    (line,) = rig.said
    assert (line["event"], line["restart_for"]) == ("Configuration taken over", [])


async def test_edit_between_the_first_read_and_the_first_look_is_taken_over(rig: Rig) -> None:
    source = config.Source(rig.file, environ={})
    running = source.load()
    rig.file.write_text("controller: {workers: 11}")
    rig.live = reload.Live(running, source)
    rig.live.obeyed_by(rig, lambda: None)
    async with rig.running():
        await asyncio.sleep(SEEN_S)
    assert rig.told == [11]
    assert rig.outcome == (1, 0, True)


async def test_edit_while_the_file_is_read_is_taken_over_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = config.load

    def edited(*given: Any) -> Any:  # noqa: ANN401 - as load
        found = load(*given)
        monkeypatch.setattr(config, "load", load)
        rig.file.write_text("controller: {workers: 12}")
        return found

    async with rig.running():
        monkeypatch.setattr(config, "load", edited)
        await rig.write("controller: {workers: 5}")
        await asyncio.sleep(SEEN_S)
    assert rig.told == [5, "all", 12, "all"]


async def test_wrong_file_is_refused_loudly_and_once(rig: Rig) -> None:
    async with rig.running():
        await rig.write("controller: {workers: 0}\nexecution: {cooldwn: 1m}")
        await asyncio.sleep(60)
        assert rig.told == []
        assert rig.outcome == (0, 1, False)
        (line,) = rig.said
        assert (line["log_level"], line["event"]) == ("error", "Configuration refused")
        assert [it.partition(":")[0] for it in line["problems"]] == [
            "execution.cooldwn",
            "controller.workers",
        ]
        await rig.write("controller: {workers: 3}")
    assert rig.told == [3, "all"]
    assert rig.outcome == (1, 1, True)


async def test_value_that_only_looks_like_a_date_is_refused(rig: Rig) -> None:
    async with rig.running():
        await rig.write("controller: {workers: 7, instance: 2024-13-01}")
        assert rig.told == []
        assert rig.outcome == (0, 1, False)
        await rig.write("controller: {workers: 3}")
    assert rig.told == [3, "all"]
    assert rig.outcome == (1, 1, True)


async def test_number_that_no_float_holds_is_refused(rig: Rig) -> None:
    async with rig.running():
        await rig.write(f"execution: {{cooldownPeriod: {'9' * 400}}}")
    assert rig.outcome == (0, 1, False)
    assert rig.said[0]["problems"] == [
        "execution.cooldownPeriod: it is longer than any duration can be"
    ]


async def test_file_that_meets_a_fault_of_the_reading_is_refused_with_the_fault(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> None:
        raise OverflowError("int too large")

    async with rig.running():
        with monkeypatch.context() as broken:
            broken.setattr(config, "load", odd)
            await rig.write("controller: {workers: 8}")
        assert rig.told == []
        assert rig.outcome == (0, 1, False)
        (line,) = rig.said
        assert (line["log_level"], line["event"]) == ("error", "Configuration refused")
        assert line["problems"] == ["OverflowError while it was read"]
        assert isinstance(line["exc_info"], OverflowError)
        await rig.write("controller: {workers: 3}")
    assert rig.told == [3, "all"]
    assert rig.outcome == (1, 1, True)


async def test_missing_file_changes_nothing(rig: Rig) -> None:
    async with rig.running():
        rig.file.unlink()
        await asyncio.sleep(60)
        assert rig.outcome == (0, 1, False)
        await rig.write("controller: {workers: 2}")
    assert rig.outcome == (1, 1, True)


async def test_keys_that_take_a_restart_are_named(rig: Rig) -> None:
    async with rig.running():
        await rig.write("controller: {workers: 2, metricsAddr: ':9999'}")
        assert list(rig.live.waiting) == ["controller.metricsAddr"]
        assert rig.outcome == (1, 0, True)
    taken, warning = rig.said
    assert taken["restart_for"] == ["controller.metricsAddr"]
    assert (warning["log_level"], warning["event"], warning["keys"]) == (
        "warning",
        "Changed settings wait for a restart",
        ["controller.metricsAddr"],
    )


async def test_nothing_waits_for_a_restart_when_the_file_goes_back(rig: Rig) -> None:
    async with rig.running():
        await rig.write("controller: {workers: 3, metricsAddr: ':9999'}")
        await rig.write("controller: {workers: 0}")
        assert list(rig.live.waiting) == ["controller.metricsAddr"]
        await rig.write("controller: {workers: 4}")
        assert list(rig.live.waiting) == []
    assert rig.outcome == (2, 1, True)


async def test_link_that_is_swapped_is_followed_as_in_a_mounted_configmap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, monkeypatch)
    for name, workers in (("..one", 2), ("..two", 9)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"controller: {{workers: {workers}}}")
    data, swapped = tmp_path / "..data", tmp_path / "..data_tmp"
    data.symlink_to("..one")
    rig.file.unlink()
    rig.file.symlink_to("..data/config.yaml")
    source = config.Source(rig.file, environ={})
    rig.live = reload.Live(source.load(), source)
    rig.live.obeyed_by(rig, lambda: None)
    async with rig.running():
        swapped.symlink_to("..two")
        swapped.replace(data)
        await asyncio.sleep(SEEN_S)
    assert rig.told == [9]


async def test_file_is_read_when_it_has_come_to_rest(rig: Rig) -> None:
    async with rig.running():
        for length in range(4):
            rig.file.write_text("#" * length + "\ncontroller: {workers: 5}")
            await asyncio.sleep(reload.LOOK_EVERY_S)
            assert rig.told == []
        await asyncio.sleep(reload.LOOK_EVERY_S)
    assert rig.told == [5, "all"]


async def test_settings_without_a_file_never_change() -> None:
    live = reload.Live(config.load(None, {}), None)
    assert live.services() == []


async def test_change_before_anybody_obeys_is_kept(rig: Rig) -> None:
    source = config.Source(rig.file, environ={})
    rig.live = reload.Live(source.load(), source)
    async with rig.running():
        await rig.write("execution: {suspend: true}")
    assert rig.live.policy.suspend

"""Rounds follow from their seeds, results from rounds, and a leak is seen as one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.chaos import mishaps, plan, points, results
from tests.chaos.replicas import Rest
from tests.fake import scenarios
from tests.proxy import catalogue

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = range(1, 400)
A_TURN = 59
OTHERS = {"P1", "P2", "P3", "P4", "P5", "S1", "S2", "S3", "S4", "L1", "O1", "O2"}
"""Mishaps that are none of the proxy's."""


class TestDraw:
    def test_same_seed_draws_the_same_round(self) -> None:
        assert [plan.draw(it) for it in SEEDS] == [plan.draw(it) for it in SEEDS]

    def test_other_seeds_draw_other_rounds(self) -> None:
        drawn = [plan.draw(it) for it in SEEDS]
        assert len({(it.wishes, it.mishaps) for it in drawn}) == len(drawn)

    @pytest.mark.parametrize("first", [1, 60, 300])
    def test_every_point_has_its_turn(self, first: int) -> None:
        turns = {plan.draw(it).point for it in range(first, first + A_TURN)} - {None}
        assert turns == {it for it in points.POINTS if it.kind not in points.SLOW}

    def test_every_fault_is_drawn_and_can_be_played(self) -> None:
        plans = [plan.draw(it) for it in SEEDS]
        drawn = [it for each in plans for it in each.mishaps]
        assert {it.code for it in drawn} == OTHERS | catalogue.CATALOGUE.keys()
        drawn += [it for each in plans for it in each.aftermath]
        assert {it.what for it in drawn} - {""} == mishaps.FITS.keys()

    def test_every_run_has_a_scenario_and_what_hangs_is_stopped(self) -> None:
        for seed in SEEDS:
            for wish in plan.draw(seed).wishes:
                assert wish.scenario in scenarios.NAMED
                stopped = (wish.cancel_s, wish.delete_s) != (None, None)
                assert stopped or wish.scenario != "hangs"

    def test_aftermath_is_for_successors_short_and_leaves_them_their_lease(self) -> None:
        for drawn in map(plan.draw, SEEDS):
            assert bool(drawn.aftermath) == (drawn.point is not None)
            for it in drawn.aftermath:
                assert it.begin_s + it.for_s <= plan.AFTER_S
                assert it.whom in {plan.ALL, plan.LEADER}
                assert it.what != "lease"

    def test_what_a_seed_draws_does_not_hang_on_its_aftermath(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = [plan.draw(it) for it in SEEDS]
        monkeypatch.setattr(plan, "_DRAWN_AFTER", (("S1", ""),))
        after = [plan.draw(it) for it in SEEDS]
        assert before != after
        assert [replace(it, aftermath=()) for it in before] == [
            replace(it, aftermath=()) for it in after
        ]

    def test_controllers_are_looked_at_before_others_take_their_place(self) -> None:
        for seed in SEEDS:
            last = plan.draw(seed).cooldown_s != plan.draw(seed + 1).cooldown_s
            assert plan.is_last_of_settings(seed) is last
        assert sum(map(plan.is_last_of_settings, range(7, 7 + plan.SETTINGS_FOR))) == 1


def result(seed: int, *, point: str = "", fired: bool = False) -> results.Result:
    return results.Result(seed, point, fired, ["F1/any"], 9, 7.0, 0, 0, [])


class TestResults:
    def test_next_run_goes_on_after_the_last_seed(self, tmp_path: Path) -> None:
        file = tmp_path / "kept" / "rounds.jsonl"
        assert results.next_seed(file) == results.FIRST_SEED
        for seed in (7, 3):
            results.append(result(seed), file)
        assert results.next_seed(file) == 8
        assert [it.seed for it in results.load(file)] == [7, 3]

    def test_summary_names_the_points_at_which_nobody_died(self) -> None:
        name = "before:run-create"
        assert name in results.summary([result(1, point=name)])
        assert name not in results.summary([result(1, point=name, fired=True)])

    def test_what_was_kept_before_something_was_counted_is_left_out_of_that_count(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "rounds.jsonl"
        results.append(result(1), file)
        kept = json.loads(file.read_text())
        for name in ("fired_in", "ran", "aftermath", "unmet"):
            del kept[name]
        file.write_text(json.dumps(kept) + "\n")
        counted = replace(result(2), ran=7, aftermath=["S1"], unmet=["F1/any"])
        results.append(counted, file)
        told = results.summary(results.load(file))
        assert "runs of those        7 of 9, counted in 1 rounds" in told
        assert "with an aftermath    1" in told
        assert "faults that met none 1 of 2, looked at in 1 rounds" in told


class TestRest:
    LEVEL = Rest("leader", 9, 7, 1, 0, {"Elector.run": 1})

    def test_as_much_as_before_is_no_leak(self) -> None:
        assert Rest("leader", 8, 7, 1, 0, {"Elector.run": 1}).beyond(self.LEVEL) == []

    def test_each_thing_beyond_its_level_is_told(self) -> None:
        more = Rest("leader", 10, 8, 2, 1, {"Elector.run": 1, "Informer.run": 1})
        told = [it.partition(":")[0] for it in more.beyond(self.LEVEL)]
        assert told == ["sockets", "files", "threads", "children", "tasks"]

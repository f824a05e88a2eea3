"""Rounds follow from their seeds, results from rounds, and a leak is seen as one."""

from __future__ import annotations

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
        drawn = [it for seed in SEEDS for it in plan.draw(seed).mishaps]
        assert {it.code for it in drawn} == OTHERS | catalogue.CATALOGUE.keys()
        assert {it.what for it in drawn} - {""} == mishaps.FITS.keys()

    def test_every_run_has_a_scenario_and_what_hangs_is_stopped(self) -> None:
        for seed in SEEDS:
            for wish in plan.draw(seed).wishes:
                assert wish.scenario in scenarios.NAMED
                stopped = (wish.cancel_s, wish.delete_s) != (None, None)
                assert stopped or wish.scenario != "hangs"


def result(seed: int, *, point: str = "", fired: bool = False) -> results.Result:
    return results.Result(seed, point, fired, [], 9, 7.0, 0, 0, [])


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


class TestRest:
    LEVEL = Rest("leader", 9, 7, 1, 0, {"Elector.run": 1})

    def test_as_much_as_before_is_no_leak(self) -> None:
        assert Rest("leader", 8, 7, 1, 0, {"Elector.run": 1}).beyond(self.LEVEL) == []

    def test_each_thing_beyond_its_level_is_told(self) -> None:
        more = Rest("leader", 10, 8, 2, 1, {"Elector.run": 1, "Informer.run": 1})
        told = [it.partition(":")[0] for it in more.beyond(self.LEVEL)]
        assert told == ["sockets", "files", "threads", "children", "tasks"]

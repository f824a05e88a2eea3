"""Each check finds what it is for, and is content where all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.checks import leadership, outcomes, records, runs
from tests.chaos.made import (
    LEADER,
    OTHER,
    RUNS,
    create,
    ended,
    evidence,
    request,
    row,
    skipped,
)
from tests.chaos.plan import Wish
from tests.fake.tekton import AGENT

if TYPE_CHECKING:
    from tests.chaos.checks.evidence import Evidence, JsonObject
    from tests.integration.audit import Request

FIRST, SECOND = Wish(0, "plain", 0.0), Wish(0, "full", 0.5)
ELSEWHERE = Wish(1, "plain", 0.0)
CANCELLED = Wish(0, "full", 0.5, cancel_s=0.6)
DELETED = Wish(0, "full", 0.5, delete_s=0.6)
RAN = ended("a", "Completed", run=RUNS[0])


def well(second: JsonObject | None = None, wish: Wish = SECOND) -> Evidence:
    """One that ran, and another of its target, by default skipped for it."""
    return evidence({"a": FIRST, "b": wish}, [RAN, second or skipped("b", "a")], [create("a", 1)])


class TestRuns:
    def test_one_that_ran_and_one_that_did_not_are_well(self) -> None:
        assert list(runs.wrong(well())) == []

    def test_second_run_of_an_execution_is_told(self) -> None:
        found = well()
        found.requests.append(create("a", 20))
        assert "a has had 2 runs" in next(runs.wrong(found))

    def test_run_of_nobody_is_told(self) -> None:
        found = well()
        found.requests.append(create("nobody", 20))
        assert list(runs.wrong(found)) == ["1 runs of nobody: uid-nobody"]

    @pytest.mark.parametrize("name", [RUNS[1], ""], ids=["other", "none"])
    def test_second_name_of_a_target_is_told(self, name: str) -> None:
        found = evidence(
            {"a": FIRST, "b": SECOND},
            [RAN, ended("b", "Completed", run=name)],
            [create("a", 1), create("b", 20, run=name)],
        )
        assert [it for it in runs.wrong(found) if "several names" in it]

    def test_targets_of_their_own_have_names_of_their_own(self) -> None:
        other = ended("b", "Completed", run=RUNS[1])
        requests = [create("a", 1), create("b", 1, run=RUNS[1])]
        found = evidence({"a": FIRST, "b": ELSEWHERE}, [RAN, other], requests)
        assert list(runs.wrong(found)) == []

    @pytest.mark.parametrize(("second", "told"), [(3.0, True), (6.0, False)])
    def test_two_runs_at_a_time_under_two_names_are_told(self, second: float, told: bool) -> None:
        word = "patch pipelineruns/status"
        found = evidence(
            {"a": FIRST, "b": SECOND},
            [RAN, ended("b", "Completed", run=RUNS[1])],
            [
                create("a", 1),
                request(word, RUNS[0], 5, whole_agent=AGENT),
                create("b", second, run=RUNS[1]),
            ],
        )
        assert any("two runs at a time" in it for it in runs.wrong(found)) is told

    @pytest.mark.parametrize(
        ("wish", "told"), [(SECOND, True), (CANCELLED, False), (DELETED, False)]
    )
    def test_target_on_which_nothing_ran_is_told(self, wish: Wish, told: bool) -> None:
        found = evidence({"b": wish}, [skipped("b", "a")], [])
        assert any("nothing ran on target 0" in it for it in runs.wrong(found)) is told

    def test_run_that_was_cut_short_is_told_unless_its_execution_was_deleted(self) -> None:
        for wish, told in ((FIRST, True), (DELETED, False)):
            log = [
                create("a", 1),
                request("delete pipelineruns", RUNS[0], 3),
                request("patch pipelineruns/status", RUNS[0], 5, whole_agent=AGENT),
            ]
            found = evidence({"a": wish}, [RAN], log)
            assert any("while it worked" in it for it in runs.wrong(found)) is told


class TestOutcomes:
    def test_what_was_played_and_a_true_skip_are_well(self) -> None:
        assert list(outcomes.wrong(well())) == []

    @pytest.mark.parametrize("scenario", ["plain", "exit-42"])
    def test_other_end_than_was_played_is_told(self, scenario: str) -> None:
        other = "Failed" if scenario == "plain" else "Completed"
        last = ended("a", other, run=RUNS[0])
        found = evidence({"a": Wish(0, scenario, 0.0)}, [last], [create("a", 1)])
        assert len(list(outcomes.wrong(found))) == 1

    def test_end_of_one_that_never_ran_is_told(self) -> None:
        found = evidence({"a": FIRST}, [RAN], [])
        assert list(outcomes.wrong(found)) == ["a ended Completed/None, and never ran"]

    @pytest.mark.parametrize("named", ["", "nobody"])
    def test_skip_for_nobody_known_is_told(self, named: str) -> None:
        (problem,) = outcomes.wrong(well(skipped("b", named)))
        assert "whom nobody knows" in problem

    def test_skip_without_details_is_told(self) -> None:
        (problem,) = outcomes.wrong(well(ended("b", "Skipped")))
        assert "whom nobody knows" in problem

    def test_skip_for_one_on_another_target_is_told(self) -> None:
        (problem,) = outcomes.wrong(well(wish=ELSEWHERE))
        assert "on another target" in problem

    def test_skip_for_one_that_never_ran_is_told(self) -> None:
        found = well()
        found.requests.clear()
        assert [it for it in outcomes.wrong(found) if "a, which never ran" in it]

    def test_skip_for_itself_is_told(self) -> None:
        (problem,) = outcomes.wrong(well(skipped("b", "b")))
        assert "itself" in problem

    @pytest.mark.parametrize(
        ("reason", "at_s", "true"),
        [
            ("ResourceBusy", 4, True),
            ("ResourceBusy", 60, False),
            ("RecentlyRemediated", 6, True),
            ("RecentlyRemediated", 60, False),
            ("PreviousExecutionFailed", 6, False),
        ],
    )
    def test_reason_is_held_against_the_log(self, reason: str, at_s: float, true: bool) -> None:
        found = well(skipped("b", "a", reason=reason, at_s=at_s))
        assert (list(outcomes.wrong(found)) == []) is true

    def test_moved_clock_excuses_times_and_no_names(self) -> None:
        late, unknown = skipped("b", "a", at_s=7200), skipped("b", "nobody")
        for last, told in ((late, False), (unknown, True)):
            found = well(last)
            found.jumped = True
            assert bool(list(outcomes.wrong(found))) is told


class TestRecords:
    ALL = ("created", "started", "completed")

    def rows(self, *transitions: str) -> list[JsonObject]:
        return [row("a", it) for it in transitions]

    def told(self, last: JsonObject, *transitions: str, overlap: bool = False) -> list[str]:
        found = evidence({"a": FIRST}, [last], [create("a", 1)], self.rows(*transitions))
        return list(records.wrong(found, overlap=overlap))

    def test_one_record_of_each_transition_is_well(self) -> None:
        assert self.told(RAN, *self.ALL) == []

    def test_each_record_that_is_missing_is_told(self) -> None:
        for missing in self.ALL:
            rest = [it for it in self.ALL if it != missing]
            assert self.told(RAN, *rest) == [f"no record of ('a', '{missing}')"]

    @pytest.mark.parametrize(
        "last",
        [ended("a", ""), ended("a", "Pending"), ended("a", "Running", run=RUNS[0])],
        ids=["nothing", "pending", "running"],
    )
    def test_run_in_the_log_makes_records_due_whatever_the_status_says(
        self, last: JsonObject
    ) -> None:
        assert len(self.told(last)) == len(self.ALL)
        assert self.told(last, *self.ALL) == []
        assert self.told(last, "created", "started", "failed") == []

    def test_no_run_makes_no_start_due(self) -> None:
        found = evidence({"a": DELETED}, [ended("a", "")], [])
        assert list(records.wrong(found, overlap=False)) == []

    def test_two_ends_are_told(self) -> None:
        assert self.told(RAN, *self.ALL, "failed") == [
            "a record of what never was: ('a', 'failed')"
        ]

    @pytest.mark.parametrize("overlap", [False, True])
    def test_record_twice_is_told_but_where_two_may_have_sent_it(self, overlap: bool) -> None:
        told = self.told(RAN, *self.ALL, "started", overlap=overlap)
        assert told == ([] if overlap else ["2 records of ('a', 'started')"])


def lease(seconds: float, by: str, *, verb: str = "patch", code: int = 0) -> Request:
    return request(f"{verb} leases", "chaos", seconds, by=by, code=code)


def write(seconds: float, by: str, *, kind: str = "patch pipelineruns", code: int = 0) -> Request:
    return request(kind, RUNS[0], seconds, by=by, code=code)


class TestLeadership:
    def told(self, *log: Request, holder: str = LEADER) -> list[str]:
        return list(leadership.wrong(evidence({}, [], list(log), holder=holder)))

    def test_whoever_has_the_lease_writes(self) -> None:
        log = [write(1, LEADER), lease(2, LEADER), write(3, LEADER), lease(5, OTHER)]
        assert self.told(*log, write(6, OTHER), lease(9, LEADER), write(10, LEADER)) == []

    def test_write_of_a_past_holder_is_told(self) -> None:
        (problem,) = self.told(lease(1, LEADER), lease(5, OTHER), write(5.01, LEADER))
        assert problem.startswith("vm-1 wrote at")

    def test_write_in_the_moment_of_the_take_is_of_the_holder_before(self) -> None:
        log = [lease(1, LEADER), lease(5, OTHER)]
        assert self.told(*log, write(5, LEADER)) == []
        assert len(self.told(*log, write(5, OTHER))) == 1

    def test_write_of_one_who_leads_only_later_is_told(self) -> None:
        assert len(self.told(write(1, OTHER), lease(2, LEADER), lease(5, OTHER))) == 1

    def test_write_of_a_standby_that_never_leads_is_told(self) -> None:
        assert len(self.told(lease(1, LEADER), write(2, "vm-3"))) == 1

    def test_write_before_any_take_is_told(self) -> None:
        (problem,) = self.told(write(1, LEADER), lease(2, LEADER), holder="")
        assert "nobody had it" in problem

    def test_take_that_was_refused_is_none(self) -> None:
        assert self.told(lease(1, LEADER), lease(2, OTHER, code=409), write(3, LEADER)) == []

    @pytest.mark.parametrize("kind", ["get pipelineruns", "list pipelineruns", "watch events"])
    def test_reads_are_for_all(self, kind: str) -> None:
        assert self.told(lease(1, LEADER), write(2, OTHER, kind=kind)) == []

    def test_refused_write_changed_nothing(self) -> None:
        assert self.told(lease(1, LEADER), write(2, OTHER, code=409)) == []

    def test_others_write_as_they_like(self) -> None:
        word = request("patch pipelineruns/status", RUNS[0], 2, whole_agent=AGENT)
        assert self.told(lease(1, LEADER), word) == []

    def test_lease_has_changed_hands_when_two_have_written_it(self) -> None:
        log = [lease(1, LEADER), lease(2, LEADER)]
        assert not leadership.changed_hands(evidence({}, [], log))
        assert leadership.changed_hands(evidence({}, [], [*log, lease(5, OTHER)]))

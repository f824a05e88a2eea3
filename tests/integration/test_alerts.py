"""Each alert fires in the situations it is for and in no other, by the program's own series."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitoring import rules, situations, verdict
from tests.monitoring.series import Recording

GOLDEN = Path(__file__).parents[1] / "monitoring" / "golden"

# What fires at some time of a situation; nothing else ever does in it.
FIRES = {
    "calm": "",
    "standby": "",
    "failing": "SuccessRateSLOBreach ErrorBudgetBurnFast ErrorBudgetBurnSlow HighErrorRate",
    "unlucky": "",
    "slow": "LatencySLOBreach",
    "unhurried": "",
    "stale": "WatchStale ApiErrors",
    "busy": "HighSkipRate",
    "exhausted": "SuccessRateSLOBreach ErrorBudgetBurnFast ErrorBudgetBurnSlow HighErrorRate "
    "HighConsecutiveFailures BackoffExhausted BackoffExhaustionSLOBreach HighSkipRate",
    "blocked": "FailureBlocking HighSkipRate",
    "deaf": "LockHeldTooLong CancellationStuck DeletionGivenUp",
    "strangers": "ForeignRun LateRunCancelled HighSkipRate",
    "down": "Down",
    "leaderless": "NoLeader",
    "crowded": "SeveralLeaders",
    "flapping": "LeaderFlapping Restarting",
    "engineless": "TektonUnavailable WatchStale",
    "unlisted": "TektonUnavailable NoLeader WatchStale",
    "cut-off": "WatchStale ApiErrors",
    "doubtful": "WatchStale WorkHeld",
    "unwritable": "ApiErrors ReconcileErrors",
    "sluggish": "QueueOldestKey CacheLag",
    "throttled": "EventLoopLag",
    "clocks": "ClockSkew",
    "edited": "ConfigRestartNeeded ConfigRefused",
    "mended": "",
    "unreadable": "UnreadableObjects",
    "speechless": "EventsDropped ApiErrors",
    "storage-away": "AuditBreakerOpen AuditBacklog",
    "storage-refuses": "AuditRecordsKeptAside",
    "outbox-refuses": "AuditRecordsLost AuditBreakerOpen AuditBacklog",
}


@pytest.mark.parametrize("name", situations.ALL)
def test_alerts_of_a_situation_fire_and_no_others(name: str, tmp_path: Path) -> None:
    fired = verdict.fired(Recording.load(GOLDEN / f"{name}.yaml"), tmp_path)
    assert sorted(fired) == sorted(f"WorkflowExecution{it}" for it in FIRES[name].split())
    for moments in fired.values():
        for text in moments:
            # A text of an alert that cannot be made is an error in its place.
            assert "error calling" not in text
            assert "<no value>" not in text


def test_every_alert_fires_in_one_situation_and_is_silent_in_another() -> None:
    spoken = [f"WorkflowExecution{it}" for text in FIRES.values() for it in text.split()]
    assert set(spoken) == set(rules.alerts())
    assert all(spoken.count(name) < len(FIRES) for name in rules.alerts())


def test_situations_are_all_recorded_as_they_are_told() -> None:
    for name, situation in situations.ALL.items():
        recording = Recording.load(GOLDEN / f"{name}.yaml")
        assert recording.about == situation.about
        assert recording.length_s == situation.minutes * 60
    assert {it.stem for it in GOLDEN.glob("*.yaml")} == set(situations.ALL)


def test_operators_object_holds_the_same_rules() -> None:
    assert rules.OBJECT.read_text("utf-8") == rules.build_object()

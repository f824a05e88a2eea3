"""Which events of a pod tell something, by their reasons; a normal life is no evidence."""

from __future__ import annotations

from typing import Final

KEEPS_FROM_STARTING: Final = frozenset({
    "BackOff",
    "ErrImageNeverPull",
    "Evicted",
    "Failed",
    "FailedAttachVolume",
    "FailedCreatePodSandBox",
    "FailedMount",
    "FailedScheduling",
    "InspectFailed",
})
"""Of what has not begun, `Failed` and `BackOff` are of images and settings."""
TELLING: Final = KEEPS_FROM_STARTING | {
    "ExceededGracePeriod",
    "NodeNotReady",
    "NodeShutdown",
    "Preempted",
    "Preempting",
    "TaintManagerEviction",
}
"""These, and what happens to a pod from outside."""

"""Which alerts fire in a situation, as `promtool test rules` finds it from the golden series."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

from tests.monitoring import rules
from tests.support import prometheus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.monitoring.series import Recording

LOOK_EVERY_S = 150
_FIRED = re.compile(r"alertname: ?(\w+), time: ?(\w+),.*?got:\[(.*?)\n\s*\]", re.DOTALL)


def fired(recording: Recording, folder: Path) -> dict[str, list[str]]:
    """What fires at any time, by alert: the text of each moment, labels and annotations.

    The tool is told that nothing fires, and every alert is what it complains of.

    Raises:
        AssertionError: the tool cannot read rules or series.
    """
    moments = range(LOOK_EVERY_S, recording.length_s + 1, LOOK_EVERY_S)
    looks = [
        {"eval_time": f"{at}s", "alertname": name, "exp_alerts": []}
        for at in moments
        for name in rules.alerts()
    ]
    series = [{"series": name, "values": it} for name, it in recording.series.items()]
    every = f"{recording.every_s}s"
    case: dict[str, Any] = {
        "interval": every, "input_series": series, "alert_rule_test": looks,
    }  # fmt: skip
    text = run(
        {"rule_files": [str(rules.RULES)], "evaluation_interval": "30s", "tests": [case]}, folder
    )
    found: dict[str, list[str]] = {}
    for name, _, got in _FIRED.findall(text):
        found.setdefault(name, []).append(got)
    assert found or text.strip().endswith("SUCCESS"), text[-2000:]
    return found


def run(suite: dict[str, Any], folder: Path) -> str:
    """What `promtool test rules` says of a suite."""
    file = folder / "suite.yaml"
    file.write_text(yaml.safe_dump(suite, width=10_000), "utf-8")
    done = subprocess.run(
        [str(prometheus.tool()), "test", "rules", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return f"{done.stdout}{done.stderr}"

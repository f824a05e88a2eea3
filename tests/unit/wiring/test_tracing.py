"""Tracing is there when it is asked for, and nothing of it is otherwise."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.unit.clocks import WallClock
from workflowexecution import settings
from workflowexecution.wiring import tracing

OFF_SCRIPT = """
import sys
from workflowexecution import app, cli, settings
from workflowexecution.wiring import tracing
assert tracing.prepare(settings.Tracing(), identity="x", clock=None) is tracing.OFF
print([it for it in sys.modules if it.partition(".")[0] in ("opentelemetry", "google")])
"""


def prepare(**said: Any) -> tracing.Traces:  # noqa: ANN401 - raw settings
    wished = settings.Tracing.model_validate(said)
    return tracing.prepare(wished, identity="pod-1", clock=WallClock())


def test_nothing_is_imported_while_it_is_off() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFF_SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_everything_takes_its_usual_way_while_it_is_off() -> None:
    async def reconcile(_: object) -> Any:  # noqa: ANN401 - never called
        raise AssertionError

    off, trail = prepare(), object()
    assert off.reconciling(reconcile, None) is reconcile  # type: ignore[arg-type] # not asked
    assert off.recording(trail) is trail  # type: ignore[arg-type] # any trail
    assert (off.observers, off.services, off.requests) == ((), (), ())
    assert off.marks.annotations("uid") == {}


async def test_it_is_built_when_there_is_a_collector() -> None:
    built = prepare(endpoint="http://collector:4318", ratio=0.5)
    assert [it.name for it in built.services] == ["tracing"]
    assert len(built.observers) == len(built.requests) == 1
    assert list(built.marks.annotations("uid")) == ["tekton.dev/pipelinerunSpanContext"]


def test_missing_library_is_named_with_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [it for it in sys.modules if it.startswith("workflowexecution.adapters.tracing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(tracing.NotInstalled, match=r"^tracing\.endpoint: .* is missing: install"):
        prepare(endpoint="http://collector:4318")


@pytest.mark.parametrize(
    ("said", "key"),
    [({"endpoint": "collector:4318"}, "endpoint"), ({"ratio": 1.5}, "ratio")],
)
def test_settings_that_make_no_sense_are_refused(said: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        prepare(**said)

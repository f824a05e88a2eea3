"""The burst as a picture: bars side by side, written as SVG."""

import dataclasses
from collections.abc import Iterator, Sequence
from xml.sax import saxutils

from tests.benchmark.results import Results
from tests.benchmark.subjects import Subject

SCENARIO = "burst"

_WIDTH, _LABEL, _BAR, _GAP, _HEAD = 640, 150, 18, 6, 34
_ROOM = _WIDTH - _LABEL - 90
_NAMES = {
    Subject.CONTROLLER: "controller",
    Subject.FLOOR_6: "reactive floor",
    Subject.KOPF: "kopf, bare minimum",
}
_COLOURS = {
    Subject.CONTROLLER: "#2563eb",
    Subject.FLOOR_6: "#94a3b8",
    Subject.KOPF: "#f59e0b",
}
_STYLE = "font-family:system-ui,sans-serif;font-size:12px;fill:#64748b"


@dataclasses.dataclass(frozen=True)
class Panel:
    """One figure, of everybody who has it."""

    title: str
    figure: str


PANELS = (
    Panel("finished per second (more is better)", "finished_per_s"),
    Panel("CPU per execution, ms (less is better)", "cpu_ms"),
    Panel("created to PipelineRun, p99, s (less is better)", "start_p99_s"),
    Panel("run done to terminal status, p99, s (less is better)", "end_p99_s"),
    Panel("peak memory, MB (less is better)", "peak_mb"),
)


def svg(results: Results) -> str:
    """Return the picture; who was not measured is left out."""
    parts: list[str] = []
    top = 0
    for panel in PANELS:
        bars = list(_bars(results, panel.figure))
        if bars:
            parts += _panel(panel.title, bars, top)
            top += _HEAD + len(bars) * (_BAR + _GAP)
    size = f'width="{_WIDTH}" height="{top}" viewBox="0 0 {_WIDTH} {top}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{_STYLE}">'
    return "\n".join([head, *parts, "</svg>", ""])


def _bars(results: Results, figure: str) -> Iterator[tuple[Subject, float]]:
    for subject in _NAMES:
        value = results.figure(SCENARIO, figure, subject)
        if value is not None:
            yield subject, value


def _panel(title: str, bars: Sequence[tuple[Subject, float]], top: int) -> Iterator[str]:
    most = max(value for _, value in bars) or 1.0
    yield f'<text x="0" y="{top + 22}" font-weight="bold">{saxutils.escape(title)}</text>'
    for place, (subject, value) in enumerate(bars):
        y = top + _HEAD + place * (_BAR + _GAP)
        width = max(1.0, value / most * _ROOM)
        base = y + _BAR - 5
        yield f'<text x="{_LABEL - 8}" y="{base}" text-anchor="end">{_NAMES[subject]}</text>'
        yield (
            f'<rect x="{_LABEL}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2" '
            f'fill="{_COLOURS[subject]}"/>'
        )
        yield f'<text x="{_LABEL + width + 6:.1f}" y="{base}">{value:.3g}</text>'

"""The table, for a terminal and for a README."""

import collections
from collections.abc import Sequence
from pathlib import Path

from tests.benchmark import machine, plot, targets
from tests.benchmark.measure import Measurement
from tests.benchmark.results import Results
from tests.benchmark.subjects import Subject

BEGIN = "<!-- table: made by `python -m tests.benchmark table --write` -->"
END = "<!-- end of table -->"
DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
PICTURE = "performance.svg"
_BEGIN_FIGURES = "<!-- figures: made by `python -m tests.benchmark table --write` -->"
_END_FIGURES = "<!-- end of figures -->"

_HEAD = ("what", "measured", "target", "met", "Go", "kopf")
_BUSY = 0.5
_WRITES = {Subject.FLOOR_4.value: "four", Subject.FLOOR_6.value: "six"}
_DETAILS = (
    "finished_per_s",
    "cpu_ms",
    "requests",
    "refused_requests",
    "start_p99_s",
    "end_p99_s",
    "peak_mb",
)
_DETAILS_HEAD = (
    *("scenario", "subject", "size", "load", "finished/s", "CPU ms", "requests", "refused"),
    *("start p99 s", "end p99 s", "peak MB", "apiserver CPU ms"),
)


def terminal(found: Results) -> str:
    """Return everything that was measured, as aligned text."""
    facts = "\n".join(f"{name}: {value}" for name, value in found.facts.items())
    measured = [_DETAILS_HEAD, *(_details(each) for each in found.measurements)]
    requests = "\n".join(_requests(each) for each in found.measurements)
    tables = [_aligned(measured), requests, _aligned(_lines(found))]
    return "\n\n".join([facts, *tables, "\n".join(_notes(found))])


def markdown(found: Sequence[Results]) -> str:
    """Return the tables for a README, one for each run."""
    return "\n\n".join(_table(each) for each in found)


def _table(found: Results) -> str:
    lines = _lines(found)
    table = [_bar(lines[0]), _bar(["---"] * len(lines[0])), *(_bar(line) for line in lines[1:])]
    facts = found.facts
    measured = (
        f"Measured {found.date[:10]} on {facts['cores']} cores ({facts['cpu']}), "
        f"{facts['memory']}, Linux {machine.minor(facts['kernel'])}, Python {facts['python']}, "
        f"kube-apiserver {facts['kube-apiserver']}, etcd {facts['etcd']}; "
        f"workflowexecution {facts['workflowexecution']}, commit {facts['commit']}."
    )
    notes = [f"- {note}" for note in _notes(found)]
    return "\n".join([measured, "", *table, "", *notes])


def write(found: Sequence[Results], readme: Path) -> None:
    """Put the tables between the marks in a README.

    Raises:
        ValueError: the marks are not there.
    """
    _put(readme, markdown(found), BEGIN, END)


def document(found: Sequence[Results]) -> None:
    """Put tables and picture into the page about performance.

    Raises:
        ValueError: the marks are not there.
    """
    drawn = next((each for each in found if each.size(plot.SCENARIO)), found[0])
    (DOCUMENT.parent / PICTURE).write_text(plot.svg(drawn), encoding="utf-8")
    picture = f"![The burst, as bars]({PICTURE})"
    _put(DOCUMENT, f"{picture}\n\n{markdown(found)}", _BEGIN_FIGURES, _END_FIGURES)


def _put(path: Path, content: str, mark: str, end_mark: str) -> None:
    before, begin, rest = path.read_text(encoding="utf-8").partition(mark)
    _, end, after = rest.partition(end_mark)
    if not begin or not end:
        raise ValueError(f"{path} has no marks for what was measured")
    path.write_text(f"{before}{mark}\n\n{content}\n\n{end_mark}{after}", encoding="utf-8")


def _notes(found: Results) -> list[str]:
    cores = found.facts["cores"]
    shared = (
        f"The control plane, simulated Tekton, load generator and subject share {cores} cores; "
        "compare figures of one run only."
    )
    unfinished = [
        f"{each.scenario}, {each.subject}: "
        f"{each.figures['completed']:.0f} of {each.size} completed."
        for each in found.measurements
        if each.figures.get("completed", each.size) != each.size
    ]
    floor = found.floor().value
    floors = (
        [f"The floor here is {floor}: {_WRITES[floor]} writes for each execution."]
        if any(each.subject == floor for each in found.measurements)
        else []
    )
    counts = collections.Counter((each.scenario, each.subject) for each in found.measurements)
    rounds = max(counts.values(), default=1)
    taken = (
        "One round." if rounds == 1 else f"Medians of {rounds} rounds; ratios are taken in each."
    )
    load = found.facts["load average at start"]
    busy = [f"Other work was going on: the load average was {load} at the start."]
    peers = (
        "A figure of kopf with a unit was measured in the same run; the others, and those of Go, "
        "on another machine."
    )
    return [taken, *unfinished, *floors, shared, peers, *(busy if float(load) > _BUSY else [])]


def _lines(found: Results) -> list[Sequence[str]]:
    lines: list[Sequence[str]] = [_HEAD]
    for row in targets.rows(found):
        met = {True: "yes", False: "NO", None: ""}[row.met]
        lines.append((row.what, row.value, row.target, met, row.go, row.kopf))
    return lines


def _details(each: Measurement) -> Sequence[str]:
    figures = [
        f"{each.figures[name]:.2f}" if name in each.figures else ""
        for name in (*_DETAILS, "kube_apiserver_cpu_ms")
    ]
    return (each.scenario, each.subject, str(each.size), f"{each.load_average:.2f}", *figures)


def _requests(each: Measurement) -> str:
    """Return how many requests of each kind, for each execution but in a start."""
    scale = each.size if each.scenario == "start" else 1
    kinds = ", ".join(f"{count * scale:g} {kind}" for kind, count in each.requests.items())
    return f"{each.scenario}, {each.subject}: {kinds}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _bar(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

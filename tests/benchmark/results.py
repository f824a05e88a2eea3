"""What a run of the benchmark has measured, and the file it is kept in."""

import dataclasses
import datetime
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from tests.benchmark.measure import Measurement
from tests.benchmark.subjects import Subject

FOLDER = Path(__file__).parents[2] / "benchmarks"


@dataclasses.dataclass(frozen=True)
class Results:
    """The measurements of one run on one machine."""

    date: str
    facts: Mapping[str, str]
    measurements: Sequence[Measurement]

    def figure(self, scenario: str, name: str, subject: Subject | None = None) -> float | None:
        """Return the median of a figure, of the controller unless said otherwise."""
        values = self.rounds(scenario, name, subject or Subject.CONTROLLER)
        return statistics.median(values) if values else None

    def rounds(self, scenario: str, name: str, subject: Subject) -> list[float]:
        """Return a figure of each round, in order."""
        return [
            each.figures[name]
            for each in self.measurements
            if each.scenario == scenario and each.subject == subject.value and name in each.figures
        ]

    def is_whole(self, scenario: str) -> bool:
        """Tell whether every execution of a scenario was completed: else its speed says little."""
        return all(
            each.figures.get("completed", each.size) == each.size
            for each in self.measurements
            if each.scenario == scenario
        )

    def of(self, subject: Subject) -> "Results":
        """Return the results as if this subject were the controller."""
        own = [
            dataclasses.replace(each, subject=Subject.CONTROLLER.value)
            for each in self.measurements
            if each.subject == subject.value
        ]
        floors = [each for each in self.measurements if each.subject == self.floor().value]
        return dataclasses.replace(self, measurements=[*own, *floors])

    def size(self, scenario: str) -> int | None:
        """Return how many executions a scenario had."""
        return next((each.size for each in self.measurements if each.scenario == scenario), None)

    def floor(self) -> Subject:
        """Return the floor that writes what the controller writes."""
        return matching_floor(self.measurements)

    def ratio(self, scenario: str, name: str = "finished_per_s") -> float | None:
        """Return the controller's throughput, or another figure, by the matching floor's.

        The median of the rounds' ratios: from round to round the machine changes more than either.
        """
        own = self.rounds(scenario, name, Subject.CONTROLLER)
        floor = self.rounds(scenario, name, self.floor())
        ratios = [one / other for one, other in zip(own, floor, strict=False) if other]
        return statistics.median(ratios) if ratios else None


def matching_floor(measurements: Iterable[Measurement]) -> Subject:
    """Return the floor with events if the controller was seen writing them, else that without."""
    for each in measurements:
        if each.subject == Subject.CONTROLLER.value and each.requests.get("create events"):
            return Subject.FLOOR_6
    return Subject.FLOOR_4


def now() -> str:
    """Return the time as it stands in results."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def save(results: Results, rows: Sequence[object], folder: Path) -> Path:
    """Write results and table into a file named after date and scenarios; return its path."""
    names = list(dict.fromkeys(each.scenario for each in results.measurements))
    stamp = results.date[:19].replace(":", "")
    path = folder / f"{stamp}-{'+'.join(names)}.json"
    folder.mkdir(parents=True, exist_ok=True)
    document = {**dataclasses.asdict(results), "table": rows}
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps(document, option=option))
    return path


def load(path: Path) -> Results:
    """Read a file of results."""
    document: dict[str, Any] = orjson.loads(path.read_bytes())
    measurements = [Measurement(**each) for each in document["measurements"]]
    return Results(date=document["date"], facts=document["facts"], measurements=measurements)


def newest(folder: Path) -> list[Results]:
    """Return the newest measurements of each scenario, those of one run together.

    The newest run is the first. Names of files begin with the date.
    """
    found: list[Results] = []
    known: set[str] = set()
    for path in sorted(folder.glob("*.json"), key=lambda path: path.name, reverse=True):
        run = load(path)
        left = [each for each in run.measurements if each.scenario not in known]
        known |= {each.scenario for each in left}
        if left:
            found.append(dataclasses.replace(run, measurements=left))
    return found

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
        wanted = (subject or Subject.CONTROLLER).value
        values = [
            each.figures[name]
            for each in self.measurements
            if each.scenario == scenario and each.subject == wanted and name in each.figures
        ]
        return statistics.median(values) if values else None

    def size(self, scenario: str) -> int | None:
        """Return how many executions a scenario had."""
        return next((each.size for each in self.measurements if each.scenario == scenario), None)

    def floor(self) -> Subject:
        """Return the floor that writes what the controller writes."""
        return matching_floor(self.measurements)

    def ratio(self, scenario: str) -> float | None:
        """Return the controller's throughput as a share of the matching floor's."""
        own = self.figure(scenario, "finished_per_s")
        floor = self.figure(scenario, "finished_per_s", self.floor())
        return own / floor if own is not None and floor else None


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


def newest(folder: Path) -> Path | None:
    """Return the newest file of results; names begin with the date."""
    return max(folder.glob("*.json"), default=None, key=lambda path: path.name)

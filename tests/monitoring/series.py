"""What was scraped, as it is kept and as `promtool test rules` reads it."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

STALE, MISSING = "stale", "_"
_WORDS = frozenset({STALE, "Inf", "-Inf"})
"""What promtool reads, but does not repeat."""
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_IDENTITY = re.compile(r'(?<!\w)identity="[^"]*"')
_INTEGER = re.compile(r"-?\d+")
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Recording:
    """Series of a situation.

    Attributes:
        about: the situation in a sentence.
        every_s: seconds between two samples.
        series: notation of the values, by name and labels.
    """

    about: str
    every_s: int
    series: dict[str, str]

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Read a golden file."""
        return cls(**yaml.safe_load(path.read_text("utf-8")))

    def save(self, path: Path) -> None:
        """Write a golden file."""
        body = {"about": self.about, "every_s": self.every_s, "series": self.series}
        path.write_text(
            yaml.safe_dump(body, sort_keys=False, width=120, allow_unicode=True), "utf-8"
        )

    @property
    def length_s(self) -> int:
        """From the first sample to the last."""
        longest = max(sum(_count(it) for it in text.split()) for text in self.series.values())
        return (longest - 1) * self.every_s


class Tape:
    """Collects scrapes, each of one moment."""

    def __init__(self, wanted: Collection[str]) -> None:
        """Keep the series of these names."""
        self._wanted = frozenset(wanted)
        self._values: dict[str, list[str]] = {}
        self._length = 0

    def add(self, scrapes: dict[str, str | None]) -> None:
        """Take what each instance has shown; None for one that did not answer."""
        for instance, text in scrapes.items():
            for name, value in _samples(text or "", instance, self._wanted):
                values = self._values.setdefault(name, [])
                values += [MISSING] * (self._length - len(values))
                values.append(value)
        self._length += 1
        for values in self._values.values():
            if len(values) < self._length:
                # As Prometheus does: a series that is not there any more ends at once.
                values.append(MISSING if values[-1] in {STALE, MISSING} else STALE)

    def recording(self, about: str, every_s: int) -> Recording:
        """Everything that was taken."""
        series = {name: notation(values) for name, values in sorted(self._values.items())}
        return Recording(about, every_s, series)


def notation(values: Sequence[str]) -> str:
    """Values as promtool reads them: what repeats, or grows evenly, is said once."""
    parts, at = [], 0
    while at < len(values):
        part, taken = _even(values, at)
        parts.append(part)
        at += taken
    return " ".join(parts)


def _even(values: Sequence[str], at: int) -> tuple[str, int]:
    """The notation of what begins here, and how many values it stands for."""
    first = values[at]
    same = 1 + sum(1 for _ in itertools.takewhile(lambda it: it == first, values[at + 1 :]))
    if first == MISSING:
        return f"{first}x{same}", same
    if first in _WORDS or not _INTEGER.fullmatch(first):
        return (first, 1) if first in _WORDS or same == 1 else (f"{first}x{same - 1}", same)
    step = int(values[at + 1]) - int(first) if _follows(values, at + 1) else 0
    taken = 1
    while _follows(values, at + taken) and int(values[at + taken]) == int(first) + taken * step:
        taken += 1
    return (first, 1) if taken == 1 else (f"{first}{step:+d}x{taken - 1}", taken)


def _follows(values: Sequence[str], at: int) -> bool:
    return at < len(values) and _INTEGER.fullmatch(values[at]) is not None


def _count(part: str) -> int:
    value, _, times = part.partition("x")
    if not times:
        return 1
    return int(times) + (value != MISSING)


def _samples(text: str, instance: str, wanted: Collection[str]) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        found = _SAMPLE.match(line)
        if found is None or found["name"] not in wanted:
            continue
        labels = f'job="workflowexecution-controller",instance="{instance}"'
        if found["labels"]:
            # All replicas of a recording are in one process, whose id is another each time.
            own = _IDENTITY.sub(f'identity="{instance}"', found["labels"])
            labels = f"{labels},{own}"
        yield f"{found['name']}{{{labels}}}", _number(float(found["value"]))


def _number(value: float) -> str:
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else str(round(value, _DIGITS))

"""Families of series over aioprometheus, cheap to count in.

A series is bound once and then is a plain object: the library looks a series up by the JSON text of
its labels, which costs more than all else that is done to count. It writes label values as they
are, so they are escaped here.
"""

from __future__ import annotations

import bisect
import functools
import itertools
from enum import StrEnum
from typing import TYPE_CHECKING

from aioprometheus import collectors, histogram

from workflowexecution.domain import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_LABEL_BYTES = 253

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Kind(StrEnum):
    """Kinds of families, in Prometheus' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


def label_text(value: str) -> str:
    """A label value as it stands in the exposition: printable, bounded, escaped."""
    printable = "".join(char if char.isprintable() or char == "\n" else "_" for char in value)
    return text.cut(printable, MAX_LABEL_BYTES).translate(_ESCAPES)


@functools.lru_cache(maxsize=1024)
def label_texts(values: tuple[str, ...]) -> tuple[str, ...]:
    """Label values as they stand there, by which a series is known: several may have the same.

    A few are asked for again and again, whenever something is counted.
    """
    return tuple(label_text(value) for value in values)


class Count:
    """One counter series; `scraped` tells whether a Prometheus has read it."""

    __slots__ = ("scraped", "value")

    def __init__(self) -> None:
        """Start at nothing."""
        self.value = 0.0
        self.scraped = False

    def add(self, number: float = 1.0) -> None:
        """Count one more, or so many."""
        self.value += number


class Family:
    """What all kinds of families have."""

    kind: Kind

    def __init__(self, name: str, help_text: str, labels: Sequence[str]) -> None:
        """Name a family and its labels."""
        self.name = name
        self.help_text = help_text
        self.labels = tuple(labels)

    def publish(self, *, scraped: bool) -> None:
        """Hand the values of this moment to the library; `scraped` when for a Prometheus."""

    def _labelled(self, texts: tuple[str, ...]) -> dict[str, str]:
        return dict(zip(self.labels, texts, strict=True))


class Counter(Family):
    """Counters that share a name; a label value that is known from the start begins at 0."""

    kind = Kind.COUNTER

    def __init__(
        self,
        registry: collectors.Registry,
        name: str,
        help_text: str,
        *labels: str,
        from_zero: bool = False,
    ) -> None:
        """Register the family.

        With `from_zero` the first scrape of each series reads 0. What Prometheus meets at 1 is no
        increase to it, so what is counted before its first look would be missing from every rate,
        and that of a label value that comes up late is often all there is. Whoever else reads, a
        person with curl, reads what is so, and leaves that 0 to Prometheus.
        """
        super().__init__(name, help_text, labels)
        self._from_zero = from_zero
        self._collector = collectors.Counter(name, help_text, registry=registry)
        self._series: dict[tuple[str, ...], Count] = {}

    def series(self, *values: str) -> Count:
        """The series of these label values."""
        texts = label_texts(values)
        found = self._series.get(texts)
        if found is None:
            found = self._series[texts] = Count()
        return found

    def publish(self, *, scraped: bool) -> None:
        """Hand the counts over."""
        for texts, count in self._series.items():
            held_back = scraped and self._from_zero and not count.scraped
            count.scraped = count.scraped or scraped
            self._collector.set(self._labelled(texts), 0.0 if held_back else count.value)


class Gauge(Family):
    """A value of this moment, or several: `read` is asked when the metrics are read."""

    kind = Kind.GAUGE

    def __init__(
        self,
        registry: collectors.Registry,
        name: str,
        help_text: str,
        *labels: str,
        read: Callable[[], Iterable[tuple[tuple[str, ...], float]]],
    ) -> None:
        """Register the family; `read` gives label values with their number."""
        super().__init__(name, help_text, labels)
        self._collector = collectors.Gauge(name, help_text, registry=registry)
        self._read = read

    def publish(self, *, scraped: bool) -> None:
        """Read the values, which are the same for everybody."""
        for values, number in self._read():
            self._collector.set(self._labelled(label_texts(values)), float(number))


class Bins:
    """One histogram series: how many numbers lie between two bounds, added up when it is read.

    The library's own adds each number to every bucket above it, which is most of them.
    """

    __slots__ = ("_bounds", "_counts", "_sum", "scraped")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Start empty, with these upper bounds of the buckets, ascending and finite."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self.scraped = False

    def observe(self, number: float) -> None:
        """Count a number in; one that is a bound is within it."""
        self._counts[bisect.bisect_left(self._bounds, number)] += 1
        self._sum += number

    def told(self) -> histogram.Histogram:
        """The same as the library writes it, each bucket with all that is below."""
        made = histogram.Histogram(*self._bounds)
        totals = itertools.accumulate(self._counts)
        made.buckets.update(zip(made.buckets, totals, strict=True))
        made.sum, made.observations = self._sum, sum(self._counts)
        return made


class Histogram(Family):
    """Histograms that share a name and their buckets, whose upper bounds are ascending."""

    kind = Kind.HISTOGRAM

    def __init__(
        self,
        registry: collectors.Registry,
        name: str,
        help_text: str,
        *labels: str,
        buckets: Sequence[float],
        from_zero: bool = False,
    ) -> None:
        """Register the family; with `from_zero` the first scrape of a series reads it empty."""
        super().__init__(name, help_text, labels)
        self._from_zero = from_zero
        self._buckets = tuple(buckets)
        self._collector = collectors.Histogram(
            name, help_text, registry=registry, buckets=self._buckets
        )
        self._series: dict[tuple[str, ...], Bins] = {}

    def series(self, *values: str) -> Bins:
        """The series of these label values."""
        texts = label_texts(values)
        found = self._series.get(texts)
        if found is None:
            found = self._series[texts] = Bins(self._buckets)
        return found

    def publish(self, *, scraped: bool) -> None:
        """Hand the numbers over."""
        for texts, bins in self._series.items():
            held_back = scraped and self._from_zero and not bins.scraped
            bins.scraped = bins.scraped or scraped
            shown = Bins(self._buckets) if held_back else bins
            self._collector.set_value(self._labelled(texts), shown.told())

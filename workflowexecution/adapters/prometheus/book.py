"""All families of the program, and the text that Prometheus reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioprometheus import collectors, renderer

from workflowexecution.adapters.prometheus import series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Book:
    """Makes families, each name once, and renders them."""

    def __init__(self) -> None:
        """Start empty, in a registry apart from the library's global one."""
        self._registry = collectors.Registry()
        self.families: list[series.Family] = []
        """Everything there is to read, for whoever documents it."""
        self._before: list[Callable[[], None]] = []

    def counter(
        self, name: str, help_text: str, *labels: str, from_zero: bool = False
    ) -> series.Counter:
        """Add counters; without labels there is one, and it begins at 0.

        With `from_zero` the first scrape of a series reads 0.
        """
        family = series.Counter(self._registry, name, help_text, *labels, from_zero=from_zero)
        if not labels:
            family.series()
        self.families.append(family)
        return family

    def histogram(
        self,
        name: str,
        help_text: str,
        *labels: str,
        buckets: Sequence[float],
        from_zero: bool = False,
    ) -> series.Histogram:
        """Add histograms; without labels there is one, and it begins empty.

        With `from_zero` the first scrape of a series reads it empty.
        """
        family = series.Histogram(
            self._registry, name, help_text, *labels, buckets=buckets, from_zero=from_zero
        )
        if not labels:
            family.series()
        self.families.append(family)
        return family

    def gauges(
        self,
        name: str,
        help_text: str,
        *labels: str,
        read: Callable[[], Iterable[tuple[tuple[str, ...], float]]],
    ) -> None:
        """Add values of the moment, each with its label values; always the same label values."""
        self.families.append(series.Gauge(self._registry, name, help_text, *labels, read=read))

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Add one value of the moment."""
        self.gauges(name, help_text, read=lambda: [((), read())])

    def on_render(self, callback: Callable[[], None]) -> None:
        """Call back before the values of a moment are read, so that several come of one look."""
        self._before.append(callback)

    def render(self, *, scraped: bool = False) -> bytes:
        """Everything, in Prometheus' text format; `scraped` when it is for a Prometheus."""
        for callback in self._before:
            callback()
        for family in self.families:
            family.publish(scraped=scraped)
        content, _ = renderer.render(self._registry, [])
        return bytes(content)

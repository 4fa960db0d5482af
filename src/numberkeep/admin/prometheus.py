"""Formats the metrics for Prometheus. A module of its own, as it is slow to import and not always needed."""

import platform
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.utils import floatToGoString

from ..metrics import COUNTERS, GAUGES, HISTOGRAMS, Counted
from ..storage.survey import Survey


def page(counted: Counted, survey: Survey | None, accept: str) -> tuple[bytes, str]:
    """The page and its content type, chosen by `accept` if possible. `survey` is None if the store cannot be read."""
    encode, content_type = choose_encoder(accept)
    return encode(_Collector(counted, survey)), content_type


class _Collector:
    def __init__(self, counted: Counted, survey: Survey | None) -> None:
        self._counted = counted
        self._survey = survey

    def collect(self) -> Iterator[Metric]:
        counters = {
            name: CounterMetricFamily(f"numberkeep_{name}", family.help, labels=family.labels)
            for name, family in COUNTERS.items()
        }
        for name, labels, value in self._counted.counters:
            counters[name].add_metric(labels, value)
        histograms = {
            name: HistogramMetricFamily(f"numberkeep_{name}", family.help, labels=family.labels)
            for name, family in HISTOGRAMS.items()
        }
        for name, labels, counts, total in self._counted.histograms:
            bounds = [*map(floatToGoString, HISTOGRAMS[name].bounds), "+Inf"]
            histograms[name].add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        yield from counters.values()
        yield from histograms.values()
        for name, family in GAUGES.items():
            gauge = GaugeMetricFamily(f"numberkeep_{name}", family.help, labels=family.labels)
            for label_values, value in self._gauge(name).items():
                gauge.add_metric(label_values, value)
            yield gauge

    def _gauge(self, name: str) -> Mapping[tuple[str, ...], float]:
        if name == "build_info":
            return {(_version(), platform.python_version()): 1}
        if name == "store_up":
            return {(): int(self._survey is not None)}
        return {(label,): value for label, value in getattr(self._survey, name, {}).items()}


@cache
def _version() -> str:
    return version("numberkeep")

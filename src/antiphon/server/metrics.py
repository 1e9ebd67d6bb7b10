"""Counters, gauges and histograms in Prometheus' text form.

Labels take their values from sets that are closed when a metric is made: what a client sends can never add a series.
Everything runs on the event loop's thread; nothing here waits or locks.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import TypeVar

__all__ = ["CONTENT_TYPE", "LATENCY_BUCKETS_S", "Counter", "Gauge", "Histogram", "Registry"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_BUCKETS_S = (
    *(0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75),
    *(1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0),
)
OTHER = "other"

Labels = Mapping[str, Sequence[str]]


class _Metric:
    kind = ""

    def __init__(self, name: str, help: str, labels: Labels | None = None) -> None:
        self.name = name
        self.help = help
        self._names = tuple(labels or ())
        self._allowed = [frozenset(values) for values in (labels or {}).values()]
        sets = [(*values, OTHER) if OTHER not in values else tuple(values) for values in (labels or {}).values()]
        self._series = list(product(*sets))

    def lines(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for series in self._series:
            yield from self._sample(series)

    def _sample(self, series: tuple[str, ...]) -> Iterator[str]:
        raise NotImplementedError

    def _key(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        if labels.keys() != set(self._names):
            raise ValueError(f"{self.name} has the labels {self._names}")
        return tuple(
            labels[name] if labels[name] in allowed else OTHER
            for name, allowed in zip(self._names, self._allowed, strict=True)
        )

    def _labels(self, series: tuple[str, ...], extra: str = "") -> str:
        pairs = [f'{name}="{value}"' for name, value in zip(self._names, series, strict=True)]
        pairs += [extra] if extra else []
        return "{" + ",".join(pairs) + "}" if pairs else ""


class Counter(_Metric):
    kind = "counter"

    def __init__(self, name: str, help: str, labels: Labels | None = None) -> None:
        super().__init__(name, help, labels)
        self._values = dict.fromkeys(self._series, 0.0)

    def add(self, amount: float = 1.0, /, **labels: str) -> None:
        self._values[self._key(labels)] += amount

    def _sample(self, series: tuple[str, ...]) -> Iterator[str]:
        value = self._values[series]
        # A series of the catch-all value appears with its first use only.
        if value or OTHER not in series:
            yield f"{self.name}{self._labels(series)} {_number(value)}"


class Gauge(_Metric):
    """A value that is asked for when the metrics are read."""

    kind = "gauge"

    def __init__(self, name: str, help: str, read: Callable[[], float]) -> None:
        super().__init__(name, help)
        self._read = read

    def _sample(self, series: tuple[str, ...]) -> Iterator[str]:
        yield f"{self.name} {_number(self._read())}"


class Histogram(_Metric):
    kind = "histogram"

    def __init__(
        self, name: str, help: str, labels: Labels | None = None, *, buckets: Sequence[float] = LATENCY_BUCKETS_S
    ) -> None:
        super().__init__(name, help, labels)
        self._bounds = tuple(buckets)
        self._counts = {series: [0] * (len(self._bounds) + 1) for series in self._series}
        self._sums = dict.fromkeys(self._series, 0.0)

    def observe(self, value: float, /, **labels: str) -> None:
        key = self._key(labels)
        self._counts[key][bisect_left(self._bounds, value)] += 1
        self._sums[key] += value

    def _sample(self, series: tuple[str, ...]) -> Iterator[str]:
        counts = self._counts[series]
        if OTHER in series and not any(counts):
            return
        labels = partial(self._labels, series)
        yield from _histogram_lines(self.name, labels, self._bounds, counts, self._sums[series])


class ReadCounter(_Metric):
    """Counts that somebody else keeps, by the values of one label, which come from their code."""

    kind = "counter"

    def __init__(self, name: str, help: str, label: str, read: Callable[[], Mapping[str, int]]) -> None:
        super().__init__(name, help)
        self._names = (label,)
        self._read = read

    def _sample(self, series: tuple[str, ...]) -> Iterator[str]:
        for value, count in sorted(self._read().items()):
            yield f"{self.name}{self._labels((value,))} {count}"


class ReadHistogram(_Metric):
    """A histogram that somebody else keeps: a count for each bucket and for what is above all, and the sum."""

    kind = "histogram"

    def __init__(
        self, name: str, help: str, buckets: Sequence[float], read: Callable[[], tuple[Sequence[int], float]]
    ) -> None:
        super().__init__(name, help)
        self._bounds = tuple(buckets)
        self._read = read

    def _sample(self, series: tuple[str, ...]) -> Iterator[str]:
        counts, total = self._read()
        yield from _histogram_lines(self.name, partial(self._labels, series), self._bounds, counts, total)


def _histogram_lines(
    name: str, labels: Callable[[str], str], bounds: Sequence[float], counts: Sequence[int], total: float
) -> Iterator[str]:
    below = 0
    for bound, count in zip((*bounds, float("inf")), counts, strict=True):
        below += count
        limit = "+Inf" if bound == float("inf") else _number(bound)
        marked = labels(f'le="{limit}"')
        yield f"{name}_bucket{marked} {below}"
    plain = labels("")
    yield f"{name}_sum{plain} {_number(total)}"
    yield f"{name}_count{plain} {below}"


_M = TypeVar("_M", bound=_Metric)


class Registry:
    """All metrics of a process, in the order in which they were made."""

    def __init__(self) -> None:
        self._metrics: list[_Metric] = []

    def counter(self, name: str, help: str, labels: Labels | None = None) -> Counter:
        return self._add(Counter(name, help, labels))

    def gauge(self, name: str, help: str, read: Callable[[], float]) -> Gauge:
        return self._add(Gauge(name, help, read))

    def histogram(
        self, name: str, help: str, labels: Labels | None = None, *, buckets: Sequence[float] = LATENCY_BUCKETS_S
    ) -> Histogram:
        return self._add(Histogram(name, help, labels, buckets=buckets))

    def read_counter(self, name: str, help: str, label: str, read: Callable[[], Mapping[str, int]]) -> ReadCounter:
        return self._add(ReadCounter(name, help, label, read))

    def read_histogram(
        self, name: str, help: str, buckets: Sequence[float], read: Callable[[], tuple[Sequence[int], float]]
    ) -> ReadHistogram:
        return self._add(ReadHistogram(name, help, buckets, read))

    def render(self) -> str:
        return "".join(f"{line}\n" for metric in self._metrics for line in metric.lines())

    def _add(self, metric: _M) -> _M:
        if any(metric.name == known.name for known in self._metrics):
            raise ValueError(f"there is a metric {metric.name} already")
        self._metrics.append(metric)
        return metric


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)

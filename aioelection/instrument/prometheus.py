"""Metrics for Prometheus, by ``prometheus-client`` (``pip install aioelection[prometheus]``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from aioelection._core.events import (
    BodyOverran,
    CampaignBegan,
    CampaignEnded,
    Cause,
    ElectionEvent,
    Event,
    Hedged,
    LoopStalled,
    Outcome,
    RenewalAnswered,
    RenewalEvent,
    RenewalFailed,
    RenewalSent,
    Request,
    Stream,
    StreamBroken,
    TermEnded,
    TermSuspended,
    TermWon,
    text,
)
from aioelection.errors import LossReason
from aioelection.instrument._buckets import DURATIONS, INTERVALS, STALLS
from aioelection.instrument._elections import Elections

ELECTION = ("key", "purpose")


class PrometheusHook:
    """A hook that keeps metrics of every client that it is given to; one for each registry.

    What is told of elections bears their ``key`` and ``purpose``, what is told of renewals the lease's ``purpose``
    alone. The gauges are computed when they are read, from the clock and no network.

    Args:
        registry: where the metrics are registered.

    Raises:
        ValueError: the registry has these metrics already.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._elections = Elections()
        self._of_elections = _ElectionMetrics(registry)
        self._of_renewals = _RenewalMetrics(registry)
        registry.register(_Gauges(self._elections))

    def __call__(self, event: Event) -> None:
        """Count the event."""
        if isinstance(event, ElectionEvent):
            self._elections.tell(event)
            self._of_elections.tell(event)
        else:
            self._of_renewals.tell(event)


class _ElectionMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"aioelection_{name}", about, (*ELECTION, *labels), registry=registry)

        self._campaigns = counter("campaigns", "Campaigns that have ended, by how.", "outcome")
        self._won = counter("terms_won", "Terms that were won.")
        self._ended = counter("terms_ended", "Terms that have ended, by why.", "reason")
        self._suspended = counter("suspensions", "How often a term was suspended: its renewals failed.")
        self._overruns = counter("body_overruns", "Bodies that still ran 0.1 s after their term was lost.")

    def tell(self, event: ElectionEvent) -> None:
        which = text(event.key), event.purpose
        match event:
            case CampaignBegan():
                self._begin(*which)
            case CampaignEnded():
                self._campaigns.labels(*which, event.outcome.value).inc()
            case TermWon():
                self._won.labels(*which).inc()
            case TermEnded():
                self._ended.labels(*which, event.reason.value).inc()
            case TermSuspended():
                self._suspended.labels(*which).inc()
            case BodyOverran():
                self._overruns.labels(*which).inc()

    def _begin(self, key: str, purpose: str) -> None:
        """Prometheus sees no increase in a series that begins with 1: begin each with 0."""
        for counter in (self._won, self._suspended, self._overruns):
            counter.labels(key, purpose)
        for outcome in Outcome:
            self._campaigns.labels(key, purpose, outcome.value)
        for reason in LossReason:
            self._ended.labels(key, purpose, reason.value)


class _RenewalMetrics:
    """Those of what a client does for all its elections."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"aioelection_{name}_seconds", about, labels, buckets=buckets, registry=registry)

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"aioelection_{name}", about, labels, registry=registry)

        of = "purpose"
        self._durations = histogram("renewal_duration", "From sending a renewal to its answer.", DURATIONS, of)
        self._responses = histogram("renewal_response_interval", "Between answers to renewals.", INTERVALS, of)
        self._ticks = histogram("renewal_tick_interval", "Between the sending of renewals.", INTERVALS, of)
        self._failures = counter("renewal_failures", "Renewals that failed, by why; others followed.", of, "cause")
        self._hedges = counter("hedges", "Answers that were late: another member was asked as well.", "request")
        self._broken = counter("streams_broken", "Streams that ended before their time.", "stream")
        self._stalls = histogram("loop_stall", "The event loop stood still for 0.05 s or longer.", STALLS)
        for request in get_args(Request):
            self._hedges.labels(request)
        for stream in get_args(Stream):
            self._broken.labels(stream)

    def tell(self, event: RenewalEvent | Hedged | StreamBroken | LoopStalled) -> None:
        match event:
            case RenewalSent(purpose=purpose, interval=interval):
                if interval is None:
                    self._begin(purpose)
                else:
                    self._ticks.labels(purpose).observe(interval)
            case RenewalAnswered(purpose=purpose, interval=interval):
                self._durations.labels(purpose).observe(event.seconds)
                if interval is not None:
                    self._responses.labels(purpose).observe(interval)
            case RenewalFailed():
                self._failures.labels(event.purpose, event.cause).inc()
            case Hedged():
                self._hedges.labels(event.request).inc()
            case StreamBroken():
                self._broken.labels(event.stream).inc()
            case LoopStalled():
                self._stalls.observe(event.seconds)

    def _begin(self, purpose: str) -> None:
        """As for elections."""
        for cause in get_args(Cause):
            self._failures.labels(purpose, cause)


class _Gauges(Collector):
    """Read when they are asked for, in whatever thread."""

    def __init__(self, elections: Elections) -> None:
        self._elections = elections

    def describe(self) -> Iterator[Metric]:
        return iter(self._families())

    def collect(self) -> Iterator[Metric]:
        families = self._families()
        for each in self._elections.now():
            values = (each.candidates, each.token is not None, each.remaining, each.ttl, each.token)
            for family, value in zip(families, values, strict=True):
                if value is not None:
                    family.add_metric((each.key, each.purpose), value)
        return iter(families)

    @staticmethod
    def _families() -> list[GaugeMetricFamily]:
        def gauge(name: str, about: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"aioelection_{name}", about, labels=ELECTION)

        return [
            gauge("candidates", "Campaigns of this process that stand now."),
            gauge("leading", "1 while this process holds a valid term, else 0."),
            gauge("remaining_seconds", "Seconds until the deadline of the term that this process holds."),
            gauge("lease_ttl_seconds", "Seconds for which the lease of that term was granted."),
            gauge("fencing_token", "The fencing token of that term."),
        ]

"""Metrics and traces for OpenTelemetry, by its API alone (``pip install aioelection[opentelemetry]``).

The names are those of ``aioelection.instrument.prometheus``, written with dots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation, get_meter
from opentelemetry.trace import Span, StatusCode, TracerProvider, get_tracer

from aioelection._core.events import (
    BodyOverran,
    CampaignEnded,
    ElectionEvent,
    Event,
    Hedged,
    LoopStalled,
    RenewalAnswered,
    RenewalEvent,
    RenewalFailed,
    RenewalSent,
    StreamBroken,
    TermEnded,
    TermResumed,
    TermSuspended,
    TermWon,
    text,
)
from aioelection.instrument._buckets import DURATIONS, INTERVALS, STALLS
from aioelection.instrument._elections import Election, Elections

NAME = "aioelection"


class OpenTelemetryHook:
    """A hook that keeps metrics, and a span for each term, of every client that it is given to; one for each provider.

    Args:
        meter_provider: that of the metrics, or the global one.
        tracer_provider: that of the spans, or the global one.
    """

    def __init__(
        self, meter_provider: MeterProvider | None = None, tracer_provider: TracerProvider | None = None
    ) -> None:
        meter = get_meter(NAME, meter_provider=meter_provider)
        self._elections = Elections()
        self._of_elections = _ElectionMetrics(meter, self._elections)
        self._of_renewals = _RenewalMetrics(meter)
        self._spans = _Spans(tracer_provider)

    def __call__(self, event: Event) -> None:
        """Count the event, and trace terms."""
        if isinstance(event, ElectionEvent):
            self._elections.tell(event)
            self._of_elections.tell(event)
            self._spans.tell(event)
        else:
            self._of_renewals.tell(event)


class _ElectionMetrics:
    def __init__(self, meter: Meter, elections: Elections) -> None:
        self._elections = elections
        self._campaigns = meter.create_counter("aioelection.campaigns", description="Campaigns that have ended")
        self._won = meter.create_counter("aioelection.terms_won", description="Terms that were won")
        self._ended = meter.create_counter("aioelection.terms_ended", description="Terms that have ended")
        self._suspended = meter.create_counter("aioelection.suspensions", description="Terms that were suspended")
        self._overruns = meter.create_counter("aioelection.body_overruns", description="Bodies that overran their term")
        self._gauge(meter, "candidates", "", lambda election: election.candidates)
        self._gauge(meter, "leading", "", lambda election: int(election.token is not None))
        self._gauge(meter, "remaining", "s", lambda election: election.remaining)
        self._gauge(meter, "lease_ttl", "s", lambda election: election.ttl)
        self._gauge(meter, "fencing_token", "", lambda election: election.token)

    def _gauge(self, meter: Meter, name: str, unit: str, read: Callable[[Election], float | None]) -> None:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            for election in self._elections.now():
                if (value := read(election)) is not None:
                    yield Observation(value, {"key": election.key, "purpose": election.purpose})

        meter.create_observable_gauge(f"aioelection.{name}", [observe], unit=unit)

    def tell(self, event: ElectionEvent) -> None:
        which = {"key": text(event.key), "purpose": event.purpose}
        match event:
            case CampaignEnded():
                self._campaigns.add(1, {**which, "outcome": event.outcome.value})
            case TermWon():
                self._won.add(1, which)
            case TermEnded():
                self._ended.add(1, {**which, "reason": event.reason.value})
            case TermSuspended():
                self._suspended.add(1, which)
            case BodyOverran():
                self._overruns.add(1, which)


class _RenewalMetrics:
    """Those of what a client does for all its elections."""

    def __init__(self, meter: Meter) -> None:
        def histogram(name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
            return meter.create_histogram(
                f"aioelection.{name}", unit="s", description=about, explicit_bucket_boundaries_advisory=buckets
            )

        self._durations = histogram("renewal_duration", "From sending a renewal to its answer", DURATIONS)
        self._responses = histogram("renewal_response_interval", "Between answers to renewals", INTERVALS)
        self._ticks = histogram("renewal_tick_interval", "Between the sending of renewals", INTERVALS)
        self._failures = meter.create_counter("aioelection.renewal_failures", description="Renewals that failed")
        self._hedges = meter.create_counter("aioelection.hedges", description="Answers that were late")
        self._broken = meter.create_counter("aioelection.streams_broken", description="Streams that broke")
        self._stalls = histogram("loop_stall", "The event loop stood still for 0.05 s or longer", STALLS)

    def tell(self, event: RenewalEvent | Hedged | StreamBroken | LoopStalled) -> None:
        match event:
            case RenewalSent(purpose=purpose, interval=interval):
                if interval is not None:
                    self._ticks.record(interval, {"purpose": purpose})
            case RenewalAnswered(purpose=purpose, interval=interval):
                self._durations.record(event.seconds, {"purpose": purpose})
                if interval is not None:
                    self._responses.record(interval, {"purpose": purpose})
            case RenewalFailed():
                self._failures.add(1, {"purpose": event.purpose, "cause": event.cause})
            case Hedged():
                self._hedges.add(1, {"request": event.request})
            case StreamBroken():
                self._broken.add(1, {"stream": event.stream})
            case LoopStalled():
                self._stalls.record(event.seconds)


class _Spans:
    """A span for each term, from the win to the end; in error where the term was lost."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._tracer = get_tracer(NAME, tracer_provider=provider)
        self._open: dict[tuple[bytes, int], Span] = {}

    def tell(self, event: ElectionEvent) -> None:
        match event:
            case TermWon(key=key, token=token):
                attributes: dict[str, str | int] = {
                    "aioelection.key": text(key),
                    "aioelection.purpose": event.purpose,
                    "aioelection.fencing_token": token,
                }
                self._open[key, token] = self._tracer.start_span("aioelection.term", attributes=attributes)
            case TermSuspended(key=key, token=token) | TermResumed(key=key, token=token):
                if (span := self._open.get((key, token))) is not None:
                    span.add_event("suspended" if isinstance(event, TermSuspended) else "resumed")
            case TermEnded(key=key, token=token):
                if (span := self._open.pop((key, token), None)) is not None:
                    span.set_attribute("aioelection.reason", event.reason.value)
                    if event.lost:
                        span.set_status(StatusCode.ERROR, event.reason.value)
                    span.end()

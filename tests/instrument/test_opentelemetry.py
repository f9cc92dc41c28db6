"""The metrics and the spans for OpenTelemetry: the same as those for Prometheus, and a span for each term."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry

from aioelection import Leadership
from aioelection.instrument.opentelemetry import OpenTelemetryHook
from aioelection.instrument.prometheus import PrometheusHook
from aioelection.testing import MemoryEtcd
from tests.instrument.helpers import KEY, PURPOSE, T, life

pytestmark = pytest.mark.usefixtures("no_hook_fails")

ELECTION = {"key": KEY, "purpose": PURPOSE}


class Backend:
    """What was exported."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._spans = InMemorySpanExporter()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.hook = OpenTelemetryHook(self.meters, self.tracers)

    def metrics(self) -> dict[str, dict[frozenset[tuple[str, Any]], float]]:
        """The value of each metric, or its count, by its attributes."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: {
                frozenset((point.attributes or {}).items()): getattr(point, "count", getattr(point, "value", 0))
                for point in metric.data.data_points
            }
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def buckets(self) -> dict[str, tuple[float, ...]]:
        """The bounds of each histogram's buckets."""
        data = self._reader.get_metrics_data()
        assert data is not None
        scopes = (scope for resource in data.resource_metrics for scope in resource.scope_metrics)
        points = ((metric.name, metric.data.data_points[0]) for scope in scopes for metric in scope.metrics)
        return {name: tuple(point.explicit_bounds) for name, point in points if hasattr(point, "explicit_bounds")}

    def value(self, name: str, **attributes: str) -> float | None:
        return self.metrics().get(f"aioelection.{name}", {}).get(frozenset(attributes.items()))

    @property
    def spans(self) -> tuple[Any, ...]:
        return self._spans.get_finished_spans()


@pytest.fixture
def backend() -> Backend:
    return Backend()


async def test_it_counts_what_prometheus_counts(etcd: MemoryEtcd, backend: Backend) -> None:
    registry = CollectorRegistry()
    await life(etcd, [PrometheusHook(registry), backend.hook])
    metrics = backend.metrics()
    compared = 0
    for family in registry.collect():
        name = family.name.replace("aioelection_", "aioelection.").removesuffix("_seconds")
        for sample in family.samples:
            if sample.name.endswith(("_bucket", "_sum", "_created")) or not sample.value:
                continue
            assert metrics[name][frozenset(sample.labels.items())] == sample.value, name
            compared += 1
    assert compared > 15


async def test_its_buckets_are_those_of_prometheus(etcd: MemoryEtcd, backend: Backend) -> None:
    """OpenTelemetry's own are for milliseconds."""
    registry = CollectorRegistry()
    await life(etcd, [PrometheusHook(registry), backend.hook])
    expected = {
        family.name.replace("aioelection_", "aioelection.").removesuffix("_seconds"): tuple(
            dict.fromkeys(float(each.labels["le"]) for each in family.samples if each.name.endswith("_bucket"))
        )[:-1]
        for family in registry.collect()
        if family.type == "histogram"
    }
    assert backend.buckets() == expected and len(expected) == 4


async def test_the_gauges_are_of_the_moment_at_which_they_are_read(etcd: MemoryEtcd, backend: Backend) -> None:
    async with etcd.client(hooks=backend.hook) as client:
        leadership = Leadership(client, KEY, PURPOSE)
        term = await leadership.campaign(T, b"a")
        for _ in range(3):
            assert backend.value("remaining", **ELECTION) == term.remaining() > 1
            await asyncio.sleep(1)
        assert backend.value("leading", **ELECTION) == 1
        assert backend.value("fencing_token", **ELECTION) == term.fencing_token
        await leadership.resign()
        assert backend.value("leading", **ELECTION) == 0
        assert backend.spans


async def test_a_term_is_a_span(etcd: MemoryEtcd, backend: Backend) -> None:
    await life(etcd, [backend.hook])
    rival, lost, resigned = backend.spans
    assert {each.name for each in backend.spans} == {"aioelection.term"}
    assert rival.attributes["aioelection.purpose"] == ""
    for span in (lost, resigned):
        assert span.attributes.items() >= {"aioelection.key": KEY, "aioelection.purpose": PURPOSE}.items()
    assert lost.attributes["aioelection.reason"] == lost.status.description == "deleted"
    assert (lost.status.status_code, resigned.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert [each.name for each in lost.events] == ["suspended", "resumed"]
    assert resigned.attributes["aioelection.reason"] == "resigned"
    assert lost.attributes["aioelection.fencing_token"] < resigned.attributes["aioelection.fencing_token"]


async def test_without_a_provider_it_does_nothing(etcd: MemoryEtcd) -> None:
    """The API alone, as where an application uses no OpenTelemetry."""
    await life(etcd, [OpenTelemetryHook()])

"""The metrics for Prometheus: what a registry gives after a life with everything in it, and while a term lasts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

from aioelection import Leadership, LossReason
from aioelection.instrument import Event, Hedged, LoopStalled, Outcome, RenewalAnswered, RenewalFailed, RenewalSent
from aioelection.instrument.prometheus import PrometheusHook
from aioelection.testing import MemoryEtcd
from tests.instrument.helpers import KEY, PURPOSE, T, life

pytestmark = pytest.mark.usefixtures("no_hook_fails")


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"aioelection_{name}", labels)


def of_election(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return value(registry, name, key=KEY, purpose=PURPOSE, **labels)


def by(registry: CollectorRegistry, name: str, label: str, **labels: str) -> dict[str, float]:
    """The samples with these labels that are not 0, by another label."""
    samples = [sample for metric in registry.collect() for sample in metric.samples]
    return {
        each.labels[label]: each.value
        for each in samples
        if each.name == f"aioelection_{name}" and each.value and each.labels.items() >= labels.items()
    }


async def test_what_happened_is_counted(etcd: MemoryEtcd, registry: CollectorRegistry) -> None:
    events: list[Event] = []
    await life(etcd, [events.append, PrometheusHook(registry)])
    election = {"key": KEY, "purpose": PURPOSE}
    assert by(registry, "campaigns_total", "outcome", **election) == {"conflict": 1, "won": 2}
    assert by(registry, "terms_ended_total", "reason", **election) == {"deleted": 1, "resigned": 1}
    assert of_election(registry, "terms_won_total") == 2
    assert of_election(registry, "suspensions_total") == 1
    assert of_election(registry, "body_overruns_total") == 1

    def count(kind: type[Any], **fields: object) -> int:
        found = [each for each in events if isinstance(each, kind)]
        return sum(all(getattr(each, name) == value for name, value in fields.items()) for each in found)

    failures = by(registry, "renewal_failures_total", "cause", purpose=PURPOSE)
    assert failures == {cause: count(RenewalFailed, cause=cause, purpose=PURPOSE) for cause in failures} != {}
    hedges = by(registry, "hedges_total", "request")
    assert hedges == {request: count(Hedged, request=request) for request in hedges} and hedges["renewal"] >= 1
    assert by(registry, "streams_broken_total", "stream").keys() == {"renewals", "watches"}
    assert value(registry, "loop_stall_seconds_count") == count(LoopStalled) >= 1
    assert value(registry, "loop_stall_seconds_sum") == pytest.approx(0.7, abs=0.2)
    answered = [each for each in events if isinstance(each, RenewalAnswered) and each.purpose == PURPOSE]
    assert value(registry, "renewal_duration_seconds_count", purpose=PURPOSE) == len(answered)
    total = sum(each.seconds for each in answered)
    assert value(registry, "renewal_duration_seconds_sum", purpose=PURPOSE) == pytest.approx(total)
    for name, kind in (("response", RenewalAnswered), ("tick", RenewalSent)):
        expected = count(kind, purpose=PURPOSE) - count(kind, purpose=PURPOSE, interval=None)
        assert value(registry, f"renewal_{name}_interval_seconds_count", purpose=PURPOSE) == expected >= 2


async def test_the_gauges_are_of_the_moment_at_which_they_are_read(
    etcd: MemoryEtcd, registry: CollectorRegistry
) -> None:
    async with etcd.client(hooks=PrometheusHook(registry)) as client:
        leadership = Leadership(client, KEY, PURPOSE)
        assert of_election(registry, "leading") is None
        etcd.put(KEY, "another", etcd.grant(60))
        standing = asyncio.ensure_future(leadership.campaign(T, b"a"))
        await asyncio.sleep(1)
        assert of_election(registry, "candidates") == 1 and of_election(registry, "leading") == 0
        assert of_election(registry, "remaining_seconds") is of_election(registry, "fencing_token") is None
        etcd.delete(KEY)
        term = await standing
        assert of_election(registry, "candidates") == 0 and of_election(registry, "leading") == 1
        assert of_election(registry, "fencing_token") == term.fencing_token
        assert of_election(registry, "lease_ttl_seconds") == T
        for _ in range(3):
            assert of_election(registry, "remaining_seconds") == term.remaining() > 1
            await asyncio.sleep(1)
        await leadership.resign()
        assert of_election(registry, "leading") == 0
        assert of_election(registry, "remaining_seconds") is of_election(registry, "lease_ttl_seconds") is None


async def test_a_term_whose_end_was_never_told_is_over_by_the_clock(
    etcd: MemoryEtcd, registry: CollectorRegistry
) -> None:
    hook = PrometheusHook(registry)
    async with etcd.client(hooks=lambda event: None if hasattr(event, "reason") else hook(event)) as client:
        leadership = Leadership(client, KEY, PURPOSE)
        await leadership.campaign(T, b"a")
        assert of_election(registry, "leading") == 1
        await asyncio.sleep(T)
        assert of_election(registry, "leading") == 0 and of_election(registry, "remaining_seconds") is None


async def test_every_series_of_an_election_begins_with_0(etcd: MemoryEtcd, registry: CollectorRegistry) -> None:
    """`increase` does not count what a series begins with."""
    async with etcd.client(hooks=PrometheusHook(registry)) as client:
        etcd.put(KEY, "another", etcd.grant(60))
        standing = asyncio.ensure_future(Leadership(client, KEY, PURPOSE).campaign(T, b"a"))
        await asyncio.sleep(1)
        for name in ("terms_won_total", "suspensions_total", "body_overruns_total"):
            assert of_election(registry, name) == 0
        for outcome in Outcome:
            assert of_election(registry, "campaigns_total", outcome=outcome.value) == 0
        for reason in LossReason:
            assert of_election(registry, "terms_ended_total", reason=reason.value) == 0
        standing.cancel()
        await asyncio.wait([standing])
    for request in ("renewal", "other"):
        assert value(registry, "hedges_total", request=request) == 0
    for stream in ("renewals", "watches"):
        assert value(registry, "streams_broken_total", stream=stream) == 0
    assert value(registry, "loop_stall_seconds_count") == 0


async def test_so_do_those_of_renewals(etcd: MemoryEtcd, registry: CollectorRegistry) -> None:
    async with etcd.client(hooks=PrometheusHook(registry)) as client:
        async with Leadership(client, KEY, PURPOSE).campaign(T, b"a"):
            await asyncio.sleep(T)
        for cause in ("late", "broken", "disproven"):
            assert value(registry, "renewal_failures_total", purpose=PURPOSE, cause=cause) == 0


async def test_several_clients_and_elections_add_up(etcd: MemoryEtcd, registry: CollectorRegistry) -> None:
    hook = PrometheusHook(registry)
    async with contextlib.AsyncExitStack() as stack:
        for key in (KEY, KEY + "/other"):
            client = await stack.enter_async_context(etcd.client(hooks=hook))
            await Leadership(client, key, PURPOSE).campaign(T, b"a")
        assert by(registry, "leading", "key") == {KEY: 1, KEY + "/other": 1}
        client = await stack.enter_async_context(etcd.client(hooks=hook))
        standing = asyncio.ensure_future(Leadership(client, KEY, PURPOSE).campaign(T, b"a"))
        await asyncio.sleep(1)
        assert of_election(registry, "leading") == of_election(registry, "candidates") == 1
        standing.cancel()
        await asyncio.wait([standing])


def test_a_registry_has_one(registry: CollectorRegistry) -> None:
    PrometheusHook(registry)
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusHook(registry)


async def test_it_can_be_scraped_in_another_thread_and_in_either_format(
    etcd: MemoryEtcd, registry: CollectorRegistry
) -> None:
    scraped: list[str] = []

    def scrape() -> None:
        for accepted in ("text/plain", "application/openmetrics-text; version=1.0.0"):
            encode, _ = choose_encoder(accepted)
            scraped.append(encode(registry).decode())

    async with etcd.client(hooks=PrometheusHook(registry)) as client:
        await Leadership(client, b'/\xff"\n', PURPOSE).campaign(T, b"a secret")
        thread = threading.Thread(target=scrape)
        thread.start()
        thread.join()
    plain, openmetrics = scraped
    leading = [each for each in text_string_to_metric_families(plain) if each.name == "aioelection_leading"]
    assert [each.labels["key"] for each in leading[0].samples] == ['/\\xff"\n']
    assert "aioelection_terms_won_total{" in openmetrics and openmetrics.endswith("# EOF\n")
    assert "a secret" not in plain + openmetrics

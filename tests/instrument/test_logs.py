"""`LogHook`: every event as a record."""

from __future__ import annotations

import logging

import pytest

from aioelection.instrument import Event, TermWon
from aioelection.instrument.logs import LogHook
from aioelection.testing import MemoryEtcd
from tests.instrument.helpers import KEY, PURPOSE, T, life

pytestmark = pytest.mark.usefixtures("no_hook_fails")

LEVELS = {
    "BodyOverran": logging.ERROR,
    "CampaignBegan": logging.INFO,
    "CampaignEnded": logging.INFO,
    "Hedged": logging.INFO,
    "LoopStalled": logging.WARNING,
    "RenewalAnswered": logging.DEBUG,
    "RenewalFailed": logging.WARNING,
    "RenewalSent": logging.DEBUG,
    "StreamBroken": logging.INFO,
    "TermResumed": logging.INFO,
    "TermSuspended": logging.WARNING,
    "TermWon": logging.INFO,
}


async def test_every_event_is_a_record_with_its_fields(etcd: MemoryEtcd, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aioelection.events")
    events: list[Event] = []
    await life(etcd, [events.append, LogHook()])
    records = [each for each in caplog.records if each.name == "aioelection.events"]
    assert [each.__dict__["event"] for each in records] == [type(each).__name__ for each in events]
    levels = {each.__dict__["event"]: each.levelno for each in records}
    ended = {each.__dict__["reason"]: each.levelno for each in records if each.__dict__["event"] == "TermEnded"}
    assert ended == {"deleted": logging.WARNING, "resigned": logging.INFO}
    assert {**levels, "TermEnded": 0} == {**LEVELS, "TermEnded": 0}
    won = [each for each in events if isinstance(each, TermWon)][-1]
    record = [each for each in records if each.__dict__["event"] == "TermWon"][-1]
    assert record.message == f"term won: key={KEY!r} purpose={PURPOSE!r} token={won.token} ttl={T}"
    assert record.__dict__.items() >= {"key": KEY, "purpose": PURPOSE, "token": won.token, "ttl": T}.items()


async def test_the_logger_and_its_level_are_respected(etcd: MemoryEtcd, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("a service's own")
    logger.setLevel(logging.WARNING)
    await life(etcd, [LogHook(logger)])
    told = {each.__dict__["event"] for each in caplog.records if each.name == logger.name}
    assert told == {"TermSuspended", "RenewalFailed", "LoopStalled", "TermEnded", "BodyOverran"}

"""What the library logs by itself: the records' fields, and that their texts tell whose they are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest

from aioelection import Client, Leadership, LeadershipLost
from aioelection.testing import MemoryEtcd

KEY = "/logs/leader"
T = 6


def record(caplog: pytest.LogCaptureFixture, text: str) -> tuple[logging.LogRecord, dict[str, Any]]:
    """The one record with that text, and what it has beside it."""
    (found,) = [each for each in caplog.records if text in each.message]
    return found, {name: getattr(found, name, None) for name in ("key", "purpose", "token", "reason")}


async def test_a_loss_tells_its_leadership(etcd: MemoryEtcd, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with contextlib.suppress(LeadershipLost):
        async with Leadership(client, KEY, "invoices").campaign(T, b"a") as term:
            etcd.delete(KEY)
            await asyncio.sleep(T)
    won, fields = record(caplog, ": leading")
    assert won.levelno == logging.INFO
    assert fields == {"key": KEY, "purpose": "invoices", "token": term.fencing_token, "reason": None}
    lost, fields = record(caplog, " deleted>")
    assert lost.levelno == logging.WARNING
    assert lost.message == f"<Term {term.fencing_token} of {KEY.encode()!r} 'invoices' deleted>"
    assert fields == {"key": KEY, "purpose": "invoices", "token": term.fencing_token, "reason": "deleted"}


async def test_bad_health_names_the_key(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    def health() -> None:
        raise ValueError("sick")

    with contextlib.suppress(LeadershipLost):
        async with Leadership(client, KEY, "invoices").campaign(T, b"a", health=health) as term:
            await asyncio.sleep(2 * T)
    expected = {"key": KEY, "purpose": "invoices", "token": term.fencing_token, "reason": None}
    stopped, fields = record(caplog, "renewal has stopped: not well")
    assert KEY in stopped.message and fields == expected
    failed = next(each for each in caplog.records if "health failed: ValueError('sick')" in each.message)
    assert KEY in failed.getMessage() and failed.__dict__.items() >= expected.items()


async def test_a_key_that_is_no_text_can_be_logged(
    etcd: MemoryEtcd, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Leadership(client, b"/\xff").campaign(T, b"a"):
        pass
    assert record(caplog, ": leading")[1]["key"] == "/\\xff"

"""`Watchdog`: what a blocked event loop cannot do for itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from aioelection import Client, InvalidConfiguration, Leadership, LeadershipLost, LossReason, Term, Watchdog
from tests.support import TTL, Stranger, eventually, soon


class Dog:
    """Notes when it was called, and where."""

    def __init__(self) -> None:
        self.calls: list[tuple[Term, threading.Thread]] = []

    def bark(self, term: Term) -> None:
        assert not term.check()
        self.calls.append((term, threading.current_thread()))


async def test_it_acts_beside_a_blocked_loop(client: Client, unique_key: str) -> None:
    dog = Dog()
    with pytest.raises(LeadershipLost) as lost:
        async with Leadership(client, unique_key).campaign(TTL, b"me") as term:
            with Watchdog(term, dog.bark):
                deadline = time.monotonic() + 2 * TTL
                while not dog.calls and time.monotonic() < deadline:
                    time.sleep(0.01)  # noqa: ASYNC251 (that is the fault)
                assert [each for each, _ in dog.calls] == [term]
                assert dog.calls[0][1] is not threading.current_thread()
                assert not term.lost.is_set(), "the loop could not tell"
                await soon(asyncio.Event().wait())
    assert lost.value.reason is LossReason.STALLED
    assert len(dog.calls) == 1


async def test_while_the_loop_runs_it_keeps_still(client: Client, stranger: Stranger, unique_key: str) -> None:
    dog = Dog()
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(TTL, b"me") as term:
        with Watchdog(term, dog.bark, grace=0.1):
            await asyncio.sleep(TTL + 0.2)
            assert term.check()
    term = await leadership.campaign(TTL, b"me")
    with Watchdog(term, dog.bark) as watchdog:
        await soon(term.lost.wait())
        await eventually(lambda: not watchdog._thread.is_alive())
    await leadership.reset()
    assert dog.calls == []


async def test_leaving_it_is_at_once(client: Client, unique_key: str) -> None:
    async with Leadership(client, unique_key).campaign(60, b"me") as term:
        with Watchdog(term) as watchdog:
            assert watchdog._thread.is_alive()
        assert not watchdog._thread.is_alive()


PROGRAM = """
import asyncio, sys, time
import aioelection

async def main(endpoint, key):
    async with aioelection.connect(endpoint) as client:
        async with aioelection.Leadership(client, key).campaign(2, b"me") as term:
            with aioelection.Watchdog(term):
                print("leading", flush=True)
                time.sleep(20)

asyncio.run(main(*sys.argv[1:]))
"""


def test_by_default_it_ends_the_process(endpoint: str, unique_key: str) -> None:
    command = [sys.executable, "-c", PROGRAM, endpoint, unique_key]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    assert (ended.returncode, ended.stdout) == (70, "leading\n")
    assert "the event loop is blocked beyond the deadline" in ended.stderr
    assert "in main" in ended.stderr, "where it is blocked"


@pytest.mark.parametrize(("arguments", "named"), [((None,), "term"), ((1, 2), "term")])
def test_no_term(arguments: Any, named: str) -> None:
    with pytest.raises(InvalidConfiguration, match=named):
        Watchdog(*arguments)


async def test_bad_arguments(client: Client, unique_key: str) -> None:
    async with Leadership(client, unique_key).campaign(10, b"me") as term:
        act: Any = "act"
        with pytest.raises(InvalidConfiguration, match="act must be callable, not 'act'"):
            Watchdog(term, act)
        with pytest.raises(InvalidConfiguration, match="grace must be"):
            Watchdog(term, grace=0)

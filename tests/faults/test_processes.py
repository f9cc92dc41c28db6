"""Whole processes that lead: killed, stopped, frozen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aioelection import Leadership, connect, get_leader
from aioelection.embedded import Etcd
from tests.etcd import EtcdFactory
from tests.faults.measuring import ELECTION, Measure
from tests.support import beside, eventually, soon

TTL = 2

PROGRAM = """
import asyncio, json, signal, sys, time
from aetcd.transactions import Put
import aioelection

def say(**what):
    print(json.dumps({"at": time.monotonic(), **what}), flush=True)

async def main(endpoints, key, ttl):
    task = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with aioelection.connect(endpoints) as client:
        leadership = aioelection.Leadership(client, key)
        try:
            async with leadership.campaign(int(ttl), b"process") as term:
                late = leadership.leader_txn().then(Put(key + "/late", "x"))
                say(leads=term.fencing_token)
                checked = time.monotonic()
                try:
                    while True:
                        if time.monotonic() - checked > 1:  # it was frozen: the first thing that it does
                            say(check=term.check())
                            try:
                                say(late=(await late.commit()).succeeded)
                            except aioelection.NotLeader:
                                say(late=False)
                        checked = time.monotonic()
                        await asyncio.sleep(0.005)
                finally:
                    say(ended=True)
        except aioelection.LeadershipLost as lost:
            say(lost=lost.reason.value)

asyncio.run(main(*sys.argv[1:]))
"""


class Process:
    """A leader in a process of its own."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self.popen = popen
        self.said: list[dict[str, Any]] = []

    def has_said(self, word: str) -> dict[str, Any] | None:
        return next((each for each in self.said if word in each), None)

    def signal(self, number: signal.Signals) -> float:
        """The moment is that before it: the process may have answered by the time this one goes on."""
        asked = time.monotonic()
        self.popen.send_signal(number)
        return asked

    async def listen(self) -> None:
        assert self.popen.stdout is not None
        while line := await asyncio.to_thread(self.popen.stdout.readline):
            self.said.append(json.loads(line))


@contextlib.asynccontextmanager
async def process(endpoints: Sequence[str], key: str) -> AsyncIterator[Process]:
    """It leads when the block begins, and is gone when it has ended."""
    command = [sys.executable, "-c", PROGRAM, ",".join(endpoints), key, str(TTL)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as popen:  # noqa: ASYNC220
        leader = Process(popen)
        listening = asyncio.ensure_future(leader.listen())
        try:
            await eventually(lambda: leader.has_said("leads"), 10)
            yield leader
        finally:
            popen.send_signal(signal.SIGCONT)
            popen.kill()
            await listening


@contextlib.asynccontextmanager
async def successor(endpoints: Sequence[str], key: str) -> AsyncIterator[asyncio.Task[Any]]:
    """Waits behind the leader."""
    async with connect(endpoints) as client:
        leadership = Leadership(client, key)
        async with beside(leadership.campaign(TTL, b"successor")) as waiting:
            await eventually(lambda: client.statistics().watches == 1 and client.statistics().leases == 1)
            yield waiting
            await leadership.reset()


async def test_row_1_the_leader_killed(endpoint: str, unique_key: str, measure: Measure) -> None:
    async with process([endpoint], unique_key) as leader, successor([endpoint], unique_key) as waiting:
        with measure.within(TTL + 1, "succeeded"):
            leader.signal(signal.SIGKILL)
            assert (await soon(waiting)).check()


async def test_row_2_the_leader_and_etcds_leader_killed(
    new_etcd: EtcdFactory, unique_key: str, measure: Measure
) -> None:
    async with new_etcd(members=3) as etcd:
        await _with_etcds_leader(etcd, unique_key, measure)


async def _with_etcds_leader(etcd: Etcd, key: str, measure: Measure) -> None:
    async with process(etcd.endpoints, key) as leader, successor(etcd.endpoints, key) as waiting:
        member = await etcd.leader()
        with measure.within(2 * TTL + 3 * ELECTION, "succeeded"):
            leader.signal(signal.SIGKILL)
            await member.kill()
            assert (await soon(waiting, 10)).check()


async def test_row_3_the_leader_asked_to_stop(endpoint: str, unique_key: str, measure: Measure) -> None:
    async with process([endpoint], unique_key) as leader, successor([endpoint], unique_key) as waiting:
        asked = leader.signal(signal.SIGTERM)
        assert (await soon(waiting)).check()
        measure.took("succeeded", time.monotonic() - asked, 0.2)
        ended = await eventually(lambda: leader.has_said("ended"))
        assert ended["at"] >= asked
        await eventually(lambda: leader.popen.poll() is not None)


async def test_row_4_the_leader_frozen(endpoint: str, unique_key: str, measure: Measure) -> None:
    async with process([endpoint], unique_key) as leader, successor([endpoint], unique_key) as waiting:
        leader.signal(signal.SIGSTOP)
        with measure.within(TTL + 1, "succeeded"):
            term = await soon(waiting)
        leader.signal(signal.SIGCONT)
        first = await eventually(lambda: leader.has_said("check"))
        assert first["check"] is False
        lost = await eventually(lambda: leader.has_said("lost"))
        assert lost["lost"] == "stalled"
        late = leader.has_said("late")
        assert late is None or late["late"] is False
        async with connect(endpoint) as client:
            assert await get_leader(client, unique_key + "/late") is None
        assert term.check()

"""One candidate of the demo, a process of its own.

    python -m aioelection.cli._candidate NAME ENDPOINTS LEADER_KEY LEASE_TIMEOUT

It stands for election, again after every loss, and reports on standard output. SIGTERM asks it to stop. It ends at once
when its standard input does: then the demo is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time

import aioelection
from aioelection.cli._reports import Holds, Led, Moved, Report, Won, encode, now

SAMPLE = 0.001
"""Seconds between two samples of ``check()``."""

BEAT = 0.1
"""Seconds between two reports that the term is held."""

REST = 1.0
"""Seconds before it stands again after a loss, so that another has its turn."""


def report(message: Report) -> None:
    # One write of a short line: reports of several threads do not mix.
    os.write(1, encode(message))


def sample(term: aioelection.Term) -> None:
    """Ask ``check()`` until it is false, in a thread: what the event loop does must not hide what it answers.

    A term's ``check()`` is true from one instant to another. Reading the clock after the first answer and before the
    last gives an interval that lies within, however late this thread is: what overlaps in it did overlap.
    """
    since = until = now()
    beat = 0.0
    first = True
    while True:
        before = now()
        if not term.check():
            break
        if first:
            since, first = now(), False
        until = before
        if before >= beat:
            report(Holds(before, term.fencing_token, before + term.remaining()))
            beat = before + BEAT
        time.sleep(SAMPLE)
    report(Led(before, term.fencing_token, since, until))


async def stand(leadership: aioelection.Leadership, name: str, lease_timeout: int) -> None:
    while True:
        try:
            async with leadership.campaign(lease_timeout, name) as term:
                report(Won(now(), term.fencing_token))
                threading.Thread(target=sample, args=(term,)).start()
                await asyncio.Event().wait()  # here a service would work
        except aioelection.LeadershipLost:
            await asyncio.sleep(REST)


async def tell(transitions: aioelection.Transitions) -> None:
    async for each in transitions:
        report(Moved(now(), each.previous.value, each.current.value, each.reason.value if each.reason else None))


async def main(name: str, endpoints: str, leader_key: str, lease_timeout: str) -> None:
    async with aioelection.connect(endpoints) as client:
        leadership = aioelection.Leadership(client, leader_key, purpose="demo")
        telling = asyncio.create_task(tell(leadership.transitions()))
        standing = asyncio.create_task(stand(leadership, name, int(lease_timeout)))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, standing.cancel)
        await asyncio.wait([standing])
    await telling
    if not standing.cancelled():
        standing.result()


def end_with_parent() -> None:
    # Not through sys.stdin: its lock, held by this thread, would break the end of the interpreter.
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    # The demo warns of the cluster itself, once.
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(main(*sys.argv[1:]))

"""A process that stands for ever, and while it leads writes to a list in etcd and to a register outside.

SIGTERM ends it; SIGUSR1 blocks its event loop for one and a half TTLs.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import signal
import socket
import threading
import time
from pathlib import Path
from typing import IO

import anyio
import typer
from aetcd.transactions import Put

from aioelection import Leadership, NotLeader, OutcomeUnknown, Term, Unavailable, connect
from faults.records import Append, Believed, Ended, Lost, Record, Won, now, write

ASKED_EVERY = 0.02
WRITTEN_EVERY = 0.1
APPENDED_EVERY = 0.04
LINGER = 3.0
"""For how long a lost term goes on being asked: it must not come back."""


class Contender:
    """One candidate, its notes, and its work."""

    def __init__(self, name: str, prefix: str, register: int, log: IO[str]) -> None:
        self._name = name
        self._prefix = prefix
        self._register = register
        self._log = log
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._notes: set[asyncio.Task[None]] = set()

    async def stand(self, leadership: Leadership, ttl: int) -> None:
        """For ever."""

        async def serve(term: Term) -> None:
            self._write(Won(now(), self._name, term.fencing_token))
            for note in (self._believe(term), self._lose(term)):
                task = asyncio.ensure_future(note)
                self._notes.add(task)
                task.add_done_callback(self._notes.discard)
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._write_outside, term)
                    await self._append_for_ever(leadership, term)
            finally:
                self._write(Ended(now(), self._name, term.fencing_token))

        try:
            await leadership.run(serve, ttl, self._name)
        finally:
            if self._notes:  # one that tells of the last loss
                with anyio.CancelScope(shield=True):
                    await asyncio.wait(self._notes, timeout=0.1)

    def _write(self, record: Record) -> None:
        with self._lock:
            write(self._log, record)

    async def _believe(self, term: Term) -> None:
        """Ask all the while, and after the end too: every answer is written down."""
        begin = end = None
        written = 0.0
        over_since = None
        while over_since is None or now() < over_since + LINGER:
            before = now()
            believed = term.check()
            after = now()
            if believed:
                begin, end = (after if begin is None else begin), before
            if (
                begin is not None
                and end is not None
                and end > begin
                and (not believed or end >= written + WRITTEN_EVERY)
            ):
                self._write(Believed(self._name, term.fencing_token, begin, end))
                begin = written = end
            if not believed:
                begin = None
                over_since = over_since or after
            await asyncio.sleep(ASKED_EVERY)

    async def _lose(self, term: Term) -> None:
        await term.lost.wait()
        reason = term.loss_reason
        self._write(Lost(now(), self._name, term.fencing_token, reason.value if reason else ""))

    async def _append_for_ever(self, leadership: Leadership, term: Term) -> None:
        while True:
            await self._append(leadership, term, next(self._numbers))
            await asyncio.sleep(APPENDED_EVERY)

    async def _append(self, leadership: Leadership, term: Term, number: int) -> None:
        """Its own key for each: their creation revisions order them."""
        key = f"{self._prefix}{term.fencing_token:020d}_{number:010d}"
        sent, outcome = now(), "unknown"
        try:
            result = await leadership.leader_txn().then(Put(key.encode(), b"")).commit()
            outcome = "applied" if result.succeeded else "refused"
        except (NotLeader, Unavailable):
            outcome = "unsent"
        except OutcomeUnknown:
            pass
        finally:  # cancelled: unknown
            token = term.fencing_token
            self._write(Append(self._name, token, number, sent, now(), outcome))  # type: ignore[arg-type]

    async def _write_outside(self, term: Term) -> None:
        """From a thread, as blocking clients do: what it has begun is not cancelled with the term."""
        over = threading.Event()
        thread = asyncio.ensure_future(asyncio.to_thread(self._write_in_thread, term, over))
        try:
            await asyncio.shield(thread)
        finally:
            over.set()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([thread])

    def _write_in_thread(self, term: Term, over: threading.Event) -> None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._register), 1) as link:
            for number in itertools.count(1):
                if over.is_set() or not term.check():
                    return
                time.sleep(ASKED_EVERY)  # the work between asking and writing
                link.sendall(json.dumps([self._name, term.fencing_token, number]).encode() + b"\n")
                link.recv(1)


async def _main(*, endpoints: str, key: str, name: str, ttl: int, log: Path, prefix: str, register: int) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.add_signal_handler(signal.SIGUSR1, time.sleep, 1.5 * ttl)
    with log.open("a") as file, contextlib.suppress(asyncio.CancelledError):
        async with connect(endpoints, discover=False, connect_timeout=15) as client:
            await Contender(name, prefix, register, file).stand(Leadership(client, key, purpose="faults"), ttl)


def main(
    *,
    endpoints: str = "",
    key: str = "",
    name: str = "",
    ttl: int = 2,
    log: Path = Path(),
    prefix: str = "",
    register: int = 0,
) -> None:
    """Stand for ever."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    asyncio.run(_main(endpoints=endpoints, key=key, name=name, ttl=ttl, log=log, prefix=prefix, register=register))


if __name__ == "__main__":
    typer.run(main)

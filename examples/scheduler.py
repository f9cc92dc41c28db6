"""A job scheduler over SQLite: many processes stand, one does the jobs, and no deposed leader can upset it.

    python examples/scheduler.py jobs.db migrate        # make the tables; refused while a scheduler leads
    python examples/scheduler.py jobs.db serve          # start as many as you like: one leads
    python examples/scheduler.py jobs.db add 20         # hand in jobs; anybody may
    python examples/scheduler.py jobs.db status         # who leads, and how far it is
    python examples/scheduler.py jobs.db once           # do what is due, then leave: for cron

etcd is looked for at http://127.0.0.1:2379; `--etcd ENDPOINTS`, before the database, names another.

Every write of a leader compares its fencing token with the highest that the database has seen, in the transaction that
writes. A leader that was frozen while it did a job, and lost meanwhile, cannot record it: its successor was here.

What fencing does not give: a job that was in work when its leader died is done again by the next one. It is *recorded*
once. If its effects leave the database (mail, money), send the fencing token or the job's number along, and let the
receiver refuse what it has seen.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import NamedTuple

import anyio
from anyio.to_thread import run_sync

import aioelection

AT_ONCE = 8
"""Jobs that the leader does at the same time."""

TABLES = (
    "CREATE TABLE IF NOT EXISTS fence (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), token INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO fence VALUES (1, 0)",
    "CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, due REAL NOT NULL, seconds REAL NOT NULL)",
    """CREATE TABLE IF NOT EXISTS records (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        job INTEGER NOT NULL UNIQUE REFERENCES jobs,
        token INTEGER NOT NULL,
        node TEXT NOT NULL
    )""",
)

log = logging.getLogger("scheduler")


class Job(NamedTuple):
    """Something to do."""

    id: int
    seconds: float


class Store:
    """The jobs, what was done, and the fence that guards it. It blocks: call it in threads."""

    def __init__(self, path: str) -> None:
        self._path = path

    def migrate(self, token: int) -> None:
        """Make what is missing."""
        with self._transaction() as db:
            for statement in TABLES:
                db.execute(statement)
            raise_fence(db, token)

    def enter(self, token: int) -> None:
        """A new leader: from here on no older one can write."""
        with self._transaction() as db:
            raise_fence(db, token)

    def add(self, jobs: int, seconds: float) -> None:
        """Hand in jobs that are due now."""
        with self._transaction() as db:
            rows = [(time.time(), seconds)] * jobs
            db.executemany("INSERT INTO jobs (due, seconds) VALUES (?, ?)", rows)

    def due(self) -> list[Job]:
        """The next jobs to do."""
        wanted = (
            "SELECT id, seconds FROM jobs WHERE due <= ? AND id NOT IN (SELECT job FROM records) ORDER BY due LIMIT ?"
        )
        with self._transaction("BEGIN") as db:
            return [Job(*row) for row in db.execute(wanted, (time.time(), AT_ONCE))]

    def record(self, job: Job, token: int, node: str) -> None:
        """A job is done; refused if a newer leader was here."""
        with self._transaction() as db:
            raise_fence(db, token)
            db.execute("INSERT INTO records (job, token, node) VALUES (?, ?, ?)", (job.id, token, node))

    def counts(self) -> tuple[int, int]:
        """How many jobs there are, and how many are done."""
        with self._transaction("BEGIN") as db:
            jobs, done = db.execute("SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM records)").fetchone()
            return jobs, done

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as db, db:
            db.execute(begin)
            yield db


def raise_fence(db: sqlite3.Connection, token: int) -> None:
    """Part of a transaction: it may go on only if no higher token was here, and no lower one may come after it."""
    if not db.execute("UPDATE fence SET token = :token WHERE token <= :token", {"token": token}).rowcount:
        (highest,) = db.execute("SELECT token FROM fence").fetchone()
        raise aioelection.StaleToken(token, highest)


class Scheduler:
    """One process of the service."""

    def __init__(self, leadership: aioelection.Leadership, store: Store, node: str, lease_timeout: int) -> None:
        self._leadership = leadership
        self._store = store
        self._node = node
        self._lease_timeout = lease_timeout

    async def migrate(self) -> None:
        """One attempt. Nothing renews an awaited term: the migration has the time of one lease."""
        try:
            term = await self._leadership.campaign(self._lease_timeout, self._node, wait=False)
        except aioelection.CampaignConflict as conflict:
            sys.exit(f"not migrated: {named(conflict.leader)} leads")
        try:
            await run_sync(self._store.migrate, term.fencing_token)
        finally:
            await self._leadership.resign()

    async def serve(self) -> None:
        """Lead whenever possible, until cancelled."""
        await self._leadership.run(self._lead, self._lease_timeout, self._node)

    async def once(self) -> None:
        """Wait until elected, do what is due, and make way."""
        async with self._leadership.campaign(self._lease_timeout, self._node) as term:
            await self._work(term, until_done=True)

    async def status(self) -> None:
        """Tell of every change of leader, without standing."""
        async for leader in self._leadership.observe():
            jobs, done = await run_sync(self._store.counts)
            print(f"{named(leader)} leads; {done} of {jobs} jobs are done", flush=True)

    async def _lead(self, term: aioelection.Term) -> None:
        log.info("leading, token %d", term.fencing_token)
        try:
            await self._work(term)
        except* aioelection.StaleToken as refused:  # lost, and perhaps not yet told: what returns, resigns
            for each in refused.exceptions:
                log.warning("refused: %s", each)

    async def _work(self, term: aioelection.Term, *, until_done: bool = False) -> None:
        await run_sync(self._store.enter, term.fencing_token)
        while True:
            jobs = await run_sync(self._store.due)
            if not jobs and until_done:
                return
            async with anyio.create_task_group() as group:
                for job in jobs:
                    group.start_soon(run_sync, self._do, job, term)
            if not jobs:
                await asyncio.sleep(0.1)

    def _do(self, job: Job, term: aioelection.Term) -> None:
        """Do a job, in a thread. A cancelled ``run_sync`` waits for its thread: the key is released after that."""
        if not term.check():
            return
        log.info("doing job %d, token %d", job.id, term.fencing_token)
        time.sleep(job.seconds)  # here you do something useful
        self._store.record(job, term.fencing_token, self._node)
        log.info("done job %d, token %d", job.id, term.fencing_token)


def named(leader: aioelection.Leader | None) -> str:
    """Who leads, and with which token."""
    return "nobody" if leader is None else f"{leader.value.decode(errors='replace')} (token {leader.create_revision})"


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description="A job scheduler of which one process leads.")
    parser.add_argument("database")
    parser.add_argument("--etcd", default="http://127.0.0.1:2379")
    parser.add_argument("--key", default="/scheduler/leader")
    parser.add_argument("--node", default=f"{socket.gethostname()}:{os.getpid()}")
    parser.add_argument("--lease-timeout", type=int, default=10)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("migrate", "serve", "once", "status"):
        commands.add_parser(command)
    add = commands.add_parser("add")
    add.add_argument("jobs", type=int)
    add.add_argument("--seconds", type=float, default=1.0)
    return parser.parse_args()


async def main() -> None:
    """Run one command; SIGTERM ends it as Ctrl-C does: the job in work is finished, then the key is released."""
    chosen = arguments()
    store = Store(chosen.database)
    if chosen.command == "add":
        store.add(chosen.jobs, chosen.seconds)
        return
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with aioelection.connect(chosen.etcd) as client:
        leadership = aioelection.Leadership(client, chosen.key, purpose="scheduler")
        await getattr(Scheduler(leadership, store, chosen.node, chosen.lease_timeout), chosen.command)()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(main())

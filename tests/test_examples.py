"""The example service under fire: processes killed, frozen and stopped, and not a job lost, doubled or written late."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from aioelection import Client, get_leader
from tests.support import TTL, eventually

ROOT = Path(__file__).parent.parent
SECONDS = 0.07
"""What a job takes."""

AUDIT = """
CREATE TABLE fences (number INTEGER PRIMARY KEY AUTOINCREMENT, token INTEGER);
CREATE TABLE commits (number INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER, token INTEGER, highest INTEGER);
CREATE TRIGGER raised AFTER UPDATE ON fence BEGIN INSERT INTO fences (token) VALUES (new.token); END;
CREATE TRIGGER recorded AFTER INSERT ON records BEGIN
    INSERT INTO commits (job, token, highest) SELECT new.job, new.token, max(token) FROM fences;
END;
"""
"""Part of each transaction: the highest token that was in the database when a record was committed."""


class Process:
    """One process of the example, and what it has said."""

    def __init__(self, name: str, command: list[str], output: Path) -> None:
        self.name = name
        self._output = output
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with output.open("wb") as file:
            self._popen = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)

    @property
    def said(self) -> str:
        return self._output.read_text()

    @property
    def code(self) -> int | None:
        return self._popen.poll()

    def numbers(self, word: str) -> set[tuple[int, int]]:
        """Of which jobs, under which token, it said that it is doing them, or that they are done."""
        return {(int(job), int(token)) for job, token in re.findall(rf"{word} job (\d+), token (\d+)", self.said)}

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def stands_still(self) -> bool:
        stats = [stat.read_text() for stat in Path(f"/proc/{self._popen.pid}/task").glob("*/stat")]
        return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)

    async def ended(self) -> int | None:
        await eventually(lambda: self.code is not None, within=10)
        return self.code

    def end(self) -> None:
        if self.code is None:
            self._popen.kill()
        self._popen.wait()


class Service:
    """The processes over one database and one leader key."""

    def __init__(self, folder: Path, endpoint: str, leader_key: str) -> None:
        self.processes: list[Process] = []
        self._folder = folder
        self._database = folder / "jobs.db"
        self._options = ["--etcd", endpoint, "--key", leader_key, "--lease-timeout", str(TTL)]

    def start(self, name: str, *command: str) -> Process:
        program = [sys.executable, "-u", str(ROOT / "examples/scheduler.py"), str(self._database), "--node", name]
        process = Process(name, [*program, *self._options, *command], self._folder / f"{name}.log")
        self.processes.append(process)
        return process

    async def finish(self, name: str, *command: str) -> Process:
        """Start a process that ends by itself."""
        process = self.start(name, *command)
        await process.ended()
        return process

    async def add(self, jobs: int) -> None:
        number = len(self.processes)
        assert (await self.finish(f"add-{number}", "add", str(jobs), "--seconds", str(SECONDS))).code == 0

    @contextmanager
    def database(self, patience: float = 5.0) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._database, timeout=patience, isolation_level=None)) as db:
            yield db

    def rows(self, query: str) -> list[tuple[int, ...]]:
        with self.database() as db:
            return db.execute(query).fetchall()

    def highest(self) -> int:
        return self.rows("SELECT token FROM fence")[0][0]

    def undone(self) -> int:
        return self.rows("SELECT count(*) FROM jobs WHERE id NOT IN (SELECT job FROM records)")[0][0]

    def working(self, process: Process) -> set[int]:
        """The jobs that this process has begun and not recorded."""
        highest, done = self.highest(), {job for (job,) in self.rows("SELECT job FROM records")}
        return {job for job, token in process.numbers("doing") if token == highest} - done

    async def at_work(self) -> Process:
        """The leader, as soon as it is seen to do a job."""

        def found() -> Process | None:
            living = (each for each in self.processes if each.code is None)
            return next((each for each in living if self.working(each)), None)

        process = await eventually(found, within=10)
        assert isinstance(process, Process)
        return process

    async def freeze_at_work(self) -> Process:
        """Freeze the leader with a job in work, and without the database's lock, which would freeze the others too."""

        async def frozen() -> Process | None:
            leader = await self.at_work()
            leader.send(signal.SIGSTOP)
            await eventually(leader.stands_still)
            if self._unlocked() and self.working(leader):
                return leader
            leader.send(signal.SIGCONT)
            return None

        process = await eventually(frozen)
        assert isinstance(process, Process)
        return process

    def _unlocked(self) -> bool:
        try:
            with self.database(patience=0) as db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        return True


@pytest.fixture
async def service(tmp_path: Path, endpoint: str, unique_key: str) -> AsyncIterator[Service]:
    """A scheduler whose tables are made; none of its processes outlives the test."""
    service = Service(tmp_path, endpoint, unique_key)
    try:
        assert (await service.finish("migration", "migrate")).code == 0
        with service.database() as db:
            db.executescript(AUDIT)
        yield service
    finally:
        for process in service.processes:
            process.end()


async def test_not_a_job_is_lost_or_doubled_or_written_by_a_deposed_leader(service: Service) -> None:
    schedulers = {name: service.start(name, "serve") for name in ("a", "b", "c")}

    await service.add(150)
    killed = await service.at_work()
    first = service.highest()
    killed.send(signal.SIGKILL)
    assert await killed.ended() == -signal.SIGKILL
    schedulers["d"] = service.start("d", "serve")
    await eventually(lambda: service.highest() > first, within=10)

    await service.add(150)
    frozen = await service.freeze_at_work()
    late, second = service.working(frozen), service.highest()
    await eventually(lambda: service.highest() > second, within=10)
    third = service.highest()
    frozen.send(signal.SIGCONT)
    await eventually(lambda: f"refused: fencing token {second} is stale" in frozen.said)

    await service.add(100)
    stopped = await service.at_work()
    stopped.send(signal.SIGTERM)
    assert await stopped.ended() == 0
    await eventually(lambda: service.highest() > third)

    await eventually(lambda: service.undone() == 0, within=15)
    assert service.rows("SELECT count(*), count(DISTINCT job) FROM records") == [(400, 400)]
    commits = service.rows("SELECT job, token, highest FROM commits ORDER BY number")
    assert len(commits) == 400
    assert [each for each in commits if each[1] != each[2]] == [], "written by a deposed leader"
    tokens = [token for _, token, _ in commits]
    assert tokens == sorted(tokens)
    assert all(token > second for job, token, _ in commits if job in late), "of the frozen leader"
    for process in schedulers.values():
        begun = re.findall(r"doing job (\d+), token (\d+)", process.said)
        assert len(begun) == len(set(begun)), "a leader does a job once"
        assert "Traceback" not in process.said


async def test_who_stops_finishes_its_work_first_and_who_observes_is_told(service: Service) -> None:
    status = service.start("status", "status")
    await eventually(lambda: "nobody leads; 0 of 0 jobs are done" in status.said, within=10)
    first = service.start("first", "serve")
    await service.add(40)
    await service.at_work()
    refused = await service.finish("migration-2", "migrate")
    assert refused.code == 1
    assert f"not migrated: first (token {service.highest()}) leads" in refused.said

    await service.add(40)
    await service.at_work()
    second = service.start("second", "serve")
    first.send(signal.SIGTERM)
    assert await first.ended() == 0
    assert first.numbers("doing") == first.numbers("done")
    await eventually(lambda: service.undone() == 0, within=10)
    second.send(signal.SIGTERM)
    assert await second.ended() == 0
    await eventually(lambda: "nobody leads; 80 of 80 jobs are done" in status.said)
    assert "first (token" in status.said and "second (token" in status.said
    status.send(signal.SIGINT)
    assert await status.ended() == 0
    assert "Traceback" not in first.said + second.said + status.said


async def test_once_waits_its_turn_does_what_is_due_and_makes_way(
    service: Service, client: Client, unique_key: str
) -> None:
    await service.add(20)
    assert (await service.finish("cron", "once")).code == 0
    assert service.undone() == 0
    assert await get_leader(client, unique_key) is None

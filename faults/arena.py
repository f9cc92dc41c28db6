"""Where a run takes place: the cluster, contenders behind their links, the recorder, and what they write down."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import platform
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aetcd
import grpc

from faults.cluster import Cluster
from faults.proxy import Proxy
from faults.records import Believed, Final, Lost, Record, Run, Stall, Won, decode, now, write
from faults.stalls import StallMeter
from faults.workload.register import RegisterServer

rpc = aetcd.rpc

KEY = "/faults/leader"
LIST = "/faults/list/"
ELECTION_TIMEOUT = 1.0
CONTENDERS = tuple(f"c{number}" for number in range(1, 6))
OBSERVER = "o1"
PAGE = 10_000


def _version(package: str) -> str:
    """It may run from a checkout."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "checkout"


class Stuck(Exception):
    """What must come about has not."""


class Refused(Exception):
    """etcd's answer is no."""


class Hand:
    """A third party's hand on etcd: each request goes to the first member that answers it."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._channels = [grpc.aio.insecure_channel(urlsplit(each).netloc, options=_OPTIONS) for each in endpoints]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close()

    async def get(self) -> Any:
        """The leader key; ``None`` if there is none."""
        found = (await self._ask(rpc.KVStub, "Range", rpc.RangeRequest(key=KEY.encode()))).kvs
        return found[0] if found else None

    async def delete(self, token: int) -> None:
        """Delete the key of that term, and of no later one, however late the request arrives."""
        await self._change(token, rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=KEY.encode())))

    async def put(self, token: int, value: bytes) -> None:
        """Write to the key of that term, without a lease."""
        await self._change(token, rpc.RequestOp(request_put=rpc.PutRequest(key=KEY.encode(), value=value)))

    async def _change(self, token: int, operation: Any) -> None:
        compare = rpc.Compare(
            key=KEY.encode(), target=rpc.Compare.CREATE, result=rpc.Compare.EQUAL, create_revision=token
        )
        await self._ask(rpc.KVStub, "Txn", rpc.TxnRequest(compare=[compare], success=[operation]))

    async def revoke(self, lease: int) -> None:
        with contextlib.suppress(Refused):  # gone already
            await self._ask(rpc.LeaseStub, "LeaseRevoke", rpc.LeaseRevokeRequest(ID=lease))

    async def compact(self) -> None:
        """All that is history by now."""
        reply = await self._ask(rpc.KVStub, "Range", rpc.RangeRequest(key=KEY.encode()))
        await asyncio.sleep(0.3)  # so that the recorder has seen it
        with contextlib.suppress(Refused):  # compacted already
            await self._ask(rpc.KVStub, "Compact", rpc.CompactionRequest(revision=reply.header.revision))

    async def leases(self) -> tuple[int, ...]:
        reply = await self._ask(rpc.LeaseStub, "LeaseLeases", rpc.LeaseLeasesRequest())
        return tuple(each.ID for each in reply.leases)

    async def entries(self) -> tuple[tuple[int, int], ...]:
        """The list, in the order in which it was written."""
        found: list[tuple[int, int, int]] = []
        key, end = LIST.encode(), LIST[:-1].encode() + b"0"
        more = True
        while more:
            request = rpc.RangeRequest(key=key, range_end=end, limit=PAGE, keys_only=True)
            reply = await self._ask(rpc.KVStub, "Range", request)
            for kv in reply.kvs:
                token, _, number = kv.key.decode().removeprefix(LIST).partition("_")
                found.append((kv.create_revision, int(token), int(number)))
                key = kv.key + b"\0"
            more = reply.more
        return tuple((token, number) for _, token, number in sorted(found))

    async def _ask(self, stub: Any, method: str, request: Any) -> Any:
        """Again and again: another fault may be under way."""
        deadline = now() + 30
        while True:
            for channel in self._channels:
                try:
                    return await getattr(stub(channel), method)(request, timeout=1)
                except grpc.RpcError as error:
                    if error.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.OUT_OF_RANGE}:
                        raise Refused(error.details()) from error
                    if now() > deadline:
                        raise Stuck(f"etcd does not answer: {error.details()}") from error
            await asyncio.sleep(0.1)


_OPTIONS = [("grpc.max_reconnect_backoff_ms", 500), ("grpc.use_local_subchannel_pool", 1)]


@dataclasses.dataclass(slots=True)
class Follower:
    """Reads what processes write down, while they do."""

    folder: Path
    wins: list[Won] = dataclasses.field(default_factory=list)
    losses: list[Lost] = dataclasses.field(default_factory=list)
    believed: Believed | None = None
    """The latest."""
    _read: dict[Path, int] = dataclasses.field(default_factory=dict)

    def look(self) -> None:
        for path in self.folder.glob("c*.jsonl"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                *lines, rest = file.read().split(b"\n")
                self._read[path] = file.tell() - len(rest)
            for line in lines:
                if b'"append"' not in line:
                    self._take(decode(line.decode()))
        self.wins.sort(key=lambda each: each.at)

    def _take(self, record: Record) -> None:
        match record:
            case Won():
                self.wins.append(record)
            case Lost():
                self.losses.append(record)
            case Believed() if self.believed is None or record.end > self.believed.end:
                self.believed = record

    def lost(self, token: int) -> Lost | None:
        return next((each for each in self.losses if each.token == token), None)


class Arena:
    """All that a run takes, alive inside ``async with``."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.ttl = 2
        self.contenders = CONTENDERS
        self.proxies: dict[str, dict[str, Proxy]] = {}
        """By client, and by member."""
        self.follower = Follower(folder)
        self._processes: dict[str, Process] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self._log = stack.enter_context((self.folder / "nemesis.jsonl").open("a"))
            register_log = stack.enter_context((self.folder / "register.jsonl").open("a"))
            stall_log = stack.enter_context((self.folder / "stalls.jsonl").open("a"))
            self.stalls = stack.enter_context(StallMeter(lambda begin, end: write(stall_log, Stall(begin, end))))
            self._register = await stack.enter_async_context(RegisterServer(lambda each: write(register_log, each)))
            self.hand = await stack.enter_async_context(Hand(self.cluster.endpoints))
            for client in (*CONTENDERS, OBSERVER):
                self.proxies[client] = {
                    name: await stack.enter_async_context(Proxy(endpoint))
                    for name, endpoint in zip(self.cluster.names, self.cluster.endpoints, strict=True)
                }
            stack.push_async_callback(self._kill_all)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def tell(self, record: Record) -> None:
        write(self._log, record)

    # ------------------------------------------------------------------ processes

    async def begin(self, seed: int, ttl: int, title: str, contenders: tuple[str, ...] = CONTENDERS) -> None:
        """The recorder, the observer and every contender."""
        self.contenders = contenders
        versions = {
            "etcd": self.cluster.version,
            "Python": platform.python_version(),
            **{each: _version(each) for each in ("aioelection", "grpcio", "aetcd")},
        }
        self.ttl = ttl
        self.tell(Run(now(), seed, ttl, ELECTION_TIMEOUT, contenders, versions, title))
        if "recorder" not in self._processes:
            await self._spawn("recorder", ",".join(self.cluster.endpoints))
            await self._spawn("observer", self._links(OBSERVER), f"--name={OBSERVER}", name=OBSERVER)
        for name in self.contenders:
            await self.start(name)
        await self.led()

    async def change_ttl(self, seed: int, ttl: int, title: str) -> None:
        """Every contender anew with that TTL, the leader last, so that others stand when it resigns."""
        leader = (await self.led()).who
        self.ttl = ttl
        for name in (each for each in self.contenders if each != leader):
            await self.signal(name, signal.SIGTERM)
            await self.start(name)
        await asyncio.sleep(5)  # until they stand
        await self.signal(leader, signal.SIGTERM)
        await self.begin(seed, ttl, title)

    async def start(self, name: str) -> None:
        """A contender, if it does not run."""
        if name not in self._processes or self._processes[name].returncode is not None:
            options = (f"--name={name}", f"--ttl={self.ttl}", f"--prefix={LIST}", f"--register={self._register.port}")
            await self._spawn("contender", self._links(name), *options, name=name)

    async def signal(self, name: str, number: signal.Signals) -> None:
        """To a contender; one that is to die is waited for."""
        process = self._processes[name]
        if process.returncode is None:
            process.send_signal(number)
        if number in {signal.SIGKILL, signal.SIGTERM}:
            await asyncio.wait_for(process.wait(), 10)

    async def finish_contenders(self) -> None:
        """Ask them to end, one after the other."""
        for name in self.contenders:
            await self.signal(name, signal.SIGTERM)

    async def finish(self) -> None:
        """Everything is made well and ends in order, and what is left is written down."""
        await self.cluster.isolate()
        await self.cluster.start(*self.cluster.names)  # those that a fault which was stopped has left dead
        await self.led()
        await asyncio.sleep(self.ttl + 1.5)  # leases of those that were killed expire
        await self.finish_contenders()
        await asyncio.sleep(1)
        leader = await self.hand.get()
        token = leader.create_revision if leader else 0
        self.tell(Final(now(), await self.hand.entries(), await self.hand.leases(), token))
        for name in (OBSERVER, "recorder"):
            await self.signal(name, signal.SIGTERM)

    def _links(self, client: str) -> str:
        return ",".join(each.near for each in self.proxies[client].values())

    async def _spawn(self, module: str, endpoints: str, *options: str, name: str = "") -> None:
        name = name or module
        command = [sys.executable, "-m", f"faults.workload.{module}", f"--endpoints={endpoints}", f"--key={KEY}"]
        command += [f"--log={self.folder / name}.jsonl", *options]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, start_new_session=True)
        self._processes[name] = process

    async def _kill_all(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()

    # ------------------------------------------------------------------ what comes about

    async def leader(self) -> Won:
        """Who leads now, and is known to."""
        won: Won = await self.until(self._leads, 30, "somebody leads")
        return won

    async def _leads(self) -> Won | None:
        last = self.follower.wins[-1] if self.follower.wins else None
        believed = self.follower.believed
        if last is None or self.follower.lost(last.token) or believed is None:
            return None
        return last if believed.token == last.token and believed.end > now() - 0.5 else None

    async def led(self) -> Won:
        """Heal what must be, and wait until somebody leads."""
        for name in self.contenders:
            await self.start(name)
        return await self.leader()

    async def won_after(self, token: int, within: float = 30) -> Won:
        """The first win of a later term."""

        async def found() -> Won | None:
            return next((each for each in self.follower.wins if each.token > token), None)

        won: Won = await self.until(found, within, f"a term after {token} is won")
        return won

    async def lost(self, token: int, within: float = 30) -> Lost:
        """The loss of that term."""

        async def found() -> Lost | None:
            return self.follower.lost(token)

        lost: Lost = await self.until(found, within, f"term {token} is lost")
        return lost

    async def until(self, condition: Callable[[], Awaitable[Any]], within: float, what: str) -> Any:
        deadline = now() + within
        while True:
            self.follower.look()
            if found := await condition():
                return found
            if now() >= deadline:
                raise Stuck(f"not within {within:g} s: {what}")
            await asyncio.sleep(0.03)


@contextlib.asynccontextmanager
async def arena(cluster: contextlib.AbstractAsyncContextManager[Cluster], folder: Path) -> AsyncIterator[Arena]:
    """One on that cluster, whose records go to ``folder``."""
    async with cluster as running, Arena(running, folder) as made:
        yield made

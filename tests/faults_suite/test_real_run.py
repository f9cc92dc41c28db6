"""The checker on a real run: contenders on a real etcd, in one process, with a few faults around them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal

from aetcd.transactions import Put

from aioelection import Client, Leadership, LeadershipLost, NotLeader, OutcomeUnknown, Term, connect
from faults.checker import End
from faults.records import Append, Believed, Ended, Fault, Final, Lost, Observed, Record, Run, Truth, Won, now
from faults.report import report
from tests.etcd import EtcdFactory
from tests.support import TTL, Proxy, Stranger, beside, eventually


class Contender:
    """Leads whenever it can, and writes down what it believed and did."""

    def __init__(self, name: str, client: Client, key: str, records: list[Record]) -> None:
        self.name = name
        self.key = key
        self.records = records
        self.leadership = Leadership(client, key)
        self.term: Term | None = None
        self.resigns = asyncio.Event()
        self.beliefs: list[asyncio.Task[None]] = []

    async def stand(self) -> None:
        while True:
            self.resigns.clear()
            term: Term | None = None
            with contextlib.suppress(LeadershipLost):
                async with self.leadership.campaign(TTL, self.name) as term:
                    self.records.append(Won(now(), self.name, term.fencing_token))
                    self.term = term
                    self.beliefs.append(asyncio.ensure_future(self.believe(term)))
                    try:
                        await self.lead(term)
                    finally:
                        self.term = None
                        self.records.append(Ended(now(), self.name, term.fencing_token))
            if term is not None and term.loss_reason is not None:
                self.records.append(Lost(now(), self.name, term.fencing_token, term.loss_reason.value))
            await asyncio.sleep(0.3)  # so that another is first

    async def lead(self, term: Term) -> None:
        token, number = term.fencing_token, 0
        while not self.resigns.is_set():
            await self.append(token, number)
            number += 1
            await asyncio.sleep(0.02)

    async def believe(self, term: Term) -> None:
        """Ask all the time, also when the body has ended: it is then that belief would be wrong."""
        begin = end = 0.0
        over = float("inf")
        while now() < over:
            asked = now()
            if term.check():
                begin, end = begin or now(), asked
                if begin < end:
                    self.records.append(Believed(self.name, term.fencing_token, begin, end))
            elif over == float("inf"):
                over = asked + 2 * TTL
            await asyncio.sleep(0.01)

    async def append(self, token: int, number: int) -> None:
        sent = now()
        outcome: Literal["applied", "refused", "unknown", "unsent"] = "unknown"
        try:
            entry = Put(f"{self.key}/list/{token}/{number}".encode(), b"")
            result = await self.leadership.leader_txn().then(entry).commit()
            outcome = "applied" if result.succeeded else "refused"
        except NotLeader:
            outcome = "unsent"
        except OutcomeUnknown:
            pass
        finally:
            self.records.append(Append(self.name, token, number, sent, now(), outcome))


async def recorded(watch: Any, records: list[Record]) -> None:
    """Write down the truth of the key."""
    token = 0
    async for event in watch:
        kv, deleted = event.kv, event.kind == "DELETE"
        token = token if deleted else kv.create_revision
        who = "" if deleted else kv.value.decode()
        records.append(Truth(now(), kv.mod_revision, token, deleted, 0 if deleted else kv.lease, who))


async def observed(leadership: Leadership, records: list[Record]) -> None:
    async for leader in leadership.observe():
        token = leader.create_revision if leader else 0
        records.append(Observed(now(), "observer", token))


@contextlib.asynccontextmanager
async def fault(records: list[Record], name: str, row: int, who: str, *, foreign: bool) -> AsyncIterator[None]:
    begin = now()
    yield
    records.append(Fault(name, row, who, begin, now(), foreign))


async def test_a_real_run_has_no_violation(new_etcd: EtcdFactory, unique_key: str) -> None:
    records: list[Record] = [Run(now(), 0, TTL, 1.0, ("a", "b", "c"), {})]
    async with contextlib.AsyncExitStack() as stack:
        etcd: Any = await stack.enter_async_context(new_etcd())
        endpoint = etcd.endpoints[0]
        stranger = await stack.enter_async_context(Stranger(endpoint))
        watch = await stranger.client.watch(unique_key.encode())
        contenders, proxies = [], {}
        for name in ("a", "b", "c"):
            proxies[name] = await stack.enter_async_context(Proxy(endpoint))
            client = await stack.enter_async_context(connect(proxies[name].endpoint, discover=False))
            contenders.append(Contender(name, client, unique_key, records))
        other = await stack.enter_async_context(connect(endpoint))
        await stack.enter_async_context(beside(recorded(watch, records)))
        await stack.enter_async_context(beside(observed(Leadership(other, unique_key), records)))
        await eventually(lambda: any(isinstance(each, Observed) for each in records))

        async def leader(*, after: int) -> Contender:
            return await eventually(  # type: ignore[no-any-return]
                lambda: next((each for each in contenders if each.term and each.term.fencing_token > after), None),
                within=15,
            )

        async with contextlib.AsyncExitStack() as standing:
            for each in contenders:
                await standing.enter_async_context(beside(each.stand()))
            token = 0
            for step in ("resign", "delete", "overwrite", "revoke", "cut off", "resign"):
                leading = await leader(after=token)
                term = leading.term
                assert term is not None
                token = term.fencing_token
                await asyncio.sleep(0.3)
                if step == "resign":
                    leading.resigns.set()
                elif step == "cut off":
                    async with fault(records, "all members unreachable", 15, leading.name, foreign=False):
                        proxies[leading.name].hold("requests")
                        await leader(after=token)
                    proxies[leading.name].release()
                else:
                    async with fault(records, f"{step} by a third party", 0, leading.name, foreign=True):
                        if step == "delete":
                            await stranger.delete(unique_key)
                        elif step == "revoke":
                            await stranger.revoke((await stranger.get(unique_key)).lease)
                        else:
                            await stranger.put(unique_key, leading.name.encode())
                            await asyncio.wait_for(term.lost.wait(), 1)
                            await stranger.delete(unique_key)
                await leader(after=token)
        await asyncio.wait([belief for each in contenders for belief in each.beliefs])
        found = await stranger.client.get_prefix(f"{unique_key}/list/".encode())
        keys = [each.key.decode() for each in sorted(found, key=lambda each: each.create_revision)]
        entries = tuple((int(key.split("/")[-2]), int(key.split("/")[-1])) for key in keys)
        standing_key = await stranger.get(unique_key)
        token = standing_key.create_revision if standing_key else 0
        records.append(Final(now(), entries, tuple(await stranger.leases()), token))
    verdict = report(records).verdict
    assert verdict.violations == ()
    assert verdict.figures.terms >= 7
    assert verdict.figures.appends["applied"] > 20
    ends = [each.end for each in verdict.figures.failovers]
    assert ends.count(End.FOREIGN) == 3
    assert ends.count(End.RESIGN) == 2

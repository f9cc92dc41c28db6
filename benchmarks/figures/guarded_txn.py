"""A transaction that only the leader can commit."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aetcd
from aetcd import rpc
from aetcd.transactions import Put

from aioelection import Leadership, connect
from benchmarks.figure import FLOOR, OURS, Figure, Goal, Measure, Place, Plan, Sampler, Samples
from benchmarks.peers.bare import TTL, Bare

DATA = b"/benchmarks/guarded"


def new_key() -> bytes:
    return f"/benchmarks/guard/{secrets.token_hex(8)}".encode()


@asynccontextmanager
async def ours(place: Place) -> AsyncIterator[Sampler]:
    async with connect(place.endpoint) as client:
        leadership = Leadership(client, new_key())
        async with leadership.campaign(TTL, b"benchmark"):

            async def sample(count: int) -> Samples:
                taken: list[float] = []
                for _ in range(count):
                    began = time.monotonic()
                    result = await leadership.leader_txn().then(Put(DATA, b"value")).commit()
                    taken.append(time.monotonic() - began)
                    assert result.succeeded
                return {"time": taken}

            yield sample


@asynccontextmanager
async def floor(place: Place) -> AsyncIterator[Sampler]:
    async with AsyncExitStack() as stack:
        bare, key = await Bare.open(stack, place.endpoint), new_key()
        lease = await bare.grant()
        token = (await bare.create(key, b"benchmark", lease)).header.revision

        def request() -> Any:
            create, equal, of = rpc.Compare.CREATE, rpc.Compare.EQUAL, rpc.Compare.LEASE
            return rpc.TxnRequest(
                compare=[
                    rpc.Compare(key=key, target=create, result=equal, create_revision=token),
                    rpc.Compare(key=key, target=of, result=equal, lease=lease),
                ],
                success=[rpc.RequestOp(request_put=rpc.PutRequest(key=DATA, value=b"value"))],
            )

        async def sample(count: int) -> Samples:
            taken: list[float] = []
            for _ in range(count):
                began = time.monotonic()
                response = await bare.kv.Txn(request(), timeout=5.0)
                taken.append(time.monotonic() - began)
                assert response.succeeded
            return {"time": taken}

        yield sample
        await bare.revoke(lease)


@asynccontextmanager
async def with_aetcd(place: Place) -> AsyncIterator[Sampler]:
    parts = urlsplit(place.endpoint)
    async with aetcd.Client(parts.hostname, parts.port) as client:
        key, lease = new_key(), await client.lease(TTL)
        await client.put(key, b"benchmark", lease=lease)
        words = client.transactions
        token = (await client.get(key)).create_revision

        async def sample(count: int) -> Samples:
            taken: list[float] = []
            for _ in range(count):
                began = time.monotonic()
                done, _ = await client.transaction(
                    compare=[words.create(key) == token], success=[words.put(DATA, b"value")], failure=[]
                )
                taken.append(time.monotonic() - began)
                assert done
            return {"time": taken}

        yield sample
        await lease.revoke()


FIGURE = Figure(
    name="guarded_txn",
    title="A guarded transaction",
    about="`leader_txn().then(Put(...)).commit()` by the leader. The floor builds and sends the same request.",
    measures=(Measure("time", "leader_txn, from the call to the answer", "s", (Goal(1.10, FLOOR),)),),
    sides={OURS: ours, FLOOR: floor, "aetcd transaction": with_aetcd},
    full=Plan(rounds=20, samples=50),
    quick=Plan(rounds=2, samples=3),
    notes={"aetcd transaction": "`client.transaction(...)`, with one compare less: aetcd has none for leases"},
)

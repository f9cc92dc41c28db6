"""Many at once: candidates for one key, leases of one client, clients that all lose their member."""

from __future__ import annotations

import asyncio

from aioelection import Client, InvalidState, Leadership, Lease, Term
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import time, until

KEY = "/crowds/leader"


async def test_a_hundred_candidates_of_one_process_have_one_leader_and_one_watch(
    etcd: MemoryEtcd, client: Client
) -> None:
    terms: list[Term] = []
    leading: set[Leadership] = set()

    async def stand(leadership: Leadership) -> None:
        async with leadership.campaign(60, b"a") as term:
            leading.add(leadership)
            assert len(leading) == 1
            terms.append(term)
            await asyncio.sleep(0.01)
            leading.discard(leadership)

    since = time()
    await asyncio.gather(*(stand(Leadership(client, KEY)) for _ in range(100)))
    assert len({term.fencing_token for term in terms}) == 100
    assert sorted(terms, key=lambda term: term.fencing_token) == terms
    assert time() - since < 60
    assert etcd.leases == {} and etcd.get(KEY) is None
    await asyncio.sleep(0.1)
    assert client.statistics().watches == client.statistics().leases == 0


async def test_while_one_leads_the_others_only_wait(etcd: MemoryEtcd, client: Client) -> None:
    async with Leadership(client, KEY).campaign(60, b"a"):
        waiting = [asyncio.ensure_future(Leadership(client, KEY).campaign(60, b"b")) for _ in range(100)]
        await asyncio.sleep(5)
        with etcd.hold("txn") as held:
            await asyncio.sleep(600)
            assert held.arrived == 0
        assert client.statistics().watches == 1
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)


async def test_ten_clients_never_lead_two_at_once_whatever_befalls_the_members(etcd: MemoryEtcd) -> None:
    leading: dict[int, Term] = {}
    tokens: list[int] = []
    overlaps = 0

    async def stand(number: int, client: Client) -> None:
        async def serve(term: Term) -> None:
            tokens.append(term.fencing_token)
            leading[number] = term
            await asyncio.sleep(7)

        await Leadership(client, KEY).run(serve, 5, b"%d" % number)

    clients = [etcd.client() for _ in range(10)]
    running = [asyncio.ensure_future(stand(number, client)) for number, client in enumerate(clients)]
    for turn in range(100):
        member = etcd.members[turn % 3]
        match turn % 7:
            case 0:
                etcd.pause(member)
            case 1:
                etcd.isolate(member)
            case 2:
                etcd.kill(member)
            case 3:
                etcd.link(clients[turn % 10], member).cut()
        for _ in range(20):
            await asyncio.sleep(0.1)
            overlaps += sum(term.check() for term in leading.values()) > 1
        etcd.resume(member)
        etcd.heal(member)
        etcd.start(member)
        etcd.link(clients[turn % 10], member).mend()
    assert overlaps == 0 and len(tokens) > 15
    assert tokens == sorted(set(tokens))
    for each in running:
        each.cancel()
    await asyncio.wait(running)
    for client in clients:
        await client.aclose()


async def test_a_client_renews_many_leases_on_one_stream(etcd: MemoryEtcd, client: Client) -> None:
    leases = [Lease(client) for _ in range(500)]
    await asyncio.gather(*(lease.grant(60) for lease in leases))
    keeping = [asyncio.ensure_future(lease.keep_alive()) for lease in leases]
    await asyncio.sleep(100)
    assert all(not lease.is_expired() for lease in leases) and len(etcd.leases) == 500
    assert client.statistics().streams == 1 and client.statistics().hedged_renewals == 0
    etcd.kill(next(member for member in etcd.members if member.client_url == client.endpoints[0]))
    await asyncio.sleep(60)
    assert all(not lease.is_expired() for lease in leases)
    await client.aclose()
    assert all(isinstance(each, InvalidState) for each in await asyncio.gather(*keeping, return_exceptions=True))


async def test_a_crowd_that_loses_its_member_does_not_come_back_at_one_instant(etcd: MemoryEtcd) -> None:
    clients = [etcd.client() for _ in range(30)]
    seen: list[float] = []
    for client in clients:
        client.hub.watches.subscribe(KEY.encode(), 1, lambda _: seen.append(time()))
    await asyncio.sleep(1)
    for member in etcd.members:
        etcd.kill(member)
    await asyncio.sleep(30)
    seen.clear()
    for member in etcd.members:
        etcd.start(member)
    started = time()
    await until(lambda: len(seen) >= 30)
    await asyncio.sleep(3)
    returned = sorted(when - started for when in seen)
    assert returned[-1] < 1 + 1.5
    assert len({round(when, 2) for when in returned}) > 10, "spread"
    for client in clients:
        await client.aclose()

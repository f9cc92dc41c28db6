"""Watches: resumed from where they were, on whichever member serves; nothing lost, nothing told twice."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioelection import Client, InvalidState, Leader, Leadership, Unavailable, WatchEnd, observe
from aioelection._aio.clock import Clock
from aioelection._core.facts import Changed, Connected, Disconnected, Ended, Fact, Reread
from aioelection._core.ops import KeyValue
from aioelection._transport.pool import LINGER
from aioelection.testing import Member, MemoryEtcd
from tests.memory.helpers import leader_of, time, until
from tests.virtual import virtual_loop

KEY = b"/watched"


def watcher(client: Client, next_revision: int, key: bytes = KEY) -> list[Fact]:
    """The facts that are told from that revision on."""
    told: list[Fact] = []
    client.hub.watches.subscribe(key, next_revision, told.append)
    return told


def revisions(told: list[Fact]) -> list[int]:
    return [fact.event.kv.mod_revision for fact in told if isinstance(fact, Changed)]


def serving(etcd: MemoryEtcd, told: list[Fact]) -> Member:
    """The member on which the only watch of the cluster stands."""
    assert isinstance(told[-1], Connected | Changed | Reread)
    (member,) = [member for member in etcd.members if member.on_event]
    return member


async def test_events_come_in_order_and_at_once(etcd: MemoryEtcd, client: Client) -> None:
    told = watcher(client, etcd.revision + 1)
    await asyncio.sleep(0.1)
    written = [etcd.put(KEY, b"1"), etcd.put(KEY, b"2"), etcd.delete(KEY), etcd.put(KEY, b"3")]
    await asyncio.sleep(0.001)
    assert revisions(told) == written
    assert [fact.event.deleted for fact in told if isinstance(fact, Changed)] == [False, False, True, False]


@pytest.mark.parametrize("fault", ["kill", "pause", "isolate", "hang", "cut", "drop"])
async def test_whatever_befalls_its_member_the_watch_goes_on_elsewhere(
    etcd: MemoryEtcd, client: Client, fault: str
) -> None:
    told = watcher(client, etcd.revision + 1)
    await asyncio.sleep(0.1)
    member = serving(etcd, told)
    before = etcd.put(KEY, b"before")
    await asyncio.sleep(0.1)
    match fault:
        case "kill":
            etcd.kill(member)
        case "pause":
            etcd.pause(member)
        case "isolate":
            etcd.isolate(member)
        case "hang":
            etcd.hang_disk(member)
        case "cut":
            etcd.link(client, member).cut()
        case _:
            etcd.link(client, member).drop()
    since = time()
    await asyncio.sleep(1.2)
    meanwhile = etcd.put(KEY, b"meanwhile")
    await until(lambda: revisions(told) == [before, meanwhile])
    assert time() - since <= {"hang": 3.1, "kill": 1.3, "cut": 1.3}.get(fault, 2.6)
    assert sum(isinstance(fact, Disconnected) for fact in told) == 1
    after = etcd.put(KEY, b"after")
    await asyncio.sleep(0.01)
    assert revisions(told) == [before, meanwhile, after]


async def test_a_quiet_stream_is_probed_and_kept(etcd: MemoryEtcd, client: Client) -> None:
    told = watcher(client, etcd.revision + 1)
    await asyncio.sleep(600)
    assert told == [Connected()] and client.statistics().reconnects == 0
    revision = etcd.put(KEY, b"")
    await asyncio.sleep(0.001)
    assert revisions(told) == [revision]


async def test_a_silent_stream_is_left_within_two_and_a_half_seconds(etcd: MemoryEtcd, client: Client) -> None:
    told = watcher(client, etcd.revision + 1)
    await asyncio.sleep(5)
    etcd.link(client, serving(etcd, told)).drop("replies")
    await asyncio.sleep(2.6)
    assert told == [Connected(), Disconnected(), Connected()]


async def test_a_stream_that_answers_no_creation_is_left_though_its_member_answers(
    etcd: MemoryEtcd, client: Client
) -> None:
    told = watcher(client, etcd.revision + 1)
    await asyncio.sleep(0.1)
    with etcd.hold("watch"):
        await asyncio.sleep(2.6)
        assert told == [Connected(), Disconnected()]
    await until(lambda: told[-1] == Connected())


async def test_what_a_silent_stream_is_asked_leaves_nothing_on_it(etcd: MemoryEtcd, client: Client) -> None:
    told = watcher(client, etcd.revision + 1)
    await asyncio.sleep(60)
    assert sum(len(listeners) for listeners in serving(etcd, told).on_event.values()) == 1


async def test_the_only_member_is_come_back_to(etcd: MemoryEtcd) -> None:
    async with etcd.client(etcd.members[1], discover=False) as client:
        told = watcher(client, etcd.revision + 1)
        await asyncio.sleep(0.1)
        etcd.kill(etcd.members[1])
        revision = etcd.put(KEY, b"")
        await asyncio.sleep(60)
        etcd.start(etcd.members[1])
        await asyncio.sleep(0.5)
        assert revisions(told) == [revision] and isinstance(told[-1], Changed)


class Outage:
    """Cut the client off, and connect it again."""

    def __init__(self, etcd: MemoryEtcd, client: Client) -> None:
        self._links = etcd.links(client)

    async def __aenter__(self) -> None:
        for link in self._links:
            link.cut()

    async def __aexit__(self, *_: object) -> None:
        for link in self._links:
            link.mend()
        await asyncio.sleep(0.5)


async def test_what_was_compacted_away_is_read_and_watched_from_there(etcd: MemoryEtcd, client: Client) -> None:
    told = watcher(client, etcd.revision + 1)
    await asyncio.sleep(0.1)
    async with Outage(etcd, client):
        revision = [etcd.put(KEY, b"missed") for _ in range(5)][-1]
        etcd.compact()
    value = KeyValue(KEY, b"missed", revision - 4, revision, 5, 0)
    assert [fact for fact in told if isinstance(fact, Reread)] == [Reread(value, revision)]
    assert revisions(told) == []
    later = etcd.put(KEY, b"told")
    await asyncio.sleep(0.01)
    assert revisions(told) == [later]


@pytest.mark.parametrize("behind", [0, 1, 2])
async def test_a_deletion_that_was_compacted_away_is_noticed(etcd: MemoryEtcd, client: Client, behind: int) -> None:
    """Also where the compaction was at its very revision, of which etcd 3.5.1 says nothing."""
    etcd.put(KEY, b"")
    told = watcher(client, etcd.revision + 1)
    await asyncio.sleep(0.1)
    async with Outage(etcd, client):
        etcd.delete(KEY)
        for _ in range(behind):
            etcd.put(b"/other", b"")
        etcd.compact()
    assert [fact.kv for fact in told if isinstance(fact, Reread)] == [None]


async def test_a_candidate_stands_again_when_the_deletion_it_waits_for_was_compacted_away(
    etcd: MemoryEtcd, client: Client
) -> None:
    etcd.put(KEY, b"leads", etcd.grant(60))
    campaign = asyncio.ensure_future(Leadership(client, KEY).campaign(5, b"a"))
    await asyncio.sleep(0.1)
    async with Outage(etcd, client):
        etcd.delete(KEY)
        etcd.compact()
    async with asyncio.timeout(1):
        assert (await campaign).check()


async def test_a_watch_from_a_revision_that_was_compacted_away_before_it_began(
    etcd: MemoryEtcd, client: Client
) -> None:
    revision = etcd.put(KEY, b"leads")
    etcd.put(KEY, b"leads on")
    etcd.compact()
    watching = asyncio.ensure_future(Leadership(client, KEY).watch(revision))
    await asyncio.sleep(0.5)
    assert not watching.done(), "the same leader"
    etcd.delete(KEY)
    assert await watching is WatchEnd.GONE
    etcd.put(KEY, b"another")
    etcd.compact()
    assert await Leadership(client, KEY).watch(revision) is WatchEnd.GONE, "another leader"


async def test_a_compaction_while_the_compacted_key_is_being_read(etcd: MemoryEtcd, client: Client) -> None:
    told = watcher(client, etcd.revision + 1)
    await asyncio.sleep(0.1)
    with etcd.hold("get", when="after", client=client) as held:
        async with Outage(etcd, client):
            etcd.put(KEY, b"1")
            etcd.put(KEY, b"2")
            etcd.compact()
        await held.reached()
        last = [etcd.put(KEY, b"3") for _ in range(3)][-1]
        etcd.compact()
    await asyncio.sleep(1)
    assert [fact.revision for fact in told if isinstance(fact, Reread)] == [last - 3, last]
    assert revisions(told) == []


async def test_a_reading_that_a_newer_stream_has_overtaken_undoes_nothing(etcd: MemoryEtcd) -> None:
    """It was asked for by a stream that has ended since, and is answered after the events of the next."""
    member = etcd.members[1]
    async with etcd.client(member, discover=False) as client:
        told = watcher(client, etcd.revision + 1)
        await asyncio.sleep(0.1)
        etcd.link(client, member).cut()
        etcd.put(KEY, b"1")
        etcd.put(KEY, b"2")
        etcd.compact()
        with etcd.hold("get", when="after", client=client) as held:
            etcd.link(client, member).mend()
            await held.reached()
            held.only()
            member.break_streams(Unavailable("etcdserver: no leader"))
            await until(lambda: any(isinstance(fact, Reread) for fact in told))
            await asyncio.sleep(0.1)
            leads, gone = etcd.put(KEY, b"3"), etcd.delete(KEY)
            await until(lambda: revisions(told) == [leads, gone])
        await asyncio.sleep(0.5)
        assert sum(isinstance(fact, Reread) for fact in told) == 1 and isinstance(told[-1], Changed)
        assert revisions(watcher(client, leads + 1)) == [gone], "who joins the watch now is told what it missed"


async def test_200_observers_share_one_watch(etcd: MemoryEtcd, client: Client) -> None:
    told: list[list[Leader | None]] = [[] for _ in range(200)]

    async def follow(into: list[Leader | None]) -> None:
        observer = observe(client, KEY)
        while True:
            into.append(await anext(observer))

    following = [asyncio.ensure_future(follow(each)) for each in told]
    await asyncio.sleep(1)
    statistics = client.statistics()
    assert (statistics.watches, statistics.listeners) == (1, 200)
    assert sum(len(tell) for member in etcd.members for tell in member.on_event.values()) == 1
    etcd.put(KEY, b"a")
    await asyncio.sleep(0.1)
    etcd.kill(next(member for member in etcd.members if member.on_event))
    etcd.put(KEY, b"b")
    await asyncio.sleep(2)
    etcd.delete(KEY)
    await asyncio.sleep(0.1)
    for heard in told:
        assert [leader and leader.value for leader in heard] == [None, b"a", b"b", None]
    for each in following:
        each.cancel()
    await asyncio.wait(following)
    del each
    following.clear()
    gc.collect()
    await asyncio.sleep(LINGER + 0.1)
    assert client.statistics().watches == 0 and not any(member.on_event for member in etcd.members)


async def test_an_observer_knows_how_stale_it_is(etcd: MemoryEtcd, client: Client) -> None:
    observer = observe(client, KEY)
    etcd.put(KEY, b"a")
    leader = await anext(observer)
    assert leader is not None and leader.value == b"a"
    await asyncio.sleep(0.1)
    assert observer.stale_for() == 0
    async with Outage(etcd, client):
        await asyncio.sleep(10)
        assert observer.stale_for() == pytest.approx(10, abs=0.1)
    assert observer.stale_for() == 0
    await observer.aclose()


# ---------------------------------------------------------------------- any faults, in any order


@dataclass
class Telling:
    """What one listener was told, from which revision on."""

    since: int
    facts: list[Fact] = field(default_factory=list)

    def judge(self, history: list[tuple[int, bool]]) -> None:
        """Every change exactly once and in order, but for those that a reading of the key stands for."""
        known = self.since
        changes = [change for change in history if change[0] > known]
        for fact in self.facts:
            match fact:
                case Changed(event):
                    missed = [revision for revision, _ in changes if known < revision < event.kv.mod_revision]
                    assert event.kv.mod_revision > known and not missed
                    assert (event.kv.mod_revision, event.deleted) in changes
                    known = event.kv.mod_revision
                case Reread(kv, revision):
                    assert revision >= known
                    known = revision
                    last = [change for change in history if change[0] <= revision][-1:]
                    assert (kv.mod_revision, False) == last[0] if kv else (not last or last[0][1])
                case Ended():
                    pytest.fail("nothing ends it")
        assert not [revision for revision, _ in changes if revision > known], "all is told in the end"


ACTIONS = ["put", "put", "delete", "listen", "pause", "resume", "kill", "start", "isolate", "heal", "cut", "drop"]
ACTIONS += ["mend", "compact", "leader", "hang", "go on"]


async def scenario(steps: list[tuple[str, int, float]], compacts: bool) -> None:
    random.seed(len(steps))
    async with MemoryEtcd() as etcd, etcd.client() as client:
        history: list[tuple[int, bool]] = []
        tellings: list[Telling] = []

        def listen() -> None:
            tellings.append(Telling(etcd.revision))
            client.hub.watches.subscribe(KEY, etcd.revision + 1, tellings[-1].facts.append)

        def act(action: str, member: Member) -> None:
            link = etcd.link(client, member)
            actions: dict[str, Callable[[], object]] = {
                "pause": lambda: etcd.pause(member),
                "resume": lambda: etcd.resume(member),
                "kill": lambda: etcd.kill(member),
                "start": lambda: etcd.start(member),
                "isolate": lambda: etcd.isolate(member),
                "heal": lambda: etcd.heal(member),
                "hang": lambda: etcd.hang_disk(member),
                "go on": lambda: etcd.mend_disk(member),
                "cut": link.cut,
                "drop": link.drop,
                "mend": link.mend,
                "listen": listen,
                "compact": lambda: etcd.compact() if compacts and etcd._cluster.store.compacted < etcd.revision else 0,
                "leader": lambda: etcd.move_leader(member),
                "put": lambda: history.append((etcd.put(KEY, b""), False)),
                "delete": lambda: history.append((etcd.delete(KEY), True)) if etcd.get(KEY) else 0,
            }
            with suppress(InvalidState):  # no quorum, or no such process
                actions[action]()

        listen()
        for action, number, pause in steps:
            act(action, etcd.members[number])
            await asyncio.sleep(pause)
        for member in etcd.members:
            for mending in ("resume", "start", "heal", "go on", "mend"):
                act(mending, member)
        await asyncio.sleep(10)
        act("put", leader_of(etcd))
        await asyncio.sleep(3)
        for telling in tellings:
            telling.judge(history)
            assert compacts or not any(isinstance(fact, Reread) for fact in telling.facts)


STEPS = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2), st.sampled_from([0.0, 0.0007, 0.2, 1.3, 4.0])), max_size=40
)


@pytest.mark.parametrize("compacts", [False, True])
@settings(max_examples=60, deadline=None, database=None)
@given(steps=STEPS)
def test_no_change_is_lost_or_told_twice_whatever_happens(compacts: bool, steps: list[tuple[str, int, float]]) -> None:
    with asyncio.Runner(loop_factory=virtual_loop) as runner:
        runner.run(scenario(steps, compacts))


async def test_an_event_that_overtakes_an_observers_read_is_not_forgotten(etcd: MemoryEtcd, client: Client) -> None:
    """Where a watch of the key stands already, it tells the event before the read is answered that did not see it."""
    told = watcher(client, etcd.revision + 1)
    await asyncio.sleep(0.1)
    observer = observe(client, KEY)
    with etcd.hold("get", when="after", client=client) as held:
        first = asyncio.ensure_future(anext(observer))
        await held.reached()
        written = etcd.put(KEY, b"1")
        await until(lambda: revisions(told) == [written])
        held.release()
    leader = await asyncio.wait_for(first, 1)
    assert leader is not None and leader.revision == written


async def test_an_observer_that_never_was_answered_ends_with_its_client(etcd: MemoryEtcd, client: Client) -> None:
    for member in etcd.members:
        etcd.pause(member)
    waiting = asyncio.ensure_future(anext(observe(client, KEY), None))
    await asyncio.sleep(12)
    assert not waiting.done()
    leading = asyncio.ensure_future(client.aclose())
    assert await asyncio.wait_for(waiting, 1) is None, "the end of the iteration, not a leader"
    await leading


async def test_our_own_stall_is_not_taken_for_the_members_silence(etcd: MemoryEtcd) -> None:
    """By its clock the process stood still for longer than a member may be silent: it could hear nothing meanwhile."""
    stalled = 0.0
    loop = asyncio.get_running_loop()
    async with etcd.client(clock=Clock(lambda: loop.time() + stalled)) as client:
        told = watcher(client, etcd.revision + 1)
        await asyncio.sleep(3)
        for _ in range(3):
            stalled += 30
            await asyncio.sleep(0.7)
        assert not any(isinstance(fact, Disconnected) for fact in told)
        assert client.statistics().reconnects == 0

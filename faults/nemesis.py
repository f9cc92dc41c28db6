"""The faults, by name and row of the table, each injected, healed and measured; alone and in pairs."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

from faults import packets
from faults.arena import ELECTION_TIMEOUT, Arena
from faults.proxy import BOTH
from faults.records import Fault, Measured, Thaw, Won, now

Measure = Literal["failover", "loss", "no loss", "return", "nothing"]
Domain = Literal["contender", "key", "network", "etcd"]


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """What an action is done in: who leads, and the chance that decides the rest."""

    arena: Arena
    leader: Won
    chance: random.Random

    @property
    def ttl(self) -> int:
        return self.arena.ttl

    def other(self) -> str:
        """A contender that does not lead."""
        return self.chance.choice([each for each in self.arena.contenders if each != self.leader.who])

    async def etcd_leader(self) -> str:
        return await self.arena.cluster.leader()

    async def etcd_follower(self) -> str:
        leader = await self.etcd_leader()
        return self.chance.choice([each for each in self.arena.cluster.names if each != leader])

    @contextlib.asynccontextmanager
    async def frozen(self, *members: str) -> AsyncIterator[None]:
        try:
            for each in members:
                await self.arena.cluster.freeze(each)
            yield
        finally:
            for each in members:
                self.arena.tell(Thaw(now(), each))
                await self.arena.cluster.resume(each)


Prepare = Callable[[Scene], Awaitable[str]]
Inject = Callable[[Scene, str], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """One kind of fault."""

    name: str
    row: int
    domain: Domain
    target: Prepare
    inject: Inject
    """Do it, and undo it."""
    measure: Measure = "nothing"
    bound: Callable[[int], float] = lambda _ttl: 0.0
    """In seconds, of the TTL."""
    ttl: int = 2
    foreign: bool = False
    missing: Callable[[], str] = lambda: ""
    """What it takes and this machine lacks: then it is left out."""


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """Of a scenario."""

    action: Action
    seconds: float
    bound: float
    stalled: float
    """For how long the machine stood still meanwhile: the bound holds on top of that."""

    @property
    def ok(self) -> bool:
        return self.seconds <= self.bound + self.stalled


async def do(scene: Scene, action: Action) -> Fault:
    """The fault alone, written down whatever comes."""
    target = await action.target(scene)
    begin = now()
    try:
        await action.inject(scene, target)
    finally:
        fault = Fault(action.name, action.row, target, begin, now(), action.foreign)
        scene.arena.tell(fault)
    return fault


async def play(scene: Scene, action: Action) -> Outcome | None:
    """The fault, measured against its bound; then somebody leads again, and all is calm."""
    outcome = await _measured(scene, action)
    await scene.arena.led()
    # Whoever waits has to find a member and watch again before the next fault can be measured alone.
    await asyncio.sleep(2.5 * ELECTION_TIMEOUT if action.domain in {"etcd", "network"} else 1.0)
    return outcome


async def _measured(scene: Scene, action: Action) -> Outcome | None:
    arena, token = scene.arena, scene.leader.token
    fault = await do(scene, action)
    bound, begin = action.bound(scene.ttl), fault.begin
    match action.measure:
        case "failover":
            seconds = (await arena.won_after(token)).at - fault.begin
        case "loss":
            seconds = (await arena.lost(token)).at - fault.begin
        case "return":
            begin = fault.end
            seconds = max(0.0, (await arena.won_after(token)).at - begin)
        case "no loss":
            await asyncio.sleep(0.5)
            led = await arena.led()
            seconds = 0.0 if led.token == token else led.at - fault.begin
        case _:
            return None
    arena.tell(Measured(action.row, action.name, seconds, bound, begin))
    return Outcome(action, seconds, bound, arena.stalls.since(begin))


# ---------------------------------------------------------------------- contenders


async def the_leader(scene: Scene) -> str:
    return scene.leader.who


async def another(scene: Scene) -> str:
    return scene.other()


async def kill(scene: Scene, target: str) -> None:
    await scene.arena.signal(target, signal.SIGKILL)


async def kill_both(scene: Scene, target: str) -> None:
    contender, member = target.split(", ")
    try:
        await asyncio.gather(scene.arena.signal(contender, signal.SIGKILL), scene.arena.cluster.kill(member))
        await asyncio.sleep(2 * ELECTION_TIMEOUT)
    finally:
        await scene.arena.cluster.start(member)


async def terminate(scene: Scene, target: str) -> None:
    await scene.arena.signal(target, signal.SIGTERM)


async def freeze(scene: Scene, target: str) -> None:
    await scene.arena.signal(target, signal.SIGSTOP)
    try:
        await asyncio.sleep(scene.ttl + 1.5)
    finally:
        await scene.arena.signal(target, signal.SIGCONT)


async def stall(scene: Scene, target: str) -> None:
    await scene.arena.signal(target, signal.SIGUSR1)
    await asyncio.sleep(1.5 * scene.ttl)


async def both_leaders(scene: Scene) -> str:
    return f"{scene.leader.who}, {await scene.etcd_leader()}"


# ---------------------------------------------------------------------- third parties


async def revoke(scene: Scene, _target: str) -> None:
    found = await scene.arena.hand.get()
    if found is not None and found.create_revision == scene.leader.token:
        await scene.arena.hand.revoke(found.lease)


async def delete(scene: Scene, _target: str) -> None:
    await scene.arena.hand.delete(scene.leader.token)


async def overwrite(scene: Scene, target: str) -> None:
    await _put(scene, b"intruder")


async def overwrite_alike(scene: Scene, target: str) -> None:
    await _put(scene, target.encode())


async def _put(scene: Scene, value: bytes) -> None:
    """Nothing ends an intruder without a lease but whoever put it there."""
    try:
        await scene.arena.hand.put(scene.leader.token, value)
        await asyncio.sleep(1)
    finally:
        await scene.arena.hand.delete(scene.leader.token)


async def compact(scene: Scene, _target: str) -> None:
    """While nobody but the leader is told anything, the key goes, and its deletion is compacted."""
    waiting = [each for each in scene.arena.contenders if each != scene.leader.who]
    links = [link for each in waiting for link in scene.arena.proxies[each].values()]
    try:
        for link in links:
            link.hold("replies")
        await asyncio.sleep(0.1)
        await scene.arena.hand.delete(scene.leader.token)
        await scene.arena.hand.compact()
    finally:
        for link in links:
            link.cut()
            link.heal()


# ---------------------------------------------------------------------- the network of one contender


def links(break_them: Callable[[Scene, str], None], seconds: Callable[[int], float]) -> Inject:
    """Break all links of a contender for a while."""

    async def inject(scene: Scene, target: str) -> None:
        try:
            break_them(scene, target)
            await asyncio.sleep(seconds(scene.ttl))
        finally:
            for link in scene.arena.proxies[target].values():
                link.heal()

    return inject


def refuse(scene: Scene, target: str) -> None:
    for link in scene.arena.proxies[target].values():
        link.refuse()


def lose_replies(scene: Scene, target: str) -> None:
    for link in scene.arena.proxies[target].values():
        link.hold("replies")


def swallow(scene: Scene, target: str) -> None:
    for link in scene.arena.proxies[target].values():
        link.hold(*BOTH)


def swallow_one(scene: Scene, target: str) -> None:
    scene.chance.choice(list(scene.arena.proxies[target].values())).hold(*BOTH)


async def drop_packets(scene: Scene, target: str) -> None:
    async with packets.dropped(link.port for link in scene.arena.proxies[target].values()):
        await asyncio.sleep(long(scene.ttl))


def cut(scene: Scene, target: str) -> None:
    for link in scene.arena.proxies[target].values():
        link.cut()


def slow(scene: Scene, target: str) -> None:
    """A round trip of T/8."""
    for link in scene.arena.proxies[target].values():
        link.delay = scene.ttl / 16


# ---------------------------------------------------------------------- etcd


async def etcd_leader(scene: Scene) -> str:
    return await scene.etcd_leader()


async def etcd_follower(scene: Scene) -> str:
    return await scene.etcd_follower()


async def everyone(_scene: Scene) -> str:
    return "etcd"


async def freeze_member(scene: Scene, target: str) -> None:
    async with scene.frozen(target):
        await asyncio.sleep(2.5)


async def stale_acknowledgement(scene: Scene, target: str) -> None:
    """What was queued on the frozen etcd leader is acknowledged; then its client hears nothing any more."""
    contender, member = target.split(", ")
    async with scene.frozen(member):
        await asyncio.sleep(1.8)
    await asyncio.sleep(0.02)
    await links(swallow, lambda ttl: ttl + 1.5)(scene, contender)


async def kill_member(scene: Scene, target: str) -> None:
    await scene.arena.cluster.kill(target)
    try:
        await asyncio.sleep(2)
    finally:
        await scene.arena.cluster.start(target)


async def isolate_member(scene: Scene, target: str) -> None:
    try:
        await scene.arena.cluster.isolate(target)
        await asyncio.sleep(4 * ELECTION_TIMEOUT)
    finally:
        await scene.arena.cluster.isolate()


async def lose_quorum(scene: Scene, _target: str) -> None:
    survivor = await scene.etcd_follower()
    async with scene.frozen(*(each for each in scene.arena.cluster.names if each != survivor)):
        await asyncio.sleep(scene.ttl + 0.4)  # no longer: etcd before 3.5.13 would revoke live leases


async def outage(scene: Scene, _target: str) -> None:
    names = scene.arena.cluster.names
    await asyncio.gather(*(scene.arena.cluster.kill(each) for each in names))
    try:
        await asyncio.sleep(scene.ttl + 4)
    finally:
        await scene.arena.cluster.start(*names)


async def rolling_restart(scene: Scene, _target: str) -> None:
    for each in scene.arena.cluster.names:
        try:
            await scene.arena.cluster.stop(each)
        finally:
            await scene.arena.cluster.start(each)
        await asyncio.sleep(0.5)


# ---------------------------------------------------------------------- the table


def dead(ttl: int) -> float:
    return ttl + 1.0


def dead_both(ttl: int) -> float:
    return 2 * ttl + 3 * ELECTION_TIMEOUT


def resigned(_ttl: int) -> float:
    return 0.2


def told(_ttl: int) -> float:
    return 1.0


def deadline(ttl: int) -> float:
    return float(ttl)


def prolonged(ttl: int) -> float:
    """The old key goes first: an etcd that starts prolongs leases by their TTL, and sweeps twice a second."""
    return ttl + 0.5 + 1.0


def long(ttl: int) -> float:
    return ttl + 1.5


TABLE: tuple[Action, ...] = (
    Action("leader process killed", 1, "contender", the_leader, kill, "failover", dead),
    Action("another contender killed", 0, "contender", another, kill, "no loss"),
    Action("leader process and etcd leader killed", 2, "etcd", both_leaders, kill_both, "failover", dead_both),
    Action("leader process asked to stop", 3, "contender", the_leader, terminate, "failover", resigned),
    Action("leader process frozen, then resumed", 4, "contender", the_leader, freeze, "failover", dead),
    Action("another contender frozen, then resumed", 0, "contender", another, freeze, "no loss"),
    Action("event loop blocked", 5, "contender", the_leader, stall, "failover", dead),
    Action("stale acknowledgement delivered, then cut off", 11, "etcd", both_leaders, stale_acknowledgement),
    Action("quorum lost", 12, "etcd", everyone, lose_quorum, "loss", deadline),
    Action("all members unreachable", 15, "network", the_leader, links(refuse, long), "loss", deadline),
    Action("replies lost", 16, "network", the_leader, links(lose_replies, long), "loss", deadline),
    Action("half-open connections", 17, "network", the_leader, links(swallow, long), "loss", deadline),
    Action("packets dropped", 17, "network", the_leader, drop_packets, "loss", deadline, missing=packets.missing),
    Action("connections cut", 0, "network", the_leader, links(cut, lambda _: 1.0), "no loss"),
    Action("slow network", 18, "network", the_leader, links(slow, lambda ttl: 2.0 * ttl), "no loss"),
    Action("etcd stopped", 19, "etcd", everyone, outage, "return", prolonged),
    Action("lease revoked", 21, "key", the_leader, revoke, "loss", told, foreign=True),
    Action("leader key deleted", 22, "key", the_leader, delete, "loss", told, foreign=True),
    Action("leader key overwritten", 23, "key", the_leader, overwrite, "loss", told, foreign=True),
    Action("the same value written again", 24, "key", the_leader, overwrite_alike, "loss", told, foreign=True),
    Action("compacted past the deletion", 25, "key", the_leader, compact, "failover", dead, foreign=True),
    Action("etcd follower frozen", 9, "etcd", etcd_follower, freeze_member, "no loss", ttl=5),
    Action("etcd leader frozen", 10, "etcd", etcd_leader, freeze_member, "no loss", ttl=5),
    Action("etcd follower killed", 9, "etcd", etcd_follower, kill_member, "no loss", ttl=5),
    Action("etcd leader killed", 10, "etcd", etcd_leader, kill_member, "no loss", ttl=5),
    Action("etcd follower isolated", 13, "etcd", etcd_follower, isolate_member, "no loss", ttl=5),
    Action("etcd leader isolated", 13, "etcd", etcd_leader, isolate_member, "no loss", ttl=5),
    Action("one member unreachable", 14, "network", the_leader, links(swallow_one, lambda _: 3.0), "no loss", ttl=5),
    Action("rolling restart", 20, "etcd", everyone, rolling_restart, "no loss", ttl=5),
)


def draw(chance: random.Random) -> tuple[Action, ...]:
    """One fault, or two of different domains, so that neither undoes the other."""
    possible = [each for each in TABLE if not each.missing()]
    first = chance.choice(possible)
    if chance.random() < 0.7:
        return (first,)
    return first, chance.choice([each for each in possible if each.domain != first.domain])


async def strike(arena: Arena, chance: random.Random) -> tuple[Action, ...]:
    """Draw and do; both of a pair begin within a second. Then somebody leads again."""
    # All is drawn before anything happens, so that a seed repeats the run's draws whatever comes of them.
    actions = draw(chance)
    chances = [random.Random(chance.random()) for _ in actions]
    pauses = [chance.random() for _ in actions]
    leader = await arena.led()

    async def later(action: Action, its_chance: random.Random, pause: float) -> None:
        await asyncio.sleep(pause)
        await do(Scene(arena, leader, its_chance), action)

    striking = (later(*each) for each in zip(actions, chances, pauses, strict=True))
    for failed in await asyncio.gather(*striking, return_exceptions=True):
        if failed is not None:
            raise failed
    await arena.led()
    return actions

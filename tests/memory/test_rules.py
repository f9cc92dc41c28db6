"""The rules under faults drawn at random: four candidates, three clients whose clocks run at different rates.

A script is drawn, run in virtual time, and looked at all the while. What fails is printed as the script it was, and
made as short as it can be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aioelection import Client, Leadership, LeadershipLost, Lease, LossReason, Term, TokenWentBack, observe
from aioelection._aio.clock import Clock
from aioelection._core.ops import KeyEvent
from aioelection.errors import ElectionError
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import time
from tests.virtual import virtual_loop

KEY = "/rules/leader"
TTL = 5
RATES = (1.0, 0.995, 1.005)
"""Of the clients' clocks: as far off as is promised to be survived."""

LOOK = 0.03
CLEAN_UP = 0.3
"""Seconds that a cancelled body takes."""

member, client = st.integers(0, 2), st.integers(0, 2)
FAULTS = {
    "pause": member,
    "isolate": member,
    "kill": member,
    "well": member,
    "cut": st.tuples(client, member),
    "drop": st.tuples(client, member),
    "cut off": client,
    "mend": client,
}
MEDDLING = {"delete": st.none(), "overwrite": st.none(), "revoke": st.none()}
ORDINARY = {"move leader": member, "compact": st.none(), "resign": st.integers(0, 3), "restart": st.integers(0, 3)}


def steps(kinds: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    return st.one_of(*(st.tuples(st.just(name), argument) for name, argument in kinds.items()))


SCRIPTS = st.lists(
    st.tuples(st.floats(0.05, 4), steps(FAULTS | ORDINARY | MEDDLING)),
    min_size=3,
    max_size=15,
)


class Candidate:
    """Stands for ever, in one of the ways in which one can."""

    def __init__(self, number: int, client: Client) -> None:
        self.number = number
        self.client = client
        self.leadership = Leadership(client, KEY)
        self.terms: list[Term] = []
        self.in_body: Term | None = None
        self.start()

    @property
    def value(self) -> bytes:
        return b"candidate %d" % self.number

    def start(self) -> None:
        ways: tuple[Callable[[], Any], ...] = (self._run, self._enter, self._await, self._share)
        self._task = asyncio.ensure_future(ways[self.number]())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        assert self._task.cancelled(), self._task.exception()

    async def _run(self) -> None:
        await self.leadership.run(self._body, TTL, self.value)

    async def _enter(self) -> None:
        while True:
            with contextlib.suppress(LeadershipLost):
                async with self.leadership.campaign(TTL, self.value) as term:
                    await self._body(term)
            await asyncio.sleep(0.1)

    async def _await(self) -> None:
        while True:
            self.terms.append(await self.leadership.campaign(TTL, self.value))
            try:
                await self.leadership.keep()
            except LeadershipLost:
                await asyncio.sleep(0.1)
            finally:
                await self.leadership.reset()

    async def _share(self) -> None:
        while True:
            lease = Lease(self.client)
            try:
                await lease.grant(TTL)
                keeping = asyncio.ensure_future(lease.keep_alive())
                keeping.add_done_callback(lambda task: task.cancelled() or task.exception())
                async with self.leadership.campaign(TTL, self.value, lease=lease) as term:
                    await self._body(term)
            except TokenWentBack:
                raise
            except ElectionError:
                await asyncio.sleep(0.1)
            finally:
                with contextlib.suppress(ElectionError):
                    await lease.close()

    async def _body(self, term: Term) -> None:
        self.terms.append(term)
        self.in_body = term
        try:
            await asyncio.Event().wait()
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(CLEAN_UP)
            self.in_body = None


class Trial:
    """One run of one script."""

    def __init__(self, etcd: MemoryEtcd) -> None:
        loop = asyncio.get_running_loop()
        self.etcd = etcd
        self.clients = [etcd.client(clock=Clock(lambda rate=rate: loop.time() * rate)) for rate in RATES]  # type: ignore[misc]
        self.candidates = [Candidate(number, self.clients[number % 3]) for number in range(4)]
        self.observed: list[int] = []
        self.truth: list[KeyEvent] = []
        self._told_up_to = etcd.revision
        self._ended: dict[Term, LossReason] = {}
        self._meddled_at = float("-inf")
        self._troubled_at = float("-inf")
        self._background: set[asyncio.Task[Any]] = set()

    # ------------------------------------------------------------------ what is done

    async def act(self, name: str, argument: Any) -> None:
        match name:
            case "pause" | "isolate" | "kill":
                if (member := self.etcd.members[argument]).running:
                    getattr(self.etcd, name)(member)
            case "well":
                self._heal(argument)
            case "cut" | "drop":
                each, to = argument
                getattr(self.etcd.link(self.clients[each], self.etcd.members[to]), name)()
            case "cut off":
                for link in self.etcd.links(self.clients[argument]):
                    link.cut()
            case "mend":
                for link in self.etcd.links(self.clients[argument]):
                    link.mend()
            case "resign":
                self._later(self.candidates[argument].leadership.resign())
            case "restart":
                await self.candidates[argument].stop()
                self.candidates[argument].start()
            case _:
                self._to_etcd(name, argument)

    def _to_etcd(self, name: str, argument: Any) -> None:
        """What takes an etcd that serves."""
        if self.etcd.leader is None or not self.etcd.leader.fit:
            return
        kv = self.etcd.get(KEY)
        match name:
            case "move leader" if self.etcd.members[argument].fit:
                self.etcd.move_leader(self.etcd.members[argument])
            case "compact" if self.etcd.revision > self.etcd._cluster.store.compacted:
                self.look_at_etcd()
                self.etcd.compact()
            case "overwrite":
                self._meddled_at = time()
                self.etcd.put(KEY, "an intruder")
            case "delete" if kv is not None:
                self._meddled_at = time()
                self.etcd.delete(KEY)
            case "revoke" if kv is not None and kv.lease_id in self.etcd.leases:
                self._meddled_at = time()
                self.etcd.revoke(kv.lease_id)

    def _later(self, coroutine: Any) -> None:
        async def run() -> None:
            with contextlib.suppress(ElectionError):
                await coroutine

        self._background.add(asyncio.ensure_future(run()))

    def _heal(self, number: int) -> None:
        member = self.etcd.members[number]
        if not member.running:
            self.etcd.start(member)
        self.etcd.resume(member)
        self.etcd.heal(member)

    def heal(self) -> None:
        for number in range(3):
            self._heal(number)
            for link in self.etcd.links(self.clients[number]):
                link.mend()

    # ------------------------------------------------------------------ what is seen

    @property
    def troubled(self) -> bool:
        links = [link for each in self.clients for link in self.etcd.links(each)]
        cut = any(link.is_cut or link.drops("requests") or link.drops("replies") for link in links)
        return cut or self.etcd.leader is None or not all(member.fit for member in self.etcd.members)

    async def watch(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK)

    def look(self) -> None:
        if self.troubled:
            self._troubled_at = time()
        self.look_at_etcd()
        self._one_leads()
        self._what_is_lost_is_lost()

    def look_at_etcd(self) -> None:
        store = self.etcd._cluster.store
        for event in store.events(self._told_up_to, self.etcd.revision):
            if event.kv.key == KEY.encode():
                self.truth.append(event)
                if event.deleted:
                    self._is_released_after_its_body()
        self._told_up_to = self.etcd.revision

    def _one_leads(self) -> None:
        leaders = [each for each in self.candidates if each.leadership.check()]
        since = time() - self._meddled_at
        excused = since <= 1.1 or (self._troubled_at >= self._meddled_at and since <= TTL + 0.1)
        assert len(leaders) <= 1 or excused, f"rule 1: {[each.leadership.term for each in leaders]}"

    def _what_is_lost_is_lost(self) -> None:
        for term in (term for each in self.candidates for term in each.terms):
            if term in self._ended:
                assert not term.check() and term.loss_reason is self._ended[term], f"rule 2: {term}"
            elif term.loss_reason is not None:
                self._ended[term] = term.loss_reason

    def _is_released_after_its_body(self) -> None:
        if self.etcd.get(KEY) is not None or time() - max(self._meddled_at, self._troubled_at) < TTL + 2:
            return
        for each in self.candidates:
            term = each.in_body
            held = self.truth[-2].kv.create_revision if len(self.truth) > 1 else 0
            assert term is None or term.fencing_token != held, f"rule 9: {term} is released while its body runs"

    async def observe(self) -> None:
        async for leader in observe(self.clients[2], KEY):
            self.observed.append(leader.create_revision if leader else 0)

    # ------------------------------------------------------------------ the end

    async def end(self) -> None:
        self.heal()
        await asyncio.sleep(1.5)  # an election
        if (kv := self.etcd.get(KEY)) is not None and kv.lease_id == 0:
            self.etcd.delete(KEY)
        async with asyncio.timeout(2 * TTL + 5):  # rule 11
            while not any(each.leadership.check() for each in self.candidates):
                await asyncio.sleep(LOOK)
        await asyncio.sleep(TTL + 3)
        (leader,) = [each.leadership for each in self.candidates if each.leadership.check()]
        assert leader.term is not None and self.observed[-1] == leader.term.fencing_token, "rule 10: it converges"
        for each in self.candidates:
            await each.stop()
        await asyncio.sleep(1)
        assert (self.etcd.get(KEY), self.etcd.leases) == (None, {}), "rule 7: something is left"
        self._tokens_rise()

    def _tokens_rise(self) -> None:
        created = {event.kv.create_revision: event.kv.value for event in self.truth if not event.deleted}
        assert list(created) == sorted(created), "etcd's own"
        for each in self.candidates:
            tokens = [term.fencing_token for term in each.terms]
            assert tokens == sorted(set(tokens)), "rule 3"
            assert all(created[token] in (each.value, b"an intruder") for token in tokens), "rule 3: another's token"
        told = [token for token in self.observed if token]
        assert told == sorted(told) and set(told) <= set(created), "rule 10"

    async def aclose(self) -> None:
        for each in self.clients:
            await each.aclose()
        await asyncio.gather(*self._background, return_exceptions=True)


async def play(script: list[tuple[float, tuple[str, Any]]]) -> None:
    random.seed(1)
    async with MemoryEtcd() as etcd:
        trial = Trial(etcd)
        watching, observing = asyncio.ensure_future(trial.watch()), asyncio.ensure_future(trial.observe())
        try:
            await asyncio.sleep(1)
            for delay, (name, argument) in script:
                await trial.act(name, argument)
                await asyncio.sleep(delay)
                if watching.done():
                    break
            if not watching.done():
                await trial.end()
        finally:
            for task in (watching, observing):
                task.cancel()
            await asyncio.wait([watching, observing])
            for each in trial.candidates:
                each._task.cancel()
            await asyncio.wait([each._task for each in trial.candidates])
            await trial.aclose()
        if not watching.cancelled():
            watching.result()


@pytest.mark.timeout(0)  # hypothesis would take it for a failure, and look for the shortest script that lasts so long
@settings(
    max_examples=15 if "AIOELECTION_QUICK" in os.environ else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
@given(script=SCRIPTS)
def test_the_rules_hold_whatever_befalls_them(script: list[tuple[float, tuple[str, Any]]]) -> None:
    loop = virtual_loop()
    try:
        loop.run_until_complete(play(script))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

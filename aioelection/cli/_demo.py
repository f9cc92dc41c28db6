"""The demo: elections on one machine, three faults, and what came of them."""

from __future__ import annotations

import asyncio
import os
import signal

from aioelection import Client, connect, get_leader, observe
from aioelection.cli._board import Board
from aioelection.cli._checks import Check, Fault, Kind, Record, Term, judge, successor
from aioelection.cli._processes import Candidates
from aioelection.cli._reports import now
from aioelection.cli._show import Show
from aioelection.cli._stalls import StallMeter
from aioelection.embedded import Etcd
from aioelection.embedded._binary import VARIABLE, find_etcd
from aioelection.errors import InvalidConfiguration

LEADER_KEY = "/aioelection/demo/leader"
LEASE_TIMEOUT = 3
CANDIDATES = 3
LOOK = 1.5
"""Seconds for which a leader is let alone, for whoever looks on."""

LIMIT = 35.0
"""Seconds for all of it, without etcd's start and the candidates' end."""

PATIENCE = 10.0
"""Seconds beyond every bound, after which the demo no longer waits for what must come."""


def look_for_etcd() -> None:
    """Say what to install where there is none; one that was named and is none is told of when it is started."""
    if VARIABLE not in os.environ:
        try:
            find_etcd()
        except InvalidConfiguration:
            told = "there is no etcd on this machine; get one with: pip install 'aioelection[embedded]'"
            raise InvalidConfiguration(told) from None


async def demo(show: Show) -> list[Check]:
    """Run it, and return what was checked. Nothing that it started is left, however it ends."""
    show.say(now(), "demo", "starts three etcd members")
    async with Etcd(members=3) as etcd:
        show.say(now(), "demo", f"etcd {etcd.version} serves at {', '.join(etcd.endpoints)}")
        async with connect(etcd.endpoints) as client:
            board = Board(show.say, LEASE_TIMEOUT)
            following = asyncio.create_task(_follow(client, board))
            showing = asyncio.create_task(show.keep_fresh(board))
            try:
                async with Candidates(board, show.say, etcd.endpoints, LEADER_KEY, LEASE_TIMEOUT) as candidates:
                    return await _Demo(show, board, etcd, client, candidates).run()
            finally:
                following.cancel()
                showing.cancel()
                await asyncio.gather(following, showing, return_exceptions=True)


async def _follow(client: Client, board: Board) -> None:
    async for leader in observe(client, LEADER_KEY):
        if leader is None:
            board.observed = "nobody leads"
        else:
            lease = f"{leader.lease_id:x}"
            board.observed = f"{leader.value.decode()} leads, token {leader.create_revision}, lease {lease}"


class _Demo:
    def __init__(self, show: Show, board: Board, etcd: Etcd, client: Client, candidates: Candidates) -> None:
        self._show = show
        self._board = board
        self._etcd = etcd
        self._client = client
        self._candidates = candidates
        self._faults: list[Fault] = []

    async def run(self) -> list[Check]:
        self._say(f"starts {CANDIDATES} candidates; a lease lasts {LEASE_TIMEOUT} s")
        with StallMeter() as meter:
            for _ in range(CANDIDATES):
                await self._candidates.start()
            try:
                async with asyncio.timeout(LIMIT):
                    # What does not come in time is told by the checks.
                    _ = await self._kill() and await self._stop() and await self._revoke() and await self._settled()
            except TimeoutError:
                self._say(f"is not through after {LIMIT:g} s")
            self._say("stops the candidates")
            await self._candidates.stop()
        exits = {row.name: row.exit for row in self._board.rows.values() if row.exit is not None}
        return judge(Record(LEASE_TIMEOUT, self._board.terms, self._faults, meter.stalls, exits))

    async def _kill(self) -> bool:
        leader = await self._settled()
        if leader is None:
            return False
        self._say(f"kills {leader.holder}")
        fault = self._fault(Kind.KILL, leader)
        self._candidates.signal(leader.holder, signal.SIGKILL)
        await self._candidates.ended(leader.holder)
        return await self._followed(fault) and bool(await self._candidates.start())

    async def _stop(self) -> bool:
        leader = await self._settled()
        if leader is None:
            return False
        self._say(f"asks {leader.holder} to stop")
        fault = self._fault(Kind.STOP, leader)
        self._candidates.signal(leader.holder, signal.SIGTERM)
        followed = await self._followed(fault)
        await self._candidates.ended(leader.holder)
        return followed and bool(await self._candidates.start())

    async def _revoke(self) -> bool:
        leader = await self._settled()
        told = await get_leader(self._client, LEADER_KEY)
        if leader is None or told is None or told.create_revision != leader.token:
            return False
        self._say(f"revokes the lease of {leader.holder} (etcdctl lease revoke {told.lease_id:x})")
        fault = self._fault(Kind.REVOKE, leader)
        await self._etcd.ctl("lease", "revoke", f"{told.lease_id:x}")
        return await self._followed(fault)

    async def _settled(self) -> Term | None:
        """The leader, once all others follow it and it has been looked at for a while."""
        while await self._board.until(self._all_stand, LEASE_TIMEOUT + PATIENCE):
            leader = self._board.leader
            await asyncio.sleep(LOOK)
            if leader is not None and self._all_stand() and self._board.leader is leader:
                return leader
        return None

    def _all_stand(self) -> bool:
        alive = sorted(row.state for row in self._board.rows.values() if row.exit is None)
        return self._board.leader is not None and alive == ["following"] * (CANDIDATES - 1) + ["leading"]

    def _fault(self, kind: Kind, leader: Term) -> Fault:
        fault = Fault(kind, leader.holder, leader.token, now())
        self._faults.append(fault)
        return fault

    async def _followed(self, fault: Fault) -> bool:
        """Wait until another leads, and for the end of the term that the fault was done to."""
        followed = await self._board.until(
            lambda: successor(fault, self._board.terms) is not None and self._board.tenures[fault.token].ended,
            LEASE_TIMEOUT + PATIENCE,
        )
        following = successor(fault, self._board.terms)
        if following is None:
            self._say(f"nobody follows {fault.holder}")
        else:
            self._say(f"{following.holder} has followed {fault.holder} after {following.entered - fault.at:.3f} s")
        return followed

    def _say(self, what: str) -> None:
        self._show.say(now(), "demo", what)

"""Standing for election: grant a lease, try to create the key, and while another leads wait for it to go.

An own key that is held by an own live lease is what makes a leader, however it came to be there: a transaction that
went unanswered is resolved by reading, and one that is sent again cannot win twice, since it creates the key only where
there is none. But where an earlier campaign on a shared lease was abandoned, such a key may be being swept away at that
moment: it is deleted, and stood for again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass

from aioelection._aio.mailbox import Mailbox
from aioelection._aio.signal import Signal
from aioelection._aio.tasks import finish
from aioelection._core.backoff import backoff
from aioelection._core.facts import Changed, Ended, Reread
from aioelection._core.machine import Event
from aioelection._core.ops import (
    Compare,
    Delete,
    Get,
    GetResult,
    KeyValue,
    Put,
    Txn,
    created_at,
    still,
)
from aioelection._shell.hub import REQUEST_TIMEOUT
from aioelection._shell.report import fields, fields_of
from aioelection._shell.seat import Seat
from aioelection._shell.tenure import Tenure
from aioelection._transport.key_watch import Subscription
from aioelection._transport.port import LeaseNotFound
from aioelection.errors import (
    CampaignConflict,
    ElectionError,
    InvalidState,
    LeaseExpired,
    LossReason,
    OutcomeUnknown,
    TokenWentBack,
    Unavailable,
)
from aioelection.leader import Leader, warn_if_unleased
from aioelection.lease import Lease

log = logging.getLogger("aioelection")


@dataclass(frozen=True, slots=True)
class Won:
    token: int


@dataclass(frozen=True, slots=True)
class Beaten:
    """Another holds the key (``kv``), or nobody does and a compare does not hold."""

    kv: KeyValue | None
    revision: int


class Candidate:
    """One campaign of one leadership, until it has won or is given up."""

    def __init__(
        self,
        seat: Seat,
        lease_timeout: int,
        value: bytes,
        compares: tuple[Compare, ...],
        *,
        wait: bool,
        lease: Lease | None,
    ) -> None:
        self._seat = seat
        self._hub = seat.hub
        self._lease_timeout = lease_timeout
        self._value = value
        self._compares = compares
        self._wait = wait
        self._owns_lease = lease is None
        self._face = lease or Lease(seat.client, seat.purpose)
        self._lease = self._face.life
        self._news = Mailbox(seat.hub.clock)
        self._line = seat.hub.line(seat.key)
        self._swept = False
        """What an earlier campaign on the shared lease may have left is being looked for."""
        self._following: Subscription | None = None
        """To the key that another holds, while this one stands again too: the term's guard is to join the watch."""
        self.gone = Signal()
        """The campaign is over, won or not."""

    async def elect(self) -> Tenure:
        """Stand until elected, or try once; leaves nothing behind unless it returns."""
        self._lease.check_unclaimed(self.key)
        self._swept = self._lease.is_swept(self.key)
        self._seat.candidate = self
        self._seat.move(Event.STAND)
        self._lease.attach(self)
        if self._wait:
            self._line.join(self)
        try:
            return self._won(await (self._until_elected() if self._wait else self._once()))
        except BaseException:
            await self._withdraw()
            raise
        finally:
            # Not at once: a term that is entered joins the watch in the same step.
            asyncio.get_running_loop().call_soon(self._unfollow)
            self._line.leave(self)
            self._lease.detach(self)
            self._seat.candidate = None
            self._seat.move_if_allowed(Event.WITHDRAWN)
            self.gone.set()

    def interrupt(self) -> None:
        """Look up: the client was closed, or it is this candidate's turn."""
        self._news.interrupt()

    # ------------------------------------------------------------------ what the lease tells

    @property
    def key(self) -> bytes:
        return self._seat.key

    @property
    def attached(self) -> bool:
        return False

    def lease_ended(self, reason: LossReason) -> None:
        self._news.interrupt()

    def lease_suspended(self) -> None:
        """The deadline will tell."""

    def lease_resumed(self) -> None:
        """As if nothing had happened."""

    # ------------------------------------------------------------------ standing

    def _won(self, token: int) -> Tenure:
        tenure = Tenure(self._seat, self._face, owns_lease=self._owns_lease, token=token, value=self._value)
        self._seat.tenure = tenure
        self._seat.highest_token = token
        self._seat.move(Event.WON, term=tenure.term)
        log.info("%r: leading", tenure.term, extra=fields_of(tenure.term))
        tenure.report.won(self._lease.deadline.ttl)
        if self._lease.suspended:
            tenure.lease_suspended()
        return tenure

    async def _once(self) -> int:
        await self._have_lease()
        try:
            outcome = await self._stand()
        except OutcomeUnknown as error:
            won = await self._resolve()
            if won is None:
                raise Unavailable(f"the campaign's transaction was not answered: {error}") from error
            return won.token
        if isinstance(outcome, Won):
            return outcome.token
        if outcome.kv is None:
            raise CampaignConflict(f"nobody leads {self._seat.key!r}, but a compare does not hold")
        leader = Leader.of(outcome.kv)
        name = _named(leader.value)
        raise CampaignConflict(f"{name} leads {self._seat.key!r} with token {leader.create_revision}", leader)

    async def _until_elected(self) -> int:
        failures = 0
        while True:
            await self._turn()
            self._seat.move_if_allowed(Event.VACANT)
            try:
                await self._have_lease()
                with self._lease.kept():
                    outcome = await self._stand()
                    if isinstance(outcome, Won):
                        return outcome.token
                    failures = failures + 1 if outcome.kv is None else 0
                    if outcome.kv is None:
                        self._line.give_way(self)
                    await self._follow(outcome, failures)
            except (Unavailable, OutcomeUnknown) as error:
                self._unfollow()
                failures += 1
                log.info("campaign for %r interrupted: %s", self.key, error, extra=fields(self.key, self._seat.purpose))
                await self._news.get(self._hub.clock.now() + backoff(failures, random.random()))

    async def _turn(self) -> None:
        """Wait until no other candidate of this client is before this one: each wakes the next when it has won."""
        if self._line.first is self:
            return
        self._unfollow()
        self._seat.move_if_allowed(Event.BEATEN)
        while self._line.first is not self:
            self._check_standing()
            await self._news.get()

    def _check_standing(self) -> None:
        if self._hub.closed:
            raise InvalidState("the client was closed")
        if not self._owns_lease and self._lease.is_expired():
            raise LeaseExpired(f"{self._lease!r}, on which the campaign stands, is expired")

    async def _have_lease(self) -> None:
        self._check_standing()
        if self._lease.is_expired():
            await self._lease.grant(self._lease_timeout)

    async def _stand(self) -> Won | Beaten:
        """Try to win; what this leadership's last term has left in the way is put out of it."""
        outcome = await self._try()
        if isinstance(outcome, Beaten) and outcome.kv is not None and self._is_leftover(outcome.kv):
            assert self._seat.tenure is not None
            await self._seat.tenure.lease.revoke_leftover()
            outcome = await self._try()
        return outcome

    def _is_leftover(self, kv: KeyValue) -> bool:
        """Whether it is the key of our own last term, which is over and whose body has ended.

        The lease is dead by our count. But etcd may let it live for its whole time once more, after an outage.
        """
        last = self._seat.tenure
        return last is not None and last.owns_lease and last.lease.is_expired() and kv.lease_id == last.lease.id

    async def _try(self) -> Won | Beaten:
        """Create the key if there is none and the compares hold."""
        key, lease, lease_id = self._seat.key, self._lease, self._lease.id
        txn = Txn((created_at(key, 0), *self._compares), (Put(key, self._value, lease_id),), (Get(key),))
        try:
            async with self._hub.standing:
                reply = await self._hub.pool.txn(txn, timeout=REQUEST_TIMEOUT)
        except LeaseNotFound:
            lease.gone(lease_id)
            raise Unavailable("the lease was gone before the campaign's transaction") from None
        except (OutcomeUnknown, asyncio.CancelledError):
            if not self._owns_lease:
                lease.sweep(key)
            raise
        if lease.id != lease_id:
            raise Unavailable("the lease was granted anew while the campaign's transaction was under way")
        if reply.result.succeeded:
            if self._hub.closed and not self._owns_lease:  # nobody will sweep: the connections stay until we are gone
                await finish(self._delete(reply.result.revision, lease_id))
            return self._believed(Won(reply.result.revision))
        answer = reply.result.responses[0]
        return await self._judge(answer.kv if isinstance(answer, GetResult) else None, reply.header.revision)

    async def _resolve(self) -> Won | None:
        """Whether the transaction that was not answered has won, as far as a read can tell now."""
        reply = await self._hub.pool.get(self._seat.key, timeout=REQUEST_TIMEOUT)
        outcome = await self._judge(reply.result.kv, reply.header.revision)
        return outcome if isinstance(outcome, Won) else None

    async def _judge(self, kv: KeyValue | None, revision: int) -> Won | Beaten:
        if kv is None:
            return Beaten(None, revision)
        if kv.lease_id != self._lease.id:
            self._seat.highest_token = max(self._seat.highest_token, kv.create_revision)
            return Beaten(kv, revision)
        if not self._swept:
            return self._believed(Won(kv.create_revision))
        await self._delete(kv.create_revision, kv.lease_id)
        raise Unavailable("an abandoned key of ours was in the way")

    def _believed(self, won: Won) -> Won:
        """A key whose lease is no longer believed, whose client was closed or whose token went back is no win."""
        if self._hub.closed:
            raise InvalidState("the client was closed")
        if self._lease.is_expired():
            raise Unavailable("the lease expired while the campaign's transaction was under way")
        self._check_token(won.token)
        return won

    def _check_token(self, token: int) -> None:
        """Lead with no token that a fence may refuse."""
        if token > self._seat.highest_token:
            return
        if not self._owns_lease:
            self._lease.sweep(self.key)
        error = TokenWentBack(token, self._seat.highest_token, self.key)
        log.error("campaign given up: %s", error, extra=fields(self.key, self._seat.purpose))
        raise error

    async def _delete(self, token: int, lease_id: int) -> None:
        await self._hub.pool.txn(Txn(still(self.key, token, lease_id), (Delete(self.key),)), timeout=REQUEST_TIMEOUT)

    # ------------------------------------------------------------------ waiting

    async def _follow(self, beaten: Beaten, failures: int) -> None:
        """Wait until it may be worth standing again: the key is gone, the lease is lost, or a compare may hold."""
        self._seat.move_if_allowed(Event.BEATEN)
        warn_if_unleased(beaten.kv)
        self._news.clear()
        until = None if beaten.kv else self._hub.clock.now() + backoff(failures, random.random())
        subscription = self._hub.watches.subscribe(self._seat.key, beaten.revision + 1, self._news.put)
        self._unfollow()
        self._following = subscription
        await self._until_vacant(beaten, until)

    def _unfollow(self) -> None:
        if self._following is not None:
            self._following.close()
            self._following = None

    async def _until_vacant(self, beaten: Beaten, until: float | None) -> None:
        while not (self._lease.is_expired() or self._hub.closed):
            match await self._news.get(until):
                case Changed(event) if event.deleted or beaten.kv is None:
                    return
                case Changed(event):
                    warn_if_unleased(event.kv)
                case Reread(kv, _) if (
                    kv is None or beaten.kv is None or kv.create_revision != beaten.kv.create_revision
                ):
                    return
                case Ended(error) if error is not None:
                    raise error
                case None if until is not None and self._hub.clock.now() >= until:
                    return

    # ------------------------------------------------------------------ giving up

    async def _withdraw(self) -> None:
        """Leave no lease behind, and so no key; with etcd out of reach, it expires."""
        try:
            if self._owns_lease:
                await self._lease.close()
        except ElectionError as error:
            which = fields(self.key, self._seat.purpose)
            log.warning("campaign for %r: lease left to expire: %s", self.key, error, extra=which)


def _named(value: bytes) -> str:
    """A leader's data in a message, of which a person reads the beginning."""
    return repr(value) if len(value) <= 100 else f"{value[:100]!r}..."

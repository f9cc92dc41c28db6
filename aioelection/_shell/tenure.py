"""The inner life of a term: it is believed, kept and guarded; it ends once, in one step; then it is released.

The end is one synchronous step: ``check()`` is false, ``lost`` is set, the transition is published, the body's scope
is cancelled. Nothing is awaited between these. What takes time, the body's end and the key's release, comes after.
When the key is seen to be gone, ``check()`` is false even before that: at once, while etcd is still asked why it went,
so that the loss can tell.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio

from aioelection._aio.signal import Signal
from aioelection._aio.tasks import finish, first_of
from aioelection._core.machine import Event
from aioelection._core.ops import Delete, Get, GetResult, KeyValue, Txn, still
from aioelection._shell.body import Body
from aioelection._shell.guard import KeyGuard
from aioelection._shell.health import Health, RenewalWhileWell
from aioelection._shell.hub import CLEAN_UP
from aioelection._shell.report import TermReport, fields_of
from aioelection.errors import (
    ElectionError,
    LossReason,
    OutcomeUnknown,
    Unavailable,
)
from aioelection.lease import Lease
from aioelection.term import Term

if TYPE_CHECKING:
    from aioelection._shell.seat import Seat

_EVENTS = {LossReason.RESIGNED: Event.RESIGN, LossReason.CLOSED: Event.CLOSE}
_ANOTHERS = (LossReason.DELETED, LossReason.OVERWRITTEN)
"""The key is not this term's any more."""

log = logging.getLogger("aioelection")


class Tenure:
    """One term of one leadership, from the win to the release."""

    def __init__(self, seat: Seat, lease: Lease, *, owns_lease: bool, token: int, value: bytes) -> None:
        self._seat = seat
        self._hub = seat.hub
        self.face = lease
        self.lease = lease.life
        self.owns_lease = owns_lease
        now, purpose = seat.hub.clock.now, seat.purpose
        self.term = Term(seat.key, value, token, lease.life.deadline, now, purpose=purpose)
        self.report = TermReport(seat.hub, self.term)
        self.body: Body | None = None
        """That of ``async with``, while it runs."""
        self.released = Signal()
        """The key is gone, or will go by itself: nothing of this term needs care any more."""
        self._releasing = asyncio.Lock()
        self._unkept = Signal()
        """Set when there is nothing left to keep: the term is lost, or has been released."""
        self._kept: list[Callable[[], object]] = []
        """Each ends something that keeps the term while a body runs."""
        self._while_well: RenewalWhileWell | None = None
        self.guard = KeyGuard(self._hub, self.term, self.lease, self.end)
        self.lease.attach(self)

    # ------------------------------------------------------------------ what the lease tells

    @property
    def key(self) -> bytes:
        return self.term.leader_key

    @property
    def attached(self) -> bool:
        return True

    def lease_ended(self, reason: LossReason) -> None:
        if self._unwell and reason is LossReason.EXPIRED:
            reason = LossReason.UNHEALTHY
        self.end(reason)
        if self.body is not None:
            self.body.is_overdue()
        if not (self.owns_lease and self.term.loss_reason is LossReason.UNHEALTHY):
            self._release_over()  # else a renewal that was under way when they stopped may keep the key: it is revoked

    def lease_suspended(self) -> None:
        if self._seat.move_if_allowed(Event.SUSPEND, term=self.term):
            self.report.suspended()

    def lease_resumed(self) -> None:
        if not self._unwell and self._seat.move_if_allowed(Event.RESUME, term=self.term):
            self.report.resumed()

    # ------------------------------------------------------------------ the body of ``async with``

    def enter_body(self, scope: anyio.CancelScope, *, cancel_on_loss: bool) -> Body:
        """The current task is about to run the body inside ``scope``."""
        if not self._unkept.is_set():
            self._keep_until_let_go()
        self.body = Body(self._hub, self.term, scope, self.report, cancel_on_loss=cancel_on_loss)
        return self.body

    def leave_body(self) -> None:
        """The body has ended."""
        body, self.body = self.body, None
        if body is not None:
            body.leave()

    @property
    def in_body(self) -> bool:
        """Whether the current task runs the body."""
        return self.body is not None and self.body.runs_in(asyncio.current_task())

    # ------------------------------------------------------------------ the end

    def end(self, reason: LossReason) -> None:
        """End the term, once; a later reason does not count."""
        if self.term.loss_reason is not None:
            return
        self.term.disbelieve()
        self.term.loss_reason = reason
        self.term.lost.set()
        self._seat.move_if_allowed(_EVENTS.get(reason, Event.LOST), reason, self.term)
        if reason is not LossReason.RESIGNED:
            self._let_go()
        if self.body is not None:
            self.body.stop(reason)
        level = logging.INFO if reason is LossReason.RESIGNED else logging.WARNING
        log.log(level, "%r", self.term, extra=fields_of(self.term))
        self.report.ended(reason)
        if reason in _ANOTHERS and self.body is None and not self.owns_lease:
            self._release_over()  # there is nothing to release, and whoever waits to stand on that lease again may

    def forked(self) -> None:
        """In the child of a fork. Its copy of the loop may not run: nobody is woken."""
        self.term.disbelieve()
        self.term.loss_reason = self.term.loss_reason or LossReason.FORKED

    # ------------------------------------------------------------------ keeping

    async def keep(self) -> None:
        """Renew the lease and watch the key until the term is lost, or has been released."""
        with self.guard.watch():
            if self._while_well is None:
                with self.lease.kept():
                    await self._unkept.wait()
            elif not self._unkept.is_set():
                await first_of(self._keep_while_well(self._while_well), self._until_let_go())

    def _keep_until_let_go(self) -> None:
        """The same without a task where none is needed: there may be ten thousand terms."""
        self._kept.append(self.guard.watch().close)
        if self._while_well is None:
            self.lease.keep()
            self._kept.append(self.lease.unkeep)
        else:
            self._kept.append(self._hub.spawn(self._keep_while_well(self._while_well)).cancel)
        if self._unkept.is_set():  # the watch remembered that the key is another's
            self._let_go()

    async def _keep_while_well(self, while_well: RenewalWhileWell) -> None:
        await while_well.run()
        self.end(LossReason.UNHEALTHY)

    async def _until_let_go(self) -> None:
        await self._unkept.wait()

    def _let_go(self) -> None:
        self._unkept.set()
        while self._kept:
            self._kept.pop()()

    def renew_while_well(self, health: Health) -> None:
        """Have renewals depend on the application from now on."""
        self._while_well = RenewalWhileWell(self._hub.clock, self.term, self.lease, health, self._health_changed)

    @property
    def _unwell(self) -> bool:
        return self._while_well is not None and self._while_well.stopped

    def _health_changed(self, well: bool) -> None:
        if not well:
            self.lease_suspended()
        elif not self.lease.suspended:
            self.lease_resumed()

    # ------------------------------------------------------------------ the release

    async def release(self) -> None:
        """Give up the key, and the lease if it is this term's own.

        Raises ``Unavailable`` if etcd did not answer within a second; it may be tried again. Cancelled, it goes on.
        """
        if not self.released.is_set():
            await finish(self._release_or_expire())

    async def _release(self) -> None:
        """Whoever waits for the key goes first: what kept the term is put away after it."""
        try:
            async with self._releasing:
                if self.released.is_set():
                    return
                if self.owns_lease:
                    self.lease.detach(self)  # its end is no news here, and would pass for the release
                    if lease_id := self.lease.give_up():
                        await self.lease.revoke(lease_id)
                else:
                    await self.delete_key()
                self._release_over()
        finally:
            self._let_go()

    async def _release_or_expire(self) -> None:
        try:
            await self._release()
        except ElectionError:
            if self.owns_lease and not self._hub.closed:
                self._hub.spawn(self._expire())
            raise

    async def _expire(self) -> None:
        await self.lease.expired_in_etcd()
        self._release_over()

    def _release_over(self) -> None:
        if not self.released.is_set():
            self.lease.detach(self)
            self.released.set()
            self._seat.move_if_allowed(Event.RELEASED, self.term.loss_reason, self.term)
            self._let_go()

    async def release_or_leave(self) -> None:
        """Release; what etcd does not answer is left to expire."""
        if not self.released.is_set():
            await finish(self._release_or_leave())

    async def _release_or_leave(self) -> None:
        try:
            await self._release()
        except ElectionError as error:
            log.warning("%r: left to expire: %s", self.term, error, extra=fields_of(self.term))
            self._release_over()
            if not self.owns_lease and not self.lease.is_expired():
                self.lease.sweep(self.key)  # others keep that lease: the key would stay, and pass for a new win

    async def vacate(self, *, quietly: bool = False) -> None:
        """The term was ended from outside or by its own body: let the body end, if it is another's, then release."""
        await self.body_ended()
        await (self.release_or_leave() if quietly else self.release())

    async def body_ended(self) -> None:
        """Wait until the body has ended, unless it is the caller's own."""
        if self.body is not None and not self.in_body:
            await self.body.ended.wait()

    async def delete_key(self) -> KeyValue | None:
        """Delete the key if it is still this term's; if it is not, return what stands there instead."""
        key = self.term.leader_key
        ours = still(key, self.term.fencing_token, self.lease.id)
        try:
            reply = await self._hub.pool.txn(Txn(ours, (Delete(key),), (Get(key),)), timeout=CLEAN_UP)
        except OutcomeUnknown as error:  # the compares make it safe to try again
            raise Unavailable(f"no answer to the deletion of the leader key: {error}") from error
        answer = reply.result.responses[0]
        return answer.kv if isinstance(answer, GetResult) else None

    async def surrender(self) -> KeyValue | None:
        """Delete the key, as ``delete_key`` does, and release. Cancelled, it goes on."""
        return await finish(self._surrender())

    async def _surrender(self) -> KeyValue | None:
        self._let_go()
        standing = await self.delete_key()
        await self._release_or_expire()
        return standing

    async def vacated(self, caller: asyncio.Task[Any] | None) -> None:
        """On the client's closing: let the body end while the lease lives, then release."""
        if self.body is not None and not self.body.runs_in(caller):
            with anyio.move_on_after(self.lease.remaining()):
                await self.body.ended.wait()
        await self.release_or_leave()

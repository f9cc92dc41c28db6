"""A leadership: one key that many stand for and one holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from aioelection._core import checks
from aioelection._core.campaign_times import CampaignTimes
from aioelection._core.deadline import renewal_interval
from aioelection._core.machine import State
from aioelection._shell.candidate import Candidate
from aioelection._shell.follow import LeaderWatch, WatchEnd
from aioelection._shell.health import Health, until_well
from aioelection._shell.seat import Seat
from aioelection._shell.tenure import Tenure
from aioelection.campaign import Campaign, OnLoss
from aioelection.client import AnyClient, Client, as_client
from aioelection.errors import (
    InvalidConfiguration,
    LeadershipLost,
    LeaseExpired,
    LossReason,
    NotLeader,
)
from aioelection.lease import Lease
from aioelection.observe import Observer, observe
from aioelection.run import Limiter, heeding_requests, run_for_ever
from aioelection.term import Term
from aioelection.transitions import Transitions
from aioelection.txn import LeaderTxn


class Leadership:
    """Stands for, holds and gives up the leadership of one key; one process of many holds it at a time.

    Not promised: that two bodies never overlap after somebody else deleted or overwrote the key, or revoked the lease
    (known within a second while etcd is healthy, else at the deadline), nor that what was sent before a loss has not
    arrived after it. For these, let what you write to check the term's ``fencing_token``.

    Args:
        client: an ``aioelection.Client``, or an ``aetcd.Client``, which is adopted.
        leader_key: the key that candidates compete for.
        purpose: what the election is for, in logs and metrics.

    Raises:
        InvalidConfiguration: the key is empty, or an argument has a wrong type.
    """

    def __init__(self, client: AnyClient, leader_key: str | bytes, purpose: str = "") -> None:
        key = checks.key(leader_key)
        self._seat = Seat(as_client(client), key, checks.text(purpose, "purpose"))
        self._hub = self._seat.hub
        self._campaign_times = CampaignTimes()
        self._primary_watch = False

    # ------------------------------------------------------------------ what it is

    @property
    def client(self) -> Client:
        """The client, for as long as this exists; an ``aetcd.Client`` has been adopted."""
        return self._seat.client

    @property
    def leader_key(self) -> bytes:
        """The key that candidates compete for."""
        return self._seat.key

    @property
    def purpose(self) -> str:
        """What the election is for."""
        return self._seat.purpose

    @property
    def leader_value(self) -> bytes | None:
        """The value of the term that this leadership holds; ``None`` if it holds none."""
        tenure = self._seat.tenure
        return tenure.term.leader_value if tenure is not None and tenure.term.loss_reason is None else None

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._seat.state

    @property
    def term(self) -> Term | None:
        """The last term that it won, until ``reset``; it may have ended."""
        return self._seat.tenure.term if self._seat.tenure is not None else None

    @property
    def lease(self) -> Lease | None:
        """The lease of the term, or the one that was set for campaigns to come; ``None`` if there is neither.

        Setting it makes nobody a leader: the next campaigns stand on it as a shared lease, until ``reset``. Refused
        with ``InvalidState`` while this leadership stands or holds a term.
        """
        tenure = self._seat.tenure
        return tenure.face if tenure is not None and tenure.term.loss_reason is None else self._seat.lease

    @lease.setter
    def lease(self, lease: Lease | None) -> None:
        if lease is not None and not isinstance(lease, Lease):
            raise InvalidConfiguration(f"lease must be an aioelection.Lease, not {lease!r}")
        self._seat.check_vacant()
        self._seat.lease = lease

    def check(self) -> bool:
        """Whether this leadership holds a valid term now. Never touches the network; may be called in any thread."""
        tenure = self._seat.tenure
        return tenure is not None and tenure.term.check()

    def transitions(self) -> Transitions:
        """Every change of state from now on, beginning with the present state; ends when the client closes."""
        return self._seat.transitions()

    def observe(self, message_type: type[Any] | None = None) -> Observer:
        """Follow who leads this key; see ``aioelection.observe``."""
        return observe(self.client, self.leader_key, message_type)

    # ------------------------------------------------------------------ standing and leading

    def campaign(
        self,
        lease_timeout: int,
        leader_data: Any,
        *cmps: object,
        wait: bool = True,
        on_loss: OnLoss = "cancel",
        lease: Lease | None = None,
        health: Health | None = None,
    ) -> Campaign:
        """Stand for election: ``async with leadership.campaign(10, b"node-a") as term: ...``, or ``await`` it.

        Entered, the term is kept while the body runs; when it is lost the body is cancelled, and ``LeadershipLost``
        raised; when the body has ended the key is released. The body is cancelled by an anyio scope, again at every
        ``await``: clean-up in the body that awaits needs ``anyio.CancelScope(shield=True)``. Awaited, the term is given
        and nothing renews it until ``keep``.

        Args:
            lease_timeout: whole seconds; the key goes that long after its holder has died. With ``lease``, the least
                TTL that is accepted of it.
            leader_data: who stands: ``str``, ``bytes`` or a protobuf message; the value of the key.
            cmps: aetcd compares that must hold too at the moment of the win.
            wait: wait to be elected, through outages, for ever; ``False``: a single attempt. The lease of one that
                waits is granted beforehand, so that its term may begin with less than the whole TTL left.
            on_loss: ``"cancel"`` the body, or set ``term.lost`` only (``"event"``).
            lease: a granted lease to stand on, which others may share; then resigning deletes the key alone.
            health: called at each renewal's time, first after the win, without arguments; may be a coroutine function.
                When it raises, returns ``False`` or does not answer for a third of the TTL, renewal stops until it
                does, and it is asked four times as often; when it has not by the deadline, the term is lost
                (``UNHEALTHY``). A service that hangs leads for 5/3 of the TTL.

        Raises:
            InvalidConfiguration: at the call: an argument cannot work. Awaited: etcd found a compare malformed.
            InvalidState: this leadership stands or leads already, or its client is closed, or was closed meanwhile.
            CampaignConflict: only with ``wait=False``: another leads (``.leader``), or a compare does not hold.
            Unavailable: only with ``wait=False``: etcd did not answer.
            LeaseExpired: the shared lease is not granted, or has expired.
            PermissionDenied, Unauthenticated: etcd refused it.
            TokenWentBack: etcd was restored from an older backup; the key was given up again.
            LeadershipLost: on leaving ``async with``: the term was lost, or given up from another task.

        Cancelled while it waits, it leaves no lease and no key a second later, or none beyond expiry if etcd is out of
        reach.
        """
        ttl = checks.lease_timeout(lease_timeout)
        value = checks.leader_data(leader_data)
        compares = self._hub.transport.compares(cmps)
        if on_loss not in ("cancel", "event"):
            raise InvalidConfiguration(f'on_loss must be "cancel" or "event", not {on_loss!r}')
        if not isinstance(wait, bool):
            raise InvalidConfiguration(f"wait must be True or False, not {wait!r}")
        if health is not None:
            checks.function(health, "health")
        lease = lease if lease is not None else self._seat.lease
        self._check_shared(lease, ttl)
        self._seat.check_vacant()
        candidate = Candidate(self._seat, ttl, value, compares, wait=wait, lease=lease)
        return Campaign(self._seat, candidate, on_loss, health)

    def _check_shared(self, lease: Lease | None, ttl: int) -> None:
        if lease is None:
            return
        if not isinstance(lease, Lease):
            raise InvalidConfiguration(f"lease must be an aioelection.Lease, not {lease!r}")
        if lease.client is not self.client:
            raise InvalidConfiguration("lease must be one of the same client")
        if lease.is_expired():
            raise LeaseExpired(f"{lease!r} is not granted, or has expired")
        if lease.ttl < ttl:
            raise InvalidConfiguration(f"lease must have a TTL of at least lease_timeout={ttl}, not {lease.ttl}")
        lease.life.check_unclaimed(self.leader_key)

    async def keep(self) -> None:
        """Renew the lease and watch the key until the term ends; returns when it was given up, else raises.

        Raises:
            LeadershipLost: the term was lost; what was left of it has been released.
            NotLeader: there is no term: none was won since the last ``reset``.

        Cancelled, it renews no more; the term goes on until its deadline.
        """
        self._hub.check_place()
        tenure = self._tenure()
        try:
            if tenure.term.loss_reason is None:
                self._hub.check_use()
                await tenure.keep()
        finally:  # cancelled, too: a loss may have come first
            reason = tenure.term.loss_reason
            lost = reason is not None and reason is not LossReason.RESIGNED
            if lost and tenure.body is None:
                await tenure.release_or_leave()
        if reason is not None and lost:
            raise LeadershipLost(reason, self.leader_key)

    async def run(
        self,
        serve: Callable[[Term], Awaitable[object]],
        lease_timeout: int,
        leader_data: Any,
        *cmps: object,
        lease: Lease | None = None,
        health: Health | None = None,
        limit: int | None = None,
        heed_resign: bool = False,
    ) -> NoReturn:
        """Lead whenever possible, for ever: campaign, run ``serve(term)``, and campaign again.

        ``serve`` is cancelled when the term is lost, and has ended before the key is given up. When it returns, the
        leadership is resigned and, after a moment, stood for again. When it raises, the leadership is resigned and the
        exception leaves ``run``. Otherwise ``run`` ends only by cancellation, or with ``InvalidState`` when the client
        is closed, with ``LeaseExpired`` when the shared lease is lost, when etcd refuses it (``PermissionDenied``,
        ``Unauthenticated``), or when it was restored from an older backup (``TokenWentBack``).

        Args:
            serve: the work, called with the term: an async function.
            lease_timeout: as for ``campaign``.
            leader_data: as for ``campaign``.
            cmps: as for ``campaign``.
            lease: as for ``campaign``.
            health: as for ``campaign``; asked before each campaign, too: who is not well does not stand. One that falls
                ill while another leads is found out when it has won.
            limit: after more wins than this in five minutes it stands back, with a warning in the log, until another
                leads, or for five minutes. It counts by ``add_campaign_times``. ``None``: without limit.
            heed_resign: resign, and stand again after a moment, when ``request_resign`` asks for it.
        """
        checks.coroutine_function(serve, "serve")
        if not isinstance(heed_resign, bool):
            raise InvalidConfiguration(f"heed_resign must be True or False, not {heed_resign!r}")
        limiter = Limiter(self, self._hub.clock, checks.limit(limit))
        interval = renewal_interval(checks.lease_timeout(lease_timeout))

        async def ready() -> None:
            await limiter.stand_back()
            if health is not None:
                await until_well(self._seat, health, interval)

        def campaign() -> Campaign:
            standing = self.campaign(lease_timeout, leader_data, *cmps, lease=lease, health=health)
            standing.quietly = True
            return standing

        campaign()  # its arguments are checked before anything is waited for
        serving = heeding_requests(serve, self) if heed_resign else serve
        await run_for_ever(ready, campaign, serving, self._hub.clock, limiter)

    async def proclaim(self, leader_data: Any) -> None:
        """Change the value of the leader key within the term, for observers to see; the term and its token stay.

        Several at once are carried out in the order of their calls.

        Args:
            leader_data: ``str``, ``bytes`` or a protobuf message.

        Raises:
            InvalidConfiguration: it is none of these, or too large.
            NotLeader: there is no valid term, or the key was found to be another's: then the term is lost.
            OutcomeUnknown: no answer within 5 seconds; the value may be changed or not. It may be proclaimed again.
            Unavailable: no member could be reached, or etcd refused to write; the value is as it was.

        Cancelled, the value may be changed or not.
        """
        value = checks.leader_data(leader_data)
        self._hub.check_use()
        await self._tenure().guard.proclaim(value)

    def leader_txn(self, *cmps: object) -> LeaderTxn:
        """A transaction that is applied only while the present term holds; see ``LeaderTxn``.

        ``await leadership.leader_txn().then(Put("total", "42")).commit()``

        Args:
            cmps: aetcd compares that must hold too.

        Raises:
            NotLeader: there is no valid term to guard it with.
            InvalidConfiguration: an argument is no compare.
        """
        compares = self._hub.transport.compares(cmps)
        tenure = self._seat.tenure
        if tenure is None or not tenure.term.check():
            raise NotLeader(f"no valid term of {self.leader_key!r} is held")
        return LeaderTxn(self._seat, tenure, compares)

    # ------------------------------------------------------------------ giving up

    async def resign(self) -> None:
        """Give up the term: ``check()`` is false at once, and the next leader can follow within milliseconds.

        Called in the body of ``async with`` it releases the key at once, and the body goes on without it. Called from
        another task it cancels the body, waits until it has ended, and the ``async with`` raises ``LeadershipLost``.
        Without a term it does nothing.

        Raises:
            Unavailable: etcd did not answer within a second. It can be tried again; else the lease expires.

        Cancelled, the term is given up all the same.
        """
        self._hub.check_place()
        tenure = self._seat.tenure
        if tenure is not None:
            tenure.end(LossReason.RESIGNED)
            await tenure.vacate()

    async def reset(self) -> None:
        """Give up the term as ``resign`` does, and forget the lease that was set and the primary watch.

        It raises nothing on a network failure: what cannot be revoked is left to expire. A waiting campaign is not
        ended by it. Cancelled, the term is given up all the same.
        """
        self._hub.check_place()
        self._primary_watch = False
        self._seat.lease = None
        tenure = self._seat.tenure
        if tenure is not None:
            tenure.end(LossReason.RESIGNED)
            await tenure.vacate(quietly=True)

    async def delete_leader_key(self) -> None:
        """Delete the key of the last term if it is still that term's, and end the term as ``resign`` does.

        A key that is gone already is a success.

        Raises:
            NotLeader: there is no such term, or the key has passed on to another: it is not touched.
            Unavailable: etcd did not answer within a second; it can be tried again. Else the lease expires.

        Cancelled, it is carried out all the same.
        """
        self._hub.check_place()
        tenure = self._tenure()
        tenure.end(LossReason.RESIGNED)
        await tenure.body_ended()
        standing = await tenure.surrender()
        if standing is not None:
            raise NotLeader(f"{self.leader_key!r} has passed to the term {standing.create_revision}; not deleted")

    def _tenure(self) -> Tenure:
        if self._seat.tenure is None:
            raise NotLeader(f"no term of {self.leader_key!r} was won")
        return self._seat.tenure

    # ------------------------------------------------------------------ following

    async def watch(self, revision: int, *, patience: float = 60.0) -> WatchEnd:
        """Watch another leader until it is gone; returns why.

        Args:
            revision: the watched leader's mod revision (``Leader.revision``); what comes after it counts, however late
                the watch begins. 0: whoever leads now.
            patience: seconds for which no member need be watched on before ``UNREACHABLE`` is returned.

        Raises:
            InvalidConfiguration: an argument cannot work.
            PermissionDenied, Unauthenticated: etcd refused the watch.
        """
        after = checks.revision(revision)
        seconds = checks.seconds(patience, "patience")
        if not self._hub.closed:
            self._hub.check_use()
        return await LeaderWatch(self._hub, self.leader_key, self.is_primary).run(after, seconds)

    def set_primary_watch(self, flag: bool) -> None:
        """While set, ``watch`` also ends when the key is overwritten under another lease; ``reset`` clears it."""
        self._primary_watch = bool(flag)

    def is_primary(self) -> bool:
        """Whether ``set_primary_watch`` is on."""
        return self._primary_watch

    # ------------------------------------------------------------------ campaign times

    def add_campaign_times(self) -> None:
        """Count a campaign, and forget those of more than 5 minutes ago."""
        self._campaign_times.add(self._hub.clock.now())

    @property
    def campaign_times_num(self) -> int:
        """How many campaigns were counted, in a window of 5 minutes that moves when one is added (as in PD)."""
        return len(self._campaign_times)

    def reset_campaign_times(self) -> None:
        """Forget the counted campaigns."""
        self._campaign_times.reset()

    def __repr__(self) -> str:
        return f"<Leadership {self.leader_key!r} {self.purpose!r} {self.state.value}>"

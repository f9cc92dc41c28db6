"""Losing a term on purpose, in milliseconds, by the ways in which terms are lost."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from anyio.lowlevel import checkpoint_if_cancelled

from aioelection._aio.tasks import finish
from aioelection._core.deadline import MARGIN
from aioelection._core.facts import Ended
from aioelection._core.ops import Delete, Operation, Put, Txn
from aioelection._shell.hub import CLEAN_UP, REQUEST_TIMEOUT, Hub, hubs
from aioelection._shell.tenure import Tenure
from aioelection.errors import InvalidConfiguration, InvalidState, LossReason, PermissionDenied
from aioelection.leadership import Leadership
from aioelection.term import Term

_TTL = 60
"""Seconds that an intruder's key stays if this process dies before it is taken away."""


async def force_loss(holder: Term | Leadership, reason: LossReason = LossReason.EXPIRED) -> Term:
    """Lose the term now, and return it when it is lost; for tests of what a service does then.

    It goes the way of a true loss, on an etcd in memory as on a real one. For ``REVOKED``, ``DELETED`` and
    ``OVERWRITTEN`` that is done to etcd which somebody else would do, by the term's own client; an intruder's key is
    taken away as soon as the loss is told. For ``EXPIRED`` and ``STALLED`` the lease's deadline is let pass, and etcd
    then expires the lease a moment later. For ``UNHEALTHY`` and ``REFUSED`` the term is told what its health or etcd
    would have told it.

    All terms on a shared lease are lost with it, where the reason lies with the lease.

    Args:
        holder: a term that has not ended, or a leadership that holds one.
        reason: what is to happen. What you can do yourself is not among it: ``resign()``, closing the client, a fork.

    Raises:
        InvalidConfiguration: an argument is none of these.
        InvalidState: there is no such term; or nothing watches its key, since it was awaited and ``keep`` does not run.
        Unavailable: etcd did not do it.

    Called within the body of ``async with`` it is cancelled with the body.
    """
    if not isinstance(reason, LossReason) or reason not in _WAYS:
        allowed = ", ".join(each.name for each in _WAYS)
        raise InvalidConfiguration(f"reason must be a LossReason, one of {allowed}, not {reason!r}")
    hub, tenure = _held(holder)
    await finish(_WAYS[reason](hub, tenure, reason))
    await checkpoint_if_cancelled()  # within the body: it is
    return tenure.term


def _held(holder: Term | Leadership) -> tuple[Hub, Tenure]:
    if not isinstance(holder, Term | Leadership):
        raise InvalidConfiguration(f"holder must be a Term or a Leadership, not {holder!r}")
    term = holder.term if isinstance(holder, Leadership) else holder
    for hub in list(hubs):
        for seat in list(hub.seats):
            if term is not None and seat.tenure is not None and seat.tenure.term is term and term.loss_reason is None:
                hub.check_use()
                return hub, seat.tenure
    raise InvalidState(f"{holder!r} holds no term that could be lost")


async def _expired(hub: Hub, tenure: Tenure, reason: LossReason) -> None:
    lease, lease_id, body = tenure.lease, tenure.lease.id, tenure.body
    lease.end(reason)
    if body is not None:  # it has as long as etcd would give it
        await hub.clock.wait(body.ended, hub.clock.now() + MARGIN)
    await hub.pool.revoke(lease_id, timeout=CLEAN_UP)


async def _revoked(hub: Hub, tenure: Tenure, _: LossReason) -> None:
    lease_id = tenure.lease.id
    tenure.lease.gone(lease_id)  # first: a watch would have only 50 ms to find out that it was not a deletion
    await hub.pool.revoke(lease_id, timeout=CLEAN_UP)


async def _deleted(hub: Hub, tenure: Tenure, _: LossReason) -> None:
    await _meddle(hub, tenure, Delete(tenure.key))


async def _overwritten(hub: Hub, tenure: Tenure, _: LossReason) -> None:
    lease_id = secrets.randbits(62) + 1
    await hub.pool.grant(lease_id, _TTL, timeout=CLEAN_UP)
    try:
        await _meddle(hub, tenure, Put(tenure.key, b"an intruder", lease_id))
    finally:
        await hub.pool.revoke(lease_id, timeout=CLEAN_UP)


async def _meddle(hub: Hub, tenure: Tenure, operation: Operation) -> None:
    await hub.pool.txn(Txn((), (operation,)), timeout=CLEAN_UP)
    if not await hub.clock.wait(tenure.term.lost, hub.clock.now() + REQUEST_TIMEOUT):
        raise InvalidState(f"{tenure.term!r}: nothing watches its key: lead within `async with`, or run keep()")


async def _unhealthy(hub: Hub, tenure: Tenure, reason: LossReason) -> None:
    tenure.end(reason)


async def _refused(hub: Hub, tenure: Tenure, _: LossReason) -> None:
    tenure.guard.told(Ended(PermissionDenied("etcdserver: permission denied")))


_WAYS: dict[LossReason, Callable[[Hub, Tenure, LossReason], Coroutine[Any, Any, None]]] = {
    LossReason.EXPIRED: _expired,
    LossReason.STALLED: _expired,
    LossReason.UNHEALTHY: _unhealthy,
    LossReason.REVOKED: _revoked,
    LossReason.DELETED: _deleted,
    LossReason.OVERWRITTEN: _overwritten,
    LossReason.REFUSED: _refused,
}

"""Asking a leader to step down, and being asked: a request is a key beside the leader key, and never touches that."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING

from aioelection._core import checks
from aioelection._core.ops import Put, Txn, still
from aioelection._shell.hub import REQUEST_TIMEOUT
from aioelection._shell.report import fields_of
from aioelection.client import AnyClient, Client, as_client
from aioelection.errors import ElectionError, InvalidState
from aioelection.leader import Leader, get_leader
from aioelection.observe import observe
from aioelection.term import Term

if TYPE_CHECKING:
    from aioelection.leadership import Leadership

log = logging.getLogger("aioelection")


def resign_key(leader_key: bytes) -> bytes:
    """Where requests to resign are put."""
    return leader_key + b"/resign"


async def request_resign(
    client: AnyClient, leader_key: str | bytes, *, fencing_token: int | None = None
) -> Leader | None:
    """Ask the leader to resign: return whom it asked, or ``None`` if nobody leads, or the term asked for has ended.

    It puts the token of the leader's term to ``<leader_key>/resign``, on the leader's lease, so that the request goes
    when that lease does. A leader that runs with ``heed_resign=True``, or under ``aioelection run``, steps down within
    moments; any other goes on. Whether it has, ``observe`` tells.

    Args:
        client: an ``aioelection.Client`` or an ``aetcd.Client``.
        leader_key: the key that candidates compete for.
        fencing_token: the term that is to end; without it, the present one.

    Raises:
        InvalidConfiguration: an argument cannot work.
        InvalidState: the leader key hangs on no lease: somebody wrote it by hand, and nobody heeds a request.
        OutcomeUnknown: no answer within 5 seconds; the leader may have been asked or not. Asking again does no harm.
        Unavailable: no member could be reached.
        PermissionDenied: the user may not write ``<leader_key>/resign``.
    """
    key = checks.key(leader_key)
    token = None if fencing_token is None else checks.revision(fencing_token)
    client = as_client(client)
    while (leader := await get_leader(client, key)) is not None:
        if token is not None and leader.create_revision != token:
            return None
        if leader.lease_id == 0:
            raise InvalidState(f"{key!r} was written without a lease: there is no leader to ask")
        if await _ask(client, key, leader):
            return leader
    return None


async def _ask(client: Client, key: bytes, leader: Leader) -> bool:
    """Whether it was still that leader's term, and so has been asked."""
    request = Put(resign_key(key), str(leader.create_revision).encode(), leader.lease_id)
    txn = Txn(still(key, leader.create_revision, leader.lease_id), (request,))
    return (await client.hub.pool.txn(txn, timeout=REQUEST_TIMEOUT)).result.succeeded


async def resign_requested(client: Client, term: Term) -> None:
    """Wait until somebody asks the leader of this very term to resign; raises what ``observe`` does."""
    wanted = str(term.fencing_token).encode()
    async with aclosing(observe(client, resign_key(term.leader_key))) as requests:
        async for request in requests:
            if request is not None and request.value == wanted:
                log.info("%r: asked to resign", term, extra=fields_of(term))
                return


async def heed(leadership: Leadership, term: Term) -> None:
    """Resign when asked. That nobody can ask, or that resigning fails, ends no term: it is told in the log."""
    try:
        await resign_requested(leadership.client, term)
        if leadership.term is term:
            await leadership.resign()
    except ElectionError as error:
        log.warning("%r: requests to resign are not heeded: %s", term, error, extra=fields_of(term))

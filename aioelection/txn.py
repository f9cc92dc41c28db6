"""Transactions that only the leader of a given term can commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aioelection._core.ops import Compare, Operation, Put, Txn, TxnResult, still
from aioelection._shell.hub import REQUEST_TIMEOUT
from aioelection._shell.tenure import Tenure
from aioelection.errors import InvalidConfiguration, InvalidState, NotLeader

if TYPE_CHECKING:
    from aioelection._shell.seat import Seat


class LeaderTxn:
    """A transaction that is applied only while the leader key is this term's: created at its token, on its lease.

    Made by ``Leadership.leader_txn``. Operations are those of ``aetcd.transactions``: ``Put``, ``Get``, ``Delete``,
    ``Txn``.
    """

    def __init__(self, seat: Seat, tenure: Tenure, compares: tuple[Compare, ...]) -> None:
        self._hub = seat.hub
        self._tenure = tenure
        self._key = seat.key
        self._compares = compares
        self._success: tuple[Operation, ...] = ()
        self._failure: tuple[Operation, ...] = ()
        self._used = False

    def then(self, *operations: object) -> LeaderTxn:
        """Add operations that are applied if this term holds and so do all compares.

        Raises:
            InvalidConfiguration: one is no operation, or puts to the leader key (use ``proclaim`` for that).
        """
        self._success += self._checked(operations)
        return self

    def otherwise(self, *operations: object) -> LeaderTxn:
        """Add operations that are applied if a compare does not hold, *or this term has ended*; as ``then``.

        They are not guarded: put nothing here that only the leader may write.
        """
        self._failure += self._checked(operations)
        return self

    async def commit(self) -> TxnResult:
        """Send the transaction, once.

        Raises:
            NotLeader: the term has ended, as far as is known here; nothing was sent.
            OutcomeUnknown: no answer within 5 seconds, or the connection broke. It may have been applied, and is not
                sent again; read before you decide.
            Unavailable: no member could be reached, or etcd refused to write; nothing was applied.
            InvalidConfiguration: etcd found it malformed (two puts of one key, too many operations).
            InvalidState: it was committed before.

        Cancelled in flight it may or may not have been applied.
        """
        self._hub.check_use()
        if self._used:
            raise InvalidState("a leader_txn is committed once; make another")
        self._used = True
        if not self._tenure.term.check():
            raise NotLeader(f"the term {self._tenure.term.fencing_token} of {self._key!r} has ended")
        reply = await self._hub.pool.txn(self._txn(), timeout=REQUEST_TIMEOUT)
        return reply.result

    def _txn(self) -> Txn:
        term = self._tenure.term
        guard = still(self._key, term.fencing_token, self._tenure.lease.id)
        return Txn((*guard, *self._compares), self._success, self._failure)

    def _checked(self, operations: tuple[object, ...]) -> tuple[Operation, ...]:
        checked = self._hub.transport.operations(operations)
        if any(_puts(each, self._key) for each in checked):
            raise InvalidConfiguration(f"a leader_txn may not put to the leader key {self._key!r}; use proclaim")
        return checked


def _puts(operation: Operation, key: bytes) -> bool:
    if isinstance(operation, Txn):
        return any(_puts(each, key) for each in (*operation.success, *operation.failure))
    return isinstance(operation, Put) and operation.key == key

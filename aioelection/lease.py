"""A lease: granted, kept alive, and given up; believed until its deadline, which needs no network to pass."""

from __future__ import annotations

from aioelection._core import checks
from aioelection._shell.lease_life import LeaseLife
from aioelection.client import AnyClient, Client, as_client


class Lease:
    """A lease of etcd's, as its holder sees it.

    A lease is expired before ``grant``; it is believed after that until its deadline, which each acknowledged renewal
    moves; and it is expired again for good once the deadline has passed or ``close`` was called. Then it may be granted
    anew. One lease may be shared by any number of leaderships.

    Args:
        client: an ``aioelection.Client`` or an ``aetcd.Client``.
        purpose: what the lease is for, in logs.

    Raises:
        InvalidConfiguration: an argument has a wrong type.
    """

    def __init__(self, client: AnyClient, purpose: str = "") -> None:
        self._client = as_client(client)
        self.life = LeaseLife(self._client.hub, checks.text(purpose, "purpose"))
        """For the library's own parts."""

    @property
    def client(self) -> Client:
        """The client; an ``aetcd.Client`` has been adopted."""
        return self._client

    @property
    def purpose(self) -> str:
        """What the lease is for."""
        return self.life.purpose

    @property
    def id(self) -> int:
        """The lease's id; 0 until it is granted. It is chosen here, so that an unanswered grant can be revoked."""
        return self.life.id

    @property
    def ttl(self) -> int:
        """Seconds for which the lease was granted (etcd may grant more than asked for); 0 until it is."""
        return self.life.deadline.ttl

    def remaining(self) -> float:
        """Seconds until the deadline; 0 when expired."""
        return self.life.remaining()

    def is_expired(self) -> bool:
        """Whether the lease is not believed; asks the clock alone, never the network."""
        return self.life.is_expired()

    async def grant(self, lease_timeout: int) -> None:
        """Ask etcd for the lease.

        Args:
            lease_timeout: whole seconds from 1 to 9,000,000,000. etcd grants at least 2 (by its default settings).

        Raises:
            InvalidConfiguration: ``lease_timeout`` is none of these.
            InvalidState: the lease is granted and not expired, or the client is closed.
            Unavailable: etcd did not grant it within 5 seconds. What it may have granted unheard is revoked.

        Cancelled, it leaves no lease behind a second later, or none beyond expiry if etcd cannot be reached.
        """
        await self.life.grant(checks.lease_timeout(lease_timeout))

    async def keep_alive(self) -> None:
        """Renew the lease every third of its TTL until it ends; may run several times at once.

        Returns when the lease is closed.

        Raises:
            LeaseExpired: the lease has expired, or etcd does not know it (told at once, not at the deadline).
            InvalidState: the client is closed.

        Cancelled, it renews no more, unless another ``keep_alive`` runs.
        """
        await self.life.keep_alive()

    async def close(self) -> None:
        """Stop believing in the lease at once, then revoke it, which deletes every key that is attached to it.

        May be called again, and does nothing if there is nothing to revoke. Whatever terms are on the lease are lost.

        Raises:
            Unavailable: etcd did not answer within a second. The lease expires by itself; ``close`` can be tried again.

        Cancelled, it goes on for up to a second until the lease is revoked.
        """
        await self.life.close()

    def __repr__(self) -> str:
        return repr(self.life)

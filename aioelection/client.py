"""The client: a connection to an etcd cluster."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self, Union

from aioelection._aio.hooks import hooks_of
from aioelection._core.events import Hook
from aioelection._shell.hub import Hub
from aioelection.errors import InvalidState
from aioelection.statistics import EndpointStatistics, Statistics

if TYPE_CHECKING:
    import aetcd

AnyClient = Union["Client", "aetcd.Client"]

_adopted: weakref.WeakValueDictionary[int, Client] = weakref.WeakValueDictionary()
"""The wrapper of each adopted client by its id, which stays true as long as the wrapper lives and holds the client."""


class Client:
    """A connection to an etcd cluster, made by ``connect`` or ``Client.from_aetcd``.

    It belongs to the event loop and the process in which it is first used. ``aclose`` ends it; ``async with`` does so
    by itself.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        """For the library's own parts."""

    @classmethod
    def from_aetcd(cls, client: aetcd.Client, *, hooks: Hook | Iterable[Hook] = ()) -> Client:
        """Adopt an ``aetcd.Client``: its one endpoint, its channel and its credentials, without failover.

        The same client is adopted once: asked again, the same wrapper is given. Closing the wrapper does not close the
        client, and closing the client first ends every leadership on it by its deadline.

        Args:
            client: connected or not.
            hooks: as for ``connect``.

        Raises:
            InvalidConfiguration: it is no ``aetcd.Client``, or ``hooks`` cannot work.
            InvalidState: there are hooks, and the client was adopted already, without them or with others.
        """
        from aioelection.connect import adopt  # noqa: PLC0415 (it imports this module)

        wrapper = _adopted.get(id(client))
        if wrapper is None or wrapper.hub.closed:
            wrapper = _adopted[id(client)] = cls(adopt(client, hooks))
        elif hooks_of(hooks) is not None:
            raise InvalidState("the aetcd client is adopted already: give hooks when it is first adopted")
        return wrapper

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints that are known, the one in use first."""
        roster = self.hub.pool.roster
        return tuple(str(each) for each in sorted(roster, key=lambda endpoint: endpoint != roster.current))

    def statistics(self) -> Statistics:
        """What this client has been doing, and how its endpoints fare."""
        hub, roster = self.hub, self.hub.pool.roster
        return Statistics(
            endpoints=tuple(
                EndpointStatistics(
                    endpoint=str(each),
                    in_use=each == roster.current,
                    failures=roster.health(each).failures,
                    member_id=roster.health(each).member_id,
                )
                for each in roster
            ),
            streams=hub.renewals.open_streams + hub.watches.open_streams,
            leases=len(hub.renewals),
            watches=len(hub.watches),
            listeners=hub.watches.listeners,
            renewals=hub.renewals.renewals,
            hedged_renewals=hub.renewals.hedges,
            hedged_requests=hub.pool.hedges,
            disproven=hub.renewals.disproven,
            reconnects=hub.renewals.reconnects + hub.watches.reconnects,
            stalls=hub.stalls,
            longest_stall=hub.longest_stall,
            overruns=hub.overruns,
        )

    async def aclose(self) -> None:
        """Close the client: idempotent.

        Every term on it is lost (reason ``closed``): bodies are cancelled and awaited while their leases live, and the
        terms' keys and own leases are given up. A ``Lease`` that you granted yourself is left to expire: close it
        before, if it is to go at once. Waiting campaigns raise ``InvalidState``, watches return, iterators end.

        Cancelled, it is carried out all the same, and not waited for while bodies have not ended.
        """
        await self.hub.aclose()

    async def __aenter__(self) -> Self:
        self.hub.check_use()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Client {', '.join(self.endpoints)}{' closed' if self.hub.closed else ''}>"


def as_client(client: AnyClient) -> Client:
    """A client of ours; one of aetcd's is adopted."""
    return client if isinstance(client, Client) else Client.from_aetcd(client)

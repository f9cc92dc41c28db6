"""What a client has been doing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EndpointStatistics:
    """How one endpoint fares."""

    endpoint: str
    in_use: bool
    """Whether requests go here first."""
    failures: int
    """How often in a row it has failed to serve, or was late; 0 while it is well."""
    member_id: int
    """The member that answered there last; 0 if none has."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of one client, from its making on; ``streams``, ``leases`` and ``watches`` are those of this moment."""

    endpoints: tuple[EndpointStatistics, ...]
    streams: int
    """Open streams: of renewals (more than one while one is late) and of watches."""
    leases: int
    """Leases that are being renewed."""
    watches: int
    """Watches on etcd; all who follow one key share one."""
    listeners: int
    """Those who follow a key: candidates, terms, observers."""
    renewals: int
    """Renewals that were answered."""
    hedged_renewals: int
    """How often renewals were late, and were sent to another member too."""
    hedged_requests: int
    """The same for reads and revokes."""
    disproven: int
    """Acknowledgements that did not count, since etcd's leader had changed."""
    reconnects: int
    """Streams that were opened to replace one."""
    stalls: int
    """How often the event loop stood still for a renewal interval or longer while leases were held."""
    longest_stall: float
    """Seconds for which it stood still at most; what is below 0.05 s counts for nothing."""
    overruns: int
    """Bodies that still ran 0.1 s after their term was lost."""

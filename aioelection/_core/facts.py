"""What a watch can tell about its key."""

from __future__ import annotations

from dataclasses import dataclass

from aioelection._core.ops import KeyEvent, KeyValue


@dataclass(frozen=True, slots=True)
class Changed:
    """The key was written or deleted."""

    event: KeyEvent


@dataclass(frozen=True, slots=True)
class Reread:
    """The key as it was at ``revision``, where events cannot tell.

    They were compacted away before they could be told, or etcd was restored from an older backup: only then is
    ``revision`` less than what was told before.
    """

    kv: KeyValue | None
    revision: int


@dataclass(frozen=True, slots=True)
class Connected:
    """The watch stands on a member that has a quorum: what comes is fresh."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The watch is down and will be resumed; until then nothing is known to be fresh."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more will come: etcd refused the watch (``error``), or the client was closed (``None``)."""

    error: Exception | None = None


Fact = Changed | Reread | Connected | Disconnected | Ended

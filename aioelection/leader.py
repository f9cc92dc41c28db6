"""Who leads, as etcd says it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from aioelection._core import checks
from aioelection._core.events import text
from aioelection._core.ops import KeyValue
from aioelection._shell.hub import REQUEST_TIMEOUT
from aioelection.client import AnyClient, as_client
from aioelection.errors import InvalidConfiguration

log = logging.getLogger("aioelection")


@dataclass(frozen=True, slots=True)
class Leader:
    """A leader key as it was when it was read.

    ``revision`` is its mod revision, from which ``Leadership.watch`` goes on; ``create_revision`` is the fencing token
    of the leader's term; ``lease_id`` is 0 where the key hangs on no lease, and so never expires.
    """

    value: bytes
    revision: int
    create_revision: int
    lease_id: int
    message: Any = None
    """The value as the message type that was asked for; ``None`` if none was asked for."""

    @classmethod
    def of(cls, kv: KeyValue, message_type: type[Any] | None = None) -> Leader:
        """The leader that a key tells; raises ``ValueError`` if the value is no such message."""
        message = None if message_type is None else parse(kv.value, message_type)
        return cls(kv.value, kv.mod_revision, kv.create_revision, kv.lease_id, message)


def warn_if_unleased(kv: KeyValue | None) -> None:
    """Say so where a leader key will never expire: candidates wait until somebody deletes it."""
    if kv is not None and kv.lease_id == 0:
        log.warning(
            "%r was written without a lease (mod revision %d): it never expires",
            kv.key,
            kv.mod_revision,
            extra={"key": text(kv.key)},
        )


def parse(value: bytes, message_type: type[Any]) -> Any:
    """A leader's value as a protobuf message.

    Raises:
        ValueError: the bytes are no such message.
    """
    message = message_type()
    try:
        message.ParseFromString(value)
    except Exception as error:  # protobuf's implementations raise classes of their own
        raise ValueError(f"the leader's value is no {message_type.__name__}: {error}") from error
    return message


def check_message_type(message_type: object) -> None:
    """Raise ``InvalidConfiguration`` unless it is ``None`` or a protobuf message class."""
    if message_type is None:
        return
    if not isinstance(message_type, type) or not hasattr(message_type, "ParseFromString"):
        raise InvalidConfiguration(f"message_type must be a protobuf message class, not {message_type!r}")


async def get_leader(
    client: AnyClient, leader_key: str | bytes, message_type: type[Any] | None = None
) -> Leader | None:
    """Who leads now, by a linearizable read; ``None`` if nobody does.

    Args:
        client: an ``aioelection.Client`` or an ``aetcd.Client``.
        leader_key: the key that candidates compete for.
        message_type: a protobuf message class, such as ``Member``, to parse the value as.

    Raises:
        InvalidConfiguration: an argument cannot work.
        Unavailable: no member answered within 5 seconds.
        ValueError: the value is no ``message_type``.
    """
    key = checks.key(leader_key)
    check_message_type(message_type)
    hub = as_client(client).hub
    hub.check_use()
    kv = (await hub.pool.get(key, timeout=REQUEST_TIMEOUT)).result.kv
    return None if kv is None else Leader.of(kv, message_type)

"""What a leader says of itself in its key, for people to read: a record of our own, PD's ``Member``, or any bytes."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from aioelection._core import checks
from aioelection._proto import LeaderRecord, Member
from aioelection.errors import InvalidConfiguration

M = TypeVar("M", bound=Message)


def leader_record(
    identity: str | None = None, *, version: str = "", metadata: Mapping[str, str] | None = None
) -> LeaderRecord:
    """A record of this process, to stand with.

    ``async with leadership.campaign(10, aioelection.leader_record("node-a")) as term: ...``

    Args:
        identity: who stands; by default the name of this host and the number of this process.
        version: the version of the program that leads.
        metadata: whatever else is worth telling.

    Raises:
        InvalidConfiguration: an argument is no text, or the identity is empty.
    """
    host, pid = socket.gethostname(), os.getpid()
    identity = checks.text(identity, "identity") if identity is not None else f"{host}:{pid}"
    if not identity:
        raise InvalidConfiguration("identity must not be empty, but is ''")
    checks.text(version, "version")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidConfiguration(f"metadata must be a mapping of text to text, not {metadata!r}")
    for name, value in (metadata or {}).items():
        checks.text(name, "metadata")
        checks.text(value, f"metadata {name!r}")
    record = LeaderRecord(identity=identity, host=host, pid=pid, version=version, metadata=metadata)
    record.started.FromDatetime(datetime.now().astimezone())
    return record


def decode_leader_value(value: bytes) -> LeaderRecord | Member | str | bytes:
    """What a leader key holds: a record, what PD wrote, text, or the bytes as they are if they are none of these."""
    if (record := _parsed(value, LeaderRecord)) is not None and record.identity:
        return record
    if (member := _parsed(value, Member)) is not None and member.name and member.member_id:
        return member
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value
    return text if text.isprintable() else value


def _parsed(value: bytes, message_type: type[M]) -> M | None:
    message = message_type()
    try:
        message.ParseFromString(value)
    except DecodeError:
        return None
    return message

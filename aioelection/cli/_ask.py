"""`status`, `observe`, `resign` and `leader`: asking etcd who leads, and the leader to step down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from contextlib import aclosing
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from aioelection import Client, Leader, LeaderRecord, Member, decode_leader_value, get_leader, observe, request_resign
from aioelection._shell.hub import REQUEST_TIMEOUT
from aioelection.cli import _status as status
from aioelection.cli._options import Connection
from aioelection.errors import ElectionError

BEAT = 0.5
"""Seconds between two looks at a lease that is shown live."""


def value_of(leader: Leader) -> Any:
    """The value as JSON has it: a record or a member as an object, text as text, other bytes in hexadecimal."""
    decoded = decode_leader_value(leader.value)
    match decoded:
        case Message():
            return MessageToDict(decoded, preserving_proto_field_name=True)
        case bytes():
            return {"hex": decoded.hex()}
        case _:
            return decoded


def name_of(leader: Leader) -> str:
    """Who leads, for a person, in a line."""
    decoded = decode_leader_value(leader.value)
    match decoded:
        case LeaderRecord():
            details = [f"host {decoded.host}"] * bool(decoded.host) + [f"pid {decoded.pid}"] * bool(decoded.pid)
            details += [f"version {decoded.version}"] * bool(decoded.version)
            return printable(decoded.identity + (f" ({', '.join(details)})" if details else ""))
        case Member():
            return printable(f"{decoded.name} (PD member {decoded.member_id:x}, {', '.join(decoded.client_urls)})")
        case bytes():
            return f"{len(decoded)} bytes: {decoded[:32].hex(' ')}{' ...' if len(decoded) > 32 else ''}"
        case _:
            return decoded or "(an empty value)"


def printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def since(leader: Leader) -> datetime | None:
    """Since when it has led, by its own word."""
    decoded = decode_leader_value(leader.value)
    if isinstance(decoded, LeaderRecord) and decoded.HasField("elected"):
        return local(decoded.elected)
    return None


def local(timestamp: Timestamp) -> datetime | None:
    """In the time zone of this machine."""
    try:
        return datetime.fromtimestamp(timestamp.ToNanoseconds() / 1e9).astimezone()
    except (OverflowError, ValueError, OSError):  # nonsense, which whoever writes the key is free to write
        return None


async def remaining(client: Client, leader: Leader) -> int | None:
    """Seconds that its lease has left by etcd's count; ``None`` if there is no lease, or it is just gone."""
    if leader.lease_id == 0:
        return None
    info = await client.hub.pool.lease_info(leader.lease_id, timeout=REQUEST_TIMEOUT)
    return info.ttl if info.ttl >= 0 else None


def as_dict(leader: Leader | None, left: int | None = None) -> dict[str, Any] | None:
    """A leader in JSON."""
    if leader is None:
        return None
    told: dict[str, Any] = {
        "value": value_of(leader),
        "fencing_token": leader.create_revision,
        "revision": leader.revision,
        "lease": f"{leader.lease_id:x}" if leader.lease_id else None,
    }
    if left is not None:
        told["remaining"] = left
    return told


# ---------------------------------------------------------------------- status


def show_status(connection: Connection, key: bytes, *, as_json: bool) -> int:
    """Who leads, once."""

    async def ask() -> int:
        async with connection.open() as client:
            leader = await get_leader(client, key)
            left = await remaining(client, leader) if leader is not None else None
        if as_json:
            print(json.dumps({"key": os.fsdecode(key), "leader": as_dict(leader, left)}))
        else:
            from rich.console import Console  # noqa: PLC0415 (heavy)

            Console(soft_wrap=True).print(status_table(key, leader, left))
        return status.NOBODY_LEADS if leader is None else 0

    return asyncio.run(ask())


def status_table(key: bytes, leader: Leader | None, left: int | None, stale: float = 0.0) -> Any:
    """What a person is shown."""
    from rich.text import Text  # noqa: PLC0415 (heavy)

    rows = [("key", printable(os.fsdecode(key)), "")]
    if leader is None:
        rows.append(("leader", "nobody leads", "bold yellow"))
    else:
        rows.append(("leader", name_of(leader), "bold green"))
        rows += [(name, text, "") for name, text in details(leader, left)]
    if stale > 1:
        rows.append(("etcd", f"silent for {stale:.0f} s: what is shown may be over", "bold red"))
    width = max(len(name) for name, _, _ in rows)
    lines = [Text.assemble((f"{name:<{width}}  ", "dim"), (text, style)) for name, text, style in rows]
    return Text("\n").join(lines)


def details(leader: Leader, left: int | None) -> list[tuple[str, str]]:
    """What there is to tell of a leader, beside who it is."""
    told: list[tuple[str, str]] = []
    if (began := since(leader)) is not None:
        ago = max(0, round((datetime.now().astimezone() - began).total_seconds()))
        told.append(("since", f"{began:%Y-%m-%d %H:%M:%S %z} ({duration(ago)} ago, by its own clock)"))
    told.append(("token", str(leader.create_revision)))
    if leader.lease_id == 0:
        told.append(("lease", "none: written by hand, it never expires and nobody can be elected"))
    else:
        told.append(("lease", f"{leader.lease_id:x}" + (f", {left} s left" if left is not None else "")))
    decoded = decode_leader_value(leader.value)
    if isinstance(decoded, LeaderRecord):
        told += [(printable(name), printable(value)) for name, value in sorted(decoded.metadata.items())]
    return told


def duration(seconds: int) -> str:
    """As ``3 d 4 h``, ``12 min 5 s``: the two largest units."""
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, length)
        if count or parts or unit == "s":
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def watch_status(connection: Connection, key: bytes) -> int:
    """Who leads, shown live until interrupted."""
    from rich.console import Console  # noqa: PLC0415 (heavy)
    from rich.live import Live  # noqa: PLC0415

    async def watch() -> None:
        async with connection.open() as client:
            observer = observe(client, key)
            leader = await anext(observer)
            with Live(status_table(key, leader, None), console=Console(), auto_refresh=False) as live:
                while True:
                    left = None
                    with contextlib.suppress(ElectionError):
                        left = await remaining(client, leader) if leader is not None else None
                    live.update(status_table(key, leader, left, observer.stale_for()), refresh=True)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(BEAT):
                            leader = await anext(observer)

    asyncio.run(watch())
    return 0


# ---------------------------------------------------------------------- observe, leader, resign


def follow(connection: Connection, key: bytes, *, as_json: bool) -> int:
    """A line for each change, until interrupted."""

    async def watch() -> None:
        async with connection.open() as client:
            async for leader in observe(client, key):
                at = datetime.now().astimezone().isoformat(timespec="milliseconds")
                if as_json:
                    line = json.dumps({"at": at, "key": os.fsdecode(key), "leader": as_dict(leader)})
                elif leader is None:
                    line = f"{at}  nobody leads"
                else:
                    line = f"{at}  {name_of(leader)} leads, token {leader.create_revision}"
                print(line, flush=True)

    asyncio.run(watch())
    return 0


def print_leader(connection: Connection, key: bytes, *, as_json: bool) -> int:
    """The value alone: a record's identity, a member's name, or the bytes as they are."""

    async def ask() -> Leader | None:
        async with connection.open() as client:
            return await get_leader(client, key)

    leader = asyncio.run(ask())
    if as_json:
        print(json.dumps({"key": os.fsdecode(key), "leader": as_dict(leader)}))
        return status.NOBODY_LEADS if leader is None else 0
    if leader is None:
        return status.NOBODY_LEADS
    match decode_leader_value(leader.value):
        case LeaderRecord(identity=name) | Member(name=name):
            value = name.encode()
        case _:
            value = leader.value
    sys.stdout.buffer.write(value + b"\n")
    return 0


def resign(connection: Connection, key: bytes, token: int | None, timeout: float, *, as_json: bool) -> int:
    """Ask the leader to step down, and wait until it has."""

    async def ask() -> int:
        async with connection.open() as client:
            asked = await request_resign(client, key, fencing_token=token)
            if asked is not None and not as_json:
                print(f"{name_of(asked)} is asked to resign", flush=True)
            over = asked is not None and await _is_over(client, key, asked, timeout)
        if as_json:
            print(json.dumps({"key": os.fsdecode(key), "asked": as_dict(asked), "resigned": over}))
        if asked is None:
            _complain("nobody leads" if token is None else f"the term {token} has ended")
            return status.NOBODY_LEADS
        if not over:
            _complain(f"{name_of(asked)} was asked, and still leads after {timeout:g} s")
            return status.TERM_OVER
        if not as_json:
            print(f"{name_of(asked)} leads no more")
        return 0

    return asyncio.run(ask())


async def _is_over(client: Client, key: bytes, asked: Leader, timeout: float) -> bool:
    """Whether that term ends in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout), aclosing(observe(client, key)) as leaders:
            async for leader in leaders:
                if leader is None or leader.create_revision != asked.create_revision:
                    return True
    return False


def _complain(what: str) -> None:
    print(f"aioelection resign: {what}", file=sys.stderr)

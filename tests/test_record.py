"""What a leader says of itself: written, read, and told from what others write."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioelection import (
    Client,
    InvalidConfiguration,
    LeaderRecord,
    Leadership,
    Member,
    decode_leader_value,
    get_leader,
    leader_record,
)


def test_it_tells_of_this_process() -> None:
    before = time.time()
    record = leader_record("node-a", version="1.2", metadata={"zone": "b"})
    assert (record.identity, record.host, record.pid) == ("node-a", socket.gethostname(), os.getpid())
    assert (record.version, dict(record.metadata)) == ("1.2", {"zone": "b"})
    assert before - 1 <= record.started.ToNanoseconds() / 1e9 <= time.time()
    assert leader_record().identity == f"{socket.gethostname()}:{os.getpid()}"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"identity": ""}, "identity"),
        ({"identity": b"node-a"}, "b'node-a'"),
        ({"version": 1}, "version must be str, not 1"),
        ({"metadata": {"zone": 7}}, "metadata 'zone' must be str, not 7"),
        ({"metadata": {7: "zone"}}, "metadata must be str, not 7"),
    ],
)
def test_what_is_no_text_is_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidConfiguration, match=named):
        leader_record(**arguments)


def test_a_record_is_recognised() -> None:
    record = leader_record("node-a", version="1.2", metadata={"zone": "b"})
    assert decode_leader_value(record.SerializeToString()) == record
    later = record.SerializeToString() + b"\xa8\x06\x2a"  # field 101, which nobody knows today
    decoded = decode_leader_value(later)
    assert isinstance(decoded, LeaderRecord) and decoded.identity == "node-a"
    assert decoded.SerializeToString() == later


def test_what_pd_wrote_is_recognised() -> None:
    member = Member(name="pd-1", member_id=15182988747043388822, client_urls=["http://client:2379"])
    assert decode_leader_value(member.SerializeToString()) == member


@pytest.mark.parametrize("value", [b"node-a", "Zürich 1".encode(), b"", b'{"name": "node-a"}', b"http://10.0.0.1:80"])
def test_text_is_text(value: bytes) -> None:
    assert decode_leader_value(value) == value.decode()


@pytest.mark.parametrize("value", [b"\xff\x00", b"\x00\x01", b"tab\tand bell\a"])
def test_the_rest_is_bytes(value: bytes) -> None:
    assert decode_leader_value(value) == value


@given(st.text(min_size=1))
def test_no_text_is_taken_for_a_record_and_no_record_for_pds(text: str) -> None:
    assert not isinstance(decode_leader_value(text.encode()), LeaderRecord)
    record = LeaderRecord(identity=text, host=text, pid=7, metadata={text: text})
    assert decode_leader_value(record.SerializeToString()) == record
    as_member = Member.FromString(record.SerializeToString())
    assert not as_member.name and not as_member.member_id
    as_record = LeaderRecord.FromString(Member(name=text, member_id=1, peer_urls=[text]).SerializeToString())
    assert not as_record.identity


async def test_it_is_leader_data_and_a_message_type(client: Client, unique_key: str) -> None:
    record = leader_record("node-a")
    async with Leadership(client, unique_key).campaign(60, record):
        leader = await get_leader(client, unique_key, LeaderRecord)
    assert leader is not None and leader.message == record


def test_registers_nothing_under_a_bare_name() -> None:
    assert LeaderRecord.DESCRIPTOR.full_name == "aioelection.v1.LeaderRecord"
    assert LeaderRecord.DESCRIPTOR.file.name.startswith("aioelection/")

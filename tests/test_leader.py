"""`get_leader` on a real etcd."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from aioelection import Client, InvalidConfiguration, Leader, Leadership, Member, get_leader
from tests.support import Stranger


async def test_nobody_leads(client: Client, unique_key: str) -> None:
    assert await get_leader(client, unique_key) is None
    assert await get_leader(client, unique_key.encode(), Member) is None


async def test_who_leads(client: Client, other_client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(60, b"value")
    assert leadership.lease is not None
    token = term.fencing_token
    expected = Leader(b"value", token, token, leadership.lease.id, None)
    assert await get_leader(other_client, unique_key) == expected
    assert await get_leader(other_client, unique_key.encode()) == expected
    await leadership.resign()
    assert await get_leader(other_client, unique_key) is None


async def test_the_revisions_of_a_key_that_was_written_again(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    await stranger.put(unique_key, b"one")
    created = (await stranger.get(unique_key)).create_revision
    await stranger.put(unique_key, b"two")
    leader = await get_leader(client, unique_key)
    assert leader is not None
    assert (leader.value, leader.create_revision, leader.lease_id) == (b"two", created, 0)
    assert leader.revision == (await stranger.get(unique_key)).mod_revision > created
    await stranger.delete(unique_key)


async def test_a_member_as_pd_writes_it(client: Client, stranger: Stranger, unique_key: str) -> None:
    written_by_pd = b"\x0a\x04pd-1\x10\x07\x22\x12http://client:2379"
    await stranger.put(unique_key, written_by_pd)
    leader = await get_leader(client, unique_key, Member)
    assert leader is not None
    assert leader.value == written_by_pd
    assert leader.message == Member(name="pd-1", member_id=7, client_urls=["http://client:2379"])
    await stranger.delete(unique_key)


async def test_our_member_as_pd_reads_it(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, Member(name="pd-1", member_id=7, client_urls=["http://client:2379"]))
    assert (await stranger.get(unique_key)).value == b"\x0a\x04pd-1\x10\x07\x22\x12http://client:2379"
    await leadership.resign()


async def test_any_message_type(client: Client, stranger: Stranger, unique_key: str) -> None:
    message = FileDescriptorProto(name="any")
    await stranger.put(unique_key, message.SerializeToString())
    leader = await get_leader(client, unique_key, FileDescriptorProto)
    assert leader is not None and leader.message == message
    await stranger.delete(unique_key)


async def test_a_value_that_is_no_such_message(client: Client, stranger: Stranger, unique_key: str) -> None:
    await stranger.put(unique_key, b"\xff")
    with pytest.raises(ValueError, match="no Member"):
        await get_leader(client, unique_key, Member)
    leader = await get_leader(client, unique_key)
    assert leader is not None and leader.value == b"\xff"
    await stranger.delete(unique_key)


async def test_it_is_frozen(client: Client) -> None:
    leader: Any = Leader(b"value", 1, 1, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        leader.value = b"other"


async def test_by_a_bare_aetcd_client(stranger: Stranger, unique_key: str) -> None:
    await stranger.put(unique_key, b"value")
    leader = await get_leader(stranger.client, unique_key)
    assert leader is not None and leader.value == b"value"
    await stranger.delete(unique_key)


async def test_its_arguments(client: Client) -> None:
    wrong: Any
    for wrong in ("", b"", 5, None):
        with pytest.raises(InvalidConfiguration, match="leader_key"):
            await get_leader(client, wrong)
    for wrong in (int, "Member", Member()):
        with pytest.raises(InvalidConfiguration, match="message_type"):
            await get_leader(client, "key", wrong)
    wrong = "http://localhost:2379"
    with pytest.raises(InvalidConfiguration, match="client"):
        await get_leader(wrong, "key")

"""`Member` is PD's pdpb.Member on the wire."""

import pickle
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from aioelection._proto import Member

# As PD writes it, byte by byte. A tag is (field number << 3) | wire type, with wire type 0 for a
# varint and 2 for what has a length before it.
WRITTEN_BY_PD = b"".join(
    (
        b"\x0a\x04pd-1",  # 1 name
        b"\x10\x96\xfb\x98\x82\xa9\xfa\xb3\xda\xd2\x01",  # 2 member_id, a varint of ten bytes
        b"\x1a\x10http://peer:2380",  # 3 peer_urls, the first
        b"\x1a\x11https://peer:2380",  # 3 peer_urls, the second
        b"\x22\x12http://client:2379",  # 4 client_urls
        b"\x28\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # 5 leader_priority, -2 in 64 bits
        b"\x32\x07/opt/pd",  # 6 deploy_path
        b"\x3a\x06v8.5.0",  # 7 binary_version
        b"\x42\x07f00dfee",  # 8 git_hash
        b"\x4a\x04dc-1",  # 9 dc_location
    )
)

STRING, UINT64, INT32 = (
    descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
    descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
)
# The field table of pdpb.proto.
PD_FIELDS = (
    ("name", 1, STRING, False),
    ("member_id", 2, UINT64, False),
    ("peer_urls", 3, STRING, True),
    ("client_urls", 4, STRING, True),
    ("leader_priority", 5, INT32, False),
    ("deploy_path", 6, STRING, False),
    ("binary_version", 7, STRING, False),
    ("git_hash", 8, STRING, False),
    ("dc_location", 9, STRING, False),
)

VALUES: dict[str, Any] = {
    "name": "pd-1",
    "member_id": 15182988747043388822,
    "peer_urls": ["http://peer:2380", "https://peer:2380"],
    "client_urls": ["http://client:2379"],
    "leader_priority": -2,
    "deploy_path": "/opt/pd",
    "binary_version": "v8.5.0",
    "git_hash": "f00dfee",
    "dc_location": "dc-1",
}


def values_of(message: Message) -> dict[str, object]:
    """What the fields of PD's table hold."""
    return {
        name: list(getattr(message, name)) if repeated else getattr(message, name) for name, _, _, repeated in PD_FIELDS
    }


@pytest.fixture(scope="module")
def pd_member() -> type[Message]:
    """pdpb.Member, defined without our proto file, in a pool of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="pdpb.proto", package="pdpb", syntax="proto3")
    member = file.message_type.add(name="Member")
    for name, number, kind, repeated in PD_FIELDS:
        label = (
            descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
            if repeated
            else descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
        )
        member.field.add(name=name, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pdpb.Member"))


def test_reads_what_pd_wrote() -> None:
    assert values_of(Member.FromString(WRITTEN_BY_PD)) == VALUES


def test_writes_what_pd_writes() -> None:
    assert Member(**VALUES).SerializeToString(deterministic=True) == WRITTEN_BY_PD


def test_pd_reads_what_we_write(pd_member: type[Message]) -> None:
    theirs = pd_member()
    theirs.ParseFromString(Member(**VALUES).SerializeToString())
    assert values_of(theirs) == VALUES


def test_reads_what_a_pd_of_our_own_making_writes(pd_member: type[Message]) -> None:
    theirs = pd_member(**VALUES)
    assert values_of(Member.FromString(theirs.SerializeToString())) == VALUES


def test_has_exactly_the_fields_of_pd(pd_member: type[Message]) -> None:
    def table(message: type[Message]) -> list[tuple[str, int, int, int]]:
        described = descriptor_pb2.DescriptorProto()
        message.DESCRIPTOR.CopyToProto(described)
        return [(field.name, field.number, field.type, field.label) for field in described.field]

    assert table(Member) == table(pd_member)


def test_an_empty_message_is_a_member_with_defaults() -> None:
    member = Member.FromString(b"")
    assert values_of(member) == {
        name: [] if repeated else "" if kind == STRING else 0 for name, _, kind, repeated in PD_FIELDS
    }
    assert member.SerializeToString() == b""


def test_keeps_the_fields_of_a_later_pd() -> None:
    later = b"\xa2\x06\x03new" + b"\xa8\x06\x2a"  # fields 100 and 101, which nobody knows today
    member = Member.FromString(WRITTEN_BY_PD + later)
    member.name = "pd-2"
    written = member.SerializeToString()
    assert written.endswith(later)
    assert Member.FromString(written).name == "pd-2"


def test_registers_nothing_under_a_bare_name() -> None:
    assert Member.DESCRIPTOR.full_name == "aioelection.pd.v1.Member"
    assert Member.DESCRIPTOR.file.name.startswith("aioelection/")


def test_is_pickled_by_its_real_module() -> None:
    assert pickle.loads(pickle.dumps(Member(**VALUES))) == Member(**VALUES)

"""Messages generated from `protos/` by the nox session `protos`; not edited by hand."""

from aioelection._proto.pd.v1.member_pb2 import Member
from aioelection._proto.v1.leader_pb2 import LeaderRecord

__all__ = ["LeaderRecord", "Member"]

"""Messages generated from `protos/` by the nox session `protos`; not edited by hand."""

from aioelection._proto.pd.v1.member_pb2 import Member

__all__ = ["Member"]

"""A real etcd of one or more members, started for the life of an ``async with`` block::

    async with Etcd(members=3) as etcd:
        print(etcd.endpoints)

For tests, demonstrations and a first try: it keeps nothing, does not sync to disk, and listens on
loopback only. It needs a POSIX system and an etcd binary (`Etcd` tells where that is looked for).
"""

from aioelection.embedded._cluster import Etcd
from aioelection.embedded._commands import CommandFailed
from aioelection.embedded._member import EtcdMember
from aioelection.embedded._tls import EtcdTLS

__all__ = ["CommandFailed", "Etcd", "EtcdMember", "EtcdTLS"]

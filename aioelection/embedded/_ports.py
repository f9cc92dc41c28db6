"""Free loopback ports that stay ours while etcd is down."""

from __future__ import annotations

import socket
import sys

HOST = "127.0.0.1"


class Ports:
    """`count` distinct free ports, as `numbers`, reserved until `close`; the first may be a given one.

    On Linux a socket stays bound to each, without listening. With SO_REUSEADDR on both sides (Go
    sets it) etcd can bind the same port and listen, while the kernel gives the port to nobody who
    asks for any free one, or connects from one. Elsewhere a port is only known to have been free.
    """

    def __init__(self, count: int, first: int = 0) -> None:
        self._sockets: list[socket.socket] = []
        try:
            for port in (first, *[0] * (count - 1)):
                reserved = socket.socket()
                self._sockets.append(reserved)
                if port:  # connections of an etcd that was there a moment ago are not in the way
                    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                reserved.bind((HOST, port))
                # Only now: set before, it could yield a port that another such socket holds.
                reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.numbers = [reserved.getsockname()[1] for reserved in self._sockets]
        except OSError:
            self.close()
            raise
        if sys.platform != "linux":
            self.close()

    def close(self) -> None:
        for reserved in self._sockets:
            reserved.close()
        self._sockets.clear()

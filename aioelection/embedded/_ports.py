"""Free loopback ports that stay ours while etcd is down."""

from __future__ import annotations

import socket
import sys

HOST = "127.0.0.1"


class Ports:
    """`count` distinct free ports, as `numbers`, reserved until `close`.

    On Linux a socket stays bound to each, without listening. With SO_REUSEADDR on both sides (Go
    sets it) etcd can bind the same port and listen, while the kernel gives the port to nobody who
    asks for any free one, or connects from one. Elsewhere a port is only known to have been free.
    """

    def __init__(self, count: int) -> None:
        self._sockets: list[socket.socket] = []
        try:
            for _ in range(count):
                reserved = socket.socket()
                self._sockets.append(reserved)
                reserved.bind((HOST, 0))
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

"""``python -m aioelection.embedded``: an etcd for first tries, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from aioelection.embedded import Etcd
from aioelection.errors import ElectionError


async def _serve(members: int, port: int) -> None:
    async with Etcd(members, port=port) as etcd:
        sys.stdout.write(f"etcd {etcd.version} answers at {','.join(etcd.endpoints)} until Ctrl-C\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def _main() -> None:
    parser = argparse.ArgumentParser(
        "python -m aioelection.embedded", description="An etcd for first tries: it keeps nothing."
    )
    parser.add_argument("--port", type=int, default=2379, help="of the first member (%(default)s)")
    parser.add_argument("--members", type=int, default=1, help="an odd number (%(default)s)")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(_serve(arguments.members, arguments.port))
        except ElectionError as error:
            sys.exit(f"aioelection.embedded: {error}")


if __name__ == "__main__":
    _main()

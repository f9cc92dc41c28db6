"""Just enough HTTP to ask etcd for its health and its status."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any
from urllib.parse import urlsplit


async def ask(
    url: str,
    *,
    post: dict[str, Any] | None = None,
    token: str = "",
    tls: ssl.SSLContext | None,
    timeout: float,
) -> Any:
    """The JSON answer, whatever its status.

    `timeout` is in seconds; `token` is what etcd gave an authenticated user. Raises `OSError`
    (`TimeoutError` and `ssl.SSLError` among them) or `ValueError` (not JSON).
    """
    parts = urlsplit(url)
    body = b"" if post is None else json.dumps(post).encode()
    head = [
        f"{'GET' if post is None else 'POST'} {parts.path} HTTP/1.0",
        f"Host: {parts.netloc}",
        f"Content-Length: {len(body)}",
        *([f"Authorization: {token}"] if token else ()),
    ]
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
        try:
            writer.write("\r\n".join([*head, "", ""]).encode() + body)
            answer = await reader.read()
        finally:
            writer.transport.abort()
    return json.loads(answer.partition(b"\r\n\r\n")[2])

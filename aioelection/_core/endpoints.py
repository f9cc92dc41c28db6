"""Addresses of etcd members: how they are written, and which one is asked next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aioelection.errors import InvalidConfiguration

DEFAULT_PORT = 2379


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one member listens for clients."""

    host: str
    port: int
    secure: bool = False
    address: str | None = None
    """The one of the host's several addresses that is meant; ``None``: whichever the name leads to."""

    @property
    def authority(self) -> str:
        """Host and port, by which the server is known; IPv6 addresses in brackets."""
        return _joined(self.host, self.port)

    @property
    def target(self) -> str:
        """What gRPC is to connect to."""
        if self.address is None:
            return self.authority
        return f"ipv{6 if ':' in self.address else 4}:{_joined(self.address, self.port)}"

    def __str__(self) -> str:
        url = f"{'https' if self.secure else 'http'}://{self.authority}"
        return url if self.address is None else f"{url} ({self.address})"


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_endpoints(value: str | Iterable[str], *, secure: bool = False) -> tuple[Endpoint, ...]:
    """One or many endpoints: ``"http://a:2379,https://b:2379"``, or a list; one without a scheme is ``secure`` or not.

    Raises:
        InvalidConfiguration: there is none, or one is malformed; the message names it.
    """
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, bytes) or not isinstance(value, Iterable):
        raise InvalidConfiguration(f"endpoints must be str or a list of str, not {_shown(value)}")
    texts = tuple(value)
    _refuse_credentials(texts)
    parsed = tuple(dict.fromkeys(_parse(each, secure) for each in texts))
    if not parsed:
        raise InvalidConfiguration("endpoints must name at least one endpoint, but are empty")
    return parsed


def _refuse_credentials(texts: tuple[object, ...]) -> None:
    """A password may hold a comma, a slash or a bracket: what stands before the last @ is neither parsed nor told."""
    _, at, host = ",".join(each for each in texts if isinstance(each, str)).rpartition("@")
    if at:
        raise InvalidConfiguration(
            f"endpoint {host!r}: user and password belong in the arguments of the same names, not in the URL"
        )


def _parse(text: object, secure: bool) -> Endpoint:
    if not isinstance(text, str) or not text.strip():
        raise _malformed(text, "empty" if text == "" else "not a URL")
    stripped = text.strip()
    if any(c.isspace() for c in stripped):  # urlsplit drops a line break, and makes one host of two
        raise _malformed(text, "white space")
    try:
        parts = urlsplit(stripped if "://" in stripped else f"{'https' if secure else 'http'}://{stripped}")
        host = parts.hostname
    except ValueError as error:
        raise _malformed(text, str(error)) from None
    try:
        port = parts.port
    except ValueError:
        raise _malformed(text, "the port is no number up to 65535") from None
    if parts.scheme not in ("http", "https"):
        raise _malformed(text, f"scheme {parts.scheme!r} is not http or https")
    if not host:
        raise _malformed(text, "no host")
    if port == 0:
        raise _malformed(text, "nobody listens on port 0")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise _malformed(text, "nothing may follow the port")
    return Endpoint(host, DEFAULT_PORT if port is None else port, parts.scheme == "https")


def _malformed(text: object, why: str) -> InvalidConfiguration:
    return InvalidConfiguration(f"endpoint {_shown(text)} is malformed ({why}); write it as http://host:port")


def _shown(value: object) -> str:
    """The value, unless it may hold a password: in bytes, say."""
    shown = repr(value)
    return f"a value of type {type(value).__name__}" if "@" in shown else shown

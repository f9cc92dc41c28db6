"""What a TLS connection is made with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aioelection.errors import InvalidConfiguration

Material = str | Path | bytes
"""The path of a PEM file, or its content as bytes."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The contents of the PEM files, as gRPC takes them."""

    ca: bytes | None
    cert: bytes | None
    key: bytes | None = field(repr=False)
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class TLS:
    """How to check the server, and how to prove who we are.

    Args:
        ca: certificates of the authorities to trust; without it those that gRPC brings.
        cert: our certificate chain, where the server asks for one (mTLS); needs ``key``.
        key: the private key of ``cert``; it is never shown.
        server_name: the name to expect in the server's certificate, where it differs from the endpoint's host.

    Each is the path of a PEM file (``str`` or ``Path``) or its content (``bytes``). Files are read when a connection is
    made, and again when it has failed, so that renewed ones are taken up.

    Raises:
        InvalidConfiguration: one of ``cert`` and ``key`` is given without the other.
    """

    ca: Material | None = None
    cert: Material | None = field(default=None, repr=False)
    key: Material | None = field(default=None, repr=False)
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise InvalidConfiguration("tls: cert and key go together, but only one of them is given")

    def read(self) -> Credentials:
        """Read the files.

        Raises:
            InvalidConfiguration: one cannot be read.
        """
        return Credentials(
            ca=_content(self.ca, "ca"),
            cert=_content(self.cert, "cert"),
            key=_content(self.key, "key"),
            server_name=self.server_name,
        )


def _content(material: Material | None, name: str) -> bytes | None:
    if material is None or isinstance(material, bytes):
        return material
    try:
        return Path(material).read_bytes()
    except OSError as error:
        raise InvalidConfiguration(f"tls: {name} {str(material)!r} cannot be read: {error.strerror}") from None

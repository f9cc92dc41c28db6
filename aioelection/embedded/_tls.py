"""TLS between clients and the embedded etcd."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from aioelection.errors import InvalidConfiguration


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdTLS:
    """TLS on the client URLs, with PEM files that the caller made.

    `cert` and `key` are the server's, valid for the address 127.0.0.1; `ca` is the authority that
    clients verify them with. With `client_cert_auth` etcd demands a certificate from `ca` of every
    client; the health checks and `Etcd.ctl` then show `client_cert` and `client_key`, or the
    server's own pair. etcd itself shows `cert` as a client to itself, so that it must be good for
    both usages.

    Raises `InvalidConfiguration` if a file is missing or a certificate comes without its key.
    """

    cert: str | os.PathLike[str]
    key: str | os.PathLike[str]
    ca: str | os.PathLike[str]
    client_cert_auth: bool = False
    client_cert: str | os.PathLike[str] | None = None
    client_key: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if (self.client_cert is None) != (self.client_key is None):
            raise InvalidConfiguration("client_cert and client_key must be given together")
        for name in ("cert", "key", "ca", "client_cert", "client_key"):
            path = getattr(self, name)
            if path is not None and not Path(path).is_file():
                raise InvalidConfiguration(f"{name} must name a PEM file; no file {path}")


def server_flags(tls: EtcdTLS) -> list[str]:
    flags = [f"--cert-file={_path(tls.cert)}", f"--key-file={_path(tls.key)}"]
    if tls.client_cert_auth:
        flags += ["--client-cert-auth", f"--trusted-ca-file={_path(tls.ca)}"]
    return flags


def ctl_flags(tls: EtcdTLS) -> list[str]:
    flags = [f"--cacert={_path(tls.ca)}"]
    if pair := _client_pair(tls):
        flags += [f"--cert={pair[0]}", f"--key={pair[1]}"]
    return flags


def client_context(tls: EtcdTLS) -> ssl.SSLContext:
    """Raises `InvalidConfiguration` if a file does not hold what it should."""
    try:
        context = ssl.create_default_context(cafile=_path(tls.ca))
        if pair := _client_pair(tls):
            context.load_cert_chain(*pair)
    except ssl.SSLError as error:
        raise InvalidConfiguration(f"a TLS file cannot be used: {error}: {tls}") from error
    return context


def _client_pair(tls: EtcdTLS) -> tuple[str, str] | None:
    if tls.client_cert is not None and tls.client_key is not None:
        return _path(tls.client_cert), _path(tls.client_key)
    return (_path(tls.cert), _path(tls.key)) if tls.client_cert_auth else None


def _path(path: str | os.PathLike[str]) -> str:
    return str(Path(path).absolute())

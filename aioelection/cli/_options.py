"""What all commands that ask etcd take: options, and etcdctl's environment variables."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from aioelection.errors import InvalidConfiguration

if TYPE_CHECKING:
    from aioelection import Client
    from aioelection.instrument import Hook

PANEL = "Connection"

Key = Annotated[str, typer.Argument(help="The leader key.", show_default=False)]
Endpoints = Annotated[
    str,
    typer.Option(envvar="ETCDCTL_ENDPOINTS", help="etcd's endpoints, separated by commas.", rich_help_panel=PANEL),
]
Cacert = Annotated[
    Path | None,
    typer.Option(envvar="ETCDCTL_CACERT", help="Authorities to trust (PEM).", rich_help_panel=PANEL),
]
Cert = Annotated[
    Path | None,
    typer.Option(envvar="ETCDCTL_CERT", help="Our certificate (PEM); with --key.", rich_help_panel=PANEL),
]
PrivateKey = Annotated[
    Path | None,
    typer.Option(
        "--key", metavar="PATH", envvar="ETCDCTL_KEY", help="The private key of --cert (PEM).", rich_help_panel=PANEL
    ),
]
User = Annotated[
    str | None,
    typer.Option(
        help="etcd's user. The password is read from --password-file, ETCDCTL_PASSWORD or ETCDCTL_USER=name:password.",
        rich_help_panel=PANEL,
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(help="A file with the password of --user, and nothing else.", rich_help_panel=PANEL),
]
ConnectTimeout = Annotated[
    float,
    typer.Option(help="Seconds within which an endpoint has to answer.", max=50, rich_help_panel=PANEL),
]
Discover = Annotated[
    bool,
    typer.Option(help="Learn the cluster's other members from it.", rich_help_panel=PANEL),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]


@dataclass(frozen=True)
class Connection:
    """How to reach etcd, by the options, which are the fields, and by the environment."""

    endpoints: Endpoints = "127.0.0.1:2379"
    cacert: Cacert = None
    cert: Cert = None
    private_key: PrivateKey = None
    user: User = None
    password_file: PasswordFile = None
    connect_timeout: ConnectTimeout = 10.0
    discover: Discover = True

    def open(self, hooks: Sequence[Hook] = ()) -> AbstractAsyncContextManager[Client]:
        """Connect, for the length of an ``async with`` block."""
        from aioelection import TLS, connect  # noqa: PLC0415 (heavy)

        username, password = self._credentials()
        with_tls = any((self.cacert, self.cert, self.private_key))
        return connect(
            self.endpoints,
            tls=TLS(self.cacert, self.cert, self.private_key) if with_tls else None,
            username=username,
            password=password,
            connect_timeout=self.connect_timeout,
            discover=self.discover,
            hooks=hooks,
        )

    def _credentials(self) -> tuple[str, str] | tuple[None, None]:
        if self.user is not None and ":" in self.user:
            raise InvalidConfiguration("--user takes a name alone: other users of this machine can read command lines")
        name, _, password = os.environ.get("ETCDCTL_USER", "").partition(":")
        name = self.user or name
        if not name:
            return None, None
        password = self._password_in_file() or os.environ.get("ETCDCTL_PASSWORD", "") or password
        if not password:
            raise InvalidConfiguration(f"no password for user {name!r}: give --password-file, or set ETCDCTL_PASSWORD")
        return name, password

    def _password_in_file(self) -> str:
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InvalidConfiguration(f"password file {str(self.password_file)!r} cannot be read: {reason}") from None


def connecting(command: Callable[..., None]) -> Callable[..., None]:
    """Have a command take the options of ``Connection``, and be called with the ``connection`` that they make."""
    fields = inspect.signature(Connection).parameters
    own = [each for each in inspect.signature(command).parameters.values() if each.name != "connection"]
    keyword = inspect.Parameter.KEYWORD_ONLY

    def with_options(**given: Any) -> None:
        connection = Connection(**{name: given.pop(name) for name in fields})
        command(**given, connection=connection)

    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    types = get_type_hints(command, include_extras=True) | get_type_hints(Connection, include_extras=True)
    with_options.__annotations__ = types
    with_options.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [each.replace(kind=keyword, annotation=types[each.name]) for each in (*own, *fields.values())]
    )
    return with_options

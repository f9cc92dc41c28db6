"""What all commands that ask etcd take: options, and etcdctl's environment variables."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from aioelection.cli import _values as values
from aioelection.cli._parser import CONNECTION as PANEL
from aioelection.cli._parser import UsageError
from aioelection.errors import InvalidConfiguration

if TYPE_CHECKING:
    from aioelection import TLS, Client
    from aioelection.instrument import Hook

Key = Annotated[str, typer.Argument(metavar="KEY", parser=values.nonempty, help="The leader key.", show_default=False)]
Endpoints = Annotated[
    str,
    typer.Option(
        metavar="URLS",
        envvar="ETCDCTL_ENDPOINTS",
        help="etcd's endpoints, separated by commas.",
        rich_help_panel=PANEL,
    ),
]
Cacert = Annotated[
    Path | None,
    typer.Option(metavar="PATH", envvar="ETCDCTL_CACERT", help="Authorities to trust (PEM).", rich_help_panel=PANEL),
]
Cert = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", envvar="ETCDCTL_CERT", help="Our certificate (PEM); with --key.", rich_help_panel=PANEL
    ),
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
        metavar="NAME",
        help="etcd's user. The password is read from --password-file, ETCDCTL_PASSWORD or ETCDCTL_USER=name:password.",
        rich_help_panel=PANEL,
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="A file with the password of --user, and nothing else.", rich_help_panel=PANEL),
]
ConnectTimeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        parser=values.seconds(longest=50),
        help="How long to wait for the first answer; at most 50.",
        rich_help_panel=PANEL,
    ),
]
Discover = Annotated[
    bool,
    typer.Option(help="Learn the cluster's other members from it, or not.", rich_help_panel=PANEL),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]


PATIENCE = 1.0
"""Seconds without an answer before it is told that there is none yet."""

TLS_OPTIONS = {"cacert": "--cacert", "cert": "--cert", "private_key": "--key"}


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

    @contextlib.asynccontextmanager
    async def open(self, hooks: Sequence[Hook] = ()) -> AsyncIterator[Client]:
        """Connect, for the length of an ``async with`` block; a wait for the first answer is told."""
        async with contextlib.AsyncExitStack() as stack:
            slow = asyncio.get_running_loop().call_later(PATIENCE, self._tell_of_waiting)
            try:
                client = await stack.enter_async_context(self._connect(hooks))
            finally:
                slow.cancel()
            yield client

    def _connect(self, hooks: Sequence[Hook]) -> AbstractAsyncContextManager[Client]:
        from aioelection import connect  # noqa: PLC0415 (heavy)

        username, password = self._credentials()
        tls = self._tls()
        try:
            return connect(
                self.endpoints,
                tls=tls,
                username=username,
                password=password,
                connect_timeout=self.connect_timeout,
                discover=self.discover,
                hooks=hooks,
            )
        except InvalidConfiguration as error:  # all else was looked at before
            raise InvalidConfiguration(f"--endpoints: {error}") from None

    @property
    def is_plain(self) -> bool:
        """Whether all endpoints say that they go without TLS."""
        return all(each.strip().lower().startswith("http://") for each in self.endpoints.split(","))

    def _tell_of_waiting(self) -> None:
        if self.connect_timeout > PATIENCE:
            told = f"no answer yet from {self.endpoints}; trying for {self.connect_timeout:g} s"
            print(f"aioelection: {told}", file=sys.stderr, flush=True)

    def _tls(self) -> TLS | None:
        from aioelection import TLS  # noqa: PLC0415 (heavy)

        files = {"--cacert": self.cacert, "--cert": self.cert, "--key": self.private_key}
        if self.is_plain or not any(files.values()):
            return None
        if (self.cert is None) != (self.private_key is None):
            raise InvalidConfiguration("--cert and --key go together, but only one of them is given")
        for option, path in files.items():
            if path is not None:
                _read(path, option)
        return TLS(self.cacert, self.cert, self.private_key)

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
            return _read(self.password_file, "--password-file").decode().rstrip("\r\n")
        except UnicodeDecodeError:
            told = f"--password-file: {str(self.password_file)!r} cannot be read: it is no text"
            raise InvalidConfiguration(told) from None


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidConfiguration(f"{option}: {str(path)!r} cannot be read: {error.strerror}") from None


def _refuse_unused_tls(context: typer.Context, connection: Connection) -> None:
    """Whoever types a certificate means TLS. The variables may be etcdctl's, for other endpoints, and may be there."""
    typed = [name for name in TLS_OPTIONS if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    if typed and connection.is_plain:
        told = f"{TLS_OPTIONS[typed[0]]} is for https:// endpoints, not {connection.endpoints}"
        raise UsageError(told, context)


def connecting(command: Callable[..., None]) -> Callable[..., None]:
    """Have a command take the options of ``Connection``, and be called with the ``connection`` that they make."""
    fields = inspect.signature(Connection).parameters
    own = [each for each in inspect.signature(command).parameters.values() if each.name != "connection"]
    keyword = inspect.Parameter.KEYWORD_ONLY

    def with_options(context: typer.Context, **given: Any) -> None:
        connection = Connection(**{name: given.pop(name) for name in fields})
        _refuse_unused_tls(context, connection)
        command(**given, connection=connection)

    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    types = get_type_hints(command, include_extras=True) | get_type_hints(Connection, include_extras=True)
    types["context"] = typer.Context
    with_options.__annotations__ = types
    with_options.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
            *(each.replace(kind=keyword, annotation=types[each.name]) for each in (*own, *fields.values())),
        ]
    )
    return with_options

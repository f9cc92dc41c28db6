"""The commands, as typer has them; what each does is imported when it is called."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import typer

from aioelection.cli import _options as options
from aioelection.cli import _status as status
from aioelection.cli import _values as values
from aioelection.cli._errors import ask, finish
from aioelection.cli._options import Connection, connecting
from aioelection.cli._parser import BeforeCommand, Commands, Plain
from aioelection.errors import ElectionError, InvalidConfiguration

WIDEST = {"max_content_width": 100}
"""Columns of the help: longer lines are hard to read."""

app = typer.Typer(cls=Commands, pretty_exceptions_enable=False, rich_markup_mode=None, context_settings=WIDEST)


def _print_version(asked: bool) -> None:
    if asked:
        try:
            version = installed("aioelection")
        except PackageNotFoundError:
            version = "(not installed)"
        print("aioelection", version)
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)]


@app.callback(invoke_without_command=True)
def aioelection(context: typer.Context, *, version: Version = False) -> None:
    """Leader election for asyncio over etcd v3."""
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(status.USAGE)


@app.command(cls=BeforeCommand)
@connecting
def run(
    *,
    key: options.Key,
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="[--] COMMAND...",
            help="What to run while elected, and its arguments: from here on no option is ours.",
            show_default=False,
        ),
    ],
    ttl: Annotated[
        int,
        typer.Option(metavar="SECONDS", parser=values.ttl, help="After how long a dead leader is replaced."),
    ] = 10,
    identity: Annotated[
        str | None,
        typer.Option(metavar="TEXT", parser=values.identity, help="Who stands; by default this host and process."),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", parser=values.text, help="The plain value of the leader key, in place of a record."
        ),
    ] = None,
    version: Annotated[
        str,
        typer.Option(
            metavar="TEXT", parser=values.text, help="The version of COMMAND, for the record.", show_default=False
        ),
    ] = "",
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", parser=values.pair, help="More for the record; as often as you like."),
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            parser=values.seconds(zero=True),
            help="How long COMMAND may take to end when asked, before it is killed; 0 kills at once.",
        ),
    ] = 5.0,
    forever: Annotated[bool, typer.Option("--forever", help="Stand again when COMMAND or the term has ended.")] = False,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Answer /leader, /healthz and /metrics there.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Tell only what is wrong.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell what the election does.")] = False,
    connection: Connection,
) -> None:
    """Stand for election, and run COMMAND while elected, never beyond.

    COMMAND finds AIOELECTION_KEY, AIOELECTION_FENCING_TOKEN and AIOELECTION_DEADLINE_FD in its environment. When the
    term is over, or cannot be renewed, it is sent SIGTERM, and killed with all that it has started before another can
    be elected; the key is given up when nothing of it is left. SIGTERM and SIGINT end COMMAND and then this; SIGHUP,
    SIGUSR1 and SIGUSR2 are passed on. On Linux nothing of COMMAND survives this process.

    Exit status: COMMAND's own, 128+N if signal N has ended it (or this, while it stood); 2 usage; 69 etcd cannot be
    reached at the start, or not used; 75 the term was over before COMMAND was (lost, or asked to resign); 77 etcd
    refused us; 126 COMMAND cannot be executed; 127 it is not found.
    """

    def work() -> int:
        if os.name != "posix":
            raise InvalidConfiguration(f"run takes a POSIX system, not {sys.platform}")
        from aioelection import leader_record  # noqa: PLC0415 (heavy, as is what follows)
        from aioelection.cli._run import run as run_sidecar  # noqa: PLC0415
        from aioelection.cli._sidecar import Job  # noqa: PLC0415

        if value is not None and (identity is not None or version or metadata):
            raise InvalidConfiguration("--value goes without --identity, --version and --metadata: it is all there is")
        record = leader_record(identity, version=version, metadata=dict(each.split("=", 1) for each in metadata or []))
        job = Job(tuple(command), ttl, record if value is None else value, grace, forever)
        return run_sidecar(connection, os.fsencode(key), job, http, quiet=quiet, verbose=verbose)

    finish("run", work)


@app.command(name="status", cls=Plain, short_help="Tell who leads, since when, and how long its lease has left.")
@connecting
def status_command(
    *,
    key: options.Key,
    as_json: options.Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it live, until interrupted.")] = False,
    connection: Connection,
) -> None:
    """Tell who leads, since when, with which fencing token, and how long its lease has left.

    Exit status: 0 somebody leads; 1 nobody leads; 2 usage; 69 etcd cannot be reached; 77 etcd refused us.
    """

    def work() -> int:
        from aioelection.cli._ask import show_status, watch_status  # noqa: PLC0415 (heavy)

        if watch and as_json:
            raise InvalidConfiguration("--watch goes without --json: aioelection observe --json writes every change")
        if watch:
            return watch_status(connection, os.fsencode(key))
        return show_status(connection, os.fsencode(key), as_json=as_json)

    ask("status", work)


@app.command(cls=Plain, short_help="Write a line for whoever leads, and for each change.")
@connecting
def observe(
    *,
    key: options.Key,
    as_json: options.Json = False,
    connection: Connection,
) -> None:
    """Write a line for whoever leads, and for each change, until interrupted; it rides out outages of etcd.

    Exit status: 2 usage; 69 etcd cannot be reached at the start; 77 etcd refused us; 130 interrupted.
    """

    def work() -> int:
        from aioelection.cli._ask import follow  # noqa: PLC0415 (heavy)

        return follow(connection, os.fsencode(key), as_json=as_json)

    ask("observe", work)


@app.command(cls=Plain, short_help="Print who leads and nothing else, for scripts.")
@connecting
def leader(
    *,
    key: options.Key,
    as_json: options.Json = False,
    connection: Connection,
) -> None:
    """Print who leads and nothing else, for scripts: a record's identity, a PD member's name, or the plain value.

    Exit status: 0 somebody leads; 1 nobody leads; 2 usage; 69 etcd cannot be reached; 77 etcd refused us.
    """

    def work() -> int:
        from aioelection.cli._ask import print_leader  # noqa: PLC0415 (heavy)

        return print_leader(connection, os.fsencode(key), as_json=as_json)

    ask("leader", work)


@app.command(cls=Plain)
@connecting
def resign(
    *,
    key: options.Key,
    token: Annotated[
        int | None,
        typer.Option(metavar="TOKEN", parser=values.token, help="Only the term with this fencing token."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", parser=values.seconds(zero=True), help="How long to wait for its end."),
    ] = 30.0,
    as_json: options.Json = False,
    connection: Connection,
) -> None:
    """Ask the leader to step down, and wait until it has.

    It deletes nothing: the leader is asked by a key of its own beside the leader key. aioelection run heeds that, and
    so does a service that uses Leadership.run(..., heed_resign=True); any other goes on leading. Whoever has stepped
    down stands again after a moment, and leads again if nobody else stands.

    Exit status: 0 it leads no more; 1 nobody leads, or that term has ended; 2 usage; 69 etcd cannot be reached; 75 it
    still leads; 77 etcd refused us.
    """

    def work() -> int:
        from aioelection.cli._ask import resign as ask_to_resign  # noqa: PLC0415 (heavy)

        return ask_to_resign(connection, os.fsencode(key), token, timeout, as_json=as_json)

    ask("resign", work)


@app.command(name="demo", cls=Plain, short_help="Elect, kill, stop and revoke leaders on this machine.")
def demo_command() -> None:
    """Elect, kill, stop and revoke leaders of a cluster on this machine, and check the outcome.

    It starts three etcd members and three candidates, which are gone when it ends. It takes an etcd on this machine,
    such as that of pip install 'aioelection[embedded]'.

    Exit status: 0 all checks hold; 1 a check failed, or it could not be run.
    """
    from aioelection.cli import _demo  # noqa: PLC0415 (heavy, as is what follows)
    from aioelection.cli._show import LogLines, choose_show  # noqa: PLC0415

    show = choose_show()
    logging.basicConfig(handlers=[LogLines(show)], format="%(name)s: %(message)s")
    try:
        _demo.look_for_etcd()
        with show:
            checks = asyncio.run(_demo.demo(show))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise typer.Exit(130) from None
    except ElectionError as error:
        print(f"aioelection demo: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    show.verdict(checks)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)

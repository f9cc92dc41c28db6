"""The commands, as typer has them."""

from __future__ import annotations

import asyncio
import logging
import sys

import typer

from aioelection.cli._demo import demo
from aioelection.cli._show import LogLines, choose_show
from aioelection.errors import ElectionError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def aioelection() -> None:
    """Leader election for asyncio over etcd v3."""


@app.command(name="demo")
def demo_command() -> None:
    """Elect, kill, stop and revoke leaders of a cluster on this machine, and check the outcome.

    It starts three etcd members and three candidates, which are gone when it ends. Exit status 1: a check failed.
    """
    show = choose_show()
    logging.basicConfig(handlers=[LogLines(show)], format="%(name)s: %(message)s")
    try:
        with show:
            checks = asyncio.run(demo(show))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise typer.Exit(130) from None
    except ElectionError as error:
        print(f"aioelection demo: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    show.verdict(checks)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)

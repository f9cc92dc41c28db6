"""What typer's commands do otherwise here: errors of one line, plain help, and where the words of COMMAND begin."""

from __future__ import annotations

import sys
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from aioelection.cli import _status as status

# typer has click within since 0.26, and imported it before: these are the names that both give.
UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])

CONNECTION = "Connection"
"""The options of all commands that ask etcd stand below this heading."""


class Commands(TyperGroup):
    """All commands; what cannot be parsed is told in one line."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Exit with the status of what was called."""
        try:
            code = super().main(*args, **options | {"standalone_mode": False})
        except UsageError as error:
            print(told(error), file=sys.stderr)
            code = status.USAGE
        except typer.Abort:
            code = 1
        sys.exit(code)


def told(error: Any) -> str:
    """A line that names the option or argument as it is typed."""
    context = error.ctx
    where = "aioelection" if context is None or context.parent is None else f"aioelection {context.info_name}"
    param = getattr(error, "param", None)
    if param is None:
        text = error.format_message().rstrip(".")
        what = text[:1].lower() + text[1:]
    else:
        what = f"{name_of(param)} {error.message or 'is missing'}"
    return f"{where}: {' '.join(what.split())}"


def name_of(param: Any) -> str:
    """``--ttl``, or ``KEY``."""
    return str(max(param.opts, key=len) if param.param_type_name == "option" else param.metavar).rstrip(".").split()[-1]


class Plain(TyperCommand):
    """A command whose help has no more than what is typed, and what it means."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Options, and the arguments as their help names them."""
        return ["[OPTIONS]", *(str(each.metavar) for each in self.get_params(ctx) if is_argument(each))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, options, and how to reach etcd."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], CONNECTION: []}
        for each in self.get_params(ctx):
            panel = getattr(each, "rich_help_panel", None)
            if is_argument(each):
                sections["Arguments"].append((str(each.metavar), str(getattr(each, "help", ""))))
            elif record := each.get_help_record(ctx):
                name, text = record
                sections[panel or "Options"].append((name, text.replace("\\[", "[")))  # which typer escapes below 0.26
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


def is_argument(param: Any) -> bool:
    """Not an option."""
    return bool(param.param_type_name == "argument")


class BeforeCommand(Plain):
    """A command that takes KEY and COMMAND: from the first word of COMMAND on, nothing is an option of ours."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``--`` before COMMAND where it was left out."""
        at = self._command_at(ctx, args)
        return super().parse_args(ctx, args if at is None else [*args[:at], "--", *args[at:]])

    def _command_at(self, ctx: Any, args: list[str]) -> int | None:
        """Where the second word stands that is neither an option nor the value of one."""
        with_value = {
            name for each in self.get_params(ctx) if not is_argument(each) and not is_flag(each) for name in each.opts
        }
        words = 0
        at = 0
        while at < len(args) and args[at] != "--":
            if args[at].startswith("-") and args[at] != "-":
                at += args[at] in with_value
            elif words == 1:
                return at
            else:
                words += 1
            at += 1
        return None


def is_flag(option: Any) -> bool:
    """Whether it takes no value."""
    return bool(option.is_flag or option.count)

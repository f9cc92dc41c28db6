"""What options take: parsers whose errors are told after the option's name."""

from __future__ import annotations

from collections.abc import Callable

import typer

from aioelection._core.checks import LARGEST_REVISION, LONGEST_TTL


def whole(smallest: int, largest: int, unit: str = "") -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise typer.BadParameter(f"must be a whole number{unit}, not {text!r}") from None
        if not smallest <= number <= largest:
            raise typer.BadParameter(f"must be a whole number{unit} from {smallest} to {largest:,}, not {number}")
        return number

    return parse


def seconds(*, zero: bool = False, longest: float | None = None) -> Callable[[str], float]:
    """A number of seconds, above 0 or from it on."""
    wanted = "0 or a positive number of seconds" if zero else "a positive number of seconds"
    if longest is not None:
        wanted += f", at most {longest:g}"
    most = float("inf") if longest is None else longest

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not (0 <= number <= most and number < float("inf") and (zero or number > 0)):
            raise typer.BadParameter(f"must be {wanted}, not {text!r}")
        return number

    return parse


ttl = whole(1, LONGEST_TTL, " of seconds")
token = whole(1, LARGEST_REVISION)


def nonempty(text: str) -> str:
    """What says nothing is a slip, such as a variable that is not set."""
    if not text:
        raise typer.BadParameter("must not be empty")
    return text


def text(given: str) -> str:
    """Text that can be sent; an argument may be any bytes."""
    try:
        given.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter(f"must be text that has a UTF-8 form, not {given!r}") from None
    return given


def identity(given: str) -> str:
    """Text that says something."""
    return text(nonempty(given))


def pair(given: str) -> str:
    """``NAME=VALUE``."""
    if "=" not in given:
        raise typer.BadParameter(f"takes NAME=VALUE, not {given!r}")
    return text(given)

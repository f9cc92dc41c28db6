"""What a user may pass in: checked before anything is sent, with errors that name the value."""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Protocol, runtime_checkable

from aioelection.errors import InvalidConfiguration

LONGEST_TTL = 9_000_000_000
"""etcd's own limit for a lease, in seconds."""

LARGEST_VALUE = 1_500_000
"""Bytes; etcd refuses requests above 1.5 MiB (``--max-request-bytes``), key and framing included."""

LARGEST_REVISION = 2**63 - 2
"""A watch asks for the revision after it, in 64 bits with a sign."""


@runtime_checkable
class Serializable(Protocol):
    """A protobuf message, by the one method of it that is needed."""

    def SerializeToString(self) -> bytes: ...  # noqa: N802 (protobuf's name)


def key(value: object, name: str = "leader_key") -> bytes:
    """A key as bytes; text is encoded as UTF-8."""
    if isinstance(value, str):
        value = _encoded(value, name)
    if not isinstance(value, bytes):
        raise InvalidConfiguration(f"{name} must be str or bytes, not {value!r}")
    if not value:
        raise InvalidConfiguration(f"{name} must not be empty, but is {value!r}")
    return value


def leader_data(value: object) -> bytes:
    """A candidate's identity as bytes; a protobuf message is serialized."""
    if isinstance(value, str):
        value = _encoded(value, "leader_data")
    elif not isinstance(value, bytes | type) and isinstance(value, Serializable):  # last: it takes 40 µs
        value = value.SerializeToString()
    if not isinstance(value, bytes):
        raise InvalidConfiguration(f"leader_data must be str, bytes or a protobuf message, not {value!r}")
    if len(value) > LARGEST_VALUE:
        raise InvalidConfiguration(f"leader_data must have at most {LARGEST_VALUE} bytes, not {len(value)}")
    return value


def lease_timeout(value: object) -> int:
    """A lease's time in whole seconds."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST_TTL:
        raise InvalidConfiguration(
            f"lease_timeout must be a whole number of seconds from 1 to {LONGEST_TTL:,}, not {value!r}"
        )
    return value


def seconds(value: object, name: str) -> float:
    """A positive, finite number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max:
        raise InvalidConfiguration(f"{name} must be a positive number of seconds, not {value!r}")
    return float(value)


def revision(value: object) -> int:
    """A revision of etcd's; 0 means unknown."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_REVISION:
        raise InvalidConfiguration(f"revision must be a whole number from 0 to {LARGEST_REVISION:,}, not {value!r}")
    return value


def limit(value: object) -> int | None:
    """How often something may happen; ``None``: without limit."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise InvalidConfiguration(f"limit must be None or a whole number from 1 on, not {value!r}")


def function(value: object, name: str) -> None:
    if not callable(value):
        raise InvalidConfiguration(f"{name} must be callable, not {value!r}")


def coroutine_function(value: object, name: str) -> None:
    """An async function, or what may well give an awaitable when it is called: a lambda, an object, an annotation."""
    function(value, name)
    if _is_plain(value):
        raise InvalidConfiguration(f"{name} must be an async function (async def), not {value!r}")


def _is_plain(value: object) -> bool:
    """Whether it is a function that is neither async nor, for all that it says of itself, gives an awaitable."""
    while isinstance(value, functools.partial):
        value = value.func
    if inspect.iscoroutinefunction(value) or not callable(value):
        return False
    function = inspect.unwrap(getattr(value, "__func__", value))  # of a method; of a decorator
    if inspect.isbuiltin(function) or inspect.isasyncgenfunction(function):
        return True
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function) or function.__name__ == "<lambda>":
        return False
    return function.__annotations__.get("return") in (None, "None")


def text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidConfiguration(f"{name} must be str, not {value!r}")
    _encoded(value, name)
    return value


def _encoded(value: str, name: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:  # a lone surrogate, as in a file name that is not UTF-8
        raise InvalidConfiguration(f"{name} must be text that has a UTF-8 form, not {value!r}") from None

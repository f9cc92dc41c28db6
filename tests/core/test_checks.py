"""What a user passes in is taken, or refused by an error that names it; nothing else may happen."""

import enum
import functools
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from unittest.mock import AsyncMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioelection._core import checks
from aioelection._proto import Member
from aioelection.errors import ElectionError, InvalidConfiguration

LONE_SURROGATE = "/node-\udcff"  # what os.fsdecode makes of a name that is not UTF-8

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters()),
    st.binary(),
    st.lists(st.integers()),
    st.builds(object),
)


def refusal(check: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(InvalidConfiguration) as caught:
        check(*arguments)
    return str(caught.value)


def test_a_refusal_can_be_caught_as_ours_and_as_a_value_error() -> None:
    assert issubclass(InvalidConfiguration, ElectionError)
    assert issubclass(InvalidConfiguration, ValueError)


@given(anything)
def test_no_check_raises_anything_else(value: object) -> None:
    for check in (
        checks.key,
        checks.leader_data,
        checks.lease_timeout,
        checks.revision,
        lambda v: checks.seconds(v, "patience"),
        lambda v: checks.text(v, "purpose"),
        checks.limit,
        lambda v: checks.function(v, "health"),
    ):
        try:
            check(value)
        except InvalidConfiguration:
            pass


@pytest.mark.parametrize("value", ["/billing/leader", b"/billing/leader"])
def test_a_key_is_text_or_bytes(value: object) -> None:
    assert checks.key(value) == b"/billing/leader"


def test_text_is_utf_8() -> None:
    assert checks.key("/ключ") == "/ключ".encode()
    assert checks.leader_data("узел") == "узел".encode()


@pytest.mark.parametrize("value", ["", b""])
def test_an_empty_key_is_refused(value: object) -> None:
    message = refusal(checks.key, value)
    assert "leader_key" in message
    assert "empty" in message
    assert repr(value) in message


@pytest.mark.parametrize("value", [None, 7, 1.5, True, ["/k"], bytearray(b"/k"), memoryview(b"/k"), Member(name="a")])
def test_a_key_of_another_type_is_refused(value: object) -> None:
    message = refusal(checks.key, value)
    assert "leader_key must be str or bytes" in message
    assert repr(value) in message


def test_a_key_is_called_what_its_user_calls_it() -> None:
    assert "a compared key" in refusal(checks.key, b"", "a compared key")
    assert "a compared key" in refusal(checks.key, 7, "a compared key")
    assert "a compared key" in refusal(checks.key, LONE_SURROGATE, "a compared key")


def test_text_without_a_utf_8_form_is_refused() -> None:
    for check, name in ((checks.key, "leader_key"), (checks.leader_data, "leader_data")):
        message = refusal(check, LONE_SURROGATE)
        assert name in message
        assert repr(LONE_SURROGATE) in message


@pytest.mark.parametrize("value", ["node-a", b"node-a"])
def test_leader_data_is_text_or_bytes(value: object) -> None:
    assert checks.leader_data(value) == b"node-a"


def test_leader_data_may_be_a_protobuf_message() -> None:
    member = Member(name="node-a", member_id=7)
    assert checks.leader_data(member) == member.SerializeToString()


def test_leader_data_may_be_empty() -> None:
    assert checks.leader_data("") == checks.leader_data(b"") == checks.leader_data(Member()) == b""


@pytest.mark.parametrize("value", [None, 7, 1.5, True, {"name": "a"}, bytearray(b"a"), Member])
def test_leader_data_of_another_type_is_refused(value: object) -> None:
    message = refusal(checks.leader_data, value)
    assert "leader_data must be str, bytes or a protobuf message" in message
    assert repr(value) in message


def test_what_serializes_to_something_else_than_bytes_is_refused() -> None:
    class Impostor:
        def SerializeToString(self) -> object:  # noqa: N802 (protobuf's name)
            return 7

    assert "leader_data" in refusal(checks.leader_data, Impostor())


def test_leader_data_that_etcd_would_refuse_for_its_size_is_refused_here() -> None:
    limit = 1_500_000
    assert len(checks.leader_data(b"x" * limit)) == limit
    for too_large in (b"x" * (limit + 1), "x" * (limit + 1), "é" * (limit // 2 + 1), Member(name="x" * limit)):
        message = refusal(checks.leader_data, too_large)
        assert str(limit) in message
        assert len(message) < 200, "the value itself is not repeated"
    assert str(limit + 1) in refusal(checks.leader_data, b"x" * (limit + 1))


@pytest.mark.parametrize("value", [1, 2, 10, 9_000_000_000])
def test_a_lease_timeout_is_a_whole_number_of_seconds(value: int) -> None:
    assert checks.lease_timeout(value) == value


@pytest.mark.parametrize(
    "value",
    [0, -1, 9_000_000_001, 10**12, True, False, 10.0, 0.5, math.nan, math.inf, "10", "ten", "", b"10", None, [10]],
)
def test_any_other_lease_timeout_is_refused(value: object) -> None:
    message = refusal(checks.lease_timeout, value)
    assert "lease_timeout" in message
    assert repr(value) in message
    assert "from 1 to 9,000,000,000" in message


@pytest.mark.parametrize("value", [1, 60, 0.001, 5.0, 1e9, 10**12])
def test_seconds_are_a_positive_number(value: float) -> None:
    seconds = checks.seconds(value, "patience")
    assert seconds == value
    assert type(seconds) is float


@pytest.mark.parametrize(
    "value", [0, 0.0, -0.0, -1, -0.5, math.nan, math.inf, -math.inf, 10**400, True, "5", "", b"5", None, 5j, [5]]
)
def test_any_other_seconds_are_refused(value: object) -> None:
    message = refusal(checks.seconds, value, "connect_timeout")
    assert "connect_timeout must be a positive number of seconds" in message
    assert repr(value) in message


@pytest.mark.parametrize("value", [0, 1, 10**12, 2**63 - 2])
def test_a_revision_is_a_whole_number_from_0(value: int) -> None:
    assert checks.revision(value) == value


def test_the_revision_after_the_largest_still_fits_into_64_bits() -> None:
    largest = checks.revision(checks.LARGEST_REVISION)
    assert (largest + 1).to_bytes(8, signed=True, byteorder="big")
    refusal(checks.revision, largest + 1)


@pytest.mark.parametrize(
    "value", [-1, 2**63 - 1, 2**64, True, False, 7.0, math.nan, math.inf, "7", "", b"7", None, [7]]
)
def test_any_other_revision_is_refused(value: object) -> None:
    message = refusal(checks.revision, value)
    assert "revision must be a whole number from 0" in message
    assert repr(value) in message


def test_an_int_enum_is_a_number() -> None:
    class Timeouts(enum.IntEnum):
        SHORT = 5

    assert checks.lease_timeout(Timeouts.SHORT) == 5
    assert checks.seconds(Timeouts.SHORT, "patience") == 5.0
    assert checks.revision(Timeouts.SHORT) == 5


@pytest.mark.parametrize("value", ["invoices", ""])
def test_text_is_str(value: str) -> None:
    assert checks.text(value, "purpose") == value


@pytest.mark.parametrize("value", [b"invoices", None, 7, True])
def test_text_of_another_type_is_refused(value: object) -> None:
    message = refusal(checks.text, value, "purpose")
    assert "purpose must be str" in message
    assert repr(value) in message


@pytest.mark.parametrize("value", [None, 1, 3, 10**9])
def test_a_limit_is_a_number_or_none(value: object) -> None:
    assert checks.limit(value) == value


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "3"])
def test_what_is_no_limit(value: object) -> None:
    assert repr(value) in refusal(checks.limit, value)


def test_a_function_can_be_called() -> None:
    checks.function(print, "health")
    assert refusal(checks.function, 7, "health") == "health must be callable, not 7"


class Callables:
    """What may serve, and what cannot."""

    async def method(self, term: object) -> None: ...

    async def __call__(self, term: object) -> None: ...

    def plain(self, term: object) -> None: ...


async def asynchronous(term: object) -> None: ...


def plain(term: object) -> None: ...


def annotated(term: object) -> Coroutine[object, object, None]:
    return asynchronous(term)


def unannotated(term):  # type: ignore[no-untyped-def]
    return asynchronous(term)


async def generator(term: object) -> AsyncIterator[None]:
    yield


@functools.wraps(asynchronous)
def decorated(*arguments: Any) -> Any:
    return asynchronous(*arguments)


@pytest.mark.parametrize(
    "serve",
    [
        asynchronous,
        annotated,
        decorated,
        Callables().method,
        Callables(),
        lambda *arguments: asynchronous(arguments),
        functools.partial(asynchronous, None),
        functools.partial(functools.partial(Callables().method), None),
        AsyncMock(),
    ],
)
def test_an_async_function(serve: object) -> None:
    checks.coroutine_function(serve, "serve")


@pytest.mark.parametrize(
    "serve",
    [plain, unannotated, generator, Callables().plain, functools.partial(plain, None), print, time.sleep],
)
def test_no_async_function(serve: object) -> None:
    with pytest.raises(InvalidConfiguration, match=r"serve must be an async function \(async def\), not .+"):
        checks.coroutine_function(serve, "serve")

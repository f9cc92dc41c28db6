"""The guard on the resource's side: the highest token seen, and no way past it."""

from __future__ import annotations

import threading
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioelection import Client, ElectionError, FenceGuard, InvalidConfiguration, Leadership, StaleToken

LARGEST = 2**63 - 2


def accepts(guard: FenceGuard, token: int) -> bool:
    try:
        guard.check(token)
    except StaleToken:
        return False
    return True


def test_a_new_guard_has_seen_none_and_takes_any() -> None:
    guard = FenceGuard()
    assert guard.highest == 0
    guard.check(1)
    assert guard.highest == 1


def test_the_same_token_again_is_the_same_leader() -> None:
    guard = FenceGuard()
    guard.check(7)
    guard.check(7)
    assert guard.highest == 7


def test_a_lower_token_is_refused_and_changes_nothing() -> None:
    guard = FenceGuard(7)
    with pytest.raises(StaleToken, match="fencing token 6 is stale: 7 was seen") as caught:
        guard.check(6)
    assert isinstance(caught.value, ElectionError)
    assert (caught.value.token, caught.value.highest) == (6, 7)
    assert guard.highest == 7
    guard.check(7)


def test_it_starts_from_what_was_stored() -> None:
    before = FenceGuard()
    before.check(41)
    after = FenceGuard(highest=before.highest)
    assert after.highest == 41
    assert not accepts(after, 40)


@pytest.mark.parametrize("token", [0, -1, None, True, False, "7", b"7", 7.0, float("nan"), LARGEST + 1])
def test_what_is_no_token_is_refused_by_its_name(token: object) -> None:
    guard = FenceGuard()
    with pytest.raises(InvalidConfiguration) as caught:
        guard.check(token)  # type: ignore[arg-type]
    assert f"token must be a whole number from 1 to {LARGEST:,}, not {token!r}" == str(caught.value)
    assert guard.highest == 0


@pytest.mark.parametrize("highest", [-1, None, True, False, "7", 7.0, LARGEST + 1])
def test_what_was_stored_must_be_a_whole_number(highest: object) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        FenceGuard(highest)  # type: ignore[arg-type]
    assert f"highest must be a whole number from 0 to {LARGEST:,}, not {highest!r}" == str(caught.value)


def test_highest_is_not_set_by_accident() -> None:
    with pytest.raises(AttributeError):
        FenceGuard(7).highest = 1  # type: ignore[misc]


def test_what_it_says_of_itself() -> None:
    assert repr(FenceGuard(7)) == "<FenceGuard 7>"


@given(st.integers(0, 20), st.lists(st.integers(1, 20)))
def test_it_accepts_exactly_what_is_no_lower_than_all_before(stored: int, tokens: list[int]) -> None:
    guard = FenceGuard(stored)
    seen = stored
    for token in tokens:
        assert accepts(guard, token) == (token >= seen)
        seen = max(seen, token)
        assert guard.highest == seen


class Interrupted(int):
    """A token whose comparison lets other threads go first, as a switch of threads may do at any time."""

    def __new__(cls, token: int) -> Self:
        interrupted = super().__new__(cls, token)
        interrupted.compared = threading.Event()
        interrupted.go_on = threading.Event()
        return interrupted

    compared: threading.Event
    go_on: threading.Event

    def __lt__(self, other: int) -> bool:
        answer = super().__lt__(other)
        self.compared.set()
        self.go_on.wait(0.2)  # in vain, where the others are kept out, as they should be
        return answer


def test_no_thread_comes_between_the_comparison_and_the_memory() -> None:
    guard = FenceGuard()
    late = Interrupted(5)

    def check_higher() -> None:
        assert late.compared.wait(5)
        guard.check(9)
        late.go_on.set()

    threads = [threading.Thread(target=guard.check, args=(late,)), threading.Thread(target=check_higher)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert guard.highest == 9


def test_threads_that_hammer_it_see_it_only_rise() -> None:
    guard = FenceGuard()
    start = threading.Barrier(8)
    problems: list[str] = []
    last = 8 * 500

    def hammer(first: int) -> None:
        start.wait()
        for token in range(first, last + 1, 8):
            before = guard.highest
            try:
                guard.check(token)
            except StaleToken as stale:
                if not token < stale.highest <= guard.highest:
                    problems.append(f"{token} was refused for {stale.highest}")
            else:
                if token < before:
                    problems.append(f"{token} was accepted after {before}")
            if guard.highest < max(token, before):
                problems.append(f"{guard.highest} after {token} and {before}")

    threads = [threading.Thread(target=hammer, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert guard.highest == last


async def test_the_tokens_of_terms_pass_in_their_order(client: Client, unique_key: str) -> None:
    guard = FenceGuard()
    leadership = Leadership(client, unique_key)
    tokens = []
    for _ in range(2):
        async with leadership.campaign(60, b"data") as term:
            guard.check(term.fencing_token)
            tokens.append(term.fencing_token)
    assert guard.highest == tokens[1]
    with pytest.raises(StaleToken):
        guard.check(tokens[0])

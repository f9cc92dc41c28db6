"""One fact may be told to several listeners, and is read later: it never changes, and none is forgotten."""

import dataclasses
import inspect
from typing import get_args

import pytest

from aioelection._core import facts
from aioelection._core.ops import KeyEvent, KeyValue

KV = KeyValue(b"/k", b"v", 3, 4, 2, 77)


def test_fact_names_every_fact_there_is() -> None:
    defined = {c for _, c in inspect.getmembers(facts, inspect.isclass) if c.__module__ == facts.__name__}
    assert set(get_args(facts.Fact)) == defined


@pytest.mark.parametrize(
    "fact",
    [
        facts.Changed(KeyEvent(False, KV)),
        facts.Reread(None, 5),
        facts.Connected(),
        facts.Disconnected(),
        facts.Ended(ValueError()),
    ],
)
def test_a_fact_cannot_be_changed(fact: facts.Fact) -> None:
    for name in [each.name for each in dataclasses.fields(fact)]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(fact, name, None)
    assert not hasattr(fact, "__dict__")


def test_an_end_without_an_error_is_the_client_s() -> None:
    assert facts.Ended().error is None

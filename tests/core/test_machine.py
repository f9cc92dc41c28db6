"""The table of states: what it allows, what it forbids, and that every way through it ends well."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioelection._core import machine
from aioelection._core.machine import TABLE, Event, IllegalEvent, Machine, State

LEGAL = [(state, event, following) for state, row in TABLE.items() for event, following in row.items()]
ILLEGAL = [(state, event) for state, event in itertools.product(State, Event) if event not in TABLE[state]]

# How each state is reached from the start.
WAYS: dict[State, tuple[Event, ...]] = {
    State.IDLE: (),
    State.CAMPAIGNING: (Event.STAND,),
    State.FOLLOWING: (Event.STAND, Event.BEATEN),
    State.LEADING: (Event.STAND, Event.WON),
    State.SUSPENDED: (Event.STAND, Event.WON, Event.SUSPEND),
    State.RESIGNING: (Event.STAND, Event.WON, Event.RESIGN),
    State.CLOSED: (Event.CLOSE,),
}


def machine_in(state: State) -> Machine:
    made = Machine()
    for event in WAYS[state]:
        made.handle(event)
    assert made.state is state
    return made


def test_it_starts_idle() -> None:
    assert Machine().state is State.IDLE


def test_every_state_is_reached_by_events_alone() -> None:
    assert {machine_in(state).state for state in WAYS} == set(State)


def test_the_table_has_a_row_for_every_state_and_uses_every_event() -> None:
    assert set(TABLE) == set(State)
    assert {event for _, event, _ in LEGAL} == set(Event)


@pytest.mark.parametrize(("state", "event", "following"), LEGAL)
def test_a_legal_event_moves_on_and_tells_what_was_left(state: State, event: Event, following: State) -> None:
    moved = machine_in(state)
    assert moved.allows(event)
    assert moved.handle(event) is state
    assert moved.state is following


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_an_illegal_event_raises_and_changes_nothing(state: State, event: Event) -> None:
    unmoved = machine_in(state)
    assert not unmoved.allows(event)
    with pytest.raises(IllegalEvent, match=f"^{event.name} while {state.name}$"):
        unmoved.handle(event)
    assert unmoved.state is state


def test_no_event_leaves_a_state_where_it_was() -> None:
    assert all(following is not state for state, _, following in LEGAL)


def test_closed_is_for_good() -> None:
    assert not TABLE[State.CLOSED]


def test_every_other_state_can_be_closed() -> None:
    for state in set(State) - {State.CLOSED}:
        assert TABLE[state][Event.CLOSE] is State.CLOSED
    assert all((following is State.CLOSED) == (event is Event.CLOSE) for _, event, following in LEGAL)


def test_only_leading_and_suspended_lead() -> None:
    assert {state for state in State if state.leads} == {State.LEADING, State.SUSPENDED}


def test_only_campaigning_and_following_stand() -> None:
    assert {state for state in State if state.stands} == {State.CAMPAIGNING, State.FOLLOWING}


def test_a_term_begins_by_winning_while_campaigning_and_in_no_other_way() -> None:
    beginnings = [(s, event, following) for s, event, following in LEGAL if following.leads and not s.leads]
    assert beginnings == [(State.CAMPAIGNING, Event.WON, State.LEADING)]


def test_a_campaign_begins_by_standing_while_idle_and_in_no_other_way() -> None:
    """So that a second campaign of one leadership, while it stands or leads or gives up, is an error."""
    beginnings = [(s, event, following) for s, event, following in LEGAL if following.stands and not s.stands]
    assert beginnings == [(State.IDLE, Event.STAND, State.CAMPAIGNING)]


@pytest.mark.parametrize("state", [state for state in State if state.leads])
def test_a_term_can_be_lost_resigned_or_closed_whether_suspended_or_not(state: State) -> None:
    endings = {event: following for event, following in TABLE[state].items() if not following.leads}
    assert endings == {Event.LOST: State.IDLE, Event.RESIGN: State.RESIGNING, Event.CLOSE: State.CLOSED}


@pytest.mark.parametrize("state", [state for state in State if state.stands])
def test_a_candidate_can_give_up_whatever_it_waits_for(state: State) -> None:
    assert TABLE[state][Event.WITHDRAWN] is State.IDLE


def test_waiting_and_suspension_are_there_and_back() -> None:
    for there, back, state in (
        (Event.BEATEN, Event.VACANT, State.CAMPAIGNING),
        (Event.SUSPEND, Event.RESUME, State.LEADING),
    ):
        moved = machine_in(state)
        moved.handle(there)
        moved.handle(back)
        assert moved.state is state


def test_who_resigns_can_stand_again_only_once_the_key_is_released() -> None:
    assert TABLE[State.RESIGNING] == {Event.RELEASED: State.IDLE, Event.CLOSE: State.CLOSED}


@given(st.lists(st.sampled_from(Event)))
def test_whatever_happens_a_loss_is_final_until_another_win(events: list[Event]) -> None:
    moved = Machine()
    led = False
    for event in events:
        if not moved.allows(event):
            before = moved.state
            with pytest.raises(IllegalEvent):
                moved.handle(event)
            assert moved.state is before
            continue
        moved.handle(event)
        if event is Event.WON:
            led = True
        elif event in (Event.LOST, Event.RESIGN, Event.CLOSE):
            led = False
        assert moved.state.leads == led


def test_the_table_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        TABLE[State.CLOSED] = {}  # type: ignore[index]


def test_states_and_events_are_told_apart_by_their_words() -> None:
    for words in (State, Event):
        assert len(words.__members__) == len(list(words)), "two members with one value are one"
        assert all(member.value for member in words)


def test_the_theory_of_operation_tells_of_every_state() -> None:
    assert machine.__doc__ is not None
    assert [state for state in State if state.name not in machine.__doc__] == []


def test_its_repr_tells_the_state() -> None:
    assert repr(machine_in(State.SUSPENDED)) == "<Machine SUSPENDED>"

"""Given events, when a command comes, then events."""

from typing import Any

import msgspec
import pytest

from dramaturg.actors.runtime import (
    ActorContext,
    CommandRejectedError,
    Decision,
    EventSourced,
    EvolveError,
    Message,
    Origin,
    Write,
)
from dramaturg.events import Event, Fold
from dramaturg.events.log import IdempotencyKey
from dramaturg.testing import ExpectationError, ImpureError, given
from dramaturg.testing.differences import differences

from .accounts import (
    Account,
    Act,
    Adopt,
    Bank,
    Borrow,
    Branch,
    Close,
    Closed,
    Deposit,
    Deposited,
    Look,
    OverdrawnError,
    Release,
    Unheard,
    Withdraw,
    Withdrawn,
)


def test_events_lead_to_events() -> None:
    (
        given(Bank(), Deposited(5), Deposited(2))
        .when(Withdraw(3))
        .then(Withdrawn(3))
        .then_reply(4)
        .then_state(Account(4))
        .then_keys()
    )


def test_one_command_follows_another() -> None:
    decided = (
        given(Bank()).when(Deposit(5)).when(Withdraw(9)).then_rejected(OverdrawnError)
    )

    decided.when(Withdraw(5)).then(Withdrawn(5)).then_state(Account(0))
    assert decided.state == Account(5)


def test_a_beginning_may_be_gone_on_from_more_than_once() -> None:
    start = given(Bank(), Deposited(5))

    start.when(Withdraw(5)).then_state(Account(0))
    start.when(Withdraw(2)).then_state(Account(3))
    assert (start.state, start.version) == (Account(5), 1)


def test_a_refusal_says_why() -> None:
    decided = given(Bank()).when(Withdraw(3))

    decided.then_rejected(OverdrawnError, "0 is all")
    assert isinstance(decided.error, OverdrawnError)
    with pytest.raises(
        ExpectationError, match="was to be refused by OverdrawnError and"
    ):
        decided.then_rejected(OverdrawnError, "2 is all")
    with pytest.raises(ExpectationError, match=r"was refused: OverdrawnError\('0 is"):
        decided.then(Withdrawn(3))
    with pytest.raises(ExpectationError, match="was not refused but decided"):
        given(Bank()).when(Deposit(3)).then_rejected()


def test_keys_are_looked_at_too() -> None:
    key = IdempotencyKey("deposit", "k", "kit/1")
    given(Bank()).when(Deposit(1, key="k")).then_keys(key)

    with pytest.raises(ExpectationError, match="takes other keys"):
        given(Bank()).when(Deposit(1)).then_keys(key)


def test_what_was_decided_instead_is_shown() -> None:
    with pytest.raises(ExpectationError) as caught:
        given(Bank(), Deposited(5)).when(Withdraw(3)).then(Deposited(1), Withdrawn(2))

    assert str(caught.value) == (
        "Withdraw(amount=3) on Account(balance=5) was decided otherwise:\n"
        "  - expected\n"
        "  + decided\n"
        "    - (Deposited(amount=1, note=''), Withdrawn(amount=2))\n"
        "    + (Withdrawn(amount=3),)"
    )


def test_what_is_long_is_shown_field_by_field() -> None:
    long = "a note that does not fit on a line together with all the rest of it"
    with pytest.raises(ExpectationError) as caught:
        given(Bank()).when(Deposit(1)).then(Deposited(1, long), Deposited(2, long))

    lines = str(caught.value).splitlines()
    assert f"    -     note='{long}'," not in lines
    assert f"    -     note='{long}'" in lines
    assert "    -   Deposited(" in lines


def test_another_reply_or_state_is_shown() -> None:
    decided = given(Bank()).when(Deposit(3))

    with pytest.raises(ExpectationError, match="was answered otherwise"):
        decided.then_reply(4)
    with pytest.raises(ExpectationError, match="led to another state"):
        decided.then_state(Account(4))
    with pytest.raises(ExpectationError, match="was decided otherwise"):
        decided.then_nothing()


def test_time_chance_and_origin_are_the_test_s() -> None:
    origin = Origin(by="ann", corr="7")
    command = Borrow()
    decided = given(Bank()).when(command, now_us=1000, now_s=200, seed=3, origin=origin)
    [event] = decided.decision.events

    assert isinstance(event, Deposited)
    assert event.note == "ann7"
    assert 1200 <= event.amount < 1300
    seeds = {
        given(Bank()).when(command, now_us=0, seed=seed).state.balance
        for seed in range(9)
    }
    assert len(seeds) > 1


def test_a_decider_that_acts_is_told_what_is_its_business() -> None:
    with pytest.raises(ImpureError, match="'tell' of a running system"):
        given(Bank()).when(Act())


def test_what_is_not_decided_is_not_for_this() -> None:
    with pytest.raises(ExpectationError, match="has a method with @handles for Look"):
        given(Bank()).when(Look())


def test_an_error_in_a_decider_is_no_refusal() -> None:
    with pytest.raises(ValueError, match="Close"):
        given(Bank()).when(Close())


def test_a_fold_that_fails_names_the_event() -> None:
    with pytest.raises(EvolveError, match=r"kit\.unheard"):
        given(Bank(), Deposited(1), Unheard())


class Box(msgspec.Struct):
    """A state that can be changed, as none should be."""

    seen: list[int]


class Boxes(EventSourced[Box]):
    stream = "box/1"

    def __init__(self, evolve: Any, decide: Any = None) -> None:
        self.fold = Fold("box", Box, initial=lambda _: Box([]), evolve=evolve)
        self._decide = decide

    def decide(self, state: Box, command: Message, ctx: ActorContext) -> Decision:
        decision = self._decide(state, command, ctx)
        assert isinstance(decision, Decision)
        return decision


def in_place(state: Box, event: Event) -> Box:
    state.seen.append(len(event.tag))
    return state


def anew(state: Box, event: Event) -> Box:
    return Box([*state.seen, len(event.tag)])


def test_a_fold_that_changes_its_state_in_place_is_found() -> None:
    with pytest.raises(ImpureError, match="evolve of Closed") as caught:
        given(Boxes(in_place), Closed())

    assert "- Box(seen=[])" in str(caught.value)
    assert "+ Box(seen=[10])" in str(caught.value)


def test_a_fold_that_makes_two_states_of_one_is_found() -> None:
    count = iter(range(10))

    def evolve(*_: object) -> Box:
        return Box([next(count)])

    with pytest.raises(ImpureError, match="came out in two ways"):
        given(Boxes(evolve), Closed())


def test_a_decider_that_changes_the_state_is_found() -> None:
    def decide(state: Box, *_: object) -> Decision:
        state.seen.append(1)
        return Decision()

    with pytest.raises(ImpureError, match="changed the state it was given"):
        given(Boxes(anew, decide)).when(Borrow())


def test_a_decider_that_decides_otherwise_the_second_time_is_found() -> None:
    count = iter(range(10))

    def decide(*_: object) -> Decision:
        return Decision(reply=next(count))

    with pytest.raises(ImpureError, match="came out in two ways"):
        given(Boxes(anew, decide)).when(Borrow())


def test_states_that_cannot_be_compared_are_not_judged() -> None:
    class Plain:
        pass

    def evolve(state: Plain, event: Event) -> Plain:
        del state, event
        return Plain()

    plain = Fold("kit", Plain, initial=lambda _: Plain(), evolve=evolve)

    class Opaque(EventSourced[Plain]):
        stream = "kit/1"
        fold = plain

        def decide(self, state: Plain, command: Message, ctx: ActorContext) -> Decision:
            del state, command, ctx
            return Decision((Closed(),))

    given(Opaque(), Closed()).when(Borrow()).then(Closed())


def test_many_streams_are_given_and_written_by_name() -> None:
    branch = Branch()
    (
        given(branch, Write("kit/a", (Deposited(5),)), Write("kit/b", (Deposited(1),)))
        .when(Deposit(2, name="a"))
        .then(Write("kit/a", (Deposited(2),)))
        .then_reply(8)
        .then_state("kit/a", Account(7))
        .then_state("kit/b", Account(1))
        .when(Deposit(2))
        .then_rejected(match="has a name")
    )
    assert branch.sum == 8


def test_a_stream_leaves_with_the_event_that_closes_it() -> None:
    branch = Branch()
    decided = given(branch, Write("kit/a", (Deposited(5), Deposited(1))))
    closed = decided.when(Close("a")).then_reply(2).then_state("kit/a", None)

    assert closed.states == {}
    assert branch.sum == 0


def test_streams_may_change_hands_in_a_decision() -> None:
    branch = Branch()
    events = (Deposited(4), Withdrawn(1))
    (
        given(branch)
        .when(Adopt("kit/x", events))
        .then_nothing()
        .then_reply(3)
        .when(Adopt("kit/x", events))
        .then_reply(3)
        .when(Release("kit/x"))
        .then_reply(reply=False)
    )
    assert branch.sum == 0


def test_streams_of_others_are_written_and_not_kept() -> None:
    other = Write("other/1", (Deposited(9),))
    late = Write("kit/a", (Deposited(9),), expected=7)

    assert given(Branch(), other, late).states == {}


def test_a_mapping_that_is_long_is_shown_by_its_keys() -> None:
    one = {"a" * 40: Account(1), "b" * 40: Account(2)}
    shown = differences(one, {**one, "b" * 40: Account(3)}, "one", "other").splitlines()

    assert f"    -   '{'b' * 40}': Account(balance=2)" in shown
    assert f"        '{'a' * 40}': Account(balance=1)" in shown


def test_differences_of_many_streams_are_shown() -> None:
    decided = given(Branch()).when(Deposit(2, name="a"))

    with pytest.raises(ExpectationError, match="was decided otherwise"):
        decided.then_nothing()
    with pytest.raises(ExpectationError, match="led kit/a to another state"):
        decided.then_state("kit/a", Account(3))
    with pytest.raises(CommandRejectedError, match="has a name"):
        raise decided.when(Deposit(2)).error or AssertionError

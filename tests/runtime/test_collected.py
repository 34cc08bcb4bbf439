"""The garbage collector looks at the messages that may lead back to an actor."""

import datetime as dt
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, NewType, TypeVar

import msgspec
import pytest

from dramaturg.actors.runtime import Actor, Ask, Message, Ref
from dramaturg.events import Event

Id = NewType("Id", str)
T = TypeVar("T")


class Colour(Enum):
    RED = 1


class Plain(Message):
    number: int
    name: "str | None" = None
    states: ClassVar[int] = 0


class Leading(Message):
    ref: Ref


class Below(Leading):
    number: int = 0


class Unseen(Leading, gc=False):
    """Its maker knows better."""


def test_messages_with_plain_fields_are_none_of_the_collectors_business() -> None:
    seen = [each.__struct_config__.gc for each in (Message, Ask, Plain, Unseen)]

    assert seen == [False] * 4


def test_messages_with_references_are_seen_and_so_are_their_subclasses() -> None:
    assert [each.__struct_config__.gc for each in (Leading, Below)] == [True, True]


PLAIN = [
    *(bool, int, float, str, bytes, None, dt.datetime, msgspec.Raw, Id, Colour),
    *(int | str, int | None, Literal["a", 1], Annotated[int, "s"]),
    *(tuple[int, ...], list[str], dict[str, tuple[int, str]], Mapping[str, int]),
    *(Event, Plain, tuple[Event, ...], "int", "tuple[Plain, ...]"),
]
LEADING = [
    *(Any, object, Ref, Actor, BaseException, Leading, T, type[int]),
    *(Ref | None, tuple[Ref, ...], dict[str, Any], tuple, list),
    *(Callable[[], int], Annotated[Ref, "s"], "Ref", "NotDefined", "no type"),
]


def with_field(hint: Any) -> type[Message]:
    body = {"__annotations__": {"x": hint}, "__module__": __name__}
    return type("Made", (Message,), body)


@pytest.mark.parametrize("hint", PLAIN, ids=str)
def test_a_plain_field_leads_nowhere(hint: Any) -> None:
    assert not with_field(hint).__struct_config__.gc


@pytest.mark.parametrize("hint", LEADING, ids=str)
def test_any_other_field_may_lead_to_an_actor(hint: Any) -> None:
    assert with_field(hint).__struct_config__.gc

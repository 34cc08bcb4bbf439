import msgspec
import pytest

from dramaturg.events import (
    DataError,
    Event,
    Registry,
    TagTakenError,
    UnknownEvent,
)


class Opened(Event, tag="door.opened", version=2):
    by: str
    at_us: int = 0


class Demolished(Event, tag="door.demolished", closes=True):
    pass


def opened_by(data: dict[str, object]) -> dict[str, object]:
    return {"by": data["who"]}


REGISTRY = Registry((Opened, Demolished), {("door.opened", 1): opened_by})


def test_tag_and_version_belong_to_the_class_and_are_not_stored_in_the_data() -> None:
    assert (Opened.tag, Opened.version, Opened.closes) == ("door.opened", 2, False)
    assert Demolished.closes
    assert msgspec.json.encode(Opened("ann")) == b'{"by":"ann","at_us":0}'


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        setattr(Opened("ann"), "by", "bob")  # noqa: B010 - a checker would refuse it


def test_what_was_encoded_is_decoded() -> None:
    data = msgspec.json.encode(Opened("ann", 7))

    assert REGISTRY.decode("door.opened", 2, data) == Opened("ann", 7)


def test_old_data_is_brought_up_to_date() -> None:
    assert REGISTRY.decode("door.opened", 1, b'{"who":"ann"}') == Opened("ann")


def test_an_unknown_tag_is_kept_as_it_stands() -> None:
    event = REGISTRY.decode("window.opened", 1, b'{"a":1}')

    assert event == UnknownEvent("window.opened", 1, b'{"a":1}')


def test_a_version_from_the_future_is_kept_as_it_stands() -> None:
    event = REGISTRY.decode("door.opened", 3, b'{"a":1}')

    assert event == UnknownEvent("door.opened", 3, b'{"a":1}')


def test_data_that_does_not_fit_names_the_tag_and_the_field() -> None:
    with pytest.raises(DataError, match=r"'door.opened' version 2.*by"):
        REGISTRY.decode("door.opened", 2, b"{}")


def test_a_missing_upcaster_is_named() -> None:
    registry = Registry((Opened,))

    with pytest.raises(DataError, match=r"register an upcaster for .*1"):
        registry.decode("door.opened", 1, b"{}")


def test_two_classes_cannot_share_a_tag() -> None:
    class Other(Event, tag="door.opened"):
        pass

    with pytest.raises(TagTakenError, match=r"Other.*door.opened.*Opened"):
        Registry((Opened, Other))


def test_a_class_without_a_tag_is_refused() -> None:
    class Untagged(Event):
        pass

    with pytest.raises(TagTakenError, match="Untagged"):
        Registry((Untagged,))


def test_registries_can_be_merged() -> None:
    class Closed(Event, tag="door.closed"):
        pass

    merged = REGISTRY.merged(Registry((Closed,)), REGISTRY)

    assert "door.closed" in merged
    assert merged.decode("door.opened", 1, b'{"who":"ann"}') == Opened("ann")

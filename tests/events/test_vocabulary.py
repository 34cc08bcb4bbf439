import msgspec
import pytest

from dramaturg.events import Event, vocabulary

CLASSES = sorted(vocabulary().classes.values(), key=lambda cls: cls.tag)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.tag)
def test_a_tag_says_whose_event_it_is_in_lower_case(cls: type[Event]) -> None:
    kind, _, happened = cls.tag.partition(".")

    assert kind.replace("_", "").isalpha()
    assert kind.islower()
    assert happened.replace("_", "").isalpha()
    assert happened.islower()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.tag)
def test_no_field_hides_what_the_class_says_of_itself(cls: type[Event]) -> None:
    names = {field.name for field in msgspec.structs.fields(cls)}

    assert not names & {"tag", "version", "closes"}

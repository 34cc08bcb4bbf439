"""A document can always be taken apart into what it was made of."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.events.log import Header, LogDamagedError
from dramaturg.events.log.document import encode_header, join, split

TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    [',"data":', '","data":{"', '\\",\\"data\\":', "}"]
)


@given(
    header=st.builds(
        Header,
        v=st.integers(1, 9),
        at=st.integers(0, 2**53 - 1),
        committed=st.integers(0, 2**53 - 1),
        by=TEXTS,
        owner=TEXTS,
        corr=TEXTS,
        cause=st.none() | st.tuples(TEXTS, st.integers(1, 9)),
        node=TEXTS,
        epoch=st.integers(0, 9),
    ),
    data=st.dictionaries(TEXTS, TEXTS),
)
def test_a_document_is_split_where_it_was_joined(
    header: Header, data: dict[str, str]
) -> None:
    parts = encode_header(header), msgspec.json.encode(data)
    document = join(*parts)

    assert split(document) == parts
    assert msgspec.json.decode(parts[0], type=Header) == header
    assert msgspec.json.decode(document)["data"] == data


@pytest.mark.parametrize("document", [b"", b'{"v":1}', b'{"v":1,"data":{'])
def test_half_a_document_is_damage(document: bytes) -> None:
    with pytest.raises(LogDamagedError):
        split(document)

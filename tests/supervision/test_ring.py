"""Consistent hashing: which keys move when a name goes."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dramaturg.actors.runtime.routers.ring import Ring

NAMES = st.lists(st.sampled_from("abcdefghij"), min_size=2, unique=True)
KEYS = st.text() | st.binary() | st.integers()


@given(NAMES, KEYS)
def test_only_the_keys_of_a_name_that_goes_are_moved(
    names: list[str], key: str | bytes | int
) -> None:
    before = Ring(names).name_for(key)
    for gone in names:
        after = Ring(name for name in names if name != gone).name_for(key)
        assert (after == before) == (gone != before)


@given(NAMES.flatmap(lambda names: st.tuples(st.just(names), st.permutations(names))))
def test_the_order_of_the_names_does_not_matter(
    orders: tuple[list[str], list[str]],
) -> None:
    one, other = map(Ring, orders)

    assert [one.name_for(i) for i in range(50)] == [
        other.name_for(i) for i in range(50)
    ]


def test_keys_spread_evenly_enough() -> None:
    ring = Ring(f"/pool/{i}" for i in range(10))

    shares = Counter(ring.name_for(f"key-{i}") for i in range(10_000))

    assert len(shares) == 10
    assert max(shares.values()) < 1_500
    assert min(shares.values()) > 600

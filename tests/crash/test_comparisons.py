"""The comparison behind the kill rounds notices every kind of damage; without this their passing would prove little."""

from collections.abc import Callable

import pytest

from clients.producing import Sent, assert_kept
from clients.reading import Entry

SENT = [Sent(b"key", b"value %d" % number) for number in range(6)]
# The last two records of the producer were never answered.
ACKS = [(0, 0), (0, 1), (0, 2), (0, 3), None, None]


def stored(*numbers: int) -> list[list[Entry]]:
    """One partition that holds these records, in this order."""
    return [[Entry(offset, *SENT[number]) for offset, number in enumerate(numbers)]]


@pytest.mark.parametrize("numbers", [(0, 1, 2, 3), (0, 1, 2, 3, 4), (0, 1, 2, 3, 5), (0, 1, 2, 3, 4, 5)])
def test_unanswered_records_may_be_there_or_not(numbers: tuple[int, ...]):
    assert_kept(SENT, ACKS, stored(*numbers))


def foreign() -> list[list[Entry]]:
    return [[*stored(0, 1, 2, 3)[0], Entry(4, b"key", b"never sent")]]


def other_key() -> list[list[Entry]]:
    return [[*stored(0, 1, 2, 3)[0], Entry(4, b"other", SENT[4].value)]]


def gap() -> list[list[Entry]]:
    return [[*stored(0, 1, 2, 3)[0], Entry(5, *SENT[4])]]


DAMAGED: dict[str, Callable[[], list[list[Entry]]]] = {
    "lost at the end": lambda: stored(0, 1, 2),
    "lost in the middle": lambda: stored(0, 2, 3),
    "everything lost": lambda: [[]],
    "doubled": lambda: stored(0, 1, 2, 3, 3),
    "an unanswered record doubled": lambda: stored(0, 1, 2, 3, 4, 4),
    "doubled in another partition": lambda: [*stored(0, 1, 2, 3, 4), *stored(4)],
    "out of order": lambda: stored(0, 1, 2, 3, 5, 4),
    "exchanged": lambda: stored(1, 0, 2, 3),
    "foreign": foreign,
    "another key": other_key,
    "a gap": gap,
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_noticed(damaged: Callable[[], list[list[Entry]]]):
    with pytest.raises(AssertionError):
        assert_kept(SENT, ACKS, damaged())

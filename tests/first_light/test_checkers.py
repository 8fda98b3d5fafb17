"""The comparisons behind the kill tests notice every kind of damage; without this their passing would prove little."""

from collections.abc import Callable

import pytest

from clients.packages import Package, assert_whole
from clients.producing import Sent, assert_stored
from clients.reading import Entry

Partitions = list[list[Entry]]

RECORDS = 20


def clean() -> Partitions:
    """Two partitions, even numbers in the first and odd ones in the second."""
    return [
        [
            Entry(offset, b"key %d" % number, b"value %d" % number)
            for offset, number in enumerate(range(first, RECORDS, 2))
        ]
        for first in (0, 1)
    ]


def renumber(entries: list[Entry]) -> list[Entry]:
    return [entry._replace(offset=offset) for offset, entry in enumerate(entries)]


def lose_one(partitions: Partitions) -> None:
    partitions[0] = renumber(partitions[0][:3] + partitions[0][4:])


def lose_the_last(partitions: Partitions) -> None:
    partitions[1].pop()


def lose_a_partition(partitions: Partitions) -> None:
    partitions[1].clear()


def leave_a_gap(partitions: Partitions) -> None:
    del partitions[0][3]


def double_one(partitions: Partitions) -> None:
    partitions[0] = renumber(partitions[0][:4] + partitions[0][3:])


def double_the_last(partitions: Partitions) -> None:
    partitions[0] = renumber(partitions[0] + partitions[0][-1:])


def swap_two(partitions: Partitions) -> None:
    first, second = partitions[0][3], partitions[0][4]
    partitions[0][3:5] = [
        first._replace(key=second.key, value=second.value),
        second._replace(key=first.key, value=first.value),
    ]


def change_a_byte(partitions: Partitions) -> None:
    partitions[1][5] = partitions[1][5]._replace(value=partitions[1][5].value[:-1] + b"?")


def lose_a_value(partitions: Partitions) -> None:
    partitions[1][5] = partitions[1][5]._replace(value=None)


def move_to_the_other_partition(partitions: Partitions) -> None:
    partitions[1] = renumber([*partitions[1], partitions[0].pop(2)])
    partitions[0] = renumber(partitions[0])


DAMAGE = [
    lose_one,
    lose_the_last,
    lose_a_partition,
    leave_a_gap,
    double_one,
    double_the_last,
    swap_two,
    change_a_byte,
    lose_a_value,
]


def check_index(partitions: Partitions) -> None:
    assert_whole([Package(b"key %d" % n, b"value %d" % n) for n in range(RECORDS)], partitions)


def check_acknowledged(partitions: Partitions) -> None:
    sent = [Sent(b"key %d" % n, b"value %d" % n) for n in range(RECORDS)]
    assert_stored(sent, [(n % 2, n // 2) for n in range(RECORDS)], partitions)


@pytest.mark.parametrize("check", [check_index, check_acknowledged])
def test_a_whole_log_passes(check: Callable[[Partitions], None]):
    check(clean())


@pytest.mark.parametrize("check", [check_index, check_acknowledged])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(check: Callable[[Partitions], None], damage: Callable[[Partitions], None]):
    partitions = clean()
    damage(partitions)

    with pytest.raises(AssertionError):
        check(partitions)


def test_a_moved_record_is_found():
    partitions = clean()
    move_to_the_other_partition(partitions)

    with pytest.raises(AssertionError):
        check_acknowledged(partitions)


def test_two_acknowledgements_of_one_offset_are_found():
    sent = [Sent(b"a", b"1"), Sent(b"b", b"2")]

    with pytest.raises(AssertionError, match="both acknowledged"):
        assert_stored(sent, [(0, 0), (0, 0)], [[Entry(0, b"a", b"1")]])

"""The comparisons behind kills and loads notice every kind of damage; without this their passing would prove little."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from committing import Group, Member
from load import Reader

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


NOBODY = "127.0.0.1:1"


def message(offset: int, value: bytes = b"value", error: str | None = None) -> SimpleNamespace:
    """What a consumer hands over of partition 0."""
    fields = {"topic": "topic", "partition": 0, "offset": offset, "key": b"key", "value": value, "error": error}
    return SimpleNamespace(**{name: lambda held=held: held for name, held in fields.items()})


def test_a_reader_takes_every_offset_once_and_in_order():
    reader = Reader(NOBODY, ["topic"])
    for offset in range(3):
        reader.note(message(offset))
    assert not reader.problems and len(reader.seen["topic", 0]) == 3


@pytest.mark.parametrize("then", [message(0), message(2), message(1, error="out of range")])
def test_a_reader_notices_what_must_not_come(then):
    reader = Reader(NOBODY, ["topic"])
    reader.note(message(0))
    reader.note(then)
    assert len(reader.problems) == 1


@pytest.fixture
def group() -> Group:
    return Group(NOBODY, "group", "classic", "topic", partitions=1, members=1)


@pytest.fixture
def member(group: Group) -> Member:
    (one,) = group.members
    return one


def test_a_member_goes_on_where_the_group_is(group: Group, member: Member):
    group.confirmed[0] = 2
    member.note_assigned([0])
    for offset in (2, 3, 4):
        member.note(0, offset)
    group.check()


@pytest.mark.parametrize(("confirmed", "offsets"), [(2, [1]), (2, [2, 4]), (0, [0, 0])])
def test_a_member_notices_commits_that_went_back_and_gaps(group: Group, member: Member, confirmed: int, offsets):
    group.confirmed[0] = confirmed
    member.note_assigned([0])
    for offset in offsets:
        member.note(0, offset)
    with pytest.raises(AssertionError):
        group.check()


@pytest.mark.parametrize("read", [{0, 2}, {0, 1}, {0, 1, 2, 3}])
def test_records_that_no_member_read_are_missed(group: Group, read: set[int]):
    group.read[0] = {0, 1, 2}
    group.check_read([3])
    group.read[0] = read
    with pytest.raises(AssertionError):
        group.check_read([3])

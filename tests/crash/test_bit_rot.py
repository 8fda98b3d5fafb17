"""One changed byte in any kind of file: rebuilt, refused or reported, never served and never a panic."""

import os
import random
import urllib.request
from collections.abc import Callable
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import OffsetSpec
from cuts import flip
from filled import PARTITIONS, TOPIC, Filled
from refusing import refusal, refusal_or_start

from clients.deadline import Deadline
from clients.journal import CHECKPOINTS
from clients.reading import Entry, admin, consumer

pytestmark = pytest.mark.chronik_only

READ_DEADLINE_S = 20.0
SILENCE_S = 3.0
ROTTEN = 1
BATCH_HEADER_BYTES = 61

# Damage to a small file as a whole: (content, chance) -> new content.
DAMAGE: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "first byte": lambda content, _: _flipped(content, 0),
    "any byte": lambda content, chance: _flipped(content, chance.randrange(len(content))),
    "last byte": lambda content, _: _flipped(content, len(content) - 1),
    "cut": lambda content, chance: content[: chance.randrange(1, len(content))],
    "empty": lambda _content, _chance: b"",
    "grown": lambda content, _: content + b"\0",
    "garbage": lambda content, chance: chance.randbytes(len(content)),
}


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :]


def damage(path: Path, how: str) -> None:
    """Applies one kind of damage; the same one in every run."""
    path.write_bytes(DAMAGE[how](path.read_bytes(), random.Random(how)))


damages = pytest.mark.parametrize("how", DAMAGE)


# Checkpoints, indexes, the marker of a clean stop.


@pytest.mark.parametrize("which", ["newer", "older", "both"])
@damages
def test_checkpoints_are_rebuilt_after_a_kill(killed: Filled, which: str, how: str):
    _damage_checkpoints(killed, which, how)

    killed.broker.start()

    killed.assert_whole()


@pytest.mark.parametrize("which", ["newer", "older", "both"])
def test_checkpoints_are_rebuilt_after_a_stop(stopped: Filled, which: str):
    _damage_checkpoints(stopped, which, "any byte")

    stopped.broker.start()

    stopped.assert_whole()
    # And the next life does not need to know.
    stopped.broker.restart()
    stopped.assert_whole()


def test_absent_checkpoints_are_rebuilt(killed: Filled):
    for name in CHECKPOINTS:
        (killed.broker.data_dir / name).unlink()

    killed.broker.start()

    killed.assert_whole()


def _damage_checkpoints(filled: Filled, which: str, how: str) -> None:
    (_, older), (_, newer) = filled.directory.checkpoints()
    for path in {"newer": [newer], "older": [older], "both": [older, newer]}[which]:
        damage(path, how)


@damages
def test_indexes_are_done_without(stopped: Filled, how: str):
    indexes = list(stopped.broker.data_dir.glob("topics/*/*.cidx"))
    assert len(indexes) >= PARTITIONS
    for index in indexes:
        damage(index, how)

    stopped.broker.start()

    stopped.assert_whole()
    assert_times_are_found(stopped)


def test_absent_indexes_are_done_without(stopped: Filled):
    for index in stopped.broker.data_dir.glob("topics/*/*.cidx"):
        index.unlink()

    stopped.broker.start()

    stopped.assert_whole()
    assert_times_are_found(stopped)


def assert_times_are_found(filled: Filled) -> None:
    """The first record at or after the time of a record in the middle is not behind it."""
    middle = len(filled.segments(0)) // 2
    wanted = int(filled.segments(0)[middle].stem)
    (message,) = read_some(filled, 0, wanted, 1)
    _, stamp = message.timestamp()
    partition = TopicPartition(TOPIC, 0)
    client = admin(filled.broker.bootstrap)
    answer = client.list_offsets({partition: OffsetSpec.for_timestamp(stamp)})[partition].result(READ_DEADLINE_S)
    assert 0 <= answer.offset <= wanted
    (first,) = read_some(filled, 0, answer.offset, 1)
    assert first.timestamp()[1] == stamp


@damages
def test_the_marker_of_a_clean_stop_only_saves_time(stopped: Filled, how: str):
    damage(stopped.broker.data_dir / "clean-shutdown", how)

    stopped.broker.start()

    stopped.assert_whole()


def test_a_marker_from_before_is_not_believed(killed: Filled, stopped: Filled):
    """A marker of another directory, put where the server was killed."""
    marker = (stopped.broker.data_dir / "clean-shutdown").read_bytes()
    (killed.broker.data_dir / "clean-shutdown").write_bytes(marker)

    killed.broker.start()

    killed.assert_whole()


# Who owns the directory.


@pytest.mark.parametrize(
    "key", ["cluster.id", "node.id", "directory.id", "chronik.format.version", "chronik.journal.files",
            "chronik.journal.file.bytes"]
)  # fmt: skip
@pytest.mark.parametrize("value", [None, "", "!", "\x00\xff", "99999999999999999999999", "-1"])
def test_an_unreadable_identity_is_refused(killed: Filled, key: str, value: str | None):
    if key == "cluster.id" and value not in (None, ""):
        pytest.skip("any text is a cluster id")
    edit_meta(killed, key, value)

    said = refusal(killed.broker, None)

    # Some values read well and are refused further on, in the words of whoever takes offence.
    name = key.removeprefix("chronik.").split(".")[0]
    assert name in said or "later chronik-server" in said, said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("directory.id", "AAAAAAAAAAAAAAAAAAAAAA"),
        ("chronik.journal.files", "5"),
        ("chronik.journal.files", "3"),
        ("chronik.journal.file.bytes", str(4 << 20)),
        ("chronik.journal.file.bytes", "0"),
        ("chronik.journal.file.bytes", "8388609"),
        ("chronik.journal.files", "0"),
        ("chronik.journal.files", "4000000000"),
    ],
)
def test_a_readable_but_wrong_identity_loses_nothing_silently(killed: Filled, key: str, value: str):
    """A changed digit still reads well: all is there, or the server refuses."""
    edit_meta(killed, key, value)
    said = refusal_or_start(killed.broker)
    if said is None:
        killed.assert_whole()
    else:
        assert "meta.properties" in said or "journal" in said, said


def test_a_directory_without_its_identity_gets_no_other_one(killed: Filled):
    """With a new identity its journal would be another's, and what was acknowledged in it gone."""
    path = killed.broker.data_dir / "meta.properties"
    kept = path.read_bytes()
    path.unlink()

    said = refusal(killed.broker)

    assert "meta.properties" in said and not path.exists(), said
    path.write_bytes(kept)
    killed.broker.start()
    killed.assert_whole()


def edit_meta(filled: Filled, key: str, value: str | None) -> None:
    """Gives a key another value, or removes it."""
    path = filled.broker.data_dir / "meta.properties"
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not line.startswith(f"{key}=")]
    assert len(kept) == len(lines) - 1
    path.write_bytes("".join(f"{line}\n" for line in kept).encode() + b"")
    if value is not None:
        with path.open("ab") as file:
            file.write(f"{key}=".encode() + value.encode("latin-1") + b"\n")


# Segments.


def test_what_the_journal_still_has_is_repaired(killed: Filled):
    """Nothing above the recovery point is believed: it is written anew from the journal."""
    for partition in range(PARTITIONS):
        segment = killed.segments(partition)[1]
        flip(segment, batches(segment)[2][0] + PLACES["records"])

    killed.broker.start()

    killed.assert_whole()


# Bytes of a batch that Kafka's own CRC covers, and some that it leaves out.
PLACES = {
    "base offset": 7,
    "base offset, far": 2,
    "length": 10,
    "magic": 16,
    "checksum": 18,
    "attributes": 22,
    "last offset delta": 26,
    "first timestamp": 30,
    "producer id": 48,
    "count": 60,
    "records": BATCH_HEADER_BYTES + 200,
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_a_rotten_batch_is_never_served(stopped: Filled, place: int):
    filled = stopped
    segment = filled.segments(ROTTEN)[1]
    at, base = batches(segment)[2]
    flip(segment, at + place, 0x01)
    filled.broker.start()

    entries, error = read_until_error(filled, ROTTEN, 0)

    assert_clean_prefix(filled, entries)
    assert error is not None, "no error came"
    assert error.code() == KafkaError.INVALID_MSG, f"{error.code()}: {error}"
    # A read that runs into the batch fails as a whole, so it may end at the segment's beginning.
    assert int(segment.stem) - 1 <= entries[-1].offset < base, f"{len(entries)} records before the batch at {base}"
    log = filled.broker.stderr()
    assert segment.name in log and f"byte {at}" in log, f"byte {at} is not in the log:\n{filled.broker.tail()}"
    assert_others_are_whole(filled)
    # What lies behind it can be read by those who go there.
    entries, error = read_until_error(filled, ROTTEN, int(filled.segments(ROTTEN)[2].stem))
    assert error is None and entries


@pytest.mark.parametrize("left", ["nothing", "half"])
def test_a_segment_that_is_shorter_than_promised_takes_its_partition_offline(stopped: Filled, left: str):
    filled = stopped
    segment = filled.segments(ROTTEN)[1]
    if left == "half":
        os.truncate(segment, segment.stat().st_size // 2)
    else:
        segment.unlink()
    filled.broker.start()

    # librdkafka keeps the error to itself and tries again: the leader might move.
    assert read_some(filled, ROTTEN, 0, 1, seconds=SILENCE_S) == []
    assert produce_once(filled, ROTTEN) == KafkaError.KAFKA_STORAGE_ERROR
    assert segment.name in filled.broker.stderr(), filled.broker.tail()
    assert_others_are_whole(filled)
    assert all(produce_once(filled, partition) is None for partition in others())


def produce_once(filled: Filled, partition: int) -> int | None:
    """Sends one record without retries; the code of its error."""
    outcomes: list[int | None] = []
    producer = confluent_kafka.Producer({"bootstrap.servers": filled.broker.bootstrap, "retries": 0})
    report = lambda error, _message: outcomes.append(error and error.code())
    producer.produce(TOPIC, value=b"one more", partition=partition, on_delivery=report)
    assert producer.flush(READ_DEADLINE_S) == 0, "no answer"
    return outcomes[0]


def others() -> set[int]:
    return set(range(PARTITIONS)) - {ROTTEN}


def test_a_rotten_metadata_log_is_refused(stopped: Filled):
    (segment,) = sorted((stopped.broker.data_dir / "metadata").glob("*.log"))
    flip(segment, segment.stat().st_size // 2)

    said = refusal(stopped.broker)

    assert f"metadata/{segment.name}" in said and "byte " in said, said


def batches(segment: Path) -> list[tuple[int, int]]:
    """Byte and first offset of each batch."""
    raw, at, found = segment.read_bytes(), 0, []
    while at < len(raw):
        base = int.from_bytes(raw[at : at + 8], "big")
        size = int.from_bytes(raw[at + 8 : at + 12], "big") + 12
        found.append((at, base))
        at += size
    return found


def read_until_error(filled: Filled, partition: int, offset: int) -> tuple[list[Entry], KafkaError | None]:
    """Reads on until the end or the first error that is not the end."""
    deadline = Deadline(READ_DEADLINE_S)
    # Without its own CRC check: what is wrong must be found by the server.
    reader = consumer(filled.broker.bootstrap, check_crcs=False)
    entries: list[Entry] = []
    try:
        reader.assign([TopicPartition(TOPIC, partition, offset)])
        while not deadline.expired():
            for message in reader.consume(1_000, timeout=0.2):
                error = message.error()
                if error is None:
                    entries.append(Entry(message.offset(), message.key(), message.value()))
                elif error.code() == KafkaError._PARTITION_EOF:
                    return entries, None
                else:
                    return entries, error
    finally:
        reader.close()
    raise AssertionError(f"neither an error nor the end of {TOPIC}-{partition} within {READ_DEADLINE_S:g} s")


def read_some(
    filled: Filled, partition: int, offset: int, count: int, seconds: float = READ_DEADLINE_S
) -> list[confluent_kafka.Message]:
    reader = consumer(filled.broker.bootstrap)
    try:
        reader.assign([TopicPartition(TOPIC, partition, offset)])
        found = reader.consume(count, timeout=seconds)
        assert all(message.error() is None for message in found), [message.error() for message in found]
        return found
    finally:
        reader.close()


def expected(filled: Filled, partition: int) -> dict[int, Entry]:
    """What was acknowledged in a partition, by offset."""
    pairs = zip(filled.producer.sent, filled.producer.acks)
    return {ack[1]: Entry(ack[1], *sent) for sent, ack in pairs if ack is not None and ack[0] == partition}


def assert_clean_prefix(filled: Filled, entries: list[Entry]) -> None:
    wanted = expected(filled, ROTTEN)
    for number, entry in enumerate(entries):
        assert entry == wanted[number], f"offset {number} of the damaged partition is {entry}"


def assert_others_are_whole(filled: Filled) -> None:
    for partition in others():
        entries, error = read_until_error(filled, partition, 0)
        assert error is None, f"{TOPIC}-{partition}: {error}"
        assert entries == list(expected(filled, partition).values())


# Health of a server that can not serve everything.


def test_a_broken_partition_does_not_make_the_server_unready(stopped: Filled):
    segment = stopped.segments(ROTTEN)[1]
    flip(segment, batches(segment)[2][0] + PLACES["records"])
    stopped.broker.start()
    read_until_error(stopped, ROTTEN, 0)

    with urllib.request.urlopen(f"http://127.0.0.1:{stopped.broker.metrics_port}/readyz", timeout=10) as response:
        assert response.status == 200

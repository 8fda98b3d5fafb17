"""A member of a group that reads, notes what it read, and only then commits. It is killed at any moment.

    python member.py BOOTSTRAP TOPIC GROUP NOTES

Each line of NOTES is one event, written before the next thing happens:

    assigned PARTITION COMMITTED     the partition is its own from now on; -1 where nothing is committed; left out
                                     when the broker could not be asked
    read PARTITION OFFSET CHECKSUM   a record, with the CRC-32C of key and value
    committed PARTITION OFFSET       the broker confirmed the commit
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from asking import Asker
from crc32c import crc32c
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import CommitFailedError, KafkaError
from kafka.structs import OffsetAndMetadata
from protocol import NONE

SESSION_TIMEOUT_MS = 6_000
HEARTBEAT_INTERVAL_MS = 500
POLL_MS = 200
RETRY_S = 0.1
ASK_DEADLINE_S = 5.0


class Notes:
    """Where events go; each line reaches the file before the call returns."""

    def __init__(self, path: Path):
        self._file = path.open("a")
        # The listener runs in a thread of the client's.
        self._writing = threading.Lock()

    def write(self, lines: Iterable[str]) -> None:
        with self._writing:
            self._file.write("".join(f"{line}\n" for line in lines))
            self._file.flush()


class Listener(ConsumerRebalanceListener):
    """Asks for itself what is committed, before the client does."""

    def __init__(self, port: int, group: str, topic: str, notes: Notes):
        self._port = port
        self._group = group
        self._topic = topic
        self._notes = notes

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """What was read is committed already."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        numbers = sorted(it.partition for it in assigned)
        with contextlib.suppress(OSError), Asker(self._port, ASK_DEADLINE_S) as asker:
            error, offsets = asker.fetch(self._group, self._topic, max(numbers, default=-1) + 1)
            if error == NONE:
                self._notes.write(f"assigned {number} {offsets.get(number, -1)}" for number in numbers)


def main() -> None:
    bootstrap, topic, group, notes_path = sys.argv[1:]
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
        reconnect_backoff_ms=20,
        reconnect_backoff_max_ms=200,
        retry_backoff_ms=RETRY_S * 1000,
    )
    notes = Notes(Path(notes_path))
    port = int(bootstrap.rpartition(":")[2])
    consumer.subscribe([topic], listener=Listener(port, group, topic, notes))
    while True:
        try:
            step(consumer, notes)
        except CommitFailedError:
            # The group went on without this member; what it read will be read again.
            continue
        except KafkaError as error:
            # The broker is away: the next call connects again.
            print(type(error).__name__, error, file=sys.stderr)
            time.sleep(RETRY_S)


def step(consumer: KafkaConsumer, notes: Notes) -> None:
    """One poll, its records noted, its offsets committed."""
    offsets = {}
    for partition, records in consumer.poll(timeout_ms=POLL_MS).items():
        notes.write(f"read {partition.partition} {r.offset} {crc32c(r.value, crc32c(r.key))}" for r in records)
        offsets[partition] = OffsetAndMetadata(records[-1].offset + 1, "", -1)
    if offsets:
        consumer.commit(offsets)
        notes.write(f"committed {partition.partition} {it.offset}" for partition, it in offsets.items())


if __name__ == "__main__":
    main()

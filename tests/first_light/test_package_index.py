"""A real data set goes in whole and comes out whole while the server is killed under it.

Input is every record of the machine's package index: more than 50,000 records, 50 MB, keyed by package name.
Idempotent producers send it with acks=all into four partitions; three times the server gets SIGKILL with
requests in flight and is started again on the same port. Afterwards every record must be there, byte for byte,
in the order of the input within its partition, none missing and none twice.
"""

import subprocess
import threading
from collections.abc import Sequence

import pytest

from clients import packages
from clients.deadline import Deadline, wait_until
from clients.harness import Broker
from clients.packages import Package, assert_whole
from clients.producing import DURABLE, RecordingProducer
from clients.reading import Entry, create_topic, read_partitions
from clients.tools import require_tool

PARTITIONS = 4
KILLS = 3
PRODUCE_DEADLINE_S = 240.0
# Bytes that separate records, and key from value, on kcat's standard input and output.
RECORD_END = b"\x1e"
FIELD_END = b"\x1f"
FEED_RECORDS = 100


@pytest.fixture(scope="module")
def index() -> list[Package]:
    require_tool("apt-cache")
    return packages.read_index()


def test_kcat_writes_the_index_through_kills(new_broker, topic: str, kcat: str, index: list[Package]):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, PARTITIONS)

    produce_with_kcat(kcat, broker, topic, index)

    assert_whole(index, read_with_kcat(kcat, broker, topic))


def test_library_writes_the_index_through_kills(new_broker, topic: str, index: list[Package]):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, PARTITIONS)

    producer = produce_with_library(broker, topic, index)

    partitions = read_partitions(broker.bootstrap, topic, PARTITIONS)
    assert_whole(index, partitions)
    producer.assert_stored(partitions)


def test_index_survives_a_graceful_restart(new_broker, topic: str, index: list[Package]):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, PARTITIONS)
    producer = produce_with_library(broker, topic, index, kills=0)

    broker.restart()

    partitions = read_partitions(broker.bootstrap, topic, PARTITIONS)
    assert_whole(index, partitions)
    producer.assert_stored(partitions)


class KcatFeed:
    """Writes the index to kcat's standard input from a thread of its own; a blocked pipe must not block the kills."""

    def __init__(self, pipe, index: Sequence[Package]):
        self.fed = 0
        self._pipe = pipe
        self._index = index
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def running(self) -> bool:
        return self._thread.is_alive()

    def wait_for(self, count: int) -> None:
        """Returns once kcat has taken `count` records."""
        wait_until(f"kcat to take {count} records", PRODUCE_DEADLINE_S, lambda: self.fed >= count)

    def _run(self) -> None:
        try:
            for start in range(0, len(self._index), FEED_RECORDS):
                part = self._index[start : start + FEED_RECORDS]
                self._pipe.write(b"".join(p.name + FIELD_END + p.record + RECORD_END for p in part))
                self.fed = start + len(part)
            self._pipe.close()
        except BrokenPipeError:
            # kcat ended early; its exit code is checked.
            pass


def produce_with_kcat(kcat: str, broker: Broker, topic: str, index: list[Package]) -> None:
    """Feeds the index to one kcat and kills the server at even steps of the input."""
    assert not any(mark in p.name + p.record for p in index for mark in (RECORD_END, FIELD_END))
    options = [argument for key, value in DURABLE.items() for argument in ("-X", f"{key}={value}")]
    command = [kcat, "-P", "-E", "-b", broker.bootstrap, "-t", topic, *options]
    command += ["-K", FIELD_END.decode(), "-D", RECORD_END.decode()]
    errors = broker.root / "kcat.stderr"
    with errors.open("wb") as log, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log) as producer:
        try:
            feed = KcatFeed(producer.stdin, index)
            for step in range(1, KILLS + 1):
                threshold = len(index) * step // (KILLS + 1)
                feed.wait_for(threshold)
                assert feed.running(), "kcat took all input before the kill"
                broker.kill9()
                broker.start()
            code = producer.wait(PRODUCE_DEADLINE_S)
        finally:
            producer.kill()
    assert code == 0, f"kcat exited with {code}:\n{errors.read_text()[-3_000:]}"


def read_with_kcat(kcat: str, broker: Broker, topic: str) -> list[list[Entry]]:
    """All partitions of the topic as kcat prints them."""
    layout = FIELD_END.decode().join(["%p", "%o", "%k", "%s"]) + RECORD_END.decode()
    command = [kcat, "-C", "-q", "-e", "-b", broker.bootstrap, "-t", topic, "-o", "beginning", "-f", layout]
    output = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    partitions: list[list[Entry]] = [[] for _ in range(PARTITIONS)]
    for line in output.split(RECORD_END)[:-1]:
        partition, offset, key, value = line.split(FIELD_END)
        partitions[int(partition)].append(Entry(int(offset), key, value))
    return partitions


def produce_with_library(broker: Broker, topic: str, index: list[Package], kills: int = KILLS) -> RecordingProducer:
    """Sends the index, killing the server at even steps; returns the producer once all is acknowledged."""
    producer = RecordingProducer(broker.bootstrap, topic, Deadline(PRODUCE_DEADLINE_S))
    kill_at = {len(index) * step // (kills + 1) for step in range(1, kills + 1)}
    for position, package in enumerate(index):
        if position in kill_at:
            assert producer.outstanding() > 0, "nothing was in flight at the kill"
            broker.kill9()
            broker.start()
        producer.send(package.name, package.record)
    producer.flush()
    return producer

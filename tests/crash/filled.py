"""Data directories to damage: filled once, copied for every test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from killing import Assassin

from clients.deadline import Deadline
from clients.harness import Broker, ChronikBroker
from clients.journal import Directory
from clients.producing import QUEUE_RECORDS, RecordingProducer
from clients.reading import create_topic, read_partitions
from clients.serving import scratch

PROPERTIES = {"chronik.journal.bytes": str(32 << 20)}
TOPIC = "filled"
PARTITIONS = 3
SEGMENT_BYTES = 256 << 10
RECORDS = 6_000
FILL_DEADLINE_S = 60.0
CROSSING_ATTEMPTS = 20


class Filled(NamedTuple):
    """A copy of a filled directory under a broker that is not running, and what was acknowledged."""

    broker: Broker
    producer: RecordingProducer

    @property
    def directory(self) -> Directory:
        return Directory(self.broker.data_dir)

    def segments(self, partition: int) -> list[Path]:
        """The segment files of a partition, oldest first."""
        (directory,) = (self.broker.data_dir / "topics").glob(f"{TOPIC}-{partition}.*")
        return sorted(directory.glob("*.log"))

    def assert_whole(self) -> None:
        """The running broker serves everything that was acknowledged."""
        partitions = read_partitions(self.broker.bootstrap, TOPIC, PARTITIONS)
        self.producer.assert_kept(partitions)
        if self.producer.outstanding() == 0:
            self.producer.assert_stored(partitions)


def fill(broker: Broker, records: int = RECORDS) -> RecordingProducer:
    """Several segments in each partition of `TOPIC`, all of it acknowledged."""
    create_topic(broker.bootstrap, TOPIC, PARTITIONS, {"segment.bytes": str(SEGMENT_BYTES)})
    # Small batches: a segment holds many, and most frames of the journal are far from its end.
    producer = RecordingProducer(broker.bootstrap, TOPIC, Deadline(FILL_DEADLINE_S), batch_num_messages=20)
    for number in range(records):
        producer.send(b"%d" % (number % 997), b"record %d " % number * 60)
    producer.flush()
    return producer


@pytest.fixture(scope="session")
def stopped_directory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, RecordingProducer]]:
    """Filled, and stopped in peace."""
    with scratch(request.session, tmp_path_factory, "stopped") as root:
        yield _filled(root, ChronikBroker.stop)


@pytest.fixture(scope="session")
def killed_directory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, RecordingProducer]]:
    """Filled, and killed once all was acknowledged."""
    with scratch(request.session, tmp_path_factory, "killed") as root:
        yield _filled(root, ChronikBroker.kill9)


def _filled(root: Path, end: Callable[[ChronikBroker], None]) -> tuple[Path, RecordingProducer]:
    broker = ChronikBroker(root, PROPERTIES)
    broker.start()
    # A life before leaves the second generation of the checkpoint.
    broker.kill9()
    broker.start()
    producer = fill(broker)
    end(broker)
    return broker.data_dir, producer


@pytest.fixture
def stopped(stopped_directory, new_broker: Callable[..., Broker]) -> Filled:
    return _copy(stopped_directory, new_broker)


@pytest.fixture
def killed(killed_directory, new_broker: Callable[..., Broker]) -> Filled:
    return _copy(killed_directory, new_broker)


def _copy(source: tuple[Path, RecordingProducer], new_broker: Callable[..., Broker]) -> Filled:
    data_dir, producer = source
    broker = new_broker(properties=PROPERTIES)
    shutil.copytree(data_dir, broker.data_dir)
    return Filled(broker, producer)


@pytest.fixture
def crossing(new_broker: Callable[..., Broker]) -> Filled:
    """Killed with a chain that goes over from one ring file to the next.

    The ring is trimmed as soon as it does, so the kill has to come before the checkpoint is in place.
    """
    for attempt in range(CROSSING_ATTEMPTS):
        broker = new_broker(properties=PROPERTIES)
        broker.start()
        create_topic(broker.bootstrap, TOPIC, PARTITIONS)
        producer = RecordingProducer(broker.bootstrap, TOPIC, Deadline(FILL_DEADLINE_S))
        assassin = Assassin("checkpoint", broker.data_dir, attempt % 5 * 500)
        assassin.name_victim(broker)
        while not assassin.struck():
            if producer.outstanding() < QUEUE_RECORDS - 1:
                number = len(producer.sent)
                producer.send(b"%d" % (number % 997), (b"record %d " % number).ljust(1_000, b"."))
            else:
                producer.poll(0.001)
        assert assassin.reap(broker), "no checkpoint came"
        producer.abandon()
        filled = Filled(broker, producer)
        frames = filled.directory.chain().frames
        later = [frame for frame in frames if frame.path != frames[0].path]
        if later and frames[-1].completed_sequence >= later[0].link.sequence:
            return filled
    raise AssertionError(f"{CROSSING_ATTEMPTS} kills at a checkpoint, and none with a commit behind the border")

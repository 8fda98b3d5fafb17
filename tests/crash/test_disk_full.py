"""A disk that is full, on a small filesystem of its own: produce is refused early, the rest goes on, space heals."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message, Producer
from filled import Filled, fill

from clients.deadline import Deadline
from clients.harness import Broker, ChronikBroker
from clients.reading import create_topic, delete_topic

pytestmark = pytest.mark.chronik_only

DISK_BYTES = 512 << 20
# Less than the server keeps in reserve, more than its own files need to be written back.
LEFT_BYTES = 24 << 20
REFUSAL_DEADLINE_S = 60.0
HEALING_DEADLINE_S = 15.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A mounted ext4 filesystem of `DISK_BYTES`."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("NOT TESTED: a full disk needs root and mkfs.ext4")
    image, mounted = tmp_path / "disk.img", tmp_path / "mnt"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(mounted)]).returncode != 0:
        pytest.skip("NOT TESTED: a full disk needs a loop mount, which is not permitted here")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
        image.unlink()


@pytest.fixture
def broker_on_it(small_disk: Path) -> Iterator[Broker]:
    broker = ChronikBroker(small_disk / "broker", {"chronik.journal.bytes": str(32 << 20)})
    try:
        yield broker
    finally:
        if broker.process is not None:
            broker.kill9()


def test_a_full_disk_refuses_produce_and_heals(broker_on_it: Broker, small_disk: Path, record_property):
    broker = broker_on_it
    broker.start()
    filled = Filled(broker, fill(broker))
    create_topic(broker.bootstrap, "to-delete")
    create_topic(broker.bootstrap, "other")
    ballast = small_disk / "ballast"
    occupy(small_disk, ballast)

    began = time.monotonic()
    refused_after_bytes = produce_until(broker, "other", refused=True, seconds=REFUSAL_DEADLINE_S)
    refused_s = time.monotonic() - began

    # Early: nothing that was acknowledged is waiting for space, and the server is alive and reads.
    filled.assert_whole()
    delete_topic(broker.bootstrap, "to-delete")
    create_topic(broker.bootstrap, "made-while-full")
    assert broker.process.poll() is None

    ballast.unlink()
    began = time.monotonic()
    produce_until(broker, "other", refused=False, seconds=HEALING_DEADLINE_S)
    healed_s = time.monotonic() - began

    broker.kill9()
    broker.start()
    filled.assert_whole()
    broker.stop()
    refused = f"refused after {refused_after_bytes >> 20} MiB in {refused_s:.1f} s"
    record_property("full disk", f"{refused}, healed in {healed_s:.1f} s")


def test_a_kill_on_a_full_disk_loses_nothing(broker_on_it: Broker, small_disk: Path):
    broker = broker_on_it
    broker.start()
    filled = Filled(broker, fill(broker))
    ballast = small_disk / "ballast"
    occupy(small_disk, ballast)
    create_topic(broker.bootstrap, "other")
    produce_until(broker, "other", refused=True, seconds=REFUSAL_DEADLINE_S)
    broker.kill9()
    # Not one block is left for recovery.
    occupy(small_disk, small_disk / "more", left=0)

    # It starts, or it says what it lacks; it does not damage anything by trying.
    broker.spawn()
    with contextlib.suppress(AssertionError):
        broker.wait_ready()
    said = broker.stderr()
    assert "panicked" not in said, broker.tail()
    if broker.process is not None:
        broker.kill9()
    ballast.unlink()
    (small_disk / "more").unlink()
    broker.start()

    filled.assert_whole()
    broker.stop()


def occupy(disk: Path, ballast: Path, left: int = LEFT_BYTES) -> None:
    """Fills the disk with one file until `left` bytes are free."""
    room = shutil.disk_usage(disk).free - left
    if room <= 0:
        ballast.touch()
        return
    with ballast.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, room)
        except OSError:
            while True:
                try:
                    file.write(bytes(1 << 16))
                    file.flush()
                except OSError:
                    break


def produce_until(broker: Broker, topic: str, refused: bool, seconds: float) -> int:
    """Produces without retries until a record is refused for want of space, or taken; returns the bytes taken."""
    deadline = Deadline(seconds)
    # Codes, not errors: those can not be compared with None.
    outcomes: list[int | None] = []

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        outcomes.append(error and error.code())

    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", "retries": 0, "linger.ms": 5})
    value, taken = bytes(10_000), 0
    while True:
        deadline.check("a refusal" if refused else "space to be used again")
        for _ in range(100):
            producer.produce(topic, value=value, on_delivery=on_delivery)
        assert producer.flush(seconds) == 0, "no answer at all"
        taken += len(value) * outcomes.count(None)
        assert set(outcomes) <= {None, KafkaError.KAFKA_STORAGE_ERROR}, set(outcomes)
        if any(outcomes) if refused else None in outcomes:
            return taken
        outcomes.clear()

"""A disk that is full, on a small filesystem of its own: produce is refused early, the rest goes on, space heals."""

import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message, Producer
from disks import LoopDisk, broker_on, make_disk
from filled import Filled, fill
from load import PROPERTIES, Load
from senders import LEADER

from clients.deadline import Deadline
from clients.harness import Broker
from clients.reading import create_topic, delete_topic

pytestmark = [pytest.mark.chronik_only, pytest.mark.root]

DISK_BYTES = 512 << 20
# Less than the server keeps in reserve, more than its own files need to be written back.
LEFT_BYTES = 24 << 20
# What the topic holds that is deleted to make space.
FREED_BYTES = 128 << 20
FULL_FOR_S = 1.0
REFUSAL_DEADLINE_S = 60.0
HEALING_DEADLINE_S = 15.0


@pytest.fixture
def small_disk(tmp_path: Path) -> LoopDisk:
    """A mounted ext4 filesystem of `DISK_BYTES`."""
    return make_disk(tmp_path, DISK_BYTES)


@pytest.fixture
def broker_on_it(small_disk: LoopDisk, tmp_path: Path) -> Iterator[Broker]:
    with broker_on(small_disk, tmp_path / "broker", PROPERTIES) as broker:
        yield broker


def test_a_full_disk_refuses_produce_and_heals(broker_on_it: Broker, small_disk: LoopDisk, record_property):
    broker = broker_on_it
    broker.start()
    filled = Filled(broker, fill(broker))
    create_topic(broker.bootstrap, "to-delete")
    create_topic(broker.bootstrap, "other")
    ballast = small_disk.path / "ballast"
    occupy(small_disk.path, ballast)

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


def test_a_kill_on_a_full_disk_loses_nothing(broker_on_it: Broker, small_disk: LoopDisk):
    broker = broker_on_it
    broker.start()
    filled = Filled(broker, fill(broker))
    ballast = small_disk.path / "ballast"
    occupy(small_disk.path, ballast)
    create_topic(broker.bootstrap, "other")
    produce_until(broker, "other", refused=True, seconds=REFUSAL_DEADLINE_S)
    broker.kill9()
    # Not one block is left for recovery.
    occupy(small_disk.path, small_disk.path / "more", left=0)

    # It starts, or it says what it lacks; it does not damage anything by trying.
    broker.spawn()
    with contextlib.suppress(AssertionError):
        broker.wait_ready()
    said = broker.stderr()
    assert "panicked" not in said, broker.tail()
    if broker.process is not None:
        broker.kill9()
    ballast.unlink()
    (small_disk.path / "more").unlink()
    broker.start()

    filled.assert_whole()
    broker.stop()


def test_clients_of_all_kinds_outlive_a_full_disk(broker_on_it: Broker, small_disk: LoopDisk, record_property):
    broker = broker_on_it
    broker.start()
    create_topic(broker.bootstrap, "to-delete", config={"file.delete.delay.ms": "0"})
    fill_with(broker, "to-delete", FREED_BYTES)
    ballast = small_disk.path / "ballast"
    with Load(broker, "full") as load:
        load.heavy = True
        load.wait_for_work()
        rejected_s, healed_s = {}, {}
        for healing in ("deleting a topic", "freeing space", "freeing space after a kill"):
            room = FREED_BYTES // 2 if healing == "deleting a topic" else 0
            occupy(small_disk.path, ballast, left=LEFT_BYTES + room)
            refused = refusals(load)
            rejected_s[healing] = seconds_until(load, "a refusal", lambda refused=refused: refusals(load) > refused)
            stay_full(load)
            if healing == "deleting a topic":
                delete_topic(broker.bootstrap, "to-delete")
            else:
                ballast.unlink()
            if healing == "freeing space after a kill":
                broker.kill9()
                broker.start()
            acked = load.acked
            healed_s[healing] = seconds_until(load, "space to be used again", lambda acked=acked: load.acked > acked)
            load.wait_for_work()
            ballast.unlink(missing_ok=True)
        load.heavy = False
        load.finish()
        figures = load.figures()
    broker.stop()
    times = "; ".join(
        f"{how}: refused after {rejected_s[how]:.1f} s, healed in {healed_s[how]:.1f} s" for how in healed_s
    )
    record_property("full disk under load", f"{figures.acknowledged} acknowledged, 0 lost, 0 doubled; {times}")


def refusals(load: Load) -> int:
    """Records of a producer that does not try again, refused for want of space."""
    return load.of(LEADER).errors[KafkaError.KAFKA_STORAGE_ERROR]


def seconds_until(load: Load, what: str, condition) -> float:
    began = time.monotonic()
    load.wait_for(what, condition, REFUSAL_DEADLINE_S)
    return time.monotonic() - began


def stay_full(load: Load) -> None:
    """While the disk is full the server reads, lists, makes topics, and keeps the members of its groups."""
    promised = load.promised()
    load.check_ends(promised)
    create_topic(load.broker.bootstrap, f"made-while-full-{load.acked}")
    over = Deadline(FULL_FOR_S)
    load.wait_for("the time to be over", over.expired)
    load.check_ends(promised)
    assert load.broker.process.poll() is None


def fill_with(broker: Broker, topic: str, size: int) -> None:
    """So many bytes in a topic, acknowledged."""
    errors: Counter[int | None] = Counter()
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all"})
    value = os.urandom(900_000)
    for _ in range(size // len(value)):
        producer.produce(topic, value=value, on_delivery=lambda error, _: errors.update([error and error.code()]))
        # A little at a time: what waits counts as used too.
        producer.flush(REFUSAL_DEADLINE_S)
    assert producer.flush(REFUSAL_DEADLINE_S) == 0
    assert set(errors) == {None}, errors


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

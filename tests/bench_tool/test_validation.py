"""Reading back: a good run is good, and damage is found."""

import re

import pytest
from benching import FAILED, OK, Bench, bench, wait_for_records
from confluent_kafka import TopicPartition

from clients.harness import Broker
from clients.reading import ADMIN_DEADLINE_S, admin, create_topic

DRIVERS = ["librdkafka", "native"]


@pytest.mark.parametrize(
    "shape",
    [
        [],
        ["--idempotent", "--compression", "lz4"],
        ["--rate", 1_000],
        ["--connections", 3],
        ["--driver", "native"],
        ["--driver", "native", "--batch-size", 4_096, "--compression", "zstd", "--pipeline", 4],
    ],
    ids=["plain", "idempotent", "paced", "handles", "native", "native-batches"],
)
def test_a_good_run_is_good(broker: Broker, topic: str, shape: list):
    load = ["-b", broker.bootstrap, "--topic", topic, "--partitions", 3, "-d", "2s", "-c", 16]
    run = bench(*load, "--validate", *shape).expect(OK)
    assert "0 lost, 0 doubled, 0 out of order" in run.out
    # What other runs have left does not matter.
    bench(*load, "--validate", *shape).expect(OK)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_record_that_was_deleted_is_missed(broker: Broker, topic: str, tmp_path, driver: str):
    create_topic(broker.bootstrap, topic, 1)
    seconds = tmp_path / "seconds.csv"
    load = ["-b", broker.bootstrap, "--topic", topic, "-d", "1h", "-c", 4, "--driver", driver]
    run = Bench(*load, "--validate", "--csv", seconds)
    wait_for_records(seconds)
    client = admin(broker.bootstrap)
    (deleted,) = client.delete_records([TopicPartition(topic, 0, 1)]).values()
    deleted.result(ADMIN_DEADLINE_S)
    run.interrupt()
    ended = run.wait().expect(FAILED)
    assert "1 lost, 0 doubled, 0 out of order" in ended.out
    # Record 0 of whichever connection was first.
    assert re.search(r"worker/record\): \d/0$", ended.out, re.MULTILINE)


@pytest.mark.chronik_only
def test_nothing_is_lost_over_a_kill(new_broker, topic: str, tmp_path):
    broker: Broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, 3)
    seconds = tmp_path / "seconds.csv"
    load = ["-b", broker.bootstrap, "--topic", topic, "-d", "1h", "-c", 64, "--timeout", "60s"]
    run = Bench(*load, "--validate", "--idempotent", "--csv", seconds)
    wait_for_records(seconds)
    broker.kill9()
    broker.start()
    wait_for_records(seconds, after_line=len(seconds.read_text().splitlines()))
    run.interrupt()
    ended = run.wait().expect(OK)
    assert "0 lost, 0 doubled, 0 out of order" in ended.out

"""Every mode, driver and codec, and load at a fixed rate."""

import json
import os
import signal
import time

import pytest
from benching import OK, Bench, bench, measured, wait_for_records

from clients.harness import Broker
from clients.reading import create_topic

DRIVERS = ["librdkafka", "native"]
RECORDS = 5_000


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_is_produced_is_consumed(broker: Broker, topic: str, tmp_path, driver: str, codec: str):
    common = ["-b", broker.bootstrap, "--topic", topic, "--driver", driver]
    load = ["--message-count", RECORDS, "-c", 32, "-s", 100, "--partitions", 4, "--compression", codec]
    written = measured(tmp_path, *common, *load)
    read = measured(tmp_path, *common, "--mode", "consume")
    assert written["results"]["records"] == read["results"]["records"] == RECORDS
    assert written["results"]["bytes"] == RECORDS * 100
    assert read["results"]["latency"] is None


@pytest.mark.parametrize("driver", DRIVERS)
def test_consuming_ends_with_the_count(broker: Broker, topic: str, tmp_path, driver: str):
    common = ["-b", broker.bootstrap, "--topic", topic, "--driver", driver]
    bench(*common, "--message-count", RECORDS, "--partitions", 2).expect(OK)
    read = measured(tmp_path, *common, "--mode", "consume", "--message-count", 1_000)
    assert read["results"]["records"] == 1_000


def test_round_trip(broker: Broker, topic: str, tmp_path):
    load = ["--topic", topic, "--partitions", 2, "--mode", "round-trip"]
    closed = measured(tmp_path, "-b", broker.bootstrap, *load, "-c", 8, "--message-count", 1_000)
    assert closed["results"]["records"] == 1_000
    paced = measured(tmp_path, "-b", broker.bootstrap, *load, "--rate", 200, "-d", "2s", "--warmup", 0)
    # A busy machine may fall behind the rate; what is never right is to run ahead of it.
    assert 100 <= paced["results"]["records"] <= 400
    assert paced["results"]["latency"]["p50_ms"] > 0


@pytest.mark.parametrize("driver", DRIVERS)
def test_metadata(broker: Broker, topic: str, tmp_path, driver: str):
    create_topic(broker.bootstrap, topic, 3)
    asked = ["--topic", topic, "--driver", driver, "--mode", "metadata", "-c", 4, "--message-count", 500]
    found = measured(tmp_path, "-b", broker.bootstrap, *asked)
    assert found["results"]["records"] == 500
    assert found["settings"]["partitions"] == 3


def test_nothing_is_waited_for_without_acknowledgements(broker: Broker, topic: str, tmp_path):
    found = measured(tmp_path, "-b", broker.bootstrap, "--topic", topic, "--acks", 0, "--message-count", RECORDS)
    assert found["results"]["records"] == RECORDS


@pytest.mark.parametrize("driver", DRIVERS)
def test_several_connections_share_the_work(broker: Broker, topic: str, tmp_path, driver: str):
    shape = ["-c", 16, "--connections", 3, "--pipeline", 4, "--partitions", 2, "--batch-size", 4_096]
    load = ["--topic", topic, "--driver", driver, "-d", "1s", "--warmup", 0]
    found = measured(tmp_path, "-b", broker.bootstrap, *load, *shape)
    assert found["results"]["failed"] == 0
    read = measured(tmp_path, "-b", broker.bootstrap, "--topic", topic, "--mode", "consume", "--connections", 2)
    assert read["results"]["records"] == found["results"]["records"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_rate_is_kept(broker: Broker, topic: str, tmp_path, driver: str):
    load = ["--topic", topic, "--partitions", 1, "--driver", driver, "-c", 64]
    found = measured(tmp_path, "-b", broker.bootstrap, *load, "--rate", 500, "-d", "3s", "--warmup", 0)
    # A busy machine may fall behind the rate; what is never right is to run ahead of it.
    assert 500 <= found["results"]["records"] <= 1_500
    assert found["results"]["records_per_s"] <= 505


@pytest.mark.parametrize("driver", DRIVERS)
def test_records_that_had_to_wait_to_be_sent_count_their_wait(new_broker, topic: str, tmp_path, driver: str):
    broker: Broker = new_broker()
    broker.start()
    seconds = tmp_path / "seconds.csv"
    result = tmp_path / "result.json"
    load = ["--topic", topic, "--partitions", 1, "--driver", driver, "--rate", 200, "-d", "4s", "--warmup", 0]
    # One in flight: a sender that counts from when it really sends would show one slow record in all.
    run = Bench("-b", broker.bootstrap, *load, "-c", 1, "--csv", seconds, "--json", result)
    wait_for_records(seconds)
    os.kill(broker.pid, signal.SIGSTOP)
    time.sleep(1)  # The length of the pause is what is tested.
    os.kill(broker.pid, signal.SIGCONT)
    run.wait().expect(OK)
    latency = json.loads(result.read_text())["results"]["latency"]
    assert latency["max_ms"] >= 900
    # 200 of 800 records were due in the pause; one in twenty waited for most of it.
    assert latency["p95_ms"] >= 300


def test_the_warm_up_is_not_counted(broker: Broker, topic: str, tmp_path):
    create_topic(broker.bootstrap, topic, 1)
    load = ["-b", broker.bootstrap, "--topic", topic, "-c", 4]
    found = measured(tmp_path, *load, "--message-count", 100, "--warmup", "1s")
    read = measured(tmp_path, *load, "--mode", "consume")
    assert found["results"]["records"] == 100
    assert read["results"]["records"] > 100

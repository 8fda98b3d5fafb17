"""Bounds that are missed and brokers that are not there, or not any more: an exit code, and never a hang."""

import os
import signal
import socket

import pytest
from benching import BOUND_MISSED, OK, UNREACHABLE, USAGE, Bench, bench, wait_for_records

from clients.harness import Broker, ChronikBroker, free_port
from clients.reading import create_topic

DRIVERS = ["librdkafka", "native"]
TIMEOUT_S = 3
# Starting and giving up, on a busy machine.
SLACK_S = 12


def test_too_low_a_throughput_is_told_by_the_exit_code(broker: Broker, topic: str):
    load = ["-b", broker.bootstrap, "--topic", topic, "--message-count", 1_000]
    assert "--min-throughput" in bench(*load, "--min-throughput", "1000000000").expect(BOUND_MISSED).err
    assert "--max-p99" in bench(*load, "--max-p99", "1us").expect(BOUND_MISSED).err
    bench(*load, "--min-throughput", 1, "--max-p99", "60s").expect(OK)


def test_a_topic_of_other_partitions_is_refused(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic, 2)
    run = bench("-b", broker.bootstrap, "--topic", topic, "--partitions", 3).expect(USAGE)
    assert "with 2 partitions instead of 3" in run.err


def test_wrong_arguments(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic, 1)
    for arguments in (["--acks", 2], ["-c", 0], ["-X", "no.such.property=1"], ["--mode", "consume"]):
        bench("-b", broker.bootstrap, "--topic", topic, *arguments).expect(USAGE)


@pytest.mark.parametrize("driver", DRIVERS)
def test_nobody_there(driver: str):
    address = f"127.0.0.1:{free_port()}"
    run = bench("-b", address, "--driver", driver, "--timeout", f"{TIMEOUT_S}s").expect(UNREACHABLE)
    assert address in run.err and "refused" in run.err and "waiting up to" in run.err
    assert run.seconds < TIMEOUT_S + SLACK_S


def test_one_of_several_is_enough(broker: Broker, topic: str):
    dead = f"127.0.0.1:{free_port()}"
    run = bench("-b", f"{dead},{broker.bootstrap}", "--topic", topic, "--message-count", 100).expect(OK)
    assert f"warning: {dead}" in run.err


def test_a_listener_that_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        run = bench("-b", address, "--timeout", f"{TIMEOUT_S}s").expect(UNREACHABLE)
    assert address in run.err
    assert run.seconds < TIMEOUT_S + SLACK_S


@pytest.mark.chronik_only
def test_an_advertised_address_that_leads_nowhere(new_broker):
    broker: ChronikBroker = new_broker()
    nowhere = f"127.0.0.1:{free_port()}"
    broker.properties = {
        "listeners": f"PLAINTEXT://127.0.0.1:{broker.port}",
        "advertised.listeners": f"PLAINTEXT://{nowhere}",
    }
    broker.start()
    run = bench("-b", broker.bootstrap, "--timeout", f"{TIMEOUT_S}s").expect(UNREACHABLE)
    assert f"advertised as {nowhere}" in run.err


SHAPES = {
    "librdkafka": ["--driver", "librdkafka"],
    "native": ["--driver", "native"],
    "paced": ["--rate", 1_000],
    "paced-native": ["--driver", "native", "--rate", 1_000],
    "round-trip": ["--mode", "round-trip"],
    "metadata": ["--mode", "metadata"],
    "metadata-native": ["--driver", "native", "--mode", "metadata"],
}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_server_that_dies_in_the_middle(new_broker, topic: str, tmp_path, shape: list, how: signal.Signals):
    broker: Broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, 2)
    seconds = tmp_path / "seconds.csv"
    load = ["-b", broker.bootstrap, "--topic", topic, "-d", "1h", "-c", 8, "--timeout", f"{TIMEOUT_S}s"]
    run = Bench(*load, *shape, "--csv", seconds)
    wait_for_records(seconds)
    os.kill(broker.pid, how)
    try:
        ended = run.wait().expect(UNREACHABLE)
    finally:
        os.kill(broker.pid, signal.SIGCONT)
        broker.kill9()
    assert "throughput" in ended.out
    assert "acknowledged nothing" in ended.err or "a connection was lost" in ended.err

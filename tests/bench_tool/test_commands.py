"""The commands people were promised, as written but for the ports."""

import re

import pytest
from benching import BOUND_MISSED, OK, Bench, bench, wait_for_records

from clients.harness import Broker, ChronikBroker, free_port


@pytest.fixture
def three_addresses(new_broker) -> str:
    """A server that is reached under three addresses."""
    broker: ChronikBroker = new_broker()
    ports = [broker.port, free_port(), free_port()]
    names = ["A", "B", "C"]
    broker.properties = {
        "listeners": ",".join(f"{name}://localhost:{port}" for name, port in zip(names, ports)),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in names),
    }
    broker.start()
    return ",".join(f"localhost:{port}" for port in ports)


def rate_of(report: str) -> float:
    return float(re.search(r"^throughput +([\d,]+) records/s", report, re.MULTILINE)[1].replace(",", ""))


def test_one_node(broker: Broker):
    command = f"-b localhost:{broker.port} -c 2 -s 256 -d 5s --acks 1 --topic single-node-test --create-topic"
    run = bench(*command.split()).expect(OK)
    for word in ["p50", "p95", "p99", "p99.9", "max", "100.00 % succeeded", "MB/s", "client CPU"]:
        assert word in run.out
    assert rate_of(run.out) > 0


@pytest.mark.chronik_only
def test_several_bootstrap_servers(three_addresses: str):
    command = f"-b {three_addresses} -c 128 -s 256 -d 10s --acks 1 --topic perf-test-now --create-topic"
    run = bench(*command.split()).expect(OK)
    assert rate_of(run.out) > 0 and "0 failed" in run.out


@pytest.mark.chronik_only
def test_a_count_with_a_bound(three_addresses: str):
    command = f"--bootstrap-servers {three_addresses} --topic perf-test --message-count 10000 "
    command += "--concurrency 10 --acks 1 --partitions 3 --min-throughput 5000"
    run = bench(*command.split())
    # A busy machine may be slower than asked for, and then the tool has to say so.
    run.expect(OK if rate_of(run.out) >= 5000 else BOUND_MISSED)
    assert "10,000 in" in run.out


def test_a_day_is_ended_early_with_a_report(broker: Broker, tmp_path):
    command = "--duration 24h --message-count 0 --acks -1 --partitions 10 --concurrency 64"
    seconds = tmp_path / "seconds.csv"
    run = Bench(*command.split(), "-b", broker.bootstrap, "--csv", seconds)
    wait_for_records(seconds)
    run.interrupt()
    ended = run.wait().expect(OK)
    assert rate_of(ended.out) > 0 and "0 failed" in ended.out

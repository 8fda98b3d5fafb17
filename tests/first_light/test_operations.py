"""Running the server: start, stop, idle, endpoints, refusals - and kills, over and over."""

import os
import random
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from clients import wire
from clients.deadline import Deadline, wait_until
from clients.harness import Broker, ChronikBroker, server_binary
from clients.producing import RecordingProducer
from clients.reading import create_topic, read_partitions

ROUNDS = int(os.environ.get("CHRONIK_ROUNDS", "5"))
SEED = int(os.environ.get("CHRONIK_SEED", "1"))
KILL_PARTITIONS = 4
ROUND_DEADLINE_S = 60.0

IDLE_TOPICS = 10
IDLE_PARTITIONS_PER_TOPIC = 100
IDLE_WINDOW_S = 10.0
IDLE_SETTLE_S = 60.0
IDLE_CPU_SHARE = 0.001

READY_BOUND_S = 2.0
COMMAND_DEADLINE_S = 20.0


# Kills.


def test_nothing_is_lost_or_doubled_by_kills(new_broker, topic: str, record_property):
    """SIGKILL, round after round, always with unacknowledged batches of an idempotent producer in flight."""
    chance = random.Random(SEED)
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, KILL_PARTITIONS)
    producer = RecordingProducer(broker.bootstrap, topic, Deadline(ROUND_DEADLINE_S * (ROUNDS + 1)))
    recoveries = []
    for round_number in range(ROUNDS):
        send_until_in_flight(producer, round_number, chance.randrange(200, 5_000))
        broker.kill9()
        recoveries.append(broker.start())
    producer.flush()

    producer.assert_stored(read_partitions(broker.bootstrap, topic, KILL_PARTITIONS))
    slowest_ms = max(recoveries) * 1_000
    outcome = f"{len(producer.sent)} records, 0 lost, 0 doubled; slowest restart {slowest_ms:.0f} ms"
    record_property(f"{ROUNDS} SIGKILLs", outcome)


def send_until_in_flight(producer: RecordingProducer, round_number: int, count: int) -> None:
    """Sends `count` records, then goes on until some of this round are acknowledged and some are not."""
    acked_before = producer.acked_count
    deadline = Deadline(ROUND_DEADLINE_S)
    sent = 0
    while sent < count or producer.acked_count == acked_before or producer.outstanding() == 0:
        deadline.check(f"acknowledgements in round {round_number}")
        number = len(producer.sent)
        producer.send(f"{number % 1_000}".encode(), f"round {round_number} record {number} ".encode() * 8)
        sent += 1


def test_everything_survives_kills_of_an_idle_server(new_broker, topic: str):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, KILL_PARTITIONS)
    producer = RecordingProducer(broker.bootstrap, topic, Deadline(ROUND_DEADLINE_S))
    for number in range(1_000):
        producer.send(str(number).encode(), b"x" * 100)
    producer.flush()

    for _ in range(3):
        broker.kill9()
        broker.start()
        producer.assert_stored(read_partitions(broker.bootstrap, topic, KILL_PARTITIONS))


# Start and stop.


@pytest.mark.chronik_only
def test_an_empty_directory_is_ready_soon(new_broker, record_property):
    seconds = new_broker().start()

    record_property("ready on an empty directory", f"{seconds * 1_000:.0f} ms")
    assert seconds < READY_BOUND_S


@pytest.mark.chronik_only
def test_sigterm_ends_gracefully_with_clients_connected(new_broker):
    broker = new_broker()
    broker.start()
    with wire.Connection(broker.port) as idle, wire.Connection(broker.port) as half_sent:
        idle.send(wire.API_VERSIONS, 0, 1)
        idle.receive()
        half_sent.sock.sendall(wire.request(wire.API_VERSIONS, 0, 2)[:6])

        broker.stop()

        assert idle.closed_by_peer()


@pytest.mark.chronik_only
def test_port_0_is_picked_and_printed(tmp_path: Path):
    broker = ChronikBroker(tmp_path, pick_port=True)
    try:
        broker.start()
        assert broker.port != 0
    finally:
        broker.close()


@pytest.mark.chronik_only
def test_a_second_server_on_the_same_directory_is_refused(new_broker, tmp_path: Path):
    first = new_broker()
    first.start()
    second = ChronikBroker(tmp_path)
    second.data_dir = first.data_dir

    refusal = run_refused(second.command())

    assert str(first.data_dir) in refusal, refusal
    assert any(word in refusal.lower() for word in ("in use", "locked", "another")), refusal
    assert wire.api_versions(first.port), "the first server was disturbed"


@pytest.mark.chronik_only
def test_a_port_in_use_is_refused(new_broker, tmp_path: Path):
    first = new_broker()
    first.start()
    second = ChronikBroker(tmp_path)
    second.port = first.port

    refusal = run_refused(second.command())

    assert str(first.port) in refusal, refusal


@pytest.mark.chronik_only
@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["--kafka-prot", "9092", "standalone"], "--kafka-port"),
        (["standalon"], "standalone"),
    ],
    ids=["flag", "subcommand"],
)
def test_an_unknown_argument_is_refused_with_a_suggestion(arguments: list[str], suggestion: str):
    assert suggestion in run_refused([str(server_binary()), *arguments])


@pytest.mark.chronik_only
def test_an_unknown_config_key_is_refused_with_a_suggestion(tmp_path: Path):
    broker = ChronikBroker(tmp_path, {"auto.create.topic.enable": "false"})

    refusal = run_refused(broker.command())

    assert "auto.create.topic.enable" in refusal and "auto.create.topics.enable" in refusal, refusal


def run_refused(command: list[str]) -> str:
    """What a command that must fail printed on stderr, without a panic."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_DEADLINE_S)
    assert result.returncode != 0, f"{command} succeeded"
    assert result.returncode > 0, f"{command} was ended by signal {-result.returncode}"
    assert "panicked" not in result.stderr, result.stderr
    return result.stderr


# Idle.


@pytest.mark.chronik_only
def test_an_idle_server_does_nothing(new_broker, topic: str, record_property):
    """1,000 partitions, every one written to once, then no request: no write, no log line, no CPU."""
    broker = new_broker()
    broker.start()
    names = [f"{topic}-{number}" for number in range(IDLE_TOPICS)]
    for name in names:
        create_topic(broker.bootstrap, name, IDLE_PARTITIONS_PER_TOPIC)
        producer = RecordingProducer(broker.bootstrap, name, Deadline(ROUND_DEADLINE_S))
        for number in range(IDLE_PARTITIONS_PER_TOPIC * 10):
            producer.send(str(number).encode(), b"x" * 100)
        producer.flush()
        del producer
    wait_until_settled(broker)

    written, log, cpu_ns = write_bytes(broker.pid), broker.stderr(), cpu_time_ns(broker.pid)
    time.sleep(IDLE_WINDOW_S)
    used_ns = cpu_time_ns(broker.pid) - cpu_ns

    assert write_bytes(broker.pid) == written, "wrote while idle"
    assert broker.stderr() == log, "logged while idle"
    share = used_ns / (IDLE_WINDOW_S * 1e9)
    record_property(f"idle with {IDLE_TOPICS * IDLE_PARTITIONS_PER_TOPIC} partitions", f"{share:.4%} of a core")
    assert share < IDLE_CPU_SHARE


def wait_until_settled(broker: Broker) -> None:
    """Waits for write-back and closed connections: two seconds without a write."""
    last = (write_bytes(broker.pid), time.monotonic())

    def quiet() -> bool:
        nonlocal last
        written = write_bytes(broker.pid)
        if written != last[0]:
            last = (written, time.monotonic())
        return time.monotonic() - last[1] > 2.0

    wait_until("the server to finish its writes", IDLE_SETTLE_S, quiet)


def write_bytes(pid: int) -> int:
    """Bytes this process has caused to be sent to the storage layer."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"])


def cpu_time_ns(pid: int) -> int:
    """CPU time of all threads; unlike utime and stime not rounded to clock ticks."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


# Endpoints.


@pytest.mark.chronik_only
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_http_endpoints_answer(broker: Broker, path: str):
    status, body = get(broker, path)

    assert status == 200, body
    if path == "/metrics":
        assert "# TYPE " in body and "chronik_" in body


@pytest.mark.chronik_only
def test_metrics_count_what_is_produced(broker: Broker, topic: str):
    create_topic(broker.bootstrap, topic)
    _, before = get(broker, "/metrics")
    producer = RecordingProducer(broker.bootstrap, topic, Deadline(ROUND_DEADLINE_S))
    for number in range(100):
        producer.send(str(number).encode(), b"x")
    producer.flush()

    _, after = get(broker, "/metrics")

    assert samples(after) != samples(before)
    assert all(float(value) >= 0 for value in samples(after).values() if value not in ("NaN", "+Inf"))


def get(broker: Broker, path: str) -> tuple[int, str]:
    assert isinstance(broker, ChronikBroker)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{broker.metrics_port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def samples(text: str) -> dict[str, str]:
    """Series and value of each sample line of the text format."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def test_the_first_request_after_the_start_is_served(new_broker, topic: str):
    """An answer to ApiVersions means ready: no first request that has to be tried again."""
    for _ in range(3):
        broker = new_broker()
        broker.start()
        create_topic(broker.bootstrap, topic)
        broker.stop()

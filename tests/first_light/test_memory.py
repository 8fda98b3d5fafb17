"""The memory budget: what clients can make large stays bounded, and the others keep working meanwhile."""

import os
import re
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from clients import raw, wire
from clients.deadline import wait_until
from clients.harness import ChronikBroker
from clients.metrics import scrape
from clients.reading import create_topic

pytestmark = pytest.mark.chronik_only

# The default budget is 128 MiB; what the allocator keeps for later comes on top.
RSS_BOUND_MIB = 150
PARTITIONS = 4
LARGE_BATCH_BYTES = 1_000_000
SMALL_BATCH_BYTES = 16_000
STORED_BYTES = 200_000_000
IN_FLIGHT = 4
SLOW_CONSUMERS = 100
GREEDY_FETCH_BYTES = 50 << 20
BURST_CONNECTIONS = 64
BURSTS = 4
FIRST_CONNECTIONS = 1_000
IDLE_CONNECTIONS = 5_000
IDLE_CONNECTION_BOUND_BYTES = 4_096
# What a well-behaved client may have to wait while others are stuck.
PATIENCE_S = 30.0


def memory_mib(broker: ChronikBroker, field: str = "VmHWM") -> float:
    """Resident memory of the server in MiB: its peak, or with VmRSS that of now."""
    status = Path(f"/proc/{broker.pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1_024


def held_bytes(broker: ChronikBroker) -> dict[str, int]:
    """What the server says it holds memory for."""
    kind = re.compile(r'chronik_memory_held_bytes\{kind="(\w+)"\}')
    found = ((kind.fullmatch(name), value) for name, value in scrape(broker).items())
    return {match[1]: int(value) for match, value in found if match}


def store(broker: ChronikBroker, topic: str, batch: bytes, count: int) -> None:
    """Produces one batch `count` times through one connection, over all partitions in turn."""
    with wire.Connection(broker.port, PATIENCE_S) as connection:
        for number in range(count + IN_FLIGHT):
            if number < count:
                connection.sock.sendall(raw.produce_request(topic, number % PARTITIONS, batch))
            if number >= IN_FLIGHT:
                _, answer = connection.receive()
                assert raw.produce_error(answer) == wire.ERROR_NONE


def fetched_bytes(broker: ChronikBroker, topic: str, partition: int) -> int:
    """What one fetch from the start of a partition brings."""
    with wire.Connection(broker.port, PATIENCE_S) as connection:
        connection.sock.sendall(raw.fetch_request(topic, partition, 0, 1 << 20))
        _, answer = connection.receive()
    return len(answer)


@contextmanager
def greedy_and_deaf(broker: ChronikBroker, topic: str) -> Iterator[list[socket.socket]]:
    """Consumers that ask for much and never read."""
    sockets = []
    try:
        for number in range(SLOW_CONSUMERS):
            sockets.append(socket.create_connection(("127.0.0.1", broker.port), PATIENCE_S))
            sockets[-1].sendall(raw.fetch_request(topic, number % PARTITIONS, 0, GREEDY_FETCH_BYTES))
        yield sockets
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize("batch_bytes", [LARGE_BATCH_BYTES, SMALL_BATCH_BYTES])
def test_consumers_that_never_read_cost_others_nothing(new_broker, topic: str, batch_bytes: int, record_property):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, PARTITIONS)
    batch = raw.record_batch(os.urandom(batch_bytes))
    store(broker, topic, batch, STORED_BYTES // batch_bytes)
    # What was checked since the start leaves as ranges of files, which take no memory.
    broker.restart()

    with greedy_and_deaf(broker, topic):
        wait_until("the consumers' replies", PATIENCE_S, lambda: held_bytes(broker)["cold_reads"] > 0)
        for _ in range(3):
            # What stays in memory for the deaf is let go by the tail meanwhile.
            store(broker, topic, batch, 20_000_000 // batch_bytes)
            for partition in range(PARTITIONS):
                assert fetched_bytes(broker, topic, partition) > batch_bytes
    peak = memory_mib(broker)
    record_property(f"peak memory, {SLOW_CONSUMERS} deaf consumers, {batch_bytes} B batches", f"{peak:.0f} MiB")
    assert peak < RSS_BOUND_MIB
    wait_until("their memory to come back", PATIENCE_S, lambda: held_bytes(broker)["cold_reads"] == 0)


def test_many_large_batches_at_once_are_all_stored(new_broker, topic: str, record_property):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, PARTITIONS)
    batch = raw.record_batch(os.urandom(LARGE_BATCH_BYTES))
    failures: list[object] = []

    def send(connection: wire.Connection, partition: int) -> None:
        try:
            connection.sock.sendall(raw.produce_request(topic, partition, batch))
            failures.extend(filter(None, [raw.produce_error(connection.receive()[1])]))
        except OSError as error:
            failures.append(error)

    connections = [wire.Connection(broker.port, PATIENCE_S) for _ in range(BURST_CONNECTIONS)]
    for _ in range(BURSTS):
        numbered = enumerate(connections)
        threads = [threading.Thread(target=send, args=(one, number % PARTITIONS)) for number, one in numbered]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for connection in connections:
        connection.close()

    assert failures == []
    peak = memory_mib(broker)
    record_property(f"peak memory, {BURST_CONNECTIONS} batches of 1 MB at once", f"{peak:.0f} MiB")
    assert peak < RSS_BOUND_MIB


def test_senders_that_stop_half_way_give_way(new_broker, topic: str):
    """Each holds a place for 1 MB of the budget and never sends the rest."""
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, PARTITIONS)
    batch = raw.record_batch(os.urandom(LARGE_BATCH_BYTES))
    half = raw.produce_request(topic, 0, batch)[: LARGE_BATCH_BYTES // 2]

    stuck = [wire.Connection(broker.port, PATIENCE_S) for _ in range(SLOW_CONSUMERS)]
    senders = [threading.Thread(target=send_if_open, args=(one.sock, half)) for one in stuck]
    for sender in senders:
        sender.start()
    store(broker, topic, batch, 10)

    for one in stuck:
        with suppress(OSError):  # The server was first.
            one.sock.shutdown(socket.SHUT_RDWR)
    for sender in senders:
        sender.join()
    for one in stuck:
        one.close()
    assert memory_mib(broker) < RSS_BOUND_MIB
    wait_until("their memory to come back", PATIENCE_S, lambda: held_bytes(broker)["large_requests"] == 0)


def send_if_open(sock: socket.socket, content: bytes) -> None:
    with suppress(OSError):  # The server took the place away, or the test is over.
        sock.sendall(content)


def test_a_request_as_large_as_the_limit_is_served_alone(new_broker, topic: str):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, partitions=100)
    batch = raw.record_batch(os.urandom(LARGE_BATCH_BYTES))
    large = raw.produce_requests(topic, dict.fromkeys(range(100), batch))

    with wire.Connection(broker.port, PATIENCE_S) as connection, wire.Connection(broker.port, PATIENCE_S) as other:
        for _ in range(2):
            connection.sock.sendall(large)
            other.sock.sendall(raw.produce_request(topic, 0, batch))
            for one in (connection, other):
                assert raw.produce_error(one.receive()[1]) == wire.ERROR_NONE


def test_a_request_beyond_the_budget_is_refused(new_broker, topic: str):
    broker = new_broker(properties={"chronik.memory.bytes": str(64 << 20)})
    broker.start()
    create_topic(broker.bootstrap, topic, 1, {"max.message.bytes": "100000000"})

    with wire.Connection(broker.port, PATIENCE_S) as connection:
        request = raw.produce_request(topic, 0, raw.record_batch(os.urandom(90_000_000)))
        send_if_open(connection.sock, request)
        assert connection.closed_by_peer()
    wait_until("a line about it", PATIENCE_S, lambda: f"the limit is {64 << 20}" in broker.stderr())


def test_an_idle_connection_costs_little(new_broker, record_property):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (min(hard, max(soft, FIRST_CONNECTIONS + IDLE_CONNECTIONS + 1_000)), hard)
    )
    broker = new_broker()
    broker.start()
    sockets: list[socket.socket] = []

    def connect(count: int) -> None:
        for _ in range(count):
            sockets.append(socket.create_connection(("127.0.0.1", broker.port), PATIENCE_S))
            sockets[-1].sendall(wire.request(wire.API_VERSIONS, 0, 1))
        for one in sockets[-count:]:
            assert one.recv(1_000)

    # What the server needs once, whatever the number of connections, is not theirs.
    connect(FIRST_CONNECTIONS)
    before = memory_mib(broker, "VmRSS")
    connect(IDLE_CONNECTIONS)
    each = (memory_mib(broker, "VmRSS") - before) * (1 << 20) / IDLE_CONNECTIONS
    for one in sockets:
        one.close()

    record_property("memory of an idle connection", f"{each:.0f} B")
    assert each < IDLE_CONNECTION_BOUND_BYTES

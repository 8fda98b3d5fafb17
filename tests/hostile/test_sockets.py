"""Sockets that do nothing, little, or everything at once."""

import os
import resource
import select
import socket
import struct
import threading
import time
from contextlib import suppress

import pytest
from good_client import good_client, quiet_p99_ms
from watching import assert_patient, assert_unharmed

from clients import raw, wire
from clients.reading import create_topic

pytestmark = pytest.mark.chronik_only

PATIENCE_S = 60.0
QUIET_S = 2.0
DEFAULT_BUDGET_MIB = 128
STILL_CONNECTIONS = 3_000
DRIBBLERS = 100
DEAF = 100
GREEDY_FETCH_BYTES = 50 << 20
# Requests in flight are twenty times what the server may hold in all.
OVERLOAD = 20
SMALL_BUDGET_MIB = 64
LARGE_BATCH_BYTES = 900_000
OVERLOAD_CONNECTIONS = 64


def test_idle_and_half_open_sockets(new_broker, topic: str, record_property):
    """A third says nothing, a third stops inside a frame, a third has closed its own half."""
    allow_files(2 * STILL_CONNECTIONS + 500)
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic)
    before = quiet_p99_ms(broker.port, topic, QUIET_S)

    sockets = []
    with good_client(broker.port, topic) as client:
        for number in range(STILL_CONNECTIONS):
            one = socket.create_connection(("127.0.0.1", broker.port), PATIENCE_S)
            if number % 3 == 1:
                one.sendall(struct.pack(">ihh", 1_000, 18, 3))
            elif number % 3 == 2:
                one.sendall(struct.pack(">ihh", 100_000, 0, 3))
                one.shutdown(socket.SHUT_WR)
            sockets.append(one)
    for one in sockets:
        one.close()
    record_property("a good client beside still sockets", assert_patient(before, client))
    peak = assert_unharmed(broker, DEFAULT_BUDGET_MIB)
    record_property(f"peak memory, {STILL_CONNECTIONS} still sockets", f"{peak:.0f} MiB")


def test_one_byte_at_a_time(new_broker, topic: str, record_property):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic)
    before = quiet_p99_ms(broker.port, topic, QUIET_S)

    request = raw.produce_request(topic, 0, raw.record_batch(b"slowly"))
    dribblers = [wire.Connection(broker.port, PATIENCE_S) for _ in range(DRIBBLERS)]
    with good_client(broker.port, topic) as client:
        for at in range(len(request)):
            for one in dribblers:
                one.sock.sendall(request[at : at + 1])
        for one in dribblers:
            assert raw.produce_error(one.receive()[1]) == wire.ERROR_NONE
            one.close()
    record_property("a good client beside dribblers", assert_patient(before, client))
    assert_unharmed(broker, DEFAULT_BUDGET_MIB)


def test_readers_that_do_not_read(new_broker, topic: str, record_property):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic, 2)
    before = quiet_p99_ms(broker.port, topic, QUIET_S)
    with wire.Connection(broker.port, PATIENCE_S) as connection:
        for _ in range(60):
            connection.sock.sendall(raw.produce_request(topic, 1, raw.record_batch(os.urandom(LARGE_BATCH_BYTES))))
            assert raw.produce_error(connection.receive()[1]) == wire.ERROR_NONE

    deaf = [socket.create_connection(("127.0.0.1", broker.port), PATIENCE_S) for _ in range(DEAF)]
    with good_client(broker.port, topic) as client:
        for one in deaf:
            for _ in range(4):
                one.sendall(raw.fetch_request(topic, 1, 0, GREEDY_FETCH_BYTES))
        time.sleep(QUIET_S)
    for one in deaf:
        one.close()
    record_property("a good client beside the deaf", assert_patient(before, client))
    peak = assert_unharmed(broker, DEFAULT_BUDGET_MIB)
    record_property(f"peak memory, {DEAF} deaf readers", f"{peak:.0f} MiB")


def test_twenty_times_what_fits(new_broker, topic: str, record_property):
    """Every request is large and complete; all of them together are twenty times the memory that there is."""
    broker = new_broker(properties={"chronik.memory.bytes": str(SMALL_BUDGET_MIB << 20)})
    broker.start()
    create_topic(broker.bootstrap, topic, 4)
    before = quiet_p99_ms(broker.port, topic, QUIET_S)
    batch = raw.record_batch(os.urandom(LARGE_BATCH_BYTES))
    each = (OVERLOAD * SMALL_BUDGET_MIB << 20) // (OVERLOAD_CONNECTIONS * LARGE_BATCH_BYTES) + 1
    failures: list[object] = []
    senders = [
        threading.Thread(target=overload, args=(broker.port, topic, 1 + number % 3, batch, each, failures))
        for number in range(OVERLOAD_CONNECTIONS)
    ]
    with good_client(broker.port, topic) as client:
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert failures == []
    record_property(f"a good client beside {OVERLOAD} times what fits", assert_patient(before, client))
    peak = assert_unharmed(broker, SMALL_BUDGET_MIB)
    record_property(f"peak memory, {OVERLOAD} times {SMALL_BUDGET_MIB} MiB", f"{peak:.0f} MiB")


def overload(port: int, topic: str, partition: int, batch: bytes, count: int, failures: list[object]) -> None:
    """Sends as fast as the server takes it, and reads answers only in between."""
    request = raw.produce_request(topic, partition, batch)
    try:
        with wire.Connection(port, PATIENCE_S) as connection:
            waiting = 0
            for _ in range(count):
                connection.sock.sendall(request)
                waiting += 1
                while waiting and select.select([connection.sock], [], [], 0)[0]:
                    failures.extend(filter(None, [raw.produce_error(connection.receive()[1])]))
                    waiting -= 1
            for _ in range(waiting):
                failures.extend(filter(None, [raw.produce_error(connection.receive()[1])]))
    except OSError as error:
        failures.append(error)


def allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count)), hard))

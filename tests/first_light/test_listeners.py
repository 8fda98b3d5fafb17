"""Several listeners: each client is told the address of the one it came in on."""

import subprocess

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition

from clients import wire
from clients.harness import ChronikBroker, free_port
from clients.reading import ADMIN_DEADLINE_S, admin, create_topic, messages

pytestmark = pytest.mark.chronik_only

DELIVERY_DEADLINE_S = 20.0
COMMAND_DEADLINE_S = 20.0
BOTH_PLAINTEXT = "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT"


@pytest.fixture
def two_sided(new_broker) -> tuple[ChronikBroker, dict[str, str]]:
    """A server with two listeners, and what clients of each are to be told, by the name of the listener."""
    broker = new_broker()
    addresses = {"INSIDE": f"127.0.0.1:{broker.port}", "OUTSIDE": f"127.0.0.2:{free_port()}"}
    broker.properties = {
        "listeners": ",".join(f"{name}://{address}" for name, address in addresses.items()),
        "listener.security.protocol.map": BOTH_PLAINTEXT,
    }
    broker.start()
    return broker, addresses


def test_clients_are_told_the_address_of_their_own_listener(two_sided):
    _broker, addresses = two_sided
    for name, address in addresses.items():
        (told,) = admin(address).list_topics(timeout=ADMIN_DEADLINE_S).brokers.values()
        assert f"{told.host}:{told.port}" == address, name
        # The client must outlive its future: destroying it fails the request.
        client = admin(address)
        described = client.describe_cluster().result(ADMIN_DEADLINE_S)
        assert [f"{node.host}:{node.port}" for node in described.nodes] == [address], name


def test_kcat_sees_the_listener_it_asked(two_sided, kcat: str):
    _broker, addresses = two_sided
    for address in addresses.values():
        listing = subprocess.run(
            [kcat, "-b", address, "-L"], capture_output=True, text=True, check=True, timeout=COMMAND_DEADLINE_S
        ).stdout
        assert f"at {address}" in listing, listing
        others = [other for other in addresses.values() if other != address]
        assert not any(other in listing for other in others), listing


def test_what_is_written_outside_is_read_inside(two_sided, topic: str):
    _broker, addresses = two_sided
    create_topic(addresses["INSIDE"], topic)
    producer = confluent_kafka.Producer({"bootstrap.servers": addresses["OUTSIDE"]})
    producer.produce(topic, b"from outside")
    assert producer.flush(DELIVERY_DEADLINE_S) == 0

    (record,) = messages(addresses["INSIDE"], [TopicPartition(topic, 0, 0)])
    assert record.value() == b"from outside"


def test_every_listener_is_announced(two_sided):
    broker, addresses = two_sided
    for address in addresses.values():
        assert address in broker.stderr()


def test_a_wildcard_and_a_chosen_port_are_resolved_for_each_listener(new_broker):
    broker = new_broker()
    outside_port = free_port()
    broker.properties = {
        "listeners": f"INSIDE://127.0.0.1:{broker.port},OUTSIDE://:{outside_port}",
        "advertised.listeners": f"OUTSIDE://127.0.0.2:{outside_port}",
        "listener.security.protocol.map": BOTH_PLAINTEXT,
    }
    broker.start()

    (told,) = admin(f"127.0.0.3:{outside_port}").list_topics(timeout=ADMIN_DEADLINE_S).brokers.values()
    assert (told.host, told.port) == ("127.0.0.2", outside_port)
    (told,) = admin(broker.bootstrap).list_topics(timeout=ADMIN_DEADLINE_S).brokers.values()
    assert f"{told.host}:{told.port}" == broker.bootstrap


@pytest.mark.parametrize(
    ("listeners", "protocols", "reason"),
    [
        ("INSIDE://127.0.0.1:{0},OUTSIDE://127.0.0.2:{0}", BOTH_PLAINTEXT, "two listeners have port {0}"),
        ("INSIDE://127.0.0.1:{0},OUTSIDE://127.0.0.2:{1}", "INSIDE:PLAINTEXT,OUTSIDE:SSL", "OUTSIDE: SSL is not built"),
    ],
    ids=["one-port", "tls"],
)
def test_listeners_that_can_not_be_served_are_refused(new_broker, listeners: str, protocols: str, reason: str):
    broker = new_broker()
    ports = (broker.port, free_port())
    broker.properties = {"listeners": listeners.format(*ports), "listener.security.protocol.map": protocols}

    refused = subprocess.run(broker.command(), capture_output=True, text=True, timeout=COMMAND_DEADLINE_S)

    assert refused.returncode != 0
    assert reason.format(*ports) in refused.stderr, refused.stderr


def test_a_second_listener_on_a_port_in_use_is_refused(new_broker):
    first = new_broker()
    first.start()
    second = new_broker()
    second.properties = {
        "listeners": f"INSIDE://127.0.0.1:{second.port},OUTSIDE://127.0.0.1:{first.port}",
        "listener.security.protocol.map": BOTH_PLAINTEXT,
    }

    refused = subprocess.run(second.command(), capture_output=True, text=True, timeout=COMMAND_DEADLINE_S)

    assert refused.returncode != 0
    assert f"cannot listen on 127.0.0.1:{first.port}" in refused.stderr, refused.stderr
    assert "for OUTSIDE in listeners" in refused.stderr, refused.stderr
    assert wire.api_versions(first.port), "the first server was disturbed"

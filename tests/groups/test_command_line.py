"""The commands about groups: list, describe, reset-offsets, delete, and consuming as a member."""

import json
import subprocess
from pathlib import Path

import pytest
from confluent_kafka import Producer

from clients.deadline import wait_until
from clients.harness import Broker, server_binary
from clients.reading import create_topic

pytestmark = pytest.mark.chronik_only

RECORDS = 40
PARTITIONS = 4
DEADLINE_S = 30.0


@pytest.fixture
def filled(eager_broker: Broker, topic: str) -> str:
    """A topic with ten records in each of its partitions."""
    create_topic(eager_broker.bootstrap, topic, PARTITIONS)
    producer = Producer({"bootstrap.servers": eager_broker.bootstrap})
    for number in range(RECORDS):
        producer.produce(topic, value=b"%d" % number, partition=number % PARTITIONS)
    assert producer.flush(DEADLINE_S) == 0
    return topic


def test_a_group_reads_once_and_goes_on_where_it_was(eager_broker: Broker, filled: str):
    group = f"{filled}-reader"

    first = consume(eager_broker, filled, group, "-n", "15")
    rest = consume(eager_broker, filled, group, "--exit-at-end")

    assert sorted(map(int, first + rest)) == list(range(RECORDS))
    assert consume(eager_broker, filled, group, "--exit-at-end") == []
    described = describe(eager_broker, group)
    assert (described["state"], described["type"], described["lag"]) == ("Empty", "classic", 0)
    assert [row["committed"] for row in described["partitions"]] == [RECORDS // PARTITIONS] * PARTITIONS


def test_two_members_share_the_partitions(eager_broker: Broker, filled: str):
    group = f"{filled}-pair"
    command = arguments(eager_broker, "consume", filled, "--group", group, "--timeout", "20s")
    members = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(2)]
    try:

        def shared() -> bool:
            listed = run(eager_broker, "group", "list", "-o", "json")
            if not any(row["group"] == group and row["state"] == "Stable" for row in json.loads(listed)):
                return False
            return sorted(member["partitions"] for member in describe(eager_broker, group)["members"]) == [2, 2]

        wait_until("two members with two partitions each", DEADLINE_S, shared)
        refused = failed(eager_broker, "group", "delete", group)
        assert "NON_EMPTY_GROUP" in refused, refused
        refused = failed(eager_broker, "group", "reset-offsets", group, "--topic", filled, "--to-earliest", "--execute")
        assert "members" in refused, refused
    finally:
        for member in members:
            member.kill()
            member.wait()


def test_offsets_are_moved_only_when_told_to(eager_broker: Broker, filled: str):
    group = f"{filled}-moved"
    consume(eager_broker, filled, group, "--exit-at-end")

    run(eager_broker, "group", "reset-offsets", group, "--all-topics", "--to-earliest")
    assert describe(eager_broker, group)["lag"] == 0

    for where, lag in (
        (("--to-earliest",), RECORDS),
        (("--to-offset", "7"), 3 * PARTITIONS),
        (("--shift-by", "-2"), 5 * PARTITIONS),
        (("--to-timestamp", "0"), RECORDS),
        (("--to-latest",), 0),
    ):
        run(eager_broker, "group", "reset-offsets", group, "--all-topics", *where, "--execute")
        assert describe(eager_broker, group)["lag"] == lag, where
    one = f"{filled}:1"
    run(eager_broker, "group", "reset-offsets", group, "--topic", one, "--to-earliest", "--execute")
    assert describe(eager_broker, group)["lag"] == RECORDS // PARTITIONS


def test_a_deleted_group_is_gone(eager_broker: Broker, filled: str):
    group = f"{filled}-gone"
    consume(eager_broker, filled, group, "--exit-at-end")

    run(eager_broker, "group", "delete", group)

    assert group not in run(eager_broker, "group", "list")
    assert "GROUP_ID_NOT_FOUND" in failed(eager_broker, "group", "describe", group)


def test_a_described_topic_has_offsets_and_sizes(eager_broker: Broker, filled: str):
    (described,) = json.loads(run(eager_broker, "topic", "describe", filled, "-o", "json"))

    rows = described["partitions"]
    assert [(row["start"], row["end"]) for row in rows] == [(0, RECORDS // PARTITIONS)] * PARTITIONS
    assert all(row["bytes"] > 0 for row in rows), rows


def arguments(broker: Broker, *words: str) -> list[str]:
    return [str(Path(server_binary())), *words, "-X", broker.bootstrap]


def run(broker: Broker, *words: str) -> str:
    done = subprocess.run(arguments(broker, *words), capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def failed(broker: Broker, *words: str) -> str:
    done = subprocess.run(arguments(broker, *words), capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


def consume(broker: Broker, topic: str, group: str, *words: str) -> list[str]:
    out = run(broker, "consume", topic, "--group", group, "--from-beginning", "--format", "value", *words)
    return out.splitlines()


def describe(broker: Broker, group: str) -> dict:
    (described,) = json.loads(run(broker, "group", "describe", group, "-o", "json"))
    return described

"""What the metrics say of groups: members, states, and how far behind they are in records and in seconds."""

import time

import protocol
import pytest
from asking import Alone, Asker, wait_for_coordinators
from confluent_kafka import Producer
from protocol import Identity

from clients.harness import ChronikBroker
from clients.metrics import scrape
from clients.reading import create_topic

GROUP = "late"
RECORDS = 10
# The first record's age, and how much younger each one behind it is.
OLDEST_S = 1000
STEP_S = 100
# Between the record, the scrape and the comparison.
SLACK_S = 20
SCRAPE_DEADLINE_S = 20.0
MANY = 5_000
MOST_PER_GROUP_S = 0.0005

pytestmark = pytest.mark.chronik_only


@pytest.fixture
def lag_broker(new_broker) -> ChronikBroker:
    broker = new_broker(properties={"group.initial.rebalance.delay.ms": "0"})
    broker.start()
    return broker


def test_lag_is_what_is_ahead_of_the_commit(lag_broker: ChronikBroker, topic: str):
    create_topic(lag_broker.bootstrap, topic, 2)
    wait_for_coordinators(lag_broker.port, [GROUP])
    fill(lag_broker, topic)
    with Asker(lag_broker.port) as asker:
        for committed in (0, 4, RECORDS - 1, RECORDS):
            outsider = Identity(GROUP)
            assert asker.commit(outsider, topic, {0: committed, 1: 0}) == {0: protocol.NONE, 1: protocol.NONE}
            check_lag(lag_broker, topic, committed)
        lag_broker.restart()
        wait_for_coordinators(lag_broker.port, [GROUP])
        metrics = scrape(lag_broker)
    assert metrics[records(topic, 0)] == 0
    assert metrics[f'chronik_group_state{{group="{GROUP}",type="classic",state="Empty"}}'] == 1


def test_members_are_counted_until_they_are_gone(lag_broker: ChronikBroker):
    wait_for_coordinators(lag_broker.port, ["lonely"])
    with Alone(lag_broker.port, "lonely"):
        metrics = scrape(lag_broker)
    assert metrics['chronik_group_members{group="lonely"}'] == 1
    assert metrics['kafka_consumergroup_members{consumergroup="lonely"}'] == 1
    assert metrics['chronik_group_state{group="lonely",type="classic",state="Stable"}'] == 1


def test_many_groups_are_scraped_in_proportion(lag_broker: ChronikBroker, topic: str, record_property):
    create_topic(lag_broker.bootstrap, topic)
    # Whatever the client made up is the value of one label, and no line of its own.
    odd = 'odd"} 1\nodd\\'
    groups = [odd, *(f"scraped-{number}" for number in range(MANY))]
    wait_for_coordinators(lag_broker.port, groups[:100])
    with Asker(lag_broker.port) as asker:
        for group in groups:
            assert asker.commit(Identity(group), topic, {0: 0}) == {0: protocol.NONE}
    began = time.monotonic()
    metrics = scrape(lag_broker)
    seconds = time.monotonic() - began
    record_property("scrape", f"{MANY} groups in {seconds * 1000:.0f} ms")
    lags = [name for name in metrics if name.startswith("chronik_group_lag_records{")]
    assert len(lags) == len(groups)
    assert metrics[r'chronik_group_members{group="odd\"} 1\nodd\\"}'] == 0
    assert seconds < MANY * MOST_PER_GROUP_S


def fill(broker: ChronikBroker, topic: str) -> None:
    """Records of partition 0, each older than the one behind it and a batch of its own."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "batch.num.messages": 1})
    now_ms = int(time.time() * 1000)
    for number in range(RECORDS):
        age_ms = (OLDEST_S - STEP_S * number) * 1000
        producer.produce(topic, value=b"record", partition=0, timestamp=now_ms - age_ms)
    assert producer.flush(SCRAPE_DEADLINE_S) == 0


def check_lag(broker: ChronikBroker, topic: str, committed: int) -> None:
    metrics = scrape(broker)
    ahead = RECORDS - committed
    age_s = OLDEST_S - STEP_S * committed if ahead else 0
    assert metrics[records(topic, 0)] == ahead
    assert age_s <= metrics[seconds_behind(topic, 0)] <= age_s + (SLACK_S if ahead else 0)
    # Nothing was ever written to the other one.
    assert metrics[records(topic, 1)] == metrics[seconds_behind(topic, 1)] == 0
    assert metrics[f'chronik_group_topic_lag_records{{group="{GROUP}",topic="{topic}"}}'] == ahead
    labels = f'{{consumergroup="{GROUP}",topic="{topic}",partition="0"}}'
    assert metrics[f"kafka_consumergroup_lag{labels}"] == ahead
    assert metrics[f"kafka_consumergroup_current_offset{labels}"] == committed


def records(topic: str, partition: int) -> str:
    return f'chronik_group_lag_records{{group="{GROUP}",topic="{topic}",partition="{partition}"}}'


def seconds_behind(topic: str, partition: int) -> str:
    return f'chronik_group_lag_seconds{{group="{GROUP}",topic="{topic}",partition="{partition}"}}'

"""A journal write that fails: no acknowledgement after it, readiness says so, a restart brings back what was promised.

The failure comes from strace, which makes the n-th write of the journal thread to a ring file return EIO.
"""

import signal
import time
import urllib.error
import urllib.request

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic
from filled import PARTITIONS, PROPERTIES, TOPIC
from injecting import WRITES, FailingCalls

from clients.deadline import Deadline, wait_until
from clients.harness import Broker
from clients.metrics import scrape
from clients.producing import Sent, assert_kept
from clients.reading import admin, create_topic, read_partitions

pytestmark = pytest.mark.chronik_only

FAILURE_DEADLINE_S = 60.0
ANSWER_DEADLINE_S = 20.0
RECORDS_AFTER = 300


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("nth", [1, 2, 7, 40])
def test_a_failed_journal_write_ends_acknowledgements(new_broker, nth: int, error: str):
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    create_topic(broker.bootstrap, TOPIC, PARTITIONS)
    sent: list[Sent] = []
    acks: list[tuple[int, int] | None] = []
    before = produce(broker, sent, acks, lambda outcomes: len(outcomes) >= 200)
    assert set(before) == {None}

    with failing_writes(broker, nth, error):
        outcomes = produce(broker, sent, acks, lambda outcomes: any(outcomes))
        failed_at = next(index for index, outcome in enumerate(outcomes) if outcome)
        assert all(outcomes[failed_at:]), "acknowledged behind a failure"
        after = produce(broker, sent, acks, lambda outcomes: len(outcomes) >= RECORDS_AFTER)
    assert all(after), f"{after.count(None)} records acknowledged after the journal had failed"
    codes = {*outcomes[failed_at:], *after}
    assert codes <= {KafkaError.KAFKA_STORAGE_ERROR, KafkaError._MSG_TIMED_OUT}, codes

    status, body = ready(broker)
    assert status == 503 and "journal/" in body, f"{status} {body}"
    # What was acknowledged can still be read.
    assert_kept(sent, acks, read_partitions(broker.bootstrap, TOPIC, PARTITIONS))
    broker.kill9()
    broker.start()

    wait_until("readiness", ANSWER_DEADLINE_S, lambda: ready(broker)[0] == 200)
    assert_kept(sent, acks, read_partitions(broker.bootstrap, TOPIC, PARTITIONS))
    assert set(produce(broker, sent, acks, lambda outcomes: len(outcomes) >= 50)) == {None}
    assert_kept(sent, acks, read_partitions(broker.bootstrap, TOPIC, PARTITIONS))


def test_a_stop_with_a_failed_journal_is_not_clean(new_broker):
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    create_topic(broker.bootstrap, TOPIC, PARTITIONS)
    sent: list[Sent] = []
    acks: list[tuple[int, int] | None] = []
    produce(broker, sent, acks, lambda outcomes: len(outcomes) >= 200)
    with failing_writes(broker, 1, "EIO"):
        produce(broker, sent, acks, lambda outcomes: any(outcomes))

    broker.process.send_signal(signal.SIGTERM)
    assert broker.process.wait(FAILURE_DEADLINE_S) > 0, "a stop that could not write claims success"
    broker.kill9()
    assert not (broker.data_dir / "clean-shutdown").exists()
    broker.start()

    assert_kept(sent, acks, read_partitions(broker.bootstrap, TOPIC, PARTITIONS))


def test_controller_requests_are_refused_and_never_hang(new_broker):
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    create_topic(broker.bootstrap, TOPIC, PARTITIONS)
    with failing_writes(broker, 1, "EIO"):
        # The first to ask is the one whose entry can not be written.
        refused = [change(broker)["create"]]
        refused += change(broker).values()
    refused += change(broker).values()
    assert refused == [KafkaError.NOT_CONTROLLER] * len(refused)
    assert ready(broker)[0] == 503
    assert set(admin(broker.bootstrap).list_topics(timeout=ANSWER_DEADLINE_S).topics) == {TOPIC}
    broker.kill9()
    broker.start()

    create_topic(broker.bootstrap, "later")
    assert set(admin(broker.bootstrap).list_topics(timeout=ANSWER_DEADLINE_S).topics) == {TOPIC, "later"}


def test_a_consumer_that_asks_where_to_begin_is_told_after_the_restart(new_broker):
    """librdkafka asks again after one error code alone, and would never read with any other."""
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    create_topic(broker.bootstrap, TOPIC, 1)
    sent: list[Sent] = []
    acks: list[tuple[int, int] | None] = []
    produce(broker, sent, acks, lambda outcomes: len(outcomes) >= 50)
    reader = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "readers", "reconnect.backoff.max.ms": 100})
    reader.commit(offsets=[TopicPartition(TOPIC, 0, 20)], asynchronous=False)
    with failing_writes(broker, 1, "EIO"):
        produce(broker, sent, acks, lambda outcomes: any(outcomes))
    reader.assign([TopicPartition(TOPIC, 0)])
    asked = 'chronik_requests_total{api="OffsetFetch"}'
    wait_until("the question of the consumer", ANSWER_DEADLINE_S, lambda: scrape(broker).get(asked, 0) > 0)
    broker.kill9()
    broker.start()

    first = next_message(reader)
    assert (first.offset(), first.value()) == (20, sent[20].value)
    reader.close()


def next_message(reader: Consumer) -> Message:
    deadline = Deadline(FAILURE_DEADLINE_S)
    while True:
        message = reader.poll(0.1)
        if message is not None and message.error() is None:
            return message
        deadline.check("a record")


def change(broker: Broker) -> dict[str, int | None]:
    """The error codes of one request of each kind that only a controller can grant, each within the deadline."""
    client = admin(broker.bootstrap)
    entry = ConfigEntry("retention.ms", "1000000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, TOPIC, incremental_configs=[entry])
    began = time.monotonic()
    asked = {
        "create": client.create_topics([NewTopic("new", 1, 1)]),
        "delete": client.delete_topics([TOPIC]),
        "grow": client.create_partitions([NewPartitions(TOPIC, PARTITIONS + 1)]),
        "alter": client.incremental_alter_configs([resource]),
    }
    codes = {what: error_code(next(iter(futures.values()))) for what, futures in asked.items()}
    assert time.monotonic() - began < ANSWER_DEADLINE_S
    return codes


def error_code(future) -> int | None:
    try:
        future.result(ANSWER_DEADLINE_S)
    except KafkaException as error:
        return error.args[0].code()
    return None


def produce(broker: Broker, sent: list[Sent], acks: list[tuple[int, int] | None], enough) -> list[int | None]:
    """Produces without retries until the outcomes are enough; each outcome is the code of an error or None."""
    outcomes: list[int | None] = []
    deadline = Deadline(FAILURE_DEADLINE_S)
    config = {"acks": "all", "retries": 0, "linger.ms": 0, "batch.num.messages": 10, "message.timeout.ms": 10_000}
    producer = Producer({"bootstrap.servers": broker.bootstrap, **config})
    while not enough(outcomes):
        deadline.check("enough outcomes of produce")
        for _ in range(50):
            number = len(sent)
            sent.append(Sent(b"%d" % (number % 97), b"record %d " % number * 10))
            acks.append(None)

            def on_delivery(error: KafkaError | None, message: Message, number: int = number) -> None:
                outcomes.append(error and error.code())
                if error is None:
                    acks[number] = (message.partition(), message.offset())

            producer.produce(TOPIC, key=sent[-1].key, value=sent[-1].value, on_delivery=on_delivery)
        assert producer.flush(deadline.remaining()) == 0, "no answer at all"
    return outcomes


def failing_writes(broker: Broker, nth: int, error: str) -> FailingCalls:
    """While entered, the n-th write of the journal thread fails; afterwards the journal stays failed."""
    rings = sorted((broker.data_dir / "journal").iterdir())
    return FailingCalls(broker, rings, WRITES, f"error={error}:when={nth}")


def ready(broker: Broker) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{broker.metrics_port}/readyz", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except urllib.error.URLError as absent:
        # The endpoint comes a moment behind the listeners.
        return 0, str(absent)

"""The checks, written once against what every client can do. Their names are those of clients/suites.py."""

import contextlib
from collections.abc import Callable

from clients.deadline import wait_until
from clients.program import common, groups
from clients.program.client import Client, Outgoing, Record, Refused
from clients.program.common import (
    FIRST_TIMESTAMP_MS,
    WAIT_S,
    assert_equal,
    has_partitions,
    new_topic,
    numbered,
    present_partitions,
    refusal,
    send,
    values,
)
from clients.program.report import Settings, Skip, restart_broker, run_checks


def run(client: Client) -> None:
    """Runs all checks with one client and ends the process."""
    run_checks(client.name, client.version, checks(client))


def checks(client: Client) -> list[tuple[str, Callable[[], None]]]:
    """The checks in order, bound to the client."""
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    produce = [(f"produce-{codec}", lambda codec=codec: check_produce(client, codec)) for codec in codecs]
    others = {
        "round-trip": check_round_trip,
        "consume-from-start": check_consume_from_start,
        "consume-by-offset": check_consume_by_offset,
        "consume-by-time": check_consume_by_time,
        "group-of-two": groups.check_group_of_two,
        "group-resume-after-restart": groups.check_group_resume,
        "consumer-protocol": groups.check_consumer_protocol,
        "admin-configs": check_configs,
        "admin-partitions": check_partitions,
        "admin-delete-records": check_delete_records,
        "admin-groups": groups.check_admin_groups,
        "admin-offsets": check_offsets,
        "error-too-large": check_too_large,
        "error-unknown-topic": check_unknown_topic,
        "error-bad-version": check_bad_version,
        "error-fenced-member": groups.check_fenced_member,
        "delete-and-recreate": check_recreate,
        "idempotent-producer": check_idempotent,
        "transactions": check_transactions,
    }
    rest = [(name, lambda check=check: check(client)) for name, check in others.items()]
    return [("create-topic", lambda: check_create_topic(client)), *produce, *rest]


def check_create_topic(client: Client) -> None:
    topic = f"{Settings.prefix}created"
    client.create_topic(topic, 3)
    wait_until(f"{topic} to have 3 partitions", WAIT_S, lambda: has_partitions(client, topic, 3))
    assert_equal(sorted(client.partitions(topic)), [0, 1, 2], "partitions")
    assert_equal(refusal(lambda: client.create_topic(topic, 3)).code, common.TOPIC_ALREADY_EXISTS, "created again")


def check_produce(client: Client, codec: str) -> None:
    topic = new_topic(client)
    records = [Outgoing(b"compressible " * 40 + b"%d" % number) for number in range(5_000 if Settings.full else 500)]
    offsets = send(client, topic, records, compression=codec)
    assert_equal(offsets, list(range(len(records))), "offsets")
    got = client.read(topic, {0: 0}, len(records))
    assert_equal(values(got) == [record.value for record in records], True, "the values are those sent")


def check_round_trip(client: Client) -> None:
    topic = new_topic(client)
    binary = bytes(range(256)) if client.binary_headers else b"text"
    times = [FIRST_TIMESTAMP_MS + number if client.sets_timestamps else None for number in range(5)]
    sent = [
        Outgoing(b"value", b"key", [("one", b"1"), ("one", b"again"), ("binary", binary)], times[0]),
        Outgoing("v\u00e4lue".encode(), None, None, times[1]),
        Outgoing(None, b"tombstone", None, times[2]),
        Outgoing(b"", b"", [("empty", b"")], times[3]),
        Outgoing(b"x" * 100_000, b"k" * 1_000, None, times[4]),
    ]
    for one in sent:
        send(client, topic, [one])
    got = client.read(topic, {0: 0}, len(sent))
    for number, (out, back) in enumerate(zip(sent, got, strict=True)):
        timestamp = back.timestamp_ms if out.timestamp_ms is None else out.timestamp_ms
        expected = Record(0, number, timestamp, out.key, out.value, out.headers or [])
        assert_equal(back, expected, f"record {number}")


def check_consume_from_start(client: Client) -> None:
    partitions, count = 3, 200
    topic = new_topic(client, partitions)
    for partition in range(partitions):
        send(client, topic, numbered(count, partition))
    got = client.read(topic, dict.fromkeys(range(partitions), 0), partitions * count)
    for partition in range(partitions):
        part = [record for record in got if record.partition == partition]
        assert_equal([record.offset for record in part], list(range(count)), f"offsets of partition {partition}")
        assert_equal(values(part), [out.value for out in numbered(count, partition)], f"partition {partition}")


def check_consume_by_offset(client: Client) -> None:
    topic = new_topic(client)
    send(client, topic, numbered(300))
    # In the middle of a batch, at its first record and at the last one.
    for start in (0, 1, 157, 299):
        got = client.read(topic, {0: start}, 300 - start)
        assert_equal([record.offset for record in got], list(range(start, 300)), f"from {start}")
        assert_equal(got[0].value, b"0-%d" % start, f"the record at {start}")


def check_consume_by_time(client: Client) -> None:
    topic = new_topic(client)
    # More than one batch, so the answer takes more than the times of whole batches.
    records = numbered(100, timestamps=client.sets_timestamps)
    for first in range(0, 100, 20):
        send(client, topic, records[first : first + 20])
    times = [one.timestamp_ms for one in client.read(topic, {0: 0}, 100)]
    if client.sets_timestamps:
        assert_equal(times, [one.timestamp_ms for one in records], "timestamps")
    for asked in (times[0] - 1, times[0], times[50], times[50] + 1, times[79] + 1, times[99], times[99] + 1):
        expected = next((offset for offset, time in enumerate(times) if time >= asked), None)
        assert_equal(client.offset_at(topic, 0, asked), expected, f"first offset at {asked - times[0]} ms")
    start = client.offset_at(topic, 0, times[70])
    assert_equal(client.read(topic, {0: start}, 1)[0].timestamp_ms, times[70], "the time of the record found by it")


def check_configs(client: Client) -> None:
    topic = new_topic(client, 1, {"cleanup.policy": "compact"})
    before = client.topic_config(topic)
    assert_equal(before.get("cleanup.policy"), "compact", "cleanup.policy as created")
    assert_equal(before.get("retention.ms"), "604800000", "the default of retention.ms")
    client.alter_topic_config(topic, {"retention.ms": "3600000"})

    def altered() -> bool:
        return client.topic_config(topic).get("retention.ms") == "3600000"

    wait_until("the altered retention.ms", WAIT_S, altered)
    assert_equal(client.topic_config(topic).get("cleanup.policy"), "compact", "cleanup.policy, which was not altered")
    invalid = refusal(lambda: client.alter_topic_config(topic, {"retention.ms": "soon"}))
    assert_equal(invalid.code, common.INVALID_CONFIG, "retention.ms=soon")


def check_partitions(client: Client) -> None:
    topic = new_topic(client, 1)
    client.create_partitions(topic, 4)
    wait_until("4 partitions", WAIT_S, lambda: has_partitions(client, topic, 4))
    assert_equal(send(client, topic, numbered(5, partition=3)), list(range(5)), "offsets in the new partition")
    assert_equal(
        refusal(lambda: client.create_partitions(topic, 2)).code, common.INVALID_PARTITIONS, "fewer partitions"
    )


def check_delete_records(client: Client) -> None:
    topic = new_topic(client)
    send(client, topic, numbered(100))
    client.delete_records(topic, 0, 40)
    assert_equal(client.offsets(topic, 0), (40, 100), "offsets after the delete")
    assert_equal(client.read(topic, {0: 40}, 1)[0].value, b"0-40", "the first record left")
    beyond = refusal(lambda: client.delete_records(topic, 0, 1_000))
    assert_equal(beyond.code, common.OFFSET_OUT_OF_RANGE, "delete beyond the end")


def check_offsets(client: Client) -> None:
    topic = new_topic(client, 2)
    assert_equal(client.offsets(topic, 1), (0, 0), "offsets of an empty partition")
    send(client, topic, numbered(70, partition=1))
    assert_equal(client.offsets(topic, 1), (0, 70), "offsets of 70 records")
    assert_equal(client.offsets(topic, 0), (0, 0), "offsets of the other partition")


def check_too_large(client: Client) -> None:
    topic = new_topic(client, 1, {"max.message.bytes": "10000"})
    large = Outgoing(b"x" * 100_000)
    refused = refusal(lambda: send(client, topic, [large], largest=10_000_000))
    assert_equal(refused.code, common.MESSAGE_TOO_LARGE, "100,000 bytes where 10,000 are allowed")
    assert_equal(send(client, topic, [Outgoing(b"small")]), [0], "the offset of a small record after it")


def check_unknown_topic(client: Client) -> None:
    topic = f"{Settings.prefix}nobody-made-this"
    refused = refusal(lambda: send(client, topic, [Outgoing(b"lost")]))
    assert refused.code in (common.UNKNOWN_TOPIC_OR_PARTITION, None), f"produce: {refused}"
    with contextlib.suppress(Skip):
        deleted = refusal(lambda: client.delete_topic(topic))
        assert_equal(deleted.code, common.UNKNOWN_TOPIC_OR_PARTITION, "delete")


def check_bad_version(client: Client) -> None:
    topic = new_topic(client)
    refused = refusal(lambda: client.produce_outdated(topic))
    print(f"refused with {refused}")
    assert_equal(send(client, topic, [Outgoing(b"first")]), [0], "the offset of the first record that was taken")


def check_recreate(client: Client) -> None:
    topic = new_topic(client, 2)
    send(client, topic, numbered(20))
    for round_number in range(3 if Settings.full else 1):
        client.remove_topic(topic)
        wait_until(f"{topic} to be gone", WAIT_S, lambda: not present_partitions(client, topic))
        client.provide_topic(topic, 1)
        wait_until(f"{topic} to be back", WAIT_S, lambda: has_partitions(client, topic, 1))
        record = Outgoing(b"new %d" % round_number)
        assert_equal(send(client, topic, [record]), [0], "the first offset of the new topic")
        assert_equal(values(client.read(topic, {0: 0}, 1)), [record.value], "the records of the new topic")


def check_idempotent(client: Client) -> None:
    topic = new_topic(client)
    half = 2_000 if Settings.full else 500
    producer = client.producer(idempotent=True)
    try:
        first = producer.send(topic, numbered(half))
        restart_broker()
        second = producer.send(topic, numbered(half))
    finally:
        producer.close()
    assert_equal(first + second, list(range(2 * half)), "offsets over a kill of the broker")
    got = client.read(topic, {0: 0}, 2 * half)
    assert_equal(values(got) == [out.value for out in numbered(half)] * 2, True, "every record once and in order")


def check_transactions(client: Client) -> None:
    topic = new_topic(client)
    try:
        client.transaction(topic, [b"committed 1", b"committed 2"], commit=True)
    except Refused as refused:
        if refused.code in common.NO_TRANSACTIONS:
            raise Skip(f"not served yet ({refused})") from None
        raise
    if client.aborts_transactions:
        client.transaction(topic, [b"aborted"], commit=False)
    client.transaction(topic, [b"committed 3"], commit=True)
    got = client.read_committed(topic, 3)
    assert_equal(
        values(got), [b"committed 1", b"committed 2", b"committed 3"], "what a reader of committed records sees"
    )

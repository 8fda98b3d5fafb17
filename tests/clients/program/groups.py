"""The checks about consumer groups."""

from collections import Counter

from clients.deadline import wait_until
from clients.program import common
from clients.program.client import Client, Outgoing, Record
from clients.program.common import assert_equal, new_group, new_topic, refusal, send
from clients.program.members import Running, wait_settled
from clients.program.report import Skip, restart_broker

PARTITIONS = 4
WAIT_S = 30.0


def fill(client: Client, topic: str, label: str, partitions: int = PARTITIONS, count: int = 25) -> set[bytes]:
    """Sends `count` records to each partition; their values."""
    sent = set()
    for partition in range(partitions):
        records = [Outgoing(f"{label} {partition} {n}".encode(), partition=partition) for n in range(count)]
        send(client, topic, records)
        sent |= {record.value for record in records}
    return sent


def check_group_of_two(client: Client) -> None:
    _share(client, "classic")


def check_consumer_protocol(client: Client) -> None:
    if not client.consumer_protocol:
        raise Skip(f"{client.name} {client.version} does not speak the protocol of KIP-848")
    _share(client, "consumer")


def check_group_resume(client: Client) -> None:
    topic, group = new_topic(client, 2), new_group()
    early = fill(client, topic, "early", 2)
    with Running(lambda: client.member(group, topic)) as member:
        first = member.wait_records(len(early))
        member.close()
    assert_once(first, early, "before the restart")

    restart_broker()
    late = fill(client, topic, "late", 2)
    with Running(lambda: client.member(group, topic)) as member:
        member.wait_records(len(late))
        second = member.wait_records(len(late))
        member.close()
    assert_once(second, late, "after the restart")


def check_admin_groups(client: Client) -> None:
    topic, group = new_topic(client, 1), new_group()
    sent = fill(client, topic, "seen", 1)
    with Running(lambda: client.member(group, topic)) as member:
        member.wait_records(len(sent))
        assert group in client.groups(), "the group is not listed"
        wait_until("the group to be stable", WAIT_S, lambda: client.describe_group(group).state == "stable")
        assert_equal(client.describe_group(group).members, 1, "members")
        refused = refusal(lambda: client.delete_group(group))
        assert_equal(refused.code, common.NON_EMPTY_GROUP, "delete of a group with a member")
        member.close()
    assert_equal(client.committed(group, topic, 0), len(sent), "the committed offset")
    wait_until("the group to be empty", WAIT_S, lambda: client.describe_group(group).state == "empty")
    client.delete_group(group)
    assert group not in client.groups(), "the deleted group is listed"
    missing = refusal(lambda: client.delete_group(group))
    assert_equal(missing.code, common.GROUP_ID_NOT_FOUND, "delete of a group that is not there")


def check_fenced_member(client: Client) -> None:
    topic, group = new_topic(client, 1), new_group()
    with Running(lambda: client.member(group, topic, instance="the-one")) as first:
        wait_settled([first], 1)
        with Running(lambda: client.member(group, topic, instance="the-one")) as second:
            wait_settled([second], 1)
            # A client that does not act on its heartbeats meets the fence when it commits.
            sent = fill(client, topic, "after", 1)
            refused = first.wait_refused(WAIT_S)
            assert_equal(refused.code, common.FENCED_INSTANCE_ID, f"the error of the fenced member ({refused})")
            second.wait_records(len(sent))
            second.close()


def assert_once(records: list[Record], expected: set[bytes], what: str) -> None:
    """Every expected value is there once, and nothing else."""
    counts = Counter(record.value for record in records)
    missing, foreign = expected - counts.keys(), counts.keys() - expected
    doubled = [value for value, times in counts.items() if times > 1]
    assert not (missing or foreign or doubled), (
        f"{what}: {len(missing)} missing, {len(doubled)} consumed more than once, {len(foreign)} not expected, "
        f"for example {(*missing, *doubled, *foreign)[0]!r}"
    )


def _share(client: Client, protocol: str) -> None:
    topic, group = new_topic(client, PARTITIONS), new_group()

    def join() -> Running:
        return Running(lambda: client.member(group, topic, protocol=protocol))

    early = fill(client, topic, "alone")
    with join() as first:
        wait_settled([first], PARTITIONS)
        first.wait_records(len(early))
        with join() as second:
            wait_settled([first, second], PARTITIONS)
            before = len(first.records), len(second.records)
            sent = fill(client, topic, "shared")
            _wait_both(first, second, sum(before) + len(sent))
            assert_once(first.records[before[0] :] + second.records[before[1] :], sent, "shared by two")
            assert first.records[before[0] :] and second.records[before[1] :], "one member consumed everything"
            second.close()
        wait_settled([first], PARTITIONS)
        before_alone = len(first.records)
        last = fill(client, topic, "alone again")
        first.wait_records(before_alone + len(last))
        assert_once(first.records[before_alone:], last, "alone again")
        first.close()


def _wait_both(first: Running, second: Running, count: int) -> None:
    def enough() -> bool:
        first.check()
        second.check()
        return len(first.records) + len(second.records) >= count

    wait_until(f"{count} records for two members", WAIT_S, enough)

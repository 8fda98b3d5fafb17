"""What the checks ask of a client library. An adapter fills it in; what it leaves out is reported as a skip."""

from collections.abc import Sequence
from typing import NamedTuple

from clients.program.report import Skip

Headers = list[tuple[str, bytes]]


class Outgoing(NamedTuple):
    """A record to be sent. Without a timestamp the client takes its clock."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers | None = None
    timestamp_ms: int | None = None
    partition: int = 0


class Record(NamedTuple):
    """A record as it was consumed."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Refused(Exception):
    """The broker answered with an error. `code` is Kafka's number, None when the client only gave up."""

    def __init__(self, code: int | None, text: str):
        super().__init__(f"error {code}: {text}")
        self.code = code


class Group(NamedTuple):
    """A group as it is described."""

    state: str
    members: int


class Producer:
    """A producer that lives longer than one call."""

    def send(self, topic: str, records: Sequence[Outgoing]) -> list[int]:
        """The offsets of the records, once all of them are acknowledged."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Member:
    """A member of a group, used by one thread. It starts from the beginning where the group has no offsets."""

    def poll(self, seconds: float) -> list[Record]:
        """New records, after at most about `seconds`. Raises Refused when the group does not want the member."""
        raise NotImplementedError

    def assignment(self) -> set[int]:
        """The partitions it owns, for a group of one topic."""
        raise NotImplementedError

    def commit(self) -> None:
        """Commits what was polled and waits for the answer."""
        raise NotImplementedError

    def close(self) -> None:
        """Leaves the group."""
        raise NotImplementedError


class Client:
    """One client library; the methods that every one must have come first."""

    name: str
    version: str
    # Whether a group can be joined with the protocol of KIP-848.
    consumer_protocol = False
    # Whether records can be sent with a time of one's own, and with headers that are not text.
    sets_timestamps = True
    binary_headers = True
    # Whether a transaction can be aborted at will.
    aborts_transactions = True

    def create_topic(self, topic: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        raise Skip(f"{self.name} creates no topics")

    def delete_topic(self, topic: str) -> None:
        raise Skip(f"{self.name} deletes no topics")

    def provide_topic(self, topic: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        """A topic for another check; by other means where the client creates none."""
        self.create_topic(topic, partitions, config)

    def remove_topic(self, topic: str) -> None:
        """Deletes a topic for another check."""
        self.delete_topic(topic)

    def producer(self, compression: str = "none", idempotent: bool = False, largest: int = 1 << 20) -> Producer:
        """`largest` is the client's own limit for a request, in bytes."""
        raise NotImplementedError

    def read(self, topic: str, starts: dict[int, int], count: int) -> list[Record]:
        """The next `count` records from these offsets by partition, without a group."""
        raise NotImplementedError

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        """The first offset at or after the time, None when there is none."""
        raise Skip(f"{self.name} does not look up offsets by time")

    def offsets(self, topic: str, partition: int) -> tuple[int, int]:
        """The earliest and the latest offset."""
        raise Skip(f"{self.name} does not list offsets")

    def partitions(self, topic: str) -> list[int]:
        """The partitions a topic has."""
        raise NotImplementedError

    def member(
        self, group: str, topic: str, instance: str | None = None, protocol: str = "classic", session_ms: int = 10_000
    ) -> Member:
        raise Skip(f"{self.name} has no groups")

    def topic_config(self, topic: str) -> dict[str, str]:
        raise Skip(f"{self.name} does not describe configs")

    def alter_topic_config(self, topic: str, config: dict[str, str]) -> None:
        raise Skip(f"{self.name} does not alter configs")

    def create_partitions(self, topic: str, total: int) -> None:
        raise Skip(f"{self.name} does not add partitions")

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        raise Skip(f"{self.name} does not delete records")

    def groups(self) -> set[str]:
        raise Skip(f"{self.name} does not list groups")

    def describe_group(self, group: str) -> Group:
        raise Skip(f"{self.name} does not describe groups")

    def delete_group(self, group: str) -> None:
        raise Skip(f"{self.name} does not delete groups")

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """The group's committed offset."""
        raise Skip(f"{self.name} does not look up committed offsets")

    def produce_outdated(self, topic: str) -> None:
        """Sends a record in the format before batches v2, or in a version no broker serves; raises Refused."""
        raise Skip(f"{self.name} cannot be made to send an unsupported version")

    def transaction(self, topic: str, values: Sequence[bytes], commit: bool) -> None:
        """One transaction with these records in partition 0, committed or aborted."""
        raise Skip(f"{self.name} has no transactions")

    def read_committed(self, topic: str, count: int) -> list[Record]:
        """The first `count` records of partition 0 that are not part of an open or aborted transaction."""
        raise Skip(f"{self.name} does not read committed records only")

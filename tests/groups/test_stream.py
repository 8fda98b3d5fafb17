"""A real data set is read by a group while the server and its members are killed.

Input is every record of the machine's package index, written by one client (confluent-kafka) and read by a group of
another (kafka-python). The server gets SIGKILL twice and one member once; another member takes its place. Every record
must be processed, what is committed never goes back, and whoever takes over a partition goes on where it is committed.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import observing
from crc32c import crc32c
from observing import Account, Observer

from clients import packages
from clients.deadline import Deadline, wait_until
from clients.harness import Broker, die_with_parent
from clients.packages import assert_whole
from clients.producing import RecordingProducer
from clients.reading import create_topic, read_partitions
from clients.tools import require_tool

PARTITIONS = 4
GROUP = "index-readers"
# Records between attempts to catch a member with uncommitted ones.
TRY_EVERY = 250
# Records that are sent once the member that came late has partitions, so that it has something to read.
HELD_BACK = 1_000
DEADLINE_S = 240.0
HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE.parent)}


class Members:
    """Processes of members, each with its notes."""

    def __init__(self, broker: Broker, topic: str):
        self._broker = broker
        self._topic = topic
        self._processes: list[subprocess.Popen] = []

    def start(self) -> int:
        """Starts one, and returns its number."""
        number = len(self._processes)
        command = [sys.executable, str(HERE / "member.py"), self._broker.bootstrap, self._topic, GROUP]
        errors = self._broker.root / f"member-{number}.stderr"
        with errors.open("wb") as log:
            command.append(str(self.notes(number)))
            process = subprocess.Popen(command, env=ENVIRONMENT, stderr=log, preexec_fn=die_with_parent)
        self._processes.append(process)
        return number

    def kill_with_reads(self, number: int, observer: Observer) -> bool:
        """SIGKILL at a moment when the member has read what nobody committed; whether this was one."""
        process = self._processes[number]
        process.send_signal(signal.SIGSTOP)
        # A commit that it sent is in by then.
        answers = observer.answers + 2
        wait_until("the observer", DEADLINE_S, lambda: observer.answers >= answers)
        ends = {read.partition: read.offset + 1 for read in self.account(number).reads}
        if all(observer.latest.get(partition, 0) >= end for partition, end in ends.items()):
            process.send_signal(signal.SIGCONT)
            return False
        process.kill()
        process.wait()
        return True

    def notes(self, number: int) -> Path:
        return self._broker.root / f"member-{number}.notes"

    def account(self, number: int) -> Account:
        path = self.notes(number)
        return observing.read_notes(path) if path.exists() else Account([], [], {})

    def accounts(self) -> list[Account]:
        return [self.account(number) for number in range(len(self._processes))]

    def check_running(self, *numbers: int) -> None:
        for number in numbers:
            code = self._processes[number].poll()
            errors = (self._broker.root / f"member-{number}.stderr").read_text()
            assert code is None, f"member {number} ended with {code}:\n{errors[-3_000:]}"

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def members_of(broker: Broker, topic: str) -> Iterator[Members]:
    members = Members(broker, topic)
    try:
        yield members
    finally:
        members.close()


def test_the_index_is_read_by_a_group_through_kills(new_broker, topic: str, record_property):
    require_tool("apt-cache")
    index = packages.read_index()
    broker = new_broker(properties={"group.initial.rebalance.delay.ms": "500"})
    broker.start()
    create_topic(broker.bootstrap, topic, PARTITIONS)
    with members_of(broker, topic) as members, Observer(broker.port, GROUP, topic, PARTITIONS) as observer:
        doomed, other = members.start(), members.start()
        wait_until("both members to share", DEADLINE_S, lambda: shared(members, doomed, other))

        producer = RecordingProducer(broker.bootstrap, topic, Deadline(DEADLINE_S))
        quarter = len(index) // 4
        late = None
        for position, package in enumerate(index[:-HELD_BACK]):
            if position in (quarter, 3 * quarter):
                broker.kill9()
                broker.start()
            elif position >= 2 * quarter and late is None and position % TRY_EVERY == 0:
                late = members.start() if members.kill_with_reads(doomed, observer) else None
            producer.send(package.name, package.record)
        assert late is not None, "there was no moment with uncommitted records"
        wait_until("the late member to have partitions", DEADLINE_S, lambda: members.account(late).assigned)
        for package in index[-HELD_BACK:]:
            producer.send(package.name, package.record)
        producer.flush()

        partitions = read_partitions(broker.bootstrap, topic, PARTITIONS)
        ends = {number: len(entries) for number, entries in enumerate(partitions)}
        wait_until("everything to be committed", DEADLINE_S, lambda: observer.latest == ends)
        members.check_running(other, late)
    observer.check()
    assert_whole(index, partitions)
    check_processed(partitions, members.accounts())
    resumed = sum(check_resumed(account) for account in members.accounts())
    assert members.account(late).reads, "the member that came late read nothing"
    assert resumed, "nobody went on where somebody else had stopped"
    again = sum(len(account.reads) for account in members.accounts()) - len(index)
    assert again > 0, "what the killed member had not committed was not read again"
    record_property(
        "group reading the index",
        f"{len(index)} records, {again} processed twice, {resumed} partitions taken over, "
        f"{observer.answers} answers to OffsetFetch",
    )


def shared(members: Members, *numbers: int) -> bool:
    """Whether these members were given half of the partitions each."""
    members.check_running(*numbers)
    half = PARTITIONS // len(numbers)
    last = [{it.partition for it in members.account(number).assigned[-half:]} for number in numbers]
    return len(set.union(*last)) == PARTITIONS


def check_processed(partitions, accounts: list[Account]) -> None:
    """Every record was read by somebody, and as it was written."""
    processed: dict[tuple[int, int], set[int]] = {}
    for account in accounts:
        for read in account.reads:
            processed.setdefault((read.partition, read.offset), set()).add(read.checksum)
    for number, entries in enumerate(partitions):
        for entry in entries:
            found = processed.pop((number, entry.offset), None)
            expected = {crc32c(entry.value, crc32c(entry.key))}
            assert found == expected, f"{number}:{entry.offset} was read as {found}, not {expected}"
    assert not processed, f"read but not there: {list(processed)[:5]}"


def check_resumed(account: Account) -> int:
    """A partition that was given to the member was read from where it was committed; how many were not new."""
    resumed = 0
    for partition, committed, first in account.assigned:
        if first is not None:
            assert first == max(committed, 0), f"{partition}: {committed} was committed, and reading began at {first}"
            resumed += committed > 0
    return resumed

"""One question after the other over one connection, as a member of a group or from outside."""

import protocol
from protocol import Identity, Joined

from clients import wire
from clients.deadline import wait_until
from clients.wire import Connection

READY_DEADLINE_S = 30.0
ANSWER_DEADLINE_S = 60.0


class Asker:
    """Asks, and checks that the answer is to the question."""

    def __init__(self, port: int, timeout_s: float = ANSWER_DEADLINE_S):
        self.connection = Connection(port, timeout_s)
        self._asked = 0

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *_exc) -> None:
        self.connection.close()

    def ask(self, api_key: int, version: int, body: bytes) -> bytes:
        self._asked += 1
        self.connection.send(api_key, version, self._asked, body)
        answered, answer = self.connection.receive()
        assert answered == self._asked, f"asked {self._asked}, answered {answered}"
        return answer

    def find_coordinator(self, group: str) -> int:
        body = protocol.find_coordinator(group)
        answer = self.ask(wire.FIND_COORDINATOR, protocol.FIND_COORDINATOR_VERSION, body)
        return protocol.parse_find_coordinator(answer)

    def join(self, group: str, **fields) -> Joined:
        """One JoinGroup, answered with MEMBER_ID_REQUIRED or when the group has its generation."""
        return protocol.parse_join(self.ask(wire.JOIN_GROUP, protocol.JOIN_VERSION, protocol.join(group, **fields)))

    def sync(self, who: Identity, assignments: dict[str, bytes]) -> tuple[int, bytes]:
        answer = self.ask(wire.SYNC_GROUP, protocol.SYNC_VERSION, protocol.sync(who, assignments))
        return protocol.parse_sync(answer)

    def heartbeat(self, who: Identity) -> int:
        answer = self.ask(wire.HEARTBEAT, protocol.HEARTBEAT_VERSION, protocol.heartbeat(who))
        return protocol.parse_heartbeat(answer)

    def commit(self, who: Identity, topic: str, offsets: dict[int, int], metadata: str = "") -> dict[int, int]:
        body = protocol.commit(who, topic, offsets, metadata)
        return protocol.parse_commit(self.ask(wire.OFFSET_COMMIT, protocol.COMMIT_VERSION, body))

    def long_commit(self, who: Identity, topic: str, partition: int, offset: int, metadata: str) -> int:
        """A commit in the first version whose strings say their length in as many bytes as it takes."""
        body = protocol.long_commit(who, topic, partition, offset, metadata)
        return protocol.parse_long_commit(self.ask(wire.OFFSET_COMMIT, protocol.LONG_COMMIT_VERSION, body))

    def fetch(self, group: str, topic: str, partitions: int) -> tuple[int, dict[int, int]]:
        body = protocol.fetch(group, topic, partitions)
        return protocol.parse_fetch(self.ask(wire.OFFSET_FETCH, protocol.FETCH_VERSION, body))

    def consumer_heartbeat(self, group: str, member: str, epoch: int, regex: str | None) -> int:
        body = protocol.consumer_heartbeat(group, member, epoch, regex)
        answer = self.ask(protocol.CONSUMER_HEARTBEAT, protocol.CONSUMER_HEARTBEAT_VERSION, body)
        return protocol.parse_consumer_heartbeat(answer)


class Alone(Asker):
    """The only member of its group: joined, assigned and honest."""

    def __init__(self, port: int, group: str, assignment: bytes = b"all"):
        super().__init__(port)
        first = self.join(group)
        assert first.error == protocol.MEMBER_ID_REQUIRED, first
        joined = self.join(group, member=first.member)
        assert joined.error == protocol.NONE and joined.leader == joined.member, joined
        self.who = Identity(group, joined.generation, joined.member)
        assert self.sync(self.who, {joined.member: assignment}) == (protocol.NONE, assignment)

    def is_well(self) -> bool:
        """Still a member of the same generation."""
        return self.heartbeat(self.who) == protocol.NONE


def wait_for_coordinators(port: int, groups: list[str]) -> None:
    """Returns once all these groups can be asked: their topic is there, and loaded."""
    with Asker(port) as asker:
        for group in groups:

            def ready(group: str = group) -> bool:
                found = asker.find_coordinator(group) == protocol.NONE
                return found and asker.fetch(group, "none", 1)[0] == protocol.NONE

            wait_until(f"the coordinator of {group}", READY_DEADLINE_S, ready)

"""The group requests of clients from before the flexible versions, as functions of their version."""

import struct
from typing import NamedTuple

from clients import wire
from clients.wire import Connection, array, decode, nullable_bytes, string

SESSION_TIMEOUT_MS = 10_000
NO_RETENTION = -1
MEMBER_ID_REQUIRED = 79
GROUP_COORDINATOR = 0


class Versions(NamedTuple):
    """The versions a client uses for its group, none of them flexible."""

    find_coordinator: int
    join: int
    sync: int
    heartbeat: int
    leave: int
    commit: int
    fetch: int


class Joined(NamedTuple):
    """What a member learns when it has joined."""

    generation: int
    leader: str
    member: str
    members: list[str]


class OldMember:
    """A member of a group that sends what an old client sends, on one connection."""

    def __init__(self, connection: Connection, versions: Versions, group: str):
        self._connection = connection
        self._versions = versions
        self._group = group
        self._correlation_id = 0
        self.joined: Joined | None = None

    def find_coordinator(self) -> tuple[int, int]:
        """(error, port)."""
        version = self._versions.find_coordinator
        body = string(self._group) + (struct.pack(">b", GROUP_COORDINATOR) if version >= 1 else b"")
        schema = "hisi" if version == 0 else "ihsisi"
        *_, error, _node, _host, port = self._without_message(
            self._ask(wire.FIND_COORDINATOR, version, body, schema), version
        )
        return error, port

    def join(self, metadata: bytes) -> int:
        """Joins, with the member id it is given where the version asks for that; the error."""
        error = self._join("", metadata)
        if error == MEMBER_ID_REQUIRED and self._versions.join >= 4:
            return self._join(self.joined.member, metadata)
        return error

    def sync(self, assignment: bytes) -> tuple[int, bytes]:
        """Hands every member the same assignment if it leads; the error and its own assignment."""
        version, joined = self._versions.sync, self.joined
        leads = joined.leader == joined.member
        assignments = array(string(m) + nullable_bytes(assignment) for m in (joined.members if leads else []))
        body = self._identity(instance=version >= 3) + assignments
        *_, error, own = self._ask(wire.SYNC_GROUP, version, body, "hB" if version == 0 else "ihB")
        return error, own

    def heartbeat(self) -> int:
        version = self._versions.heartbeat
        body = self._identity(instance=version >= 3)
        return self._ask(wire.HEARTBEAT, version, body, "h" if version == 0 else "ih")[-1]

    def commit(self, topic: str, offset: int) -> int:
        """The error of partition 0."""
        version = self._versions.commit
        retention = struct.pack(">q", NO_RETENTION) if version <= 4 else b""
        epoch = struct.pack(">i", -1) if version >= 6 else b""
        partition = struct.pack(">iq", 0, offset) + epoch + string("old")
        body = self._identity(instance=version >= 7) + retention + array([string(topic) + array([partition])])
        schema = ["s", ["i", "h"]]
        answer = self._ask(wire.OFFSET_COMMIT, version, body, ["i", schema] if version >= 3 else [schema])
        ((_topic, ((_partition, error),)),) = answer[-1]
        return error

    def fetch_offset(self, topic: str) -> tuple[int, int, str | None]:
        """Error, committed offset and metadata of partition 0."""
        version = self._versions.fetch
        body = string(self._group) + array([string(topic) + array([struct.pack(">i", 0)])])
        partition = ["i", "q", *(["i"] if version >= 5 else []), "s", "h"]
        schema = [*(["i"] if version >= 3 else []), ["s", partition], *(["h"] if version >= 2 else [])]
        answer = self._ask(wire.OFFSET_FETCH, version, body, schema)
        ((_topic, ((_partition, offset, *_epoch, metadata, error),)),) = answer[1 if version >= 3 else 0]
        if version >= 2 and answer[-1]:
            error = answer[-1]
        return error, offset, metadata

    def leave(self) -> int:
        version = self._versions.leave
        member = string(self.joined.member)
        body = string(self._group) + (array([member + string(None)]) if version >= 3 else member)
        schema = {0: ["h"], 1: ["i", "h"], 2: ["i", "h"], 3: ["i", "h", ["s", "s", "h"]]}[version]
        return self._ask(wire.LEAVE_GROUP, version, body, schema)[0 if version == 0 else 1]

    def _join(self, member: str, metadata: bytes) -> int:
        version = self._versions.join
        body = string(self._group) + struct.pack(">i", SESSION_TIMEOUT_MS)
        body += struct.pack(">i", SESSION_TIMEOUT_MS) if version >= 1 else b""
        body += string(member) + (string(None) if version >= 5 else b"")
        body += string("consumer") + array([string("range") + nullable_bytes(metadata)])
        members = ["s", "s", "B"] if version >= 5 else ["s", "B"]
        schema = [*(["i"] if version >= 2 else []), "h", "i", "s", "s", "s", members]
        answer = self._ask(wire.JOIN_GROUP, version, body, schema)
        error, generation, _protocol, leader, own, others = answer[1 if version >= 2 else 0 :]
        self.joined = Joined(generation, leader, own, [one[0] for one in others])
        return error

    def _identity(self, instance: bool) -> bytes:
        body = string(self._group) + struct.pack(">i", self.joined.generation) + string(self.joined.member)
        return body + (string(None) if instance else b"")

    def _without_message(self, answer: list, version: int) -> list:
        """A FindCoordinator answer as in version 0."""
        return answer if version == 0 else [answer[1], *answer[3:]]

    def _ask(self, key: int, version: int, body: bytes, schema: wire.Schema) -> list:
        self._correlation_id += 1
        self._connection.send(key, version, self._correlation_id, body)
        answered, answer = self._connection.receive()
        assert answered == self._correlation_id, f"asked {self._correlation_id}, answered {answered}"
        return decode(schema, answer)

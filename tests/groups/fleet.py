"""Thousands of members at once, each on a connection of its own, driven by one event loop.

A member joins, takes its assignment and heartbeats; when its group rebalances it joins again, as every client does.
"""

import asyncio
import contextlib
import resource
import struct
import time
from collections.abc import Iterable

import protocol
from protocol import Identity

from clients import wire

# Short, because it is part of every member's id.
CLIENT_ID = b"f"
HEARTBEAT_INTERVAL_S = 3.0
CONNECTING_AT_ONCE = 200
# Of the process, beside the connections.
OTHER_FILES = 200


class Member(asyncio.Protocol):
    """One member; `synced` is its generation once it has its assignment, and None while it has none."""

    def __init__(self, fleet: "Fleet", group: str, metadata: bytes):
        self.group = group
        self.synced: int | None = None
        self.size = 0
        self._fleet = fleet
        self._metadata = metadata
        self._who = Identity(group)
        self._asked: int | None = None
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._asked is not None or exc is not None:
            self._fleet.fail(f"{self.group}: connection lost: {exc}")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4:
            (length,) = struct.unpack_from(">i", self._buffer)
            if len(self._buffer) < 4 + length:
                return
            body = bytes(self._buffer[8 : 4 + length])
            del self._buffer[: 4 + length]
            asked, self._asked = self._asked, None
            self._answered(asked, body)

    def join(self) -> None:
        """Begins a round."""
        self.synced = None
        self._ask(wire.JOIN_GROUP, protocol.JOIN_VERSION, protocol.join(self.group, self._who.member, self._metadata))

    def heartbeat(self) -> None:
        """Asks whether the generation still holds, unless a question is open."""
        if self._asked is None and self.synced is not None:
            self._ask(wire.HEARTBEAT, protocol.HEARTBEAT_VERSION, protocol.heartbeat(self._who))

    def close(self) -> None:
        if self._transport is not None:
            self._asked = None
            self._transport.abort()

    def _answered(self, asked: int | None, body: bytes) -> None:
        match asked:
            case wire.JOIN_GROUP:
                self._joined(protocol.parse_join(body))
            case wire.SYNC_GROUP:
                error, _assignment = protocol.parse_sync(body)
                if self._holds(error):
                    self.synced = self._who.generation
                    self._fleet.note_synced(self)
            case wire.HEARTBEAT:
                self._holds(protocol.parse_heartbeat(body))
            case None:
                self._fleet.fail(f"{self.group}: an answer that nobody asked for")

    def _joined(self, joined: protocol.Joined) -> None:
        self._who = Identity(self.group, joined.generation, joined.member)
        if joined.error == protocol.MEMBER_ID_REQUIRED:
            self.join()
        elif self._holds(joined.error):
            self.size = len(joined.members)
            assignments = {member: b"assigned" for member in joined.members}
            self._ask(wire.SYNC_GROUP, protocol.SYNC_VERSION, protocol.sync(self._who, assignments))

    def _holds(self, error: int) -> bool:
        if error in (protocol.REBALANCE_IN_PROGRESS, protocol.ILLEGAL_GENERATION):
            self.join()
        elif error != protocol.NONE:
            self._fleet.fail(f"{self.group}: error {error}")
        return error == protocol.NONE

    def _ask(self, api_key: int, version: int, body: bytes) -> None:
        self._asked = api_key
        header = struct.pack(">hhih", api_key, version, 1, len(CLIENT_ID)) + CLIENT_ID
        self._transport.write(struct.pack(">i", len(header) + len(body)) + header + body)


class Fleet:
    """All members. Use as an async context manager."""

    def __init__(self, port: int, groups: Iterable[str], members_each: int, metadata: bytes = b""):
        self.members = [Member(self, group, metadata) for group in groups for _ in range(members_each)]
        self._port = port
        self._members_each = members_each
        self._settled: set[str] = set()
        self._by_group: dict[str, list[Member]] = {}
        for member in self.members:
            self._by_group.setdefault(member.group, []).append(member)
        self._all_settled = asyncio.Event()
        self._failure: str | None = None
        self._heartbeats: asyncio.Task | None = None

    async def __aenter__(self) -> "Fleet":
        """Connects everybody; nobody has joined yet."""
        allow_files(len(self.members) + OTHER_FILES)
        loop = asyncio.get_running_loop()
        slots = asyncio.Semaphore(CONNECTING_AT_ONCE)

        async def connect(member: Member) -> None:
            async with slots:
                await loop.create_connection(lambda: member, "127.0.0.1", self._port)

        await asyncio.gather(*(connect(member) for member in self.members))
        return self

    async def __aexit__(self, *_exc) -> None:
        if self._heartbeats is not None:
            self._heartbeats.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heartbeats
        for member in self.members:
            member.close()

    async def settle(self, deadline_s: float) -> float:
        """Everybody joins at once; returns the seconds until the last group had its assignment."""
        began = time.monotonic()
        for member in self.members:
            member.join()
        self._heartbeats = asyncio.create_task(self._heartbeat())
        try:
            await asyncio.wait_for(self._all_settled.wait(), deadline_s)
        except TimeoutError:
            left = [group for group in self._by_group if group not in self._settled]
            raise TimeoutError(f"{len(left)} groups did not settle within {deadline_s:g} s: {left[:5]}") from None
        assert self._failure is None, self._failure
        return time.monotonic() - began

    def check(self) -> None:
        """Nobody fell out since."""
        assert self._failure is None, self._failure
        assert len(self._settled) == len(self._by_group)

    def note_synced(self, member: Member) -> None:
        members = self._by_group[member.group]
        generations = {one.synced for one in members}
        whole = len(generations) == 1 and None not in generations
        if whole and max(one.size for one in members) == self._members_each:
            self._settled.add(member.group)
            if len(self._settled) == len(self._by_group):
                self._all_settled.set()

    def fail(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._all_settled.set()

    async def _heartbeat(self) -> None:
        """Spreads everybody's heartbeats over the interval."""
        while True:
            began = time.monotonic()
            for position, member in enumerate(self.members):
                member.heartbeat()
                if position % 100 == 99:
                    wanted = HEARTBEAT_INTERVAL_S * position / len(self.members)
                    await asyncio.sleep(max(0.0, began + wanted - time.monotonic()))
            await asyncio.sleep(max(0.01, began + HEARTBEAT_INTERVAL_S - time.monotonic()))


def allow_files(count: int) -> None:
    """Raises the limit of open files, which what this process starts inherits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        assert hard == resource.RLIM_INFINITY or hard >= count, f"{count} files wanted, {hard} allowed; see ulimit -n"
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))

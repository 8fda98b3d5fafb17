"""Reads a data directory as recovery does, from `docs/formats`: who owns it, where replay starts, what follows.

Nothing here is shared with the server, so a mistake in one of the two shows as a disagreement.
"""

import base64
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crc32c import crc32c

FRAME_MAGIC = 0x4C4A_4843
FRAME_HEADER = struct.Struct("<IHH16sQQIIQQII")
FRAME_HEADER_BYTES = 80
FRAME_ALIGNMENT = 4096
CHECKSUM_AT = 44

CHECKPOINT_MAGIC = 0x4B43_4843
CHECKPOINT_HEADER = struct.Struct("<IHHQ16sIQQI")
CHECKPOINTS = ("checkpoint.0", "checkpoint.1")

OPERATION_HEADER = struct.Struct("<IBBHQ")
APPEND = 2


class Link(NamedTuple):
    """What a frame continues; the next one must name exactly this."""

    incarnation: int
    sequence: int
    previous_checksum: int


class Append(NamedTuple):
    """One batch of a frame."""

    log_id: int
    base_offset: int
    last_offset: int


class Frame(NamedTuple):
    """One frame of the chain, and where it stands."""

    path: Path
    position: int
    size: int
    link: Link
    checksum: int
    completed_sequence: int
    operations: bytes

    @property
    def end(self) -> int:
        return self.position + self.size

    def kinds(self) -> list[int]:
        """The kind of each operation."""
        return [kind for kind, _, _ in self._operations()]

    def appends(self) -> list[Append]:
        """The batches."""
        return [
            Append(log_id, *struct.unpack_from("<qq", body))
            for kind, log_id, body in self._operations()
            if kind == APPEND
        ]

    def _operations(self) -> Iterator[tuple[int, int, bytes]]:
        at = 0
        while at < len(self.operations):
            length, kind, _flags, _version, log_id = OPERATION_HEADER.unpack_from(self.operations, at)
            yield kind, log_id, self.operations[at + OPERATION_HEADER.size : at + length]
            at += length


class Chain(NamedTuple):
    """The frames that replay would apply, and the place and link of the one that would follow."""

    frames: list[Frame]
    path: Path
    end: int
    link: Link
    directory_id: bytes
    file_bytes: int

    @property
    def room(self) -> int:
        """Bytes behind the end that belong to the file, whether it is that long yet or not."""
        return self.file_bytes - self.end


class Directory:
    """A data directory that no server has open."""

    def __init__(self, path: Path):
        self.path = path
        self.meta = dict(line.split("=", 1) for line in (path / "meta.properties").read_text().splitlines())
        encoded = self.meta["directory.id"]
        self.directory_id = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        self.file_count = int(self.meta["chronik.journal.files"])
        self.file_bytes = int(self.meta["chronik.journal.file.bytes"])

    def checkpoints(self) -> list[tuple[int, Path]]:
        """Number and path of each intact checkpoint, the newest last."""
        return sorted((found[0], self.path / name) for name in CHECKPOINTS if (found := self._checkpoint(name)))

    def chain(self) -> Chain:
        """Follows the frames from where the newest checkpoint says."""
        checkpoints = self.checkpoints()
        assert checkpoints, f"no checkpoint in {self.path}"
        _, file, link = self._checkpoint(checkpoints[-1][1].name)
        frames: list[Frame] = []
        content, position = self._ring(file), 0
        while True:
            frame = self._frame(content, file, position, link)
            if frame is None and position > 0:
                following = (file + 1) % self.file_count
                ring = self._ring(following)
                frame = self._frame(ring, following, 0, link)
                if frame is not None:
                    file, content = following, ring
            if frame is None:
                return Chain(frames, self.ring_path(file), position, link, self.directory_id, self.file_bytes)
            frames.append(frame)
            position = frame.end
            link = Link(link.incarnation, link.sequence + 1, frame.checksum)

    def partition_of(self, log_id: int, topic: str) -> int | None:
        """The partition of `topic` that a log id stands for; None for other logs."""
        for directory in (self.path / "topics").iterdir():
            name, number, _topic_id = directory.name.rsplit(".", 2)
            if int(number) == log_id and name.rsplit("-", 1)[0] == topic:
                return int(name.rsplit("-", 1)[1])
        return None

    def ring_path(self, file: int) -> Path:
        return self.path / "journal" / f"{file:05}.ring"

    def _ring(self, file: int) -> bytes:
        path = self.ring_path(file)
        return path.read_bytes() if path.exists() else b""

    def _checkpoint(self, name: str) -> tuple[int, int, Link] | None:
        path = self.path / name
        raw = path.read_bytes() if path.exists() else b""
        if len(raw) < CHECKPOINT_HEADER.size + 4 or crc32c(raw[:-4]) != int.from_bytes(raw[-4:], "little"):
            return None
        magic, _version, _flags, generation, owner, file, *link = CHECKPOINT_HEADER.unpack_from(raw)
        if magic != CHECKPOINT_MAGIC or owner != self.directory_id:
            return None
        return generation, file, Link(*link)

    def _frame(self, content: bytes, file: int, position: int, expected: Link) -> Frame | None:
        raw = content[position : position + FRAME_HEADER_BYTES]
        if len(raw) < FRAME_HEADER_BYTES:
            return None
        fields = FRAME_HEADER.unpack_from(raw)
        magic, _version, _flags, owner, incarnation, sequence, previous, checksum, completed, _trim, size, used = fields
        link = Link(incarnation, sequence, previous)
        if magic != FRAME_MAGIC or owner != self.directory_id or link != expected:
            return None
        whole = content[position : position + size]
        if len(whole) < size or size % FRAME_ALIGNMENT or FRAME_HEADER_BYTES + used > size:
            return None
        if crc32c(whole[:CHECKSUM_AT] + bytes(4) + whole[CHECKSUM_AT + 4 :]) != checksum:
            return None
        operations = whole[FRAME_HEADER_BYTES : FRAME_HEADER_BYTES + used]
        return Frame(self.ring_path(file), position, size, link, checksum, completed, operations)


def torn_frame(chain: Chain, size: int, tail: bytes) -> bytes:
    """A frame that continues the chain and never became whole: a good header, a wrong checksum, any bytes behind it."""
    completed = chain.link.sequence - 1
    header = FRAME_HEADER.pack(
        FRAME_MAGIC, 1, 0, chain.directory_id, *chain.link, 0xDEAD_BEEF, completed, 1, size, size - FRAME_HEADER_BYTES
    )
    return (header + tail)[:size]

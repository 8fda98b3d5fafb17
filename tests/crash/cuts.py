"""What a crash may leave behind the last synced frame of the journal, and more than it may leave."""

import os
import random
from collections.abc import Callable
from pathlib import Path

from clients.journal import FRAME_ALIGNMENT, Chain, Directory, Frame, torn_frame

# A cut touches at most this much behind the end.
REACH_BYTES = 256 << 10


def overwrite(path: Path, position: int, content: bytes) -> None:
    """Replaces bytes of a file in place."""
    with path.open("r+b") as file:
        file.seek(position)
        file.write(content)


def flip(path: Path, position: int, mask: int = 0x01) -> None:
    """Flips bits of one byte; doing it twice brings the byte back."""
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ mask]))


def truncate(chance: random.Random, chain: Chain) -> None:
    """The file ends early."""
    os.truncate(chain.path, chance.randint(chain.end, chain.file_bytes))


def zero(chance: random.Random, chain: Chain) -> None:
    """A stretch of zeros."""
    _fill(chance, chain, bytes)


def garble(chance: random.Random, chain: Chain) -> None:
    """A stretch of anything."""
    _fill(chance, chain, chance.randbytes)


def tear(chance: random.Random, chain: Chain) -> None:
    """A next frame of which any number of bytes arrived."""
    size = min(chance.randint(1, 64) * FRAME_ALIGNMENT, chain.room)
    frame = torn_frame(chain, size, chance.randbytes(size))
    overwrite(chain.path, chain.end, frame[: chance.randint(1, size)])


def replay(chance: random.Random, chain: Chain) -> None:
    """A whole frame of before at the end, as from a write that went astray."""
    frame = chance.choice(chain.frames)
    content = frame.path.read_bytes()[frame.position : frame.end]
    overwrite(chain.path, chain.end, content[: chain.room])


def cut_last(chance: random.Random, chain: Chain) -> None:
    """A byte inside of the last frame, and everything behind it, did not arrive."""
    last = chain.frames[-1]
    at = chance.randrange(last.position, last.end)
    # The header says how long the frame is; the CRC covers the padding too, so any change breaks it.
    old = last.path.read_bytes()[at : last.end]
    new = chance.randbytes(len(old))
    overwrite(last.path, at, new if new != old else bytes(byte ^ 1 for byte in old))


CUTS: list[Callable[[random.Random, Chain], None]] = [cut_last, truncate, zero, garble, tear, replay]


def cut_at_random(chance: random.Random, directory: Directory, acked: Callable[[Frame], bool]) -> str:
    """One cut behind the last synced byte that was acknowledged; returns its name."""
    chain = directory.chain()
    cut = chance.choice([*CUTS, cut_last])
    if cut is cut_last and (not chain.frames or acked(chain.frames[-1])):
        cut = tear
    if cut is replay and not chain.frames:
        cut = tear
    if chain.room < FRAME_ALIGNMENT:
        cut = truncate
    cut(chance, chain)
    return cut.__name__


def _fill(chance: random.Random, chain: Chain, content: Callable[[int], bytes]) -> None:
    start = chain.end + chance.randint(0, min(REACH_BYTES, chain.room))
    overwrite(chain.path, start, content(min(chance.randint(1, REACH_BYTES), chain.file_bytes - start)))

"""The end of the journal after a crash: what is torn is dropped, what had been acknowledged never is."""

import random

import pytest
from cuts import CUTS, cut_last, flip, overwrite
from filled import Filled
from refusing import refusal

from clients.journal import FRAME_ALIGNMENT, FRAME_HEADER_BYTES, Chain, Frame

pytestmark = pytest.mark.chronik_only

TRIES = 3


@pytest.mark.parametrize("cut", [cut for cut in CUTS if cut is not cut_last], ids=lambda cut: cut.__name__)
def test_what_lies_behind_the_last_frame_does_not_matter(killed: Filled, cut):
    chance = random.Random(cut.__name__)
    for _ in range(TRIES):
        chain = killed.directory.chain()
        # After the first start the chain of the new life may be empty: then its first bytes are cut.
        if chain.frames or cut.__name__ != "replay":
            cut(chance, chain)
        killed.broker.start()
        killed.assert_whole()
        killed.broker.kill9()


def test_a_torn_frame_is_reported(killed: Filled):
    chain = killed.directory.chain()
    last = chain.frames[-1]
    # The last byte of the last frame: as if the write had not come to its end.
    flip(last.path, last.end - 1)

    killed.broker.start()

    assert '"torn":true' in killed.broker.stderr() or "torn=true" in killed.broker.stderr(), killed.broker.tail()


PLACES = {
    "magic": lambda frame: frame.position,
    "link": lambda frame: frame.position + 24,
    "checksum": lambda frame: frame.position + 44,
    "length": lambda frame: frame.position + 72,
    "batch": lambda frame: frame.position + FRAME_HEADER_BYTES + 100,
    "last byte": lambda frame: frame.end - 1,
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_damage_to_an_acknowledged_frame_is_refused(killed: Filled, place):
    """A later frame says that it was durable: to go on without it would lose what was promised."""
    frame = middle(killed.directory.chain())
    flip(frame.path, place(frame), 0x10)

    assert_names(refusal(killed.broker), frame)

    flip(frame.path, place(frame), 0x10)
    killed.broker.start()
    killed.assert_whole()


def test_an_acknowledged_frame_that_is_gone_is_refused(killed: Filled):
    frame = middle(killed.directory.chain())
    overwrite(frame.path, frame.position, bytes(frame.size))

    assert_names(refusal(killed.broker), frame)


def test_many_lost_frames_are_refused(killed: Filled):
    """Not the next frame but one much later vouches."""
    frames = killed.directory.chain().frames
    frame = frames[1]
    for lost in frames[1:-1]:
        overwrite(lost.path, lost.position, bytes(lost.size))

    assert_names(refusal(killed.broker), frame)


def test_the_first_frame_of_the_journal_is_vouched_for(killed: Filled):
    frame = killed.directory.chain().frames[0]
    flip(frame.path, frame.position + FRAME_HEADER_BYTES)

    assert_names(refusal(killed.broker), frame)


def test_the_first_and_last_frame_of_a_file_are_vouched_for(crossing: Filled):
    """The chain goes on in another file, so that the unreadable frame and its witness are in different ones."""
    frames = crossing.directory.chain().frames
    border = next(at for at, frame in enumerate(frames) if at and frame.position == 0)
    for frame in (frames[border - 1], frames[border]):
        flip(frame.path, frame.position + FRAME_HEADER_BYTES)
        assert_names(refusal(crossing.broker), frame)
        flip(frame.path, frame.position + FRAME_HEADER_BYTES)
    crossing.broker.start()
    crossing.assert_whole()


def test_a_lost_ring_file_is_refused(crossing: Filled):
    """All that the chain had in its first file is gone; the second one vouches for it."""
    frames = crossing.directory.chain().frames
    frames[0].path.unlink()

    said = refusal(crossing.broker)

    assert f"journal/{frames[0].path.name}" in said, said


def test_the_only_ring_file_that_is_needed_is_missed(killed: Filled):
    """Nothing is left that could vouch for it, but that a file of the ring is gone can be seen."""
    (path,) = {frame.path for frame in killed.directory.chain().frames}
    path.unlink()

    said = refusal(killed.broker)

    assert f"journal/{path.name}" in said, said


@pytest.mark.parametrize("seed", range(4))
def test_any_damage_inside_the_journal_loses_nothing_or_is_refused(killed: Filled, seed: int):
    """A random stretch of the live journal, short of its last frame, is overwritten."""
    chance = random.Random(seed)
    chain = killed.directory.chain()
    frame = chance.choice(chain.frames[:-2])
    overwrite(frame.path, frame.position, chance.randbytes(chance.randint(1, frame.size)))

    assert_names(refusal(killed.broker), frame)


def middle(chain: Chain) -> Frame:
    """A frame that a later one vouches for."""
    frame = chain.frames[len(chain.frames) // 2]
    assert chain.frames[-1].completed_sequence >= frame.link.sequence
    assert frame.size >= FRAME_ALIGNMENT
    return frame


def assert_names(said: str, frame: Frame) -> None:
    assert f"journal/{frame.path.name}" in said, f"the file {frame.path.name} is not named:\n{said}"
    assert f"byte {frame.position} " in said, f"byte {frame.position} is not named:\n{said}"

"""A stop at any time leaves the marker of a clean stop, also one that comes as soon as the server answers."""

import contextlib

import pytest

from clients import wire
from clients.deadline import Deadline

pytestmark = pytest.mark.chronik_only

TIMES = 20
START_DEADLINE_S = 30.0


def test_a_stop_right_behind_the_first_answer_is_clean(new_broker):
    broker = new_broker()
    for _ in range(TIMES):
        broker.spawn()
        # Without the pauses of `wait_ready`: what comes between the first answer and "ready" is short.
        deadline, answered = Deadline(START_DEADLINE_S), False
        while not answered:
            deadline.check("the first answer")
            with contextlib.suppress(OSError):
                answered = bool(wire.api_versions(broker.port, timeout_s=2.0))
        broker.stop()
        assert (broker.data_dir / "clean-shutdown").exists()

"""A stop at any time leaves the marker of a clean stop, also one that comes as soon as the server answers."""

import pytest

pytestmark = pytest.mark.chronik_only


def test_a_stop_right_behind_the_start_is_clean(new_broker):
    broker = new_broker()
    for _ in range(5):
        broker.start()
        broker.stop()
        assert (broker.data_dir / "clean-shutdown").exists()

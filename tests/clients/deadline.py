"""Bounded waiting: every wait of the suites goes through here and says what it waited for."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_INTERVAL_S = 0.01


class Deadline:
    """A point in time after which waiting has failed."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    def expired(self) -> bool:
        return self.remaining() == 0.0

    def check(self, what: str) -> None:
        """Raises if the time is over; `what` completes the sentence "gave up waiting for ..."."""
        if self.expired():
            raise TimeoutError(f"gave up waiting for {what} after {self.seconds:g} s")


def wait_until(what: str, seconds: float, condition: Callable[[], T | None]) -> T:
    """Polls `condition` until it returns something true and returns that."""
    deadline = Deadline(seconds)
    while True:
        result = condition()
        if result:
            return result
        deadline.check(what)
        time.sleep(POLL_INTERVAL_S)

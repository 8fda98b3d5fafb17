"""Members of a group that run side by side, each in a thread of its own as in a real program."""

import threading
from collections.abc import Callable

from clients.deadline import wait_until
from clients.program.client import Member, Record, Refused

POLL_S = 0.1
SETTLE_DEADLINE_S = 30.0
CLOSE_DEADLINE_S = 20.0


class Running:
    """A member in its thread: polls, and commits after every batch, until it is closed."""

    def __init__(self, make: Callable[[], Member], commit: bool = True):
        self.records: list[Record] = []
        self.refused: Refused | None = None
        self.owned: set[int] = set()
        self._error: BaseException | None = None
        self._commit = commit
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(make,), daemon=True)
        self._thread.start()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_exc) -> None:
        self._stop.set()
        self._thread.join(CLOSE_DEADLINE_S)

    def close(self) -> None:
        """Leaves the group; raises what went wrong in the thread."""
        self._stop.set()
        self._thread.join(CLOSE_DEADLINE_S)
        assert not self._thread.is_alive(), f"a member did not leave within {CLOSE_DEADLINE_S:g} s"
        self.check()

    def check(self) -> None:
        """Raises if the member ended by itself."""
        if self._error is not None:
            raise self._error
        if self.refused is not None:
            raise self.refused

    def wait_records(self, count: int, seconds: float = SETTLE_DEADLINE_S) -> list[Record]:
        """All its records, once there are `count`."""

        def enough() -> bool:
            self.check()
            return len(self.records) >= count

        wait_until(f"{count} records for a member that owns {sorted(self.owned)}", seconds, enough)
        return list(self.records)

    def wait_refused(self, seconds: float) -> Refused:
        """The error with which the broker ended the member."""

        def ended() -> Refused | None:
            if self._error is not None:
                raise self._error
            return self.refused

        return wait_until("the broker to refuse a member", seconds, ended)

    def _run(self, make: Callable[[], Member]) -> None:
        try:
            member = make()
            try:
                while not self._stop.is_set():
                    self._poll(member)
            except Refused as refused:
                self.refused = refused
            finally:
                self.owned = set()
                member.close()
        except BaseException as error:
            self._error = error

    def _poll(self, member: Member) -> None:
        polled = member.poll(POLL_S)
        self.owned = set(member.assignment())
        if polled and self._commit:
            member.commit()
        self.records += polled


def wait_settled(members: list[Running], partitions: int) -> None:
    """Returns when the members own all partitions, each one of them at least one, and none twice."""

    def settled() -> bool:
        for member in members:
            member.check()
        owned = [set(member.owned) for member in members]
        return all(owned) and sorted(p for each in owned for p in each) == list(range(partitions))

    wait_until(f"{len(members)} members to share {partitions} partitions", SETTLE_DEADLINE_S, settled)

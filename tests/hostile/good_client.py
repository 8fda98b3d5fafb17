"""A client that does nothing wrong, and notes how long it waits."""

import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from clients import raw, wire
from clients.deadline import wait_until

PATIENCE_S = 60.0
PAUSE_S = 0.005
CALLS_AT_LEAST = 30
VALUE = b"a small record of a client that does nothing wrong"


class GoodClient(threading.Thread):
    """Produces a record, fetches it, and pauses, until it is told to stop."""

    def __init__(self, port: int, topic: str):
        super().__init__(daemon=True)
        self._port = port
        self._topic = topic
        self._ending = threading.Event()
        self.failure: BaseException | None = None
        # Seconds from the first byte sent to the last one received.
        self.produces: list[float] = []
        self.fetches: list[float] = []

    def run(self) -> None:
        try:
            with wire.Connection(self._port, PATIENCE_S) as connection:
                while not self._ending.wait(PAUSE_S):
                    request = raw.produce_request(self._topic, 0, raw.record_batch(VALUE))
                    answer = self._call(connection, request, self.produces)
                    assert raw.produce_error(answer) == wire.ERROR_NONE
                    request = raw.fetch_request(self._topic, 0, base_offset(answer), 1 << 20)
                    answer = self._call(connection, request, self.fetches)
                    assert VALUE in answer, "what was acknowledged can not be fetched"
        except BaseException as failure:
            self.failure = failure

    def end(self) -> None:
        """Stops it; whatever went wrong is raised here."""
        self._ending.set()
        self.join(PATIENCE_S)
        assert not self.is_alive(), "the good client is not answered"
        if self.failure is not None:
            raise self.failure

    @staticmethod
    def _call(connection: wire.Connection, request: bytes, times: list[float]) -> bytes:
        began = time.monotonic()
        connection.sock.sendall(request)
        _, answer = connection.receive()
        times.append(time.monotonic() - began)
        return answer


def base_offset(answer: bytes) -> int:
    """Where the batch of an answer to `raw.produce_request` stands."""
    (name_bytes,) = struct.unpack_from(">h", answer, 4)
    (offset,) = struct.unpack_from(">q", answer, 4 + 2 + name_bytes + 4 + 4 + 2)
    return offset


@contextmanager
def good_client(port: int, topic: str) -> Iterator[GoodClient]:
    """A client at work for the length of the block, and until enough can be said of it."""
    client = GoodClient(port, topic)
    client.start()
    try:
        yield client
        wait_until("the good client", PATIENCE_S, lambda: len(client.fetches) >= CALLS_AT_LEAST or client.failure)
    finally:
        client.end()


def p99_ms(seconds: list[float]) -> float:
    """What 99 of 100 took at most, in ms."""
    assert len(seconds) >= CALLS_AT_LEAST, f"only {len(seconds)} calls: nothing can be said of them"
    return sorted(seconds)[(len(seconds) - 1) * 99 // 100] * 1_000


def quiet_p99_ms(port: int, topic: str, seconds: float) -> float:
    """The slower of produce and fetch while nobody else does anything, in ms."""
    with good_client(port, topic) as client:
        time.sleep(seconds)
    return max(p99_ms(client.produces), p99_ms(client.fetches))

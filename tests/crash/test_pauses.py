"""SIGSTOP for a while, then SIGCONT: a server that clients give up, and that goes on with what it had half done.

Clients time out, connect again and repeat what the stopped server has already in its sockets or its journal; after
SIGCONT it answers both. CHRONIK_PAUSES is the number of pauses, of 0.2 to 20 s each; 30 is the full length.
"""

import os
import random
import signal
import time

import pytest
from load import PROPERTIES, Load

from clients import wire
from clients.deadline import Deadline
from clients.harness import Broker
from clients.raw import PRODUCE_VERSION, produce_request, record_batch
from clients.reading import create_topic, read_partitions

pytestmark = pytest.mark.chronik_only

# The first ones are the same at any length: one that nobody minds, one beyond the clients' patience, one beyond the
# session of a member.
FIRST_S = (0.2, 3.0, 8.0)
SHORTEST_S, LONGEST_S = 0.2, 20.0
PAUSES = int(os.environ.get("CHRONIK_PAUSES", str(len(FIRST_S))))
SEED = int(os.environ.get("CHRONIK_SEED", "1"))
UNDER_LOAD_S = 0.5
# Clients that wait less than most pauses take.
IMPATIENT = {"request.timeout.ms": 1_000, "socket.timeout.ms": 1_500}
QUESTIONS = 20
ANSWER_DEADLINE_S = 60.0


def test_a_server_that_was_stopped_loses_and_doubles_nothing(new_broker, topic: str, record_property):
    chance = random.Random(SEED)
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    patient = Patient(broker, f"{topic}-patient")
    lengths = [*FIRST_S, *(chance.uniform(SHORTEST_S, LONGEST_S) for _ in range(PAUSES - len(FIRST_S)))][:PAUSES]
    back_s = []
    with Load(broker, topic, config=IMPATIENT) as load:
        for sender in load.senders:
            # Records that a client sent over a connection that it gave up may come behind later ones.
            sender.ordered = sender.kind.complete
        load.wait_for_work()
        for seconds in lengths:
            pause(broker, load, patient, seconds, chance)
            acked, began = load.acked, time.monotonic()
            load.wait_for("acknowledgements behind the pause", lambda acked=acked: load.acked > acked)
            back_s.append(time.monotonic() - began)
            patient.check_answers()
        load.wait_for_work()
        load.finish()
        errors = sum((sender.errors for sender in load.senders), load.group.errors)
        figures = load.figures()
    patient.check_kept()
    record_property(
        f"{PAUSES} pauses of {min(lengths):.1f} to {max(lengths):.1f} s",
        f"{figures.acknowledged} acknowledged, 0 lost, 0 doubled; {sum(errors.values())} requests given up by clients; "
        f"{len(patient.answered)} late answers, all true; acknowledging again after {max(back_s):.1f} s at most",
    )


def pause(broker: Broker, load: Load, patient: "Patient", seconds: float, chance: random.Random) -> None:
    """Stops the server at a random moment, with questions asked just before, and lets it go on later."""
    over = Deadline(chance.uniform(0, UNDER_LOAD_S))
    load.wait_for("a random moment", over.expired)
    patient.ask(QUESTIONS)
    broker.process.send_signal(signal.SIGSTOP)
    try:
        # Questions that only the stopped server's socket takes.
        patient.ask(QUESTIONS)
        over = Deadline(seconds)
        load.wait_for("the end of the pause", over.expired)
    finally:
        broker.process.send_signal(signal.SIGCONT)


class Patient:
    """A producer over one connection that waits for every answer, however late it comes."""

    def __init__(self, broker: Broker, topic: str):
        create_topic(broker.bootstrap, topic)
        # Offset and value of each record that was answered for.
        self.answered: list[tuple[int, bytes]] = []
        self._broker = broker
        self._topic = topic
        self._open: list[bytes] = []
        self._asked = 0
        self._connection = wire.Connection(broker.port, ANSWER_DEADLINE_S)

    def ask(self, count: int) -> None:
        """Sends records without waiting."""
        for _ in range(count):
            value = b"patient record %d" % self._asked
            self._asked += 1
            self._connection.sock.sendall(produce_request(self._topic, 0, record_batch(value)))
            self._open.append(value)

    def check_answers(self) -> None:
        """Each is answered, without an error and in the order of asking."""
        for value in self._open:
            _, body = self._connection.receive()
            error, offset = produced(body)
            assert error == wire.ERROR_NONE, f"{value} was refused with {error}"
            self.answered.append((offset, value))
        self._open.clear()

    def check_kept(self) -> None:
        """The topic holds what the answers said, and nothing else."""
        (entries,) = read_partitions(self._broker.bootstrap, self._topic, 1)
        assert [(entry.offset, entry.value) for entry in entries] == self.answered
        self._connection.close()


def produced(body: bytes) -> tuple[int, int]:
    """Error and offset of the only partition in an answer to `produce_request`."""
    assert PRODUCE_VERSION == 3
    topics, _throttle = wire.decode([["s", ["i", "h", "q", "q"]], "i"], body)
    ((_name, ((_partition, error, offset, _time),)),) = topics
    return error, offset

"""SIGKILL again and again under clients of all kinds, at random and at chosen moments, also while the server starts.

CHRONIK_ROUNDS is the number of kills; 500 is the full length. Each load of clients lives through `KILLS_EACH` of them.
Its topics stay for a while, and must not have changed when they are deleted.
"""

import os
import random
import time
from collections import Counter, deque

import pytest
from killing import Assassin
from load import PROPERTIES, Load, fingerprint, read_topics

from clients.deadline import Deadline
from clients.harness import Broker
from clients.reading import delete_topic

pytestmark = pytest.mark.chronik_only

ROUNDS = int(os.environ.get("CHRONIK_ROUNDS", "10"))
SEED = int(os.environ.get("CHRONIK_SEED", "1"))
KILLS_EACH = 20
KEPT_LOADS = 3
RESTART_LIMIT_S = 5.0

# A random moment of service, a random moment after the start of the process, and those that the assassin knows.
MOMENTS = ("random", "start", "commit", "random", "start", "roll", "random", "recovery", "commit", "checkpoint")
RANDOM_S = 0.7
START_S = 0.12
# How long after the moment the kill comes, at most.
DELAYS_US = {"commit": 300, "checkpoint": 6_000, "recovery": 20_000, "roll": 3_000}


def test_nothing_is_lost_or_doubled_by_kills(new_broker, topic: str, record_property):
    kills = Kills(new_broker(properties=PROPERTIES), topic)
    for first in range(0, ROUNDS, KILLS_EACH):
        kills.run_load(range(first, min(first + KILLS_EACH, ROUNDS)))
    kills.check_the_rest()
    record_property(f"{ROUNDS} kills under load", kills.summary())


class Kills:
    """The server under test, and what happened to it so far."""

    def __init__(self, broker: Broker, prefix: str):
        self._broker = broker
        self._prefix = prefix
        self._chance = random.Random(SEED)
        self._counts: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._kept: deque[tuple[str, str]] = deque()
        self._under_way: list[int] = []
        self._restarts_s: list[float] = []
        self._began = time.monotonic()
        broker.start()

    def run_load(self, rounds: range) -> None:
        """One load of clients through some kills."""
        number = rounds.start // KILLS_EACH
        protocol = ("classic", "consumer")[number % 2]
        with Load(self._broker, f"{self._prefix}-{number}", protocol=protocol) as load:
            load.wait_for_work()
            for one in rounds:
                self._kill(load, MOMENTS[one % len(MOMENTS)])
            stored = load.finish()
            self._totals.update(load.figures()._asdict())
            self._errors += load.group.errors
        for topic, partitions in stored.items():
            self._kept.append((topic, fingerprint(partitions)))
        while len(self._kept) > KEPT_LOADS * len(load.topics):
            delete_topic(self._broker.bootstrap, self._check_oldest())

    def check_the_rest(self) -> None:
        """A stop in peace and a start change nothing either."""
        self._broker.restart()
        while self._kept:
            self._check_oldest()

    def summary(self) -> str:
        took = time.monotonic() - self._began
        figures = ", ".join(f"{name} {count}" for name, count in self._totals.items())
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self._counts.items()))
        low, high = min(self._under_way), max(self._under_way)
        return (
            f"{figures}; 0 lost, 0 doubled; {low} to {high} records under way at each kill; slowest restart "
            f"{max(self._restarts_s) * 1000:.0f} ms; kills: {kills}; {took / ROUNDS:.1f} s per kill"
        )

    def _kill(self, load: Load, moment: str) -> None:
        if moment == "random":
            self._wait(load, self._chance.uniform(0, RANDOM_S))
            self._note(moment, load)
            self._broker.kill9()
        elif moment in ("start", "recovery"):
            # While it serves first, so that there is something to recover.
            self._wait(load, self._chance.uniform(0, RANDOM_S / 2))
            self._broker.kill9()
            self._kill_start(load, moment)
        else:
            self._strike(load, moment)
        promised = load.promised()
        self._restarts_s.append(self._broker.start())
        assert self._restarts_s[-1] < RESTART_LIMIT_S, f"it took {self._restarts_s[-1]:.1f} s to listen again"
        load.check_ends(promised)
        acked = load.acked
        load.wait_for("acknowledgements after the kill", lambda: load.acked > acked)

    def _kill_start(self, load: Load, moment: str) -> None:
        promised = load.promised()
        if moment == "recovery":
            assassin = Assassin(moment, self._broker.data_dir, self._chance.randrange(DELAYS_US[moment]))
            self._broker.spawn()
            assassin.name_victim(self._broker)
            came = assassin.reap(self._broker)
            self._note(moment if came else f"{moment} missed", load)
            return
        self._broker.spawn()
        self._wait(load, self._chance.uniform(0, START_S))
        self._note(moment, load)
        self._broker.kill9()
        assert promised.keys() == load.promised().keys()

    def _strike(self, load: Load, moment: str) -> None:
        load.heavy = moment != "commit"
        assassin = Assassin(moment, self._broker.data_dir, self._chance.randrange(DELAYS_US[moment]))
        assassin.name_victim(self._broker)
        load.wait_for(f"the kill in a {moment}", assassin.struck)
        load.heavy = False
        self._note(moment if assassin.reap(self._broker) else f"{moment} missed", load)

    def _note(self, moment: str, load: Load) -> None:
        self._counts[moment] += 1
        self._under_way.append(load.under_way)

    def _wait(self, load: Load, seconds: float) -> None:
        """Lets the clients work for so long."""
        over = Deadline(seconds)
        load.wait_for("a random moment", over.expired)

    def _check_oldest(self) -> str:
        topic, before = self._kept.popleft()
        now = fingerprint(read_topics(self._broker.bootstrap, [topic])[topic])
        assert now == before, f"{topic} changed after its load had ended"
        return topic

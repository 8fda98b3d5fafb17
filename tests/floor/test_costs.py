"""Ceilings of what a record may cost. They are counts, so that a busy machine does not change them.

They stand some 20 % above what was counted when they were set: who makes the server cheaper lowers them.
"""

from dataclasses import dataclass

import pytest
from counting import per_record

from clients.tools import require_tool

pytestmark = pytest.mark.chronik_only


@dataclass(frozen=True)
class Ceiling:
    """A load of one record in each request, and what one request may cost."""

    load: list[str | int]
    few: int
    many: int
    instructions: int
    allocations: float


CEILINGS = {
    # Each request has a commit of its own here: a turn of the journal thread is part of it.
    "one in flight": Ceiling(["-c", 1], few=500, many=3_500, instructions=31_000, allocations=16),
    "pipelined": Ceiling(
        ["--connections", 4, "--pipeline", 64], few=2_000, many=12_000, instructions=10_000, allocations=1
    ),
}


@pytest.mark.parametrize("ceiling", CEILINGS.values(), ids=CEILINGS.keys())
def test_a_request_costs_no_more(tmp_path, record_property, request, ceiling: Ceiling):
    require_tool("valgrind")
    cost = per_record(tmp_path, ceiling.few, ceiling.many, *ceiling.load)
    name = request.node.callspec.id
    record_property(f"a Produce, {name}", f"{cost.instructions:,.0f} instructions, {cost.allocations:.1f} allocations")
    assert cost.instructions <= ceiling.instructions
    assert cost.allocations <= ceiling.allocations

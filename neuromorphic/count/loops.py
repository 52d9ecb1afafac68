"""Networks that loop over time themselves: T visits of a module become T steps of its rows.

A module that ran k T times while the network took T steps ran k times in each of them, so that visit v = k t + p is
step t of place p. What the T visits of one place left is put together as if time had been an axis of its tensors:

    row         counts and evidence add up; non-zeros of the left operand stand by step
    emission    of a neuron: what was sent stands by step; it fired if it did in any step, always if in all
    repeats     every visit read the same memory: a static picture shown T times

A module whose visits did different work (a branch that some steps take) is left as it is, and so are operations of the
outermost module, whose loop nobody can see.
"""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from neuromorphic.ledger import Emission, Operand, Row


@dataclass(frozen=True)
class Visit:
    """When a row was left: in which visit of its module, counted from 0, and what moving memory was read."""

    number: int
    source: tuple = ()


def in_time(rows: Sequence[Row], emissions: Sequence[Emission], visits: Sequence[Visit], entered: Mapping[str, int],
            steps: int) -> tuple[tuple[Row, ...], tuple[Emission, ...]]:  # fmt: skip
    """Rows and emissions with loops over time folded; visits: one for each row; entered: visits of each module."""
    loops = [] if steps == 1 else _loops(rows, visits, entered, steps)
    sent = {emission.order: emission for emission in emissions}
    inside = set(chain.from_iterable(loops))
    found = [([row], sent.get(index), row) for index, row in enumerate(rows) if index not in inside]
    for loop in loops:
        parts, told = [rows[index] for index in loop], [sent[index] for index in loop if index in sent]
        same = len({visits[index].source for index in loop}) == 1
        found.append((parts, _sent_in_time(told) if told else None, _row_in_time(parts, same)))
    calls, placed, told = Tally(), [], []
    for _, emission, row in sorted(found, key=lambda each: each[0][0].order):
        placed.append(row.at(calls[row.scope, row.op], len(placed)))
        calls[row.scope, row.op] += 1
        if emission:
            told.append(replace(emission, call=placed[-1].call, order=placed[-1].order))
    return tuple(placed), tuple(told)


def _loops(rows: Sequence[Row], visits: Sequence[Visit], entered: Mapping[str, int], steps: int) -> list[list[int]]:
    """Indices of the T rows of each place, of the modules all of whose places are alike in every step."""
    places: dict[tuple, list[int]] = {}
    within: Tally = Tally()
    for index, (row, visit) in enumerate(zip(rows, visits, strict=True)):
        each, rest = divmod(entered.get(row.scope, 0), steps)
        if each and not rest:
            nth = within[row.scope, row.op, visit.number]
            within[row.scope, row.op, visit.number] += 1
            places.setdefault((row.scope, row.op, visit.number % each, nth), []).append(index)
    unlike = {key[0] for key, found in places.items() if not _alike([rows[index] for index in found], steps)}
    return [found for key, found in places.items() if key[0] not in unlike]


def _alike(rows: Sequence[Row], steps: int) -> bool:
    return len(rows) == steps and all(row.steps == 1 and row.geometry == rows[0].geometry for row in rows)


def _row_in_time(rows: Sequence[Row], same: bool) -> Row:
    whole = sum(rows[1:], start=rows[0])
    left = _by_step([row.left for row in rows], same and whole.reads_input) if whole.left else None
    right = _by_step([row.right for row in rows]) if whole.right else None
    return replace(whole, steps=len(rows), left=left, right=right)


def _by_step(parts: Sequence[Operand], same: bool = False) -> Operand:
    return replace(Operand.total(parts), nonzero_per_step=tuple(part.nonzero for part in parts), repeats=same)


def _sent_in_time(emissions: Sequence[Emission]) -> Emission:
    whole = sum(emissions[1:], start=emissions[0])
    return replace(
        whole,
        positive=tuple(chain.from_iterable(one.positive for one in emissions)),
        negative=tuple(chain.from_iterable(one.negative for one in emissions)),
        levels=tuple(chain.from_iterable(one.levels if whole.integers else (0,) for one in emissions)),
    )

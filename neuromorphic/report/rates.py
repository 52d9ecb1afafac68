"""Which rate multiplies which operation: every product of a model with the tensors that it reads.

    operations of a product = share carried out * terms        terms: multiply-accumulates if nothing were skipped
    share                   = rate of the operand that decides, weighted by fan-out (exact: counted, not multiplied)
"""

from neuromorphic.energy.bill import CLASSES, Bill
from neuromorphic.energy.rule import classify
from neuromorphic.ledger import SPIKES, Operand, Row

from . import text
from .record import Entry
from .table import Cell, Column, Table

COLUMNS = (
    Column("product", "module path and family; the number tells products of one module apart", number=False),
    Column("reads", "the tensor that enters, its kind over all samples, and its rate: the share of non-zeros",
           number=False),
    Column("terms", "multiply-accumulates per sample if nothing were skipped, all time steps"),
    Column("carried out", "operations over terms: the rate that multiplies them, weighted by fan-out"),
    Column("operations", "what is charged per sample, bias additions included", number=False),
    Column("pJ each", "price of each class of operation", number=False),
    Column("energy", "per sample"),
)


def rates(entry: Entry, bill: Bill) -> Table | None:
    """One row for each product in order of execution; None where nothing was counted, such as for a paper's table."""
    products = [row for row in entry.ledger.rows if row.dense]
    several = {(row.scope, row.op) for row in products if row.call}
    return Table(COLUMNS, tuple(_row(entry, bill, row, several) for row in products)) if products else None


def _row(entry: Entry, bill: Bill, row: Row, several: set[tuple[str, str]]) -> tuple[Cell, ...]:
    found, samples = classify(row, bill.rule, entry.model.timesteps), entry.ledger.samples
    counts = {operation: found[operation] for operation in CLASSES if operation in found}
    main = sum(n for name, n in counts.items() if name != "ADD") or sum(counts.values()) - row.bias
    name = f"{row.scope or '(model)'} ({row.op}{f' {row.call + 1}' if (row.scope, row.op) in several else ''})"
    prices = {operation: bill.profile.pj(operation) for operation in counts}
    pj = sum(n * (prices[operation] or 0.0) for operation, n in counts.items()) / samples
    sign = "≥ " if None in prices.values() else ""
    return (
        Cell(name), Cell(_reads(row)), Cell(text.count(row.dense / samples), row.dense / samples),
        Cell(text.percent(main / row.dense), main / row.dense),
        Cell(", ".join(f"{text.count(n / samples)} {operation}" for operation, n in counts.items()) or text.NOTHING),
        Cell(", ".join("not priced" if price is None else f"{price:g}" for price in prices.values()) or text.NOTHING),
        Cell(sign + text.energy(pj), pj),
    )  # fmt: skip


def _reads(row: Row) -> str:
    if row.right is None:
        source = "the model's input" if row.reads_input else "input"
        return f"{source}: {_seen(row.left)} × weights"
    return f"left: {_seen(row.left)} × right: {_seen(row.right)}"


def _seen(operand: Operand | None) -> str:
    """Kind and rate; a real tensor's zeros are no saving, so its rate is left out."""
    if operand is None:
        return "unknown"
    return f"{operand.kind} {text.percent(operand.rate)}" if operand.kind in (*SPIKES, "graded") else operand.kind

"""One executed operation as a counter sees it.

A counter is `count(call) -> rows`: a non-empty list is what the operation costs, an empty list says that it is
free here (a folded norm), None that the counter cannot price this use (it becomes uncovered).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from neuromorphic.count.facts import Facts
from neuromorphic.count.measure import power_of_two, repeats
from neuromorphic.count.operation import tensors_in
from neuromorphic.ledger import Operand, Row


@dataclass(frozen=True)
class Call:
    """name: "aten::addmm"; arguments: by schema name, defaults filled in; out: what it returned."""

    name: str
    arguments: dict[str, Any]
    out: Any
    scope: str
    facts: Facts

    def __getitem__(self, argument: str) -> Any:
        return self.arguments.get(argument)

    @property
    def result(self) -> Tensor:
        """The (first) output tensor."""
        return self.out[0] if isinstance(self.out, (list, tuple)) else self.out

    def constant(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor) and self.facts.of(tensor).constant

    def operand(self, tensor: Tensor) -> Operand:
        """Exact evidence of its values, whoever looked at them first."""
        facts, steps = self.facts.of(tensor), self.facts.steps(tensor)
        seen = self.facts.evidence(tensor, steps, self.scope).whole
        same = facts.reads_input and steps > 1 and repeats(tensor, steps)
        return replace(seen, declared=facts.declared, repeats=same) if same or facts.declared else seen

    @property
    def words(self) -> dict[str, int]:
        """Elements that it read and gave, weights and literals apart."""
        moving = (t for t in tensors_in(self.arguments) if not self.constant(t))
        return {"input": sum(t.numel() for t in moving), "output": self.result.numel()}

    def row(self, op: str, *, steps: int | None = None, **evidence: Any) -> Row:
        """A row at this scope; geometry given as a dict, steps from the result unless given."""
        geometry = tuple(sorted(evidence.pop("geometry", {}).items()))
        steps = steps or self.facts.steps(self.result)
        if "dense" not in evidence:  # the words of a product follow from its sizes (neuromorphic.energy.reuse)
            evidence.setdefault("words", self.words)
        return Row(scope=self.scope, op=op, steps=steps, geometry=geometry, **evidence)


Counter = Callable[[Call], list[Row] | None]


def scaling(factor: float, count: int) -> dict[str, int]:
    """`count` multiplications by one known factor: shifts where it is a power of two, nothing where it is 1."""
    if abs(factor) == 1:
        return {}
    return {"SHIFT" if power_of_two(factor) else "MUL": count}

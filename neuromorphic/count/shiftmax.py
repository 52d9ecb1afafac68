"""Shiftmax and the products of bipolar self-attention.

    Shiftmax, for each row of n keys (masked keys left out):
        n SHIFT (2**x as one-hot), n - 1 ADD (the sum), 1 LOD (its leading one), n ADD (gamma - x)
    with the row maximum subtracted first: n - 1 CMP and n ADD more (`Rule.row_maximum`; not in the paper)

    Q K^T         ternary times ternary: a product of two spike tensors, sign by XOR
    Score V       left operand declared powers of two. V real: one SHIFT and one ADD for every pair and channel.
                  V spikes: the ADD of the non-zero values only, and one SHIFT for each score (see energy.rule)

No exponential, division or multiplication anywhere. The counts of Shiftmax do not depend on firing rates.
"""

import torch
from torch import Tensor

from neuromorphic.count.call import Call, Counter
from neuromorphic.count.matmul import product
from neuromorphic.count.softmax import hidden_weights_product
from neuromorphic.ledger import Row
from spikeattn.ops.ternary_matmul import leading_axes


def allowed(scores_shape: torch.Size, mask: Tensor | None, like: Tensor) -> Tensor:
    """Where a query may attend, boolean, of the scores' shape."""
    everywhere = torch.ones((), dtype=torch.bool, device=like.device)
    return (everywhere if mask is None else mask).expand(scores_shape)


def shiftmax_row(call: Call, mask: Tensor, steps: int) -> Row:
    keys, rows = int(mask.sum()), int(mask.any(-1).sum())
    counts = {"SHIFT": keys, "ADD": keys - rows + keys, "LOD": rows}
    words = {"input": keys, "output": keys}
    return call.row("shiftmax", steps=steps, geometry={"n": mask.shape[-1]}, counts=counts, words=words)


def _count_shiftmax(call: Call) -> list[Row]:
    scores = call["scores"]
    if call.name == "spikeattn::shiftmax":
        call.facts.declare(call.result, declared="pow2")
    return [shiftmax_row(call, allowed(scores.shape, call["mask"], scores), call.facts.steps(scores))]


def _count_bipolar_attention(call: Call) -> list[Row]:
    q, k, v = call["q"], call["k"], call["v"]
    steps = max(call.facts.steps(t) for t in (q, k, v))
    scores = product(call, q, k.mT)
    n, m = q.shape[-2], k.shape[-2]
    lead = leading_axes(q, k, v)
    mask = allowed(torch.Size((*lead, n, m)), call["mask"], q)
    value = v.expand(*lead, *v.shape[-2:])
    current = hidden_weights_product(call, "score_value", "pow2", n, mask.sum(-2), value, steps)
    return [scores, shiftmax_row(call, mask, steps), current]


COUNTERS: dict[str, Counter] = {
    "spikeattn::shiftmax": _count_shiftmax,
    "spikeattn::shiftmax_exponents": _count_shiftmax,
    "spikeattn::bipolar_attention": _count_bipolar_attention,
}

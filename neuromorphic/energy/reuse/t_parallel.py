"""Parallel in time: the T steps of a result are worked through together, so that a weight serves all of them.

    right            stored weights: terms / T reads, fired or not; of a product of two activations pairs reads
    partial sums     none: T registers for each result;  results are written once
    membranes        none: a neuron runs its T steps in its register
    left             as output-stationary;  biases once for all steps

Weights stream past a result once and meet the T spikes of each input (as in parallel time batching). At T = 1, for an
ANN, this is the output-stationary model.
"""

from neuromorphic.energy.reuse.traffic import Product, ReuseModel, Traffic, gathered, kept


def traffic(product: Product) -> dict[str, Traffic]:
    """All steps at once.

    >>> traffic(Product(pairs=40, terms=80, left=10, right=8, results=8, steps=4))["right"].reads
    20
    """
    moved = gathered(product)
    if product.steps > 1:
        moved["right"] = kept("right", product.pairs, product.terms // product.steps)
        moved["bias"] = kept("bias", product.bias, product.bias // product.steps)
    return moved


T_PARALLEL = ReuseModel(
    "T_parallel", "all time steps of a result together: a weight serves them all, membranes stay in registers", traffic,
    keeps_membranes=True,
)  # fmt: skip

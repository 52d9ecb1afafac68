"""Weight-stationary: a weight is fetched once for each sample and step, and waits for its inputs (TPU-like).

    right            W reads at each step      (of a product of two activations: each element once)
    biases           once for each step
    left, partial sums, membranes              as without reuse

All weights are fetched, before anyone knows which spikes will come.
"""

from neuromorphic.energy.reuse.traffic import Product, ReuseModel, Traffic, from_memory, kept


def traffic(product: Product) -> dict[str, Traffic]:
    """One pass of the weights over all inputs of a step.

    >>> moved = traffic(Product(pairs=40, terms=80, left=10, right=8, results=8))
    >>> moved["right"].reads, moved["right"].register_reads, moved["partial_sum"].writes
    (8, 40, 48)
    """
    moved = from_memory(product)
    return moved | {
        "right": kept("right", moved["right"].reads, product.right),
        "bias": kept("bias", product.bias, product.bias_words),
    }


WEIGHT_STATIONARY = ReuseModel("weight_stationary", "weights are fetched once a step, nothing else is kept", traffic)

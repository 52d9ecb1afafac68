"""Ideal reuse: within an operation every word crosses its memory once, whatever the arithmetic needs.

    right            W reads for each sample, over all steps           left       each element once
    biases           once for each sample                              results    written once
    partial sums, membranes                                            none

What a machine with registers for everything would move that works one operation after another, without fusing them.
A layer with fewer spikes than weights could do with less, if it knew beforehand which weights it will need.
"""

from neuromorphic.energy.reuse.traffic import Product, ReuseModel, Traffic, gathered, kept


def traffic(product: Product) -> dict[str, Traffic]:
    """Each word once.

    >>> moved = traffic(Product(pairs=40, terms=80, left=10, right=8, results=8, steps=4))
    >>> moved["left"].reads, moved["right"].reads, moved["result"].writes
    (10, 2, 8)
    """
    return gathered(product) | {
        "left": kept("left", product.pairs + product.left_zeros, product.left),
        "right": kept("right", product.pairs + product.right_zeros, product.right // product.steps),
        "bias": kept("bias", product.bias, product.bias_words // product.steps),
    }


IDEAL = ReuseModel("ideal", "every word is read or written once", traffic, keeps_membranes=True)

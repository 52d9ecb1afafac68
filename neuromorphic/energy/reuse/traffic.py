"""What moves between memory and arithmetic: the records that reuse models speak in.

A product is a sum over pairs of one left and one right element for each result. Only some pairs are worked on:
spikes skip their zeros. What a model keeps beside the arithmetic is served by registers, all else by memory.
Spikes are bit-packed (1 bit, or 2 with a sign), so a zero that is skipped is still looked at; no AER. Every count is
linear in the evidence, so traffic adds up over samples and batches.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """The sizes of a product, over all samples and steps.

    pairs: worked on; terms: that exist (padding apart).
    left, right: elements of the operands, stored weights counted once for each sample and step.
    left_zeros, right_zeros: zeros that are skipped. left_skips, right_skips: the operand whose zeros are skipped.
    results; bias: additions of a bias; bias_words: biases, once for each sample and step.
    steps: over how many steps the right operand stays the same (T for stored weights, else 1).
    """

    pairs: int
    terms: int
    left: int
    right: int
    results: int
    left_zeros: int = 0
    right_zeros: int = 0
    left_skips: bool = False
    right_skips: bool = False
    bias: int = 0
    bias_words: int = 0
    steps: int = 1

    @property
    def sums(self) -> int:
        """Additions into a partial sum."""
        return self.pairs + self.bias

    @property
    def seen_by_result(self) -> tuple[int, int]:
        """Left and right words looked at where each result gathers its own operands."""
        return (self.terms if self.left_skips else self.pairs), (self.terms if self.right_skips else self.pairs)


@dataclass(frozen=True)
class Traffic:
    """Words of one kind of data: "left", "right", "bias", "partial_sum", "result" or "membrane".

    reads, writes: to and from memory; register_reads, register_writes: uses that are served beside the arithmetic.
    """

    data: str
    reads: int = 0
    writes: int = 0
    register_reads: int = 0
    register_writes: int = 0


def kept(data: str, uses: int, reads: int) -> Traffic:
    """Words that memory gives once and a register from then on, whether they are used or not.

    >>> kept("right", uses=100, reads=4)
    Traffic(data='right', reads=4, writes=0, register_reads=100, register_writes=0)
    """
    return Traffic(data, reads=reads, register_reads=uses)


def from_memory(product: Product) -> dict[str, Traffic]:
    """Every pair reads both operands and its partial sum, and writes the sum back; a skipped zero is seen once.

    A partial sum is cleared before it is first added to: one write more for each result.
    """
    return {
        "left": Traffic("left", reads=product.pairs + product.left_zeros),
        "right": Traffic("right", reads=product.pairs + product.right_zeros),
        "bias": Traffic("bias", reads=product.bias),
        "partial_sum": Traffic("partial_sum", reads=product.sums, writes=product.sums + product.results),
    }


def gathered(product: Product) -> dict[str, Traffic]:
    """Each result gathers its operands: its partial sum stays in a register and is written once, as the result."""
    left, right = product.seen_by_result
    return {
        "left": Traffic("left", reads=left),
        "right": Traffic("right", reads=right),
        "bias": Traffic("bias", reads=product.bias),
        "partial_sum": Traffic("partial_sum", register_reads=product.sums, register_writes=product.sums),
        "result": Traffic("result", writes=product.results),
    }


@dataclass(frozen=True)
class ReuseModel:
    """product(sizes): the traffic of a product. keeps_membranes: a neuron stays in its register over all T steps."""

    name: str
    title: str
    product: Callable[[Product], dict[str, Traffic]]
    keeps_membranes: bool = False

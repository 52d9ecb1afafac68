"""Lemaire et al. (ICONIP 2022, arXiv 2210.13107) as SpikingJelly 2.0.0 computes it.

nnz = spikes in, over all steps; K = product of the kernel's sides; |x| = elements of one step.

                      spikes in (all values 0 or 1)                       other input, over all steps
    ACC               conv nnz C_out prod ceil(k/s), linear nnz N_out;    biases added
                      + biases added
    MAC               0                                                   products
    addressing        conv nnz C_out K ACC + 2 nnz MAC,                   |in| + |out|  (+ C_out K for a convolution)
                      linear nnz N_out ACC
    input reads       nnz from a FIFO                                     conv products,  linear |in|
    parameter reads   nnz C_out K + biases added                          products + biases added
    potential         nnz C_out K, reads and as many writes               -
    neuron            ACC theta_out; MAC T |out| if it leaks; potential T |out| read and written; writes theta_out
    output writes     |out|, only in a network without neurons

    one access [pJ]   word_bytes * p(bytes held), p piecewise linear through (0, 0) and three points, constant beyond

C_out is per group. Two oddities are the source's: a tiny memory is free, and one above the last point (1 MiB) is
priced as 1 MiB. Its addressing of real inputs is once for each call, here once for each sample and step.
Everything that is neither weights nor neuron has no formula and stays unpriced.
"""

from neuromorphic.energy.models.formulas import ADDRESSING, Formulas, Layer, Numbers, Term, energy_model
from neuromorphic.ledger import Emission

SIZES = ("small", "medium", "large")
CONSTANTS = ("word_bytes", "fifo_words", *(f"{size}_{what}" for size in SIZES for what in ("bytes", "pj_per_byte")))


def access_pj(words: float, number: Numbers) -> float:
    """pJ of one word from a memory that holds so many words."""
    points = [(0.0, 0.0), *((number[f"{size}_bytes"], number[f"{size}_pj_per_byte"]) for size in SIZES)]
    held = min(words * number["word_bytes"], points[-1][0])
    (x0, y0), (x1, y1) = next(pair for pair in zip(points, points[1:], strict=False) if held <= pair[1][0])
    return number["word_bytes"] * (y0 + (y1 - y0) / (x1 - x0) * (held - x0))


def dense_terms(layer: Layer, passes: int, writes: bool) -> list[Term]:
    """A layer on values that are not all 0 or 1, `passes` times."""
    uses, biases = layer.outputs * layer.fan_in * passes, layer.outputs * passes if layer.biases else 0
    kernel = layer.channels * layer.taps if layer.convolution else 0
    return [
        Term("MAC", uses),
        Term("AC", biases),
        Term("AC", passes * (layer.inputs + layer.outputs + kernel), part=ADDRESSING),
        Term("READ_INPUT", uses if layer.convolution else layer.inputs * passes, layer.inputs),
        Term("READ_WEIGHT", uses, layer.weights + layer.biases),
        Term("READ_BIAS", biases, layer.weights + layer.biases),
        Term("WRITE_OUTPUT", layer.outputs * passes if writes else 0, layer.outputs),
    ]


def formal_terms(layer: Layer) -> list[Term]:
    """A layer of a network without neurons, run once on every sample."""
    return dense_terms(layer, layer.samples, writes=True)


def layer_terms(layer: Layer, spiking: bool, number: Numbers) -> list[Term]:
    """A layer over all steps of every sample; its neuron is apart (`neuron_terms`)."""
    if not layer.binary:
        return dense_terms(layer, layer.samples * layer.steps, writes=not spiking)
    nnz, touched = layer.spikes, layer.spikes * layer.fan_out * layer.taps
    biases = layer.outputs * layer.steps * layer.samples if layer.biases else 0
    return [
        Term("AC", nnz * layer.fan_out * layer.overlap + biases),
        Term("AC", touched, part=ADDRESSING),
        Term("MAC", 2 * nnz if layer.convolution else 0, part=ADDRESSING),
        Term("READ_INPUT", nnz, number["fifo_words"]),
        Term("READ_WEIGHT", touched, layer.weights + layer.biases),
        Term("READ_BIAS", biases, layer.weights + layer.biases),
        Term("READ_MEMBRANE", touched, layer.outputs),
        Term("WRITE_MEMBRANE", touched, layer.outputs),
    ]


def neuron_terms(emission: Emission, leaky: bool, number: Numbers) -> list[Term]:
    """Leak, reset, potentials and emitted spikes of one neuron layer."""
    theta = sum(emission.positive) + sum(emission.negative)
    return [
        Term("MAC", emission.numel if leaky else 0),
        Term("AC", theta),
        Term("READ_MEMBRANE", emission.numel, emission.units),
        Term("WRITE_MEMBRANE", emission.numel, emission.units),
        Term("WRITE_OUTPUT", theta, number["fifo_words"]),
    ]


LEMAIRE_SJ = energy_model("lemaire_sj", Formulas(layer_terms, formal_terms, neuron_terms, access_pj), CONSTANTS)

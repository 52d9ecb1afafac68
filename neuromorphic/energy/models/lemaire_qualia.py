"""Lemaire et al. (ICONIP 2022, arXiv 2210.13107) as Qualia's spiking plug-in computes it.

theta = spikes of one inference, summed over T; K = product of the kernel's sides; |x| = elements of one step.

                        spikes in                                              a formal network, or real values in
    MAC                 T |out| where the neuron leaks                         |out| C_in K
    ACC                 theta_in prod ceil(k/s) C_out + T |out| + theta_out    |out|
    input reads         theta_in                                               conv |out| C_in K,  linear |in|
    weight reads        theta_in C_out K                                       |out| C_in K
    bias reads          T |out|  (none without biases)                         |out|
    potential           theta_in C_out K + T |out|, reads and as many writes   -
    output writes       theta_out                                              |out|
    addressing          conv theta_in K ACC + 2 theta_in MAC,                  conv |in| + |out| + C_out K ACC,
                        linear theta_in / N_in * N_out ACC                     linear N_in N_out ACC

    one access [pJ]     slope * (words held * bits) + intercept                the "old" fit; slope 0 is the "new" one

C_out is per group. A memory holds: the weights, the biases, |out| potentials, |in| inputs, or for spikes the FIFO.
Real values into a spiking layer ("hybrid") are read, multiplied and addressed once, as in a formal network; the
rest is as for spikes. Differs from the tool in: theta_out and the leak stand at the neuron (the sum over a network
is the same), the leak of a hybrid layer is charged at every step, and a linear layer is applied to each token.
Everything that is neither weights nor neuron has no formula and stays unpriced.
"""

from neuromorphic.energy.models.formulas import ADDRESSING, Formulas, Layer, Numbers, Term, energy_model
from neuromorphic.ledger import Emission

CONSTANTS = ("bits", "slope_pj_per_bit", "intercept_pj", "fifo_words")


def access_pj(words: float, number: Numbers) -> float:
    """pJ of one access to a memory that holds so many words."""
    return number["slope_pj_per_bit"] * words * number["bits"] + number["intercept_pj"]


def formal_terms(layer: Layer) -> list[Term]:
    """A layer of a formal network, run once on every sample."""
    n, uses = layer.samples, layer.outputs * layer.fan_in * layer.samples
    return [
        Term("MAC", uses),
        Term("AC", n * layer.outputs),
        Term("READ_INPUT", uses if layer.convolution else n * layer.inputs, layer.inputs),
        _formal_addressing(layer),
        Term("READ_WEIGHT", uses, layer.weights),
        Term("READ_BIAS", n * layer.outputs if layer.biases else 0, layer.biases),
        Term("WRITE_OUTPUT", n * layer.outputs, layer.outputs),
    ]


def _formal_addressing(layer: Layer) -> Term:
    convolution = layer.inputs + layer.outputs + layer.channels * layer.taps
    return Term("AC", layer.samples * (convolution if layer.convolution else layer.outputs * layer.fan_in),
                part=ADDRESSING)


def layer_terms(layer: Layer, spiking: bool, number: Numbers) -> list[Term]:
    """A layer over all steps of every sample; its neuron is apart (`neuron_terms`)."""
    if not spiking:
        return formal_terms(layer)
    theta, updates = layer.spikes, layer.samples * layer.steps * layer.outputs
    touched = theta * layer.fan_out * layer.taps
    driven = [
        Term("AC", theta * layer.overlap * layer.fan_out + updates),
        Term("READ_INPUT", theta, number["fifo_words"]),
        Term("AC", theta * (layer.taps if layer.convolution else layer.fan_out / layer.fan_in), part=ADDRESSING),
        Term("MAC", 2 * theta if layer.convolution else 0, part=ADDRESSING),
    ]
    return (driven if layer.binary else formal_terms(layer)[:4]) + [
        Term("READ_WEIGHT", touched, layer.weights),
        Term("READ_BIAS", updates if layer.biases else 0, layer.biases),
        Term("READ_MEMBRANE", touched + updates, layer.outputs),
        Term("WRITE_MEMBRANE", touched + updates, layer.outputs),
    ]


def neuron_terms(emission: Emission, leaky: bool, number: Numbers) -> list[Term]:
    """Leak, reset and emitted spikes."""
    theta = sum(emission.positive) + sum(emission.negative)
    leak = emission.numel if leaky else 0
    return [Term("MAC", leak), Term("AC", theta), Term("WRITE_OUTPUT", theta, number["fifo_words"])]


LEMAIRE_QUALIA = energy_model(
    "lemaire_qualia", Formulas(layer_terms, formal_terms, neuron_terms, access_pj), CONSTANTS
)  # fmt: skip

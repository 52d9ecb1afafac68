"""The CIFAR-10 ViT at few steps on all test pictures, a rate code of four times as many, and the ANN in int8.

The int8 ANN is the converted network with symmetric codes of 255 levels, 8-bit weights and its functions in float.
"""

import argparse
from typing import Any

from conversion.measure import SAMPLES, ann_score, announced, ours, subject
from neuromorphic.convert.prepare import prepare
from spikeattn.data import load
from spikeattn.models import from_pretrained

RECIPE = "cifar10_vit_cpu"
INT8_ANN = {"weights": "int8", "normaliser": "exact", "norm": "exact", "activation": "exact", "biases": "kept"}


def study(given: argparse.Namespace) -> dict[str, Any]:
    splits, model = load("cifar10", None), from_pretrained(given.weights).eval()
    prepared = prepare(model, splits.train, evaluation=splits.test, samples=SAMPLES)
    rows = [ours(prepared, "ternary", T) for T in announced("ternary", (2, 3, 4, 5))]
    rows += [ours(prepared, "rate", T) for T in announced("rate", (16,))]
    rows += [ours(prepared, "signed_binary", T, **INT8_ANN) | {"method": "int8 ANN, functions in float"}
             for T in announced("int8 ANN", (7,))]
    return {**subject(prepared, model), "recipe": RECIPE, "ann": ann_score(prepared), "rows": rows}

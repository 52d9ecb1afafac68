"""Train a small vision transformer on handwritten digits, then convert it to spikes without training it again."""

import torch

import spikeattn
from neuromorphic.convert import convert
from spikeattn.data import load
from spikeattn.train import Recipe, fit

digits = load("digits")
recipe = Recipe.from_dict({
    "model": {"name": "vit_tiny", "attention": "softmax", "timesteps": 1},
    "data": {"name": "digits", "batch_size": 32},
    "optimiser": {"lr": 1e-2},
    "schedule": {"epochs": 2, "warmup_epochs": 0.5},
})  # fmt: skip
ann = spikeattn.create_model("vit_tiny")
fit(ann, digits, recipe)

for timesteps in (2, 4):
    snn, report = convert(ann, digits.train, evaluation=digits.test, timesteps=timesteps)
    print(f"T = {timesteps}: ANN {report.metric_ann.value:.3f}, SNN {report.metric_snn.value:.3f}, "
          f"agreement {report.fidelity.mean:.3f}, {report.spikes_per_value:.2f} spikes per value, "
          f"answer after {report.latency_steps} ticks")  # fmt: skip
print(f"purity: {report.purity.label}, {report.purity.float_free:.0%} free of floating point")

# the same network three ways: spikes all at once, code words, and tick by tick
pictures = digits.test.normalise(digits.test.scale(digits.test.images[:4]))
with torch.no_grad():
    spikes, codes = snn(pictures), snn.codes(pictures)
    out, state = snn.stream(pictures)
    while not state.ready:
        out, state = snn.stream(pictures, state)
print("same bits:", torch.equal(spikes, codes), torch.equal(spikes, out[0]))

for warning in report.warnings:
    print(f"{warning.where}: {warning.what}. {warning.what_to_do}")

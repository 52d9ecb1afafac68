"""From a stock PyTorch encoder to a directory with an energy report: page, JSON, Markdown, LaTeX, CSV."""

import torch
from torch import nn

from neuromorphic.report import Report, examine, facts, write

torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(64, nhead=4, dim_feedforward=256, batch_first=True, activation="gelu")
encoder = nn.TransformerEncoder(layer, num_layers=2).eval()
sentences = torch.randn(8, 16, 64)  # (B, N, D): 8 samples of 16 tokens

entry = examine(encoder, sentences, label="encoder", training="not trained: weights as initialised, seed 0")
coverage = entry.ledger.coverage
assert coverage.fraction == 1 and not coverage.uncovered  # nothing ran that was not counted
assert not any(bill.unpriced for bill in entry.bills)  # nothing was counted that has no price

report = Report((entry,), title="A stock encoder")
print(facts.headline(report))
print(facts.interval(report))
for doubt in facts.warnings(report):
    print("careful:", doubt)
for path in write(report, "encoder_energy").values():
    print(path, f"{path.stat().st_size / 1000:.0f} kB")

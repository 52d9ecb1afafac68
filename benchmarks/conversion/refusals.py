"""Stock networks, through both converters as they are: which runs, and the exact error of what does not."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from conversion.spikingjelly import attempt, recipes
from conversion.sts import directory
from neuromorphic.convert import convert


def study(given: argparse.Namespace) -> dict[str, Any]:
    rows = []
    for name, model, inputs, calibration in stock(given.text):
        print(name, flush=True)
        x = inputs if isinstance(inputs, dict) else inputs[:2]
        made = recipes([x["input_ids"] if isinstance(x, dict) else x])
        rows.append({"network": name, "ours": ours_on(model, calibration),
                     "spikingjelly": {recipe: attempt(make(4), model, x) for recipe, make in made.items()}})
    return {"seed": 0, "rows": rows}


def stock(text: Path | None) -> Iterator[tuple[str, nn.Module, Any, Any]]:
    """(name, network, inputs for theirs, calibration data for ours)."""
    tokens = torch.randn(64, 12, 32, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    yield ("LayerNorm, Linear, GELU, Linear", nn.Sequential(
        nn.LayerNorm(32), nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)).eval(), tokens, tokens)
    yield "nn.TransformerEncoderLayer", nn.TransformerEncoderLayer(
        32, 4, 64, activation="gelu", batch_first=True).eval(), tokens, tokens
    if text is not None:
        from transformers import BertModel

        model = BertModel.from_pretrained(directory(), attn_implementation="eager").eval()
        ids = {"input_ids": torch.randint(1000, 20000, (2, 12), generator=torch.Generator().manual_seed(0)),
               "attention_mask": torch.ones(2, 12, dtype=torch.int64)}
        yield "transformers BertModel (MiniLM-L6)", model, ids, [ids]


def ours_on(model: nn.Module, calibration: Any) -> str:
    try:
        snn, found = convert(model, calibration, timesteps=5)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    batch = calibration[0] if isinstance(calibration, list) else {next(iter(snn.config.inputs)): calibration[:2]}
    with torch.no_grad():
        out = model(**batch) if len(batch) > 1 else model(*batch.values())
        ann = getattr(out, "last_hidden_state", out)
        near = torch.cosine_similarity(ann.flatten(1).double(), snn(batch).flatten(1).double()).mean()
    pure = found.purity
    return f"runs at T = 5: {pure.label}, float_free {pure.float_free:.0%}, cosine to the ANN {near:.3f}"

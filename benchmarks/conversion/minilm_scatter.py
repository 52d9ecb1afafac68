"""How far the figures at T = 2 move with the rows of the calibration alone, on all test pairs."""

import argparse
from dataclasses import asdict
from typing import Any

import torch

from conversion.measure import ann_score
from conversion.sts import SOURCE, directory, hashes
from neuromorphic.convert import Settings
from neuromorphic.convert.build import build
from neuromorphic.convert.metrics import difference, fidelity, score
from neuromorphic.convert.prepare import evaluate, prepare

ROWS = (250, 500, 750, 1000, 1250, 1500)  # of the dev file, evenly spread


def study(given: argparse.Namespace) -> dict[str, Any]:
    rows = []
    for count in ROWS:
        prepared = prepare(directory(), given.text / "sts-dev.csv", evaluation=given.text / "sts-test.csv",
                           samples=count)
        outcome = evaluate(prepared, build(prepared, Settings(timesteps=2)).model.codes, "")
        rows.append({"calibration_rows": count, "score": asdict(score(outcome)),
                     "difference": asdict(difference(prepared.ann, outcome)),
                     "fidelity": asdict(fidelity(prepared.ann, outcome))})
        print(rows[-1]["score"]["value"], rows[-1]["fidelity"]["mean"], flush=True)
    values = torch.tensor([row["score"]["value"] for row in rows], dtype=torch.float64)
    return {"source": SOURCE, "timesteps": 2, "ann": ann_score(prepared), **hashes(given.text),
            "mean": float(values.mean()), "standard_deviation": float(values.std()), "rows": rows}

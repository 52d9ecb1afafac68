"""What the floor is for: sentences of another kind than the calibration's, and dev pairs that were held out.

Calibrated on the first sentences of every sixth dev pair; T = 5, the functions kept exact and all in integers.
"""

import argparse
from dataclasses import asdict
from typing import Any

import torch

from conversion.sts import SOURCE, directory, hashes
from neuromorphic.convert import Settings
from neuromorphic.convert.build import build
from neuromorphic.convert.convert import ALL_EXACT
from neuromorphic.convert.metrics import difference, fidelity, metric_for, score
from neuromorphic.convert.prepare import data_reader, evaluate, prepare
from neuromorphic.convert.text_rows import read_text_rows

FLOORS = (0.0, 0.10, 0.25)


def study(given: argparse.Namespace) -> dict[str, Any]:
    dev, test = (read_text_rows(given.text / f"sts-{split}.csv") for split in ("dev", "test"))
    prepared = prepare(directory(), list(dev.firsts[::6]), samples=len(dev.firsts))
    read, rows = data_reader(prepared.source, prepared.adapted, 32), []
    for name, pairs in (("every second test pair", test.take(range(0, len(test.firsts), 2))),
                        ("held-out dev pairs", dev.take(range(3, len(dev.firsts), 6)))):
        prepared.evaluation = read(list(zip(pairs.firsts, pairs.seconds, pairs.scores, strict=True)))
        prepared.metric = metric_for(None, prepared.evaluation)
        prepared.ann = evaluate(prepared, prepared.adapted.call, "")
        for parts, exact in (("functions exact, float weights", ALL_EXACT), ("all integers", {})):
            for floor in FLOORS:
                model = build(prepared, Settings(timesteps=5, floor=floor, **exact)).model
                outcome = evaluate(prepared, model.codes, "")
                near = torch.cosine_similarity(prepared.ann.kept, outcome.kept)
                rows.append({"data": name, "pairs": len(pairs.firsts), "sentences": len(near), "parts": parts,
                             "floor": floor, "below_0.98": int((near < 0.98).sum()),
                             "fidelity": asdict(fidelity(prepared.ann, outcome)), "score": asdict(score(outcome)),
                             "difference": asdict(difference(prepared.ann, outcome))})
                print(name, parts, floor, rows[-1]["below_0.98"], rows[-1]["fidelity"], flush=True)
    return {"source": SOURCE, "timesteps": 5, "calibration": "first sentences of every sixth dev pair",
            "calibration_samples": prepared.statistics.samples, "calibration_sha256": prepared.statistics.sha256,
            **hashes(given.text), "rows": rows}

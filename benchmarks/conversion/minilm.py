"""The sentence encoder on every n-th pair of the test set: every code of ours."""

import argparse
from typing import Any

from conversion.measure import SAMPLES, ann_score, announced, ours, subject
from conversion.sts import SOURCE, directory, hashes
from neuromorphic.convert.prepare import prepare
from neuromorphic.convert.text_rows import read_text_rows

OURS = {"rate": (4, 16), "signed_binary": (4,), "naf": (4, 6), "ternary": (4,)}  # T of each code


def study(given: argparse.Namespace) -> dict[str, Any]:
    every_row = read_text_rows(given.text / "sts-test.csv")
    taken = every_row.take(range(0, len(every_row.firsts), given.every))
    pairs = list(zip(taken.firsts, taken.seconds, taken.scores, strict=True))
    prepared = prepare(directory(), given.text / "sts-dev.csv", evaluation=pairs, samples=SAMPLES)
    rows = [ours(prepared, code, T) for code, steps in OURS.items() for T in announced(code, steps)]
    return {**subject(prepared, prepared.source.model) | {"source": SOURCE}, "every": given.every,
            "pairs": len(pairs), **hashes(given.text), "ann": ann_score(prepared), "rows": rows}

"""Few steps, calibrated on the rows of the dev file of which the test file holds neither sentence."""

import argparse
from typing import Any

from conversion.sts import few_steps
from neuromorphic.convert.text_rows import read_text_rows


def study(given: argparse.Namespace) -> dict[str, Any]:
    dev, test = (read_text_rows(given.text / f"sts-{split}.csv") for split in ("dev", "test"))
    known = {*test.firsts, *test.seconds}
    apart = [pair for pair in zip(dev.firsts, dev.seconds, dev.scores, strict=True) if not known & {*pair[:2]}]
    return {"calibration_rows": len(apart)} | few_steps(given.text, apart, len(apart), ("corrected",))

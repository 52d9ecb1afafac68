"""Biases corrected and kept at few steps, on all test pairs, one calibration for all."""

import argparse
from typing import Any

from conversion.measure import SAMPLES
from conversion.sts import few_steps
from neuromorphic.convert.settings import BIASES


def study(given: argparse.Namespace) -> dict[str, Any]:
    return few_steps(given.text, given.text / "sts-dev.csv", SAMPLES, BIASES)

"""The CIFAR-10 ViT whose weights are kept with the benchmarks, on every tenth test picture.

benchmarks/results has all 10,000; here the limits leave room for the scatter of 1,000.
"""

import os
from pathlib import Path

import pytest
import torch

from neuromorphic.convert.build import build
from neuromorphic.convert.metrics import difference, fidelity
from neuromorphic.convert.prepare import Prepared, evaluate, prepare
from neuromorphic.convert.settings import Settings
from spikeattn import from_pretrained
from spikeattn.data import load

ROOT = Path(__file__).resolve().parents[3]
EVERY = 10

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vit() -> Prepared:
    places = (Path(p) for p in (os.environ.get("SPIKEATTN_DATA"), ROOT.parent / "shared" / "data") if p)
    root = next((p for p in places if (p / "cifar10").is_dir() or (p / "train.npz").is_file()), None)
    if root is None:
        pytest.skip("no CIFAR-10: SPIKEATTN_DATA is not set and there is no shared/data beside the repository")
    splits = load("cifar10", root)
    model = from_pretrained(ROOT / "benchmarks" / "weights" / "cifar10_vit_cpu").eval()
    return prepare(model, splits.train, evaluation=splits.test.select(torch.arange(0, len(splits.test), EVERY)))


def test_the_ann_has_learned(vit):
    assert vit.ann.value >= 0.83


@pytest.mark.parametrize(("timesteps", "drop", "agreement"), [(4, 0.01, 0.97), (5, 0.005, 0.985)])
def test_it_agrees_with_its_ann(vit, timesteps, drop, agreement):
    outcome = evaluate(vit, build(vit, Settings(timesteps=timesteps)).model.codes, "SNN")
    assert difference(vit.ann, outcome).value >= -drop and fidelity(vit.ann, outcome).mean >= agreement

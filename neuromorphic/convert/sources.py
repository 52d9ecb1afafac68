"""Where a model comes from: `open_source(source) -> Source`, weights from safetensors only, never unpickled.

    nn.Module                            as it is
    DIRECTORY                            transformers (config.json + model.safetensors), sentence-transformers
                                         (modules.json), timm (config.json with "architecture"), or ours
    timm:NAME, timm:NAME@FILE            a timm model with its published weights, or with those of a safetensors file
    OWNER/NAME                           a repository of the Hugging Face hub, fetched without its pickles

A path that exists is a path; a hub name is only what could not be one.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neuromorphic.convert.adapters import ADAPTERS, adapt, timm_checkpoint
from neuromorphic.convert.adapters.sentence import SentenceEncoder
from neuromorphic.convert.adapters.timm_checkpoint import first_line

CONFIG = "config.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".npz", ".onnx")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model",
             "special_tokens_map.json", "added_tokens.json", "sentencepiece.bpe.model", "tokenizer.model",
             "sentence_bert_config.json")  # fmt: skip
VOCABULARY = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
PROCESSOR = ("preprocessor_config.json", "processor_config.json")
BUFFERS = ("position_ids", "token_type_ids", ".attn.bias", ".attn.masked_bias")  # constants that old files still hold
LOCAL = {"local_files_only": True, "trust_remote_code": False}  # no network, and no code out of the directory
HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


@dataclass(frozen=True, eq=False)
class Source:
    """An opened model. tokenizer, processor: as in transformers, or None; a timm processor maps (B, C, Y, X) in [0, 1].

    labels: names of the classes, or None. files: what belongs beside the converted model, by the name it has there.
    notes: what was left out on the way. max_length: tokens that the model takes at most, or None.
    """

    model: nn.Module
    name: str
    tokenizer: Any = None
    processor: Any = None
    labels: tuple[str, ...] | None = None
    files: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    max_length: int | None = None


def open_source(source: nn.Module | str | Path | Source) -> Source:
    """The model of a source, in evaluation mode (a module of yours stays in its mode), its weights checked."""
    if isinstance(source, Source):  # opened and checked already
        return source
    if isinstance(source, nn.Module):
        opened = Source(source, type(source).__name__)
    elif not isinstance(source, str | Path):
        raise TypeError(
            f"open_source: the source must be an nn.Module, a directory or a name, got {type(source).__name__}. "
            "For weights alone, build the module and load them first."
        )
    elif str(source).startswith("timm:"):
        opened = _timm(str(source).removeprefix("timm:"))
    else:
        opened = _directory(_local(str(source)), str(source))
    _check_finite(opened)
    return opened


def _local(source: str) -> Path:
    """The directory of a source: the path itself, or what the hub gives for the name."""
    path = Path(source).expanduser()
    if path.is_dir() and source:
        return path
    if path.suffix in PICKLES:
        raise ValueError(_pickled("open_source", str(path)))
    if path.is_file():
        raise ValueError(
            f"open_source: the source must be a directory with {CONFIG} and model.safetensors, got the file {path}. "
            "Pass its directory; for a timm checkpoint pass timm:NAME@FILE."
        )
    if not source or source.startswith((".", "/", "~")) or not HUB_NAME.fullmatch(source):
        raise FileNotFoundError(f"open_source: {source!r} must be a directory, and is none. Check its name.")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, allow_patterns=["*.json", "*.txt", "*.model", "*.safetensors"]))
    except Exception as error:  # offline, unknown, private: the hub has a class for each
        raise ValueError(
            f"open_source: {source!r} is no directory and could not be fetched from the hub "
            f"({type(error).__name__}: {first_line(error)}). Pass a local directory, or go online."
        ) from error


def _pickled(where: str, what: str) -> str:
    return (
        f"{where}: weights must be safetensors, got {what}. A pickle can run code when it is opened, so it was not. "
        "Save the model with safetensors first."
    )


def _directory(path: Path, name: str) -> Source:
    if not any(path.iterdir()):
        raise ValueError(f"open_source: {path} must hold {CONFIG} and model.safetensors, it is empty. Copy them there.")
    if (path / "modules.json").is_file():
        return _sentence(path, name)
    config = _json(path / CONFIG, path)
    if "spikeattn" in config and "model" in config:
        from spikeattn import from_pretrained

        return Source(from_pretrained(path), name, _tokenizer(path), _processor(path), _saved_labels(path),
                      _files(path))  # fmt: skip
    _check_weights(path)
    if "architecture" in config and "model_type" not in config:
        return _timm_directory(path, config, name)
    return _transformers(path, config, name)


def _json(path: Path, directory: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(
            f"open_source: {directory} must hold {path.relative_to(directory)}, and does not. It is what says which "
            "model the weights belong to; save the model with save_pretrained."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"open_source: {path} must be JSON, got {error}. It is damaged; copy it again.") from error


def _check_weights(path: Path) -> None:
    """Raise unless there are safetensors."""
    if any(path.glob("*.safetensors")):
        return
    pickled = sorted(file.name for file in path.iterdir() if file.suffix in PICKLES)
    if pickled:
        raise ValueError(_pickled(f"open_source: {path}", ", ".join(pickled[:3])))
    raise FileNotFoundError(f"open_source: {path} must hold model.safetensors, and does not. Copy the weights there.")


def _import_transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ImportError(
            "open_source: this source needs the package transformers, which is missing. pip install spikeattn[hf]."
        ) from error
    return transformers


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """What transformers or safetensors say about a damaged or unknown directory, as one line of ours."""
    try:
        yield
    except Exception as error:  # each file format and version has a class of its own
        raise ValueError(
            f"open_source: {path} must be a complete directory of transformers, got {type(error).__name__}: "
            f"{first_line(error)}. Save the model again with save_pretrained."
        ) from error


@contextmanager
def _quiet(package: Any) -> Iterator[None]:
    """No progress bar and no table of keys of transformers among our lines; afterwards as the user had it."""
    words = package.utils.logging
    shown, level = words.is_progress_bar_enabled(), words.get_verbosity()
    words.disable_progress_bar()
    words.set_verbosity_error()
    try:
        yield
    finally:
        words.set_verbosity(level)
        if shown:
            words.enable_progress_bar()


def _transformers(path: Path, config: dict[str, Any], name: str) -> Source:
    model, notes = _load_transformers(path, config)
    return Source(model, name, _tokenizer(path), _processor(path), _labels(config), _files(path), notes,
                  _max_length(model, path))  # fmt: skip


def _load_transformers(path: Path, config: dict[str, Any]) -> tuple[nn.Module, tuple[str, ...]]:
    """The module of a transformers directory; an encoder whose head is unknown comes without the head."""
    package = _import_transformers()
    known = ADAPTERS["transformers"]
    wanted = next(iter(config.get("architectures") or ()), None)
    kind = getattr(package, wanted, None) if wanted in known else None
    notes = ()
    if kind is None:
        with _one_line(path), _quiet(package):
            loaded = package.AutoConfig.from_pretrained(path, **LOCAL)
            with torch.device("meta"):
                bare = package.AutoModel.from_config(loaded, attn_implementation="eager", trust_remote_code=False)
        if type(bare).__name__ not in known:
            adapt(bare)  # refuses it by name, before any weight is read
        kind = type(bare)
        if wanted and wanted != kind.__name__:
            notes = (f"the head of {wanted} is left out: the result is the encoder {kind.__name__}",)
    with _one_line(path), _quiet(package):
        model, info = kind.from_pretrained(path, **LOCAL, use_safetensors=True, output_loading_info=True,
                                           attn_implementation="eager", dtype=torch.float32,
                                           ignore_mismatched_sizes=True)  # fmt: skip  # told apart below
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing or info.get("mismatched_keys"):
        wrong = missing or sorted(str(key[0]) for key in info["mismatched_keys"])
        raise ValueError(
            f"open_source: {path} must hold every weight of {kind.__name__}, missing or of another shape are "
            f"{', '.join(wrong[:3])} ({len(wrong)} in all). They would be random; is {CONFIG} the right one?"
        )
    extra = sorted(key for key in info["unexpected_keys"] if not key.endswith(BUFFERS))
    if extra and not notes:
        notes = (f"{len(extra)} tensors of the file belong to no part of {kind.__name__} and are left out, such as "
                 f"{extra[0]}",)  # fmt: skip
    if config.get("position_embedding_type", "absolute") not in ("absolute", None):
        model.config.position_embedding_type = config["position_embedding_type"]  # the adapter refuses it by name
    return model.eval(), notes


def _tokenizer(path: Path) -> Any:
    """The tokenizer of a directory, None where there is none."""
    if not any((path / name).is_file() for name in VOCABULARY):
        return None
    package = _import_transformers()
    with _one_line(path), _quiet(package):
        tokenizer = package.AutoTokenizer.from_pretrained(path, **LOCAL)
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token  # GPT-2 has none; padded tokens are masked
    longest = _sentence_length(path)
    if longest:
        tokenizer.model_max_length = min(longest, tokenizer.model_max_length)
    return tokenizer


def _sentence_length(path: Path) -> int | None:
    """Tokens to which a sentence-transformers directory cuts its texts."""
    file = path / "sentence_bert_config.json"
    return _json(file, path).get("max_seq_length") if file.is_file() else None


def _processor(path: Path) -> Any:
    """How pictures are prepared, None where nothing says it."""
    if (path / timm_checkpoint.PREPARATION).is_file():
        return timm_checkpoint.Preparation.from_pretrained(path)
    if not any((path / name).is_file() for name in PROCESSOR):
        return None
    package = _import_transformers()
    with _one_line(path), _quiet(package):
        return package.AutoImageProcessor.from_pretrained(path, **LOCAL)


def _max_length(model: nn.Module, path: Path) -> int | None:
    """Tokens that the position table holds; RoBERTa's begins behind its padding index."""
    config = model.config
    table = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if table and "Roberta" in type(model).__name__:
        table -= config.pad_token_id + 1
    return min(filter(None, (table, _sentence_length(path))), default=None)


def _labels(config: dict[str, Any]) -> tuple[str, ...] | None:
    """Names of the classes in order, None where the configuration has only numbers."""
    names = {int(key): str(value) for key, value in (config.get("id2label") or {}).items()}
    if not names or all(name == f"LABEL_{key}" for key, name in names.items()):
        return None
    return tuple(names[key] for key in sorted(names))


def _saved_labels(path: Path) -> tuple[str, ...] | None:
    """Names of the classes that lie beside a converted model."""
    file = path / "labels.json"
    return tuple(_json(file, path)) if file.is_file() else None


def _files(path: Path) -> dict[str, Path]:
    return {name: path / name for name in (*TOKENIZER, *PROCESSOR) if (path / name).is_file()}


def _sentence(path: Path, name: str) -> Source:
    """An encoder with the pooling and normalisation that modules.json names."""
    listed = _json(path / "modules.json", path)
    rows = [(str(row["type"]).rpartition(".")[2], str(row.get("path", ""))) for row in listed]
    kinds = [kind for kind, _ in rows]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ValueError(
            f"open_source: {path / 'modules.json'} must list Transformer, Pooling and perhaps Normalize, got "
            f"{', '.join(kinds)}. Other modules have no spiking form here."
        )
    encoder = path / rows[0][1]
    pooling = _pooling(path, rows[1][1])
    config = _json(encoder / CONFIG, path)
    _check_weights(encoder)
    model, notes = _load_transformers(encoder, config)
    length = min(filter(None, (_max_length(model, encoder), _sentence_length(path))), default=None)
    return Source(SentenceEncoder(model, pooling, "Normalize" in kinds).eval(), name, _tokenizer(encoder), None, None,
                  _files(encoder) | _files(path), notes, length)  # fmt: skip


def _pooling(path: Path, folder: str) -> str:
    """ "mean" or "cls", from the configuration of the pooling."""
    config = _json(path / folder / CONFIG, path)
    modes = [key.removeprefix("pooling_mode_") for key, value in config.items()
             if key.startswith("pooling_mode_") and value]  # fmt: skip
    modes = modes or [str(config.get("pooling_mode", "mean_tokens"))]
    names = {"mean_tokens": "mean", "mean": "mean", "cls_token": "cls", "cls": "cls"}
    if len(modes) != 1 or modes[0] not in names:
        raise ValueError(
            f"open_source: {path / folder / CONFIG} must pool by mean_tokens or cls_token, got {', '.join(modes)}. "
            "Other poolings have no spiking form here."
        )
    return names[modes[0]]


def _timm(name: str) -> Source:
    """timm:NAME with its published weights, or timm:NAME@FILE."""
    bare, _, file = name.partition("@")
    if not file:
        model, processor = timm_checkpoint.published(bare)
        return Source(model, f"timm:{bare}", processor=processor)
    if Path(file).suffix in PICKLES:
        raise ValueError(_pickled("open_source", file))
    model, processor = timm_checkpoint.load(bare, Path(file).expanduser())
    return Source(model, f"timm:{bare}", processor=processor)


def _timm_directory(path: Path, config: dict[str, Any], name: str) -> Source:
    options = {key: config[key] for key in ("num_classes", "global_pool") if key in config}
    prepared = config.get("pretrained_cfg") or {}
    model, processor = timm_checkpoint.load(config["architecture"], min(path.glob("*.safetensors")),
                                            options | (config.get("model_args") or {}), prepared)  # fmt: skip
    labels = config.get("label_names") or prepared.get("label_names")
    return Source(model, name, processor=processor, labels=tuple(labels) if labels else None)


def _check_finite(source: Source) -> None:
    tensors = {**dict(source.model.named_parameters()), **dict(source.model.named_buffers())}
    broken = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise ValueError(
            f"open_source: all weights of {source.name} must be finite, not so in {', '.join(broken[:3])}"
            f"{f' and {len(broken) - 3} more' if len(broken) > 3 else ''}. The checkpoint is damaged or diverged."
        )

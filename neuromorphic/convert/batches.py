"""Data for calibration and evaluation: from a path or from values to batches of a network's inputs, in a fixed order.

    open_data(source, kind) -> Data        iterate it for Batch(inputs, index, labels); Data.restore puts results back

Text is sorted by length, so that little is padded; `index` says where an item belongs. Pairs of sentences become one
list of different sentences (each is run once) and indices into it. `limit` takes rows evenly spread over the file,
not its beginning: files are often sorted by source or class. Nothing is drawn at random.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from neuromorphic.convert.calibration import sample_digests
from neuromorphic.convert.pictures import as_labels, from_arrays, from_directory
from neuromorphic.convert.text_rows import TextRows, read_text_rows
from spikeattn.data.dataset import Dataset

KINDS = ("text", "pictures", "features")


@dataclass(frozen=True, eq=False)
class Batch:
    """inputs by name; index: int64 (B,), the items' places in the data's order; labels: int64 (B,) or None."""

    inputs: dict[str, Tensor]
    index: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Data:
    """Items in batches, as often as wanted.

    order: in which the items run, `cuts` where each batch ends; collate(places) -> inputs of a batch.
    labels: (items,). pairs: int64 (p, 2), places of the two sentences of each pair; scores: float64 (p,).
    sha256: of the content in its order. chunked: items are pieces of one long text.
    """

    kind: str
    source: str
    order: Tensor
    cuts: tuple[int, ...]
    collate: Callable[[list[int]], dict[str, Tensor]]
    sha256: str
    labels: Tensor | None = None
    pairs: Tensor | None = None
    scores: Tensor | None = None
    chunked: bool = False

    @property
    def items(self) -> int:
        return len(self.order)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.cuts)

    def __iter__(self) -> Iterator[Batch]:
        return map(self.batch, range(len(self)))

    def batch(self, number: int) -> Batch:
        index = self.order[(0, *self.cuts)[number] : self.cuts[number]]
        labels = None if self.labels is None else self.labels[index]
        return Batch(self.collate(index.tolist()), index, labels)

    def restore(self, parts: Sequence[Tensor]) -> Tensor:
        """Results of the batches, one after the other, in the order of the data; shorter rows end in NaN."""
        if len({part.shape[1:2] for part in parts}) > 1:
            width = max(part.shape[1] for part in parts)
            parts = [_widen(part, width) for part in parts]
        found = torch.cat(list(parts))
        if len(found) != self.items:
            raise ValueError(f"Data: there must be one result for each of the {self.items} items, got {len(found)}. "
                             "Does the model merge or drop items of a batch?")
        return torch.empty_like(found).index_copy_(0, self.order, found)


def _widen(part: Tensor, width: int) -> Tensor:
    wide = part.new_full((len(part), width, *part.shape[2:]), float("nan"))
    wide[:, : part.shape[1]] = part
    return wide


def open_data(
    source: Any, kind: str, *, tokenizer: Any = None, processor: Any = None, inputs: Sequence[str] | None = None,
    limit: int | None = None, batch_size: int = 32, max_length: int | None = None, chunk: int | None = None,
    classes: int | Sequence[str] | None = None, columns: Mapping[str, str] | None = None,
    item_shape: Sequence[int] | None = None,
) -> Data:
    """Data from a file, a directory or values.

    text: a file (text_rows.py), a list of sentences or of (sentence, sentence, score); tokenizer as in the
    transformers package. pictures: a directory, .npz, arrays, or (images, labels) (pictures.py); a spikeattn Dataset
    brings its own scaling. features, also called tokens: a tensor (n, N, D), (tensor, labels), a dictionary of tensors,
    .npz or .safetensors. Any kind: an iterable of batches as they are, dictionaries with or without "labels", or
    (inputs, labels).
    inputs: names that the network takes, the first for the data itself; others that a tokenizer adds are left out.
    max_length: longer texts are cut. chunk: cut the whole text into pieces of so many tokens (for perplexity).
    classes: how many, or their names. item_shape: (C, Y, X) or (N, D) that the network takes.

    >>> data = open_data((torch.zeros(3, 2, 4), torch.tensor([0, 1, 1])), "features", batch_size=2)
    >>> [(batch.inputs["tokens"].shape[0], batch.labels.tolist()) for batch in data]
    [(2, [0, 1]), (1, [1])]
    """
    kind = "features" if kind == "tokens" else kind
    if kind not in KINDS:
        raise ValueError(f"open_data: kind must be one of {', '.join(KINDS)}, got {kind!r}. Text needs a tokenizer.")
    if batch_size < 1 or (limit is not None and limit < 1):
        raise ValueError(f"open_data: batch_size and limit must be at least 1, got {batch_size} and {limit}. Try 32.")
    path = _existing(source) if isinstance(source, str | Path) else None
    name = path.name if path else f"{type(source).__name__} in memory"
    plan = _Plan(name, tuple(inputs or ()), limit, batch_size, classes, tuple(item_shape) if item_shape else None)
    if path is None and hasattr(source, "__len__") and not len(source):
        plan.spread(0)
    if path is None and _are_batches(source, kind):
        return _given(source, kind, plan)
    if kind == "text":
        return _text(path or source, plan, tokenizer, max_length, chunk, columns)
    if kind == "pictures":
        return _pictures(path or source, plan, processor)
    return _features(path or source, plan)


@dataclass(frozen=True)
class _Plan:
    """What every kind of data needs to know."""

    name: str
    inputs: tuple[str, ...]
    limit: int | None
    batch_size: int
    classes: int | Sequence[str] | None
    item_shape: tuple[int, ...] | None

    def spread(self, count: int) -> list[int]:
        """At most `limit` of `count` rows, evenly spread."""
        if not count:
            raise ValueError(f"{self.name}: the data must not be empty, got no samples. Check the path.")
        some = min(self.limit or count, count)
        return [i * count // some for i in range(some)]

    def cuts(self, count: int) -> tuple[int, ...]:
        return (*range(self.batch_size, count, self.batch_size), count)

    def checked(self, labels: Tensor | None) -> Tensor | None:
        """Labels, once they are classes of the model."""
        many = self.classes if isinstance(self.classes, int) or self.classes is None else len(self.classes)
        if labels is not None and len(labels):
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or (many is not None and high >= many):
                top = "and up" if many is None else f"to {many - 1}"
                raise ValueError(f"{self.name}: labels must be classes of the model, 0 {top}, got {low} to {high}. "
                                 "Is it the right checkpoint for this data?")
        return labels

    def named(self, found: dict[str, Tensor], data: str) -> dict[str, Tensor]:
        """Inputs that the network takes, once they have its shape."""
        shape = tuple(found[data].shape[1:]) if data in found else ()
        if self.item_shape and shape and shape != self.item_shape:
            raise ValueError(f"{self.name}: a sample must have the shape {self.item_shape} of the model, got {shape}. "
                             "Resize the data, or give the model's processor.")
        return {name: value for name, value in found.items() if not self.inputs or name in self.inputs}


def _existing(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if not path.exists():
        raise ValueError(f"open_data: the path must exist, got {path}. Check its name.")
    return path


def _are_batches(source: Any, kind: str) -> bool:
    """Whether values are batches already: not a text, a row, an array or a pair of arrays."""
    if isinstance(source, Mapping | Dataset | Tensor | np.ndarray):
        return kind == "text" and isinstance(source, Mapping)
    if isinstance(source, tuple) and len(source) == 2 and not isinstance(source[0], Mapping | tuple | list):
        return False
    if isinstance(source, Sequence):
        first = source[0] if len(source) else None
        first = first[0] if isinstance(first, tuple) and first else first
        return isinstance(first, Mapping | Batch | Tensor)
    if not isinstance(source, Iterable):
        raise TypeError(f"open_data: the data must be a path, values or batches, got {type(source).__name__}. "
                        "A list of dictionaries of tensors will do.")
    return True


def _given(source: Any, kind: str, plan: _Plan) -> Data:
    """Batches as they were given, kept in memory: evaluation goes over them more than once. `limit` ends them early."""
    main = plan.inputs[0] if plan.inputs else {"text": "input_ids", "pictures": "pixels", "features": "tokens"}[kind]
    batches, labels, digests, count = [], [], [], 0
    for batch in [source] if isinstance(source, Mapping) else source:
        if isinstance(batch, Batch):
            values, target = dict(batch.inputs), batch.labels
        elif isinstance(batch, tuple | list):
            values, target = batch[0], batch[1] if len(batch) > 1 else None
        else:
            values, target = batch, None
        values = dict(values) if isinstance(values, Mapping) else {main: values}
        target = values.pop("labels", target)
        if not values or not all(isinstance(value, Tensor) for value in values.values()):
            raise TypeError(f"{plan.name}: a batch must be tensors by name, got {type(batch).__name__}. "
                            "Give dictionaries of tensors, or (tensor, labels).")
        take = len(next(iter(values.values()))) if plan.limit is None else plan.limit - count
        values = plan.named({name: value[:take] for name, value in values.items()}, main)
        if not values:
            raise ValueError(f"{plan.name}: a batch must have the inputs {', '.join(plan.inputs)}, got none of them. "
                             "Name them as the source model does.")
        batches.append(values)
        digests += sample_digests(values)
        if target is not None:
            labels.append(as_labels(target[:take], len(next(iter(values.values())))))
        count += len(next(iter(values.values())))
        if count == plan.limit:
            break
    plan.spread(count)  # refuses no data
    if labels and sum(map(len, labels)) != count:
        raise ValueError(f"{plan.name}: every batch must have labels, or none, got {sum(map(len, labels))} for {count} "
                         "samples. Complete them.")
    ends = np.cumsum([len(next(iter(values.values()))) for values in batches]).tolist()
    place = {begin: values for begin, values in zip((0, *ends), batches, strict=False)}
    return Data(kind, plan.name, torch.arange(count), tuple(ends), lambda index: place[index[0]],
                hashlib.sha256(b"".join(digests)).hexdigest(), plan.checked(torch.cat(labels) if labels else None))


def _text(source: Any, plan: _Plan, tokenizer: Any, max_length: int | None, chunk: int | None,
          columns: Mapping[str, str] | None) -> Data:
    if tokenizer is None:
        raise ValueError(f"{plan.name}: text needs the model's tokenizer, got none. Put tokenizer.json beside the "
                         "checkpoint, or give batches of token ids.")
    if chunk is not None:
        return _pieces(source, plan, tokenizer, chunk)
    rows = read_text_rows(source, columns) if isinstance(source, Path) else _rows(source, plan.name)
    rows = rows.take(plan.spread(len(rows.firsts)))
    texts = rows.firsts if rows.seconds is None else tuple(dict.fromkeys((*rows.firsts, *rows.seconds)))
    longest = getattr(tokenizer, "model_max_length", None)
    longest = max_length or (longest if longest and longest < 10**6 else None)
    encoded = tokenizer(list(texts), truncation=longest is not None, max_length=longest)
    encoded = {name: list(encoded[name]) for name in encoded}
    ids = encoded["input_ids"]
    if not all(len(item) for item in ids):
        empty = next(text for text, item in zip(texts, ids, strict=True) if not len(item))
        raise ValueError(f"{plan.name}: every text must have a token, got {empty!r}. "
                         "Remove empty lines.")
    pad = {"input_ids": getattr(tokenizer, "pad_token_id", None) or 0}
    encoded["attention_mask"] = [[1] * len(item) for item in ids]

    def collate(index: list[int]) -> dict[str, Tensor]:
        width = max(len(ids[i]) for i in index)
        found = {name: torch.tensor([[*items[i], *[pad.get(name, 0)] * (width - len(ids[i]))] for i in index])
                 for name, items in encoded.items()}
        return plan.named(found, "")

    order = torch.tensor(sorted(range(len(ids)), key=lambda i: (len(ids[i]), i)))
    pairs = scores = None
    if rows.seconds is not None:
        place = {text: i for i, text in enumerate(texts)}
        pairs = torch.tensor([[place[a], place[b]] for a, b in zip(rows.firsts, rows.seconds, strict=True)])
        scores = None if rows.scores is None else torch.tensor(rows.scores, dtype=torch.float64)
    labels = plan.checked(None if rows.labels is None else torch.tensor(rows.labels))
    content = hashlib.sha256(repr((rows.firsts, rows.seconds, rows.labels, rows.scores)).encode()).hexdigest()
    return Data("text", plan.name, order, plan.cuts(len(ids)), collate, content, labels, pairs, scores)


def _rows(source: Any, name: str) -> TextRows:
    """Rows from a list of sentences, or of (sentence, sentence) or (sentence, sentence, score)."""
    rows = list(source)
    if all(isinstance(row, str) for row in rows):
        return TextRows(tuple(rows))
    widths = {len(row) if isinstance(row, tuple | list) else 0 for row in rows}
    if widths not in ({2}, {3}) or not all(isinstance(row[0], str) and isinstance(row[1], str) for row in rows):
        raise ValueError(f"{name}: text must be sentences, or (sentence, sentence, score) for each pair, got rows of "
                         "other kinds. Give one kind.")
    scores = tuple(float(row[2]) for row in rows) if widths == {3} else None
    return TextRows(tuple(row[0] for row in rows), tuple(row[1] for row in rows), None, scores)


def _pieces(source: Any, plan: _Plan, tokenizer: Any, chunk: int) -> Data:
    """The whole text in pieces of `chunk` tokens; a last piece of one token has nothing to predict and is left out."""
    if chunk < 2:
        raise ValueError(f"{plan.name}: chunk must be at least 2 tokens, got {chunk}. Try 256.")
    if isinstance(source, Path) and source.suffix == ".txt":
        text = source.read_text(encoding="utf-8")
    else:
        text = "\n\n".join(read_text_rows(source).firsts if isinstance(source, Path) else source)
    if not text.strip():  # line ends are tokens, too
        plan.spread(0)
    ids = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=torch.int64)
    pieces = [piece for piece in ids.split(chunk) if len(piece) > 1]
    pieces = [pieces[i] for i in plan.spread(len(pieces))]

    def collate(index: list[int]) -> dict[str, Tensor]:
        rows = torch.nn.utils.rnn.pad_sequence([pieces[i] for i in index], batch_first=True)
        sizes = torch.tensor([len(pieces[i]) for i in index])
        mask = (torch.arange(rows.shape[1]) < sizes[:, None]).long()
        return plan.named({"input_ids": rows, "attention_mask": mask}, "")

    content = hashlib.sha256(torch.cat(pieces).numpy().tobytes() + str(chunk).encode()).hexdigest()
    return Data("text", plan.name, torch.arange(len(pieces)), plan.cuts(len(pieces)), collate, content, chunked=True)


def _pictures(source: Any, plan: _Plan, processor: Any) -> Data:
    shape = plan.item_shape
    if isinstance(source, Path) and source.is_dir():
        pictures = from_directory(source, plan.classes, gray=bool(shape) and shape[0] == 1)
    elif isinstance(source, Dataset):
        pictures = from_arrays(source.normalise(source.scale(source.images)), source.labels)
    else:
        found = _arrays(source, plan.name, ("images", "pixels", "pixel_values"))
        pictures = from_arrays(*found)
    main = plan.inputs[0] if plan.inputs else "pixels"
    rows = plan.spread(pictures.count)
    labels = plan.checked(None if pictures.labels is None else pictures.labels[rows])

    def collate(index: list[int]) -> dict[str, Tensor]:
        return plan.named({main: pictures.pixels([rows[i] for i in index], processor)}, main)

    collate([0])  # a wrong shape is said now, not in the middle of a run
    return Data("pictures", plan.name, torch.arange(len(rows)), plan.cuts(len(rows)), collate, pictures.sha256(rows),
                labels)  # fmt: skip


def _features(source: Any, plan: _Plan) -> Data:
    main = plan.inputs[0] if plan.inputs else "tokens"
    values, labels = _arrays(source, plan.name, (main, "tokens", "features"))
    tensors = {main: values}
    if isinstance(source, Mapping) and "attention_mask" in source:
        tensors["attention_mask"] = torch.as_tensor(source["attention_mask"])
    tensors = {name: torch.as_tensor(np.asarray(value) if not isinstance(value, Tensor) else value)
               for name, value in tensors.items()}
    tensors[main] = tensors[main].float() if tensors[main].is_floating_point() else tensors[main]
    if tensors[main].ndim < 2 or not tensors[main].is_floating_point():
        raise ValueError(f"{plan.name}: features must be floating point (n, N, D) or (n, D), got {tensors[main].dtype} "
                         f"{tuple(tensors[main].shape)}. Convert them.")
    rows = plan.spread(len(tensors[main]))
    tensors = {name: value[rows] for name, value in tensors.items()}
    labels = as_labels(labels, len(values))
    labels = plan.checked(None if labels is None else labels[rows])
    plan.named(tensors, main)
    digest = hashlib.sha256(b"".join(sample_digests(tensors)))
    digest.update(b"" if labels is None else labels.numpy().tobytes())
    return Data("features", plan.name, torch.arange(len(rows)), plan.cuts(len(rows)),
                lambda index: plan.named({name: value[index] for name, value in tensors.items()}, main),
                digest.hexdigest(), labels)  # fmt: skip


def _arrays(source: Any, name: str, keys: Sequence[str]) -> tuple[Any, Any]:
    """(values, labels or None) of a file, a dictionary, a pair or an array."""
    if isinstance(source, Path):
        source = _load(source)
    if isinstance(source, Mapping):
        key = next((key for key in keys if key in source), None)
        if key is None:
            raise ValueError(f"{name}: there must be an array named {keys[0]}, got {', '.join(source)}. Rename it.")
        return source[key], source.get("labels")
    if isinstance(source, tuple | list) and len(source) == 2:
        return source[0], source[1]
    return source, None


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    if path.suffix not in (".npz", ".npy"):
        raise ValueError(f"{path.name}: arrays must be .npz, .npy or .safetensors, got {path.suffix or 'no suffix'}. "
                         "Pickles (.pt, .pkl) are programs and are not read.")
    try:
        found = np.load(path, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path.name}: must be a file of plain arrays, got {error}. Use numpy.savez.") from error

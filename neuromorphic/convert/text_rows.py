"""Sentences, pairs and labels from text files.

    .txt              one sentence a line
    .csv, .tsv        named columns in the first line; or the STS benchmark: no header, split on tabs, quotation marks
                      are text, 7 or 9 fields, the fifth the score and the sixth and seventh the sentences
    .jsonl            one object a line
"""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = {"text": ("text", "sentence"), "label": ("label", "labels"), "first": ("sentence1", "text1", "first"),
           "second": ("sentence2", "text2", "second"), "score": ("score", "similarity_score", "similarity")}
STS_FIELDS = (7, 9)


@dataclass(frozen=True)
class TextRows:
    """n texts, or n pairs where `seconds` is there; labels: class indices; scores: how similar a pair is."""

    firsts: tuple[str, ...]
    seconds: tuple[str, ...] | None = None
    labels: tuple[int, ...] | None = None
    scores: tuple[float, ...] | None = None

    def take(self, rows: Sequence[int]) -> "TextRows":
        return TextRows(*(None if c is None else tuple(c[i] for i in rows)
                          for c in (self.firsts, self.seconds, self.labels, self.scores)))


def read_text_rows(path: Path, columns: Mapping[str, str] | None = None) -> TextRows:
    """The rows of a file; `columns` names them where their names are not the usual ones.

    columns: {"text": ..., "label": ...} or {"first": ..., "second": ..., "score": ...}.
    """
    if path.is_dir():
        raise ValueError(f"{path.name}: text must be a .txt, .csv, .tsv or .jsonl file, got a directory. Is the model "
                         "one of pictures?")
    try:
        lines = [line.rstrip("\r") for line in path.read_text(encoding="utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: must be UTF-8 text, got a byte at {error.start}. Convert the file.") from error
    kind = path.suffix.lower()
    if kind == ".txt":
        return TextRows(tuple(line.strip() for line in lines if line.strip()))
    if kind not in (".csv", ".tsv", ".jsonl"):
        raise ValueError(f"{path.name}: text must be .txt, .csv, .tsv or .jsonl, got {kind or 'no suffix'}. "
                         "Rename or convert it.")
    lines = [line for line in lines if line.strip()]
    if lines and columns is None and kind != ".jsonl" and _is_sts(lines[0]):
        return _read_sts(path.name, lines)
    return _named(path.name, _records(path.name, kind, lines), columns)


def _is_sts(line: str) -> bool:
    fields = line.split("\t")
    return len(fields) in STS_FIELDS and _number(fields[4]) is not None


def _read_sts(name: str, lines: Iterable[str]) -> TextRows:
    firsts, seconds, scores = [], [], []
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        score = _number(fields[4]) if len(fields) in STS_FIELDS else None
        if score is None:
            raise ValueError(f"{name}: a line must have 7 or 9 fields split by tabs with a score in the fifth, got "
                             f"line {number} with {len(fields)}. Take the file as it was published.")
        firsts.append(fields[5].strip())
        seconds.append(fields[6].strip())
        scores.append(score)
    return TextRows(tuple(firsts), tuple(seconds), None, tuple(scores))


def _records(name: str, kind: str, lines: list[str]) -> list[dict[str, object]]:
    if kind == ".jsonl":
        found = []
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{name}: lines must be JSON objects, got line {number}: {error}.") from error
            if not isinstance(record, dict):
                raise ValueError(f"{name}: lines must be JSON objects, got line {number}: {line[:40]}. Fix it.")
            found.append(record)
        return found
    tab = kind == ".tsv" or (lines and "\t" in lines[0])
    return list(csv.DictReader((f"{line}\n" for line in lines), delimiter="\t" if tab else ",",
                               quoting=csv.QUOTE_NONE if tab else csv.QUOTE_MINIMAL))  # fmt: skip


def _named(name: str, records: list[dict[str, object]], columns: Mapping[str, str] | None) -> TextRows:
    """Rows by the names of their columns."""
    there = list(dict.fromkeys(key for record in records[:1] for key in record))
    place = {role: next((n for n in names if n in there), None) for role, names in COLUMNS.items()}
    for role, column in (columns or {}).items():
        if role not in COLUMNS or (there and column not in there):
            raise ValueError(f"{name}: columns must name {', '.join(COLUMNS)} by columns of the file, got "
                             f"{role!r}: {column!r}. The file has {', '.join(map(str, there))}.")
        place[role] = column
    if records and not place["text"] and not (place["first"] and place["second"]):
        raise ValueError(f"{name}: there must be a column text, or sentence1 and sentence2, got "
                         f"{', '.join(map(str, there))}. Say which they are with columns.")
    paired = bool(place["first"] and place["second"]) and "text" not in (columns or {})

    def column(role: str, convert=str) -> tuple | None:
        key = place[role]
        if key is None:
            return None
        found = []
        for number, record in enumerate(records, 1):
            value = record.get(key)
            made = str(value).strip() if convert is str and value is not None else _number(value)
            if made is None or (convert is int and made != int(made)):
                raise ValueError(f"{name}: {key} must be {'text' if convert is str else 'a number'} in every row, got "
                                 f"{value!r} in row {number}. Fix the row.")
            found.append(convert(made))
        return tuple(found)

    if paired and place["label"] and not place["score"]:
        raise ValueError(f"{name}: pairs must have a score, got {place['label']!r} alone. Pairs that a model reads "
                         "together to classify them are not covered; name a score with columns.")
    if paired:
        return TextRows(column("first"), column("second"), None, column("score", float))
    return TextRows(column("text") or (), None, column("label", int))


def _number(value: object) -> float | None:
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if found - found == 0 else None  # neither NaN nor infinite

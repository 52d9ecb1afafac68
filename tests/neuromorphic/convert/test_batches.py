"""Data in every form that is taken, and what is said of data that is not."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from neuromorphic.convert.batches import Batch, open_data
from neuromorphic.convert.text_rows import read_text_rows
from spikeattn.data.dataset import Dataset

STS = ("main-news\theadlines\t2015\t0001\t5.000\tHe said \"yes.\tHe agreed, \"yes\".\n"
       "main-forums\tanswers\t2015\t0002\t0.500\tA dog.\tHe said \"yes.\tsource1\tsource2\n"
       "main-news\theadlines\t2016\t0003\t2.600\tA very long sentence indeed.\tA dog.\n")  # fmt: skip


class Letters:
    """A tokenizer that numbers letters, with a start and an end as BERT's has."""

    pad_token_id = 99
    model_max_length = 512

    def __call__(self, text, truncation=False, max_length=None, add_special_tokens=True):
        if isinstance(text, str):
            return {"input_ids": [ord(letter) for letter in text]}
        ids = [[1, *map(ord, item)][: max_length - 1 if truncation else None] + [2] for item in text]
        return {"input_ids": ids, "token_type_ids": [[0] * len(i) for i in ids]}


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def text(source, **more):
    return open_data(source, "text", tokenizer=Letters(), **more)


def test_sts_pairs(tmp_path):
    """Seven or nine fields, quotation marks are text; five different sentences make three pairs."""
    data = text(write(tmp_path / "sts-dev.csv", STS), batch_size=2)
    rows = read_text_rows(tmp_path / "sts-dev.csv")
    assert rows.firsts[0] == 'He said "yes.' and rows.seconds[0] == 'He agreed, "yes".'
    assert data.items == 4 and data.pairs.tolist() == [[0, 3], [1, 0], [2, 1]] and data.scores.tolist() == [5, 0.5, 2.6]
    assert data.labels is None and not data.chunked and len(data) == 2


def test_padding_order_and_restoring():
    texts = ["abcdef", "a", "abc", "ab"]
    data = text(texts, batch_size=3)
    first, second = list(data)
    assert data.order.tolist() == [1, 3, 2, 0] and first.index.tolist() == [1, 3, 2]
    assert first.inputs["input_ids"].tolist() == [[1, 97, 2, 99, 99], [1, 97, 98, 2, 99], [1, 97, 98, 99, 2]]
    assert first.inputs["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    assert first.inputs["token_type_ids"].sum() == 0 and second.inputs["input_ids"].shape == (1, 8)
    lengths = [batch.inputs["attention_mask"].sum(1) for batch in data]
    assert data.restore(lengths).tolist() == [8, 3, 5, 4]
    wide = data.restore([batch.inputs["attention_mask"].float() for batch in data])
    assert wide.shape == (4, 8) and wide.isnan().sum(1).tolist() == [0, 3, 3, 3]
    with pytest.raises(ValueError, match="one result for each of the 4 items, got 3"):
        data.restore(lengths[:1])


def test_inputs_that_the_network_does_not_take_are_left_out():
    assert set(next(iter(text(["ab", "c"]))).inputs) == {"input_ids", "token_type_ids", "attention_mask"}
    assert set(next(iter(text(["ab", "c"], inputs=("input_ids", "attention_mask")))).inputs) == {"input_ids",
                                                                                                "attention_mask"}


def test_long_texts_are_cut():
    assert next(iter(text(["abcdefgh"], max_length=4))).inputs["input_ids"].tolist() == [[1, 97, 98, 2]]


@pytest.mark.parametrize(("name", "content"), [
    ("a.csv", 'text,label\n"one, two",1\nthree,0\n'),
    ("a.tsv", "label\tsentence\n1\tone, two\n0\tthree\n"),
    ("a.jsonl", '{"text": "one, two", "label": 1}\n\n{"text": "three", "label": 0}\n'),
])  # fmt: skip
def test_named_columns(tmp_path, name, content):
    data = text(write(tmp_path / name, content), classes=2)
    assert data.labels.tolist() == [1, 0] and data.items == 2
    assert [batch.labels.tolist() for batch in data] == [[0, 1]]  # the shorter text first
    assert read_text_rows(tmp_path / name).firsts == ("one, two", "three")


def test_columns_by_name(tmp_path):
    path = write(tmp_path / "a.csv", "body,kind,other\nx,1,q\n")
    with pytest.raises(ValueError, match="must be a column text, or sentence1 and sentence2, got body, kind, other"):
        text(path)
    with pytest.raises(ValueError, match="got 'text': 'bodi'. The file has body, kind, other"):
        text(path, columns={"text": "bodi"})
    assert text(path, columns={"text": "body", "label": "kind"}).labels.tolist() == [1]
    pairs = text(write(tmp_path / "p.jsonl", json.dumps({"sentence1": "a", "sentence2": "b", "score": 1.5})))
    assert pairs.pairs.tolist() == [[0, 1]] and pairs.scores.tolist() == [1.5]


def test_plain_lines_and_spread_limit(tmp_path):
    lines = write(tmp_path / "a.txt", "".join(f"{'x' * i}\n\n" for i in range(1, 11)))
    lengths = [int(batch.inputs["attention_mask"].sum()) for batch in text(lines, limit=5, batch_size=1)]
    assert lengths == [3, 5, 7, 9, 11]
    assert text(lines).sha256 != text(lines, limit=5).sha256 == text(["x" * i for i in (1, 3, 5, 7, 9)]).sha256


def test_a_directory_is_no_text(tmp_path):
    with pytest.raises(ValueError, match="text must be a .txt, .csv, .tsv or .jsonl file, got a directory"):
        read_text_rows(tmp_path)


def test_line_ends_are_no_text(tmp_path):
    (tmp_path / "blank.txt").write_text("\n\n  \n")
    with pytest.raises(ValueError, match="blank.txt: the data must not be empty, got no samples"):
        open_data(tmp_path / "blank.txt", "text", tokenizer=lambda text, **_: {"input_ids": list(map(ord, text))},
                  chunk=4)


def test_pieces_of_one_text(tmp_path):
    """Eleven letters in pieces of five: the single last one predicts nothing."""
    data = text(write(tmp_path / "a.txt", "abcdefghijk"), chunk=5)
    batch = next(iter(data))
    assert data.chunked and data.items == 2 and batch.inputs["input_ids"].tolist() == [[97, 98, 99, 100, 101],
                                                                                     [102, 103, 104, 105, 106]]
    ragged = next(iter(text(["abc", "de"], chunk=4))).inputs
    assert ragged["input_ids"].shape == (2, 4) and ragged["attention_mask"].tolist() == [[1] * 4, [1] * 3 + [0]]
    with pytest.raises(ValueError, match="chunk must be at least 2"):
        text(["abc"], chunk=1)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.csv", "", "must not be empty"), ("a.txt", "\n \n", "must not be empty"),
    ("a.csv", "text,label\n", "must not be empty"),
    ("a.csv", STS + "a\tb\n", "7 or 9 fields split by tabs with a score in the fifth, got line 4 with 2"),
    ("a.csv", "text,label\nx,two\n", "label must be a number in every row, got 'two' in row 1"),
    ("a.csv", "text,label\nx,0\ny,7\n", "labels must be classes of the model, 0 to 2, got 0 to 7"),
    ("a.jsonl", '{"text": "x"}\n[1]\n', "lines must be JSON objects, got line 2"), ("a.jsonl", "x\n", "got line 1"),
    ("a.jsonl", '{"text": "x"}\n{"other": 1}\n', "text must be text in every row, got None in row 2"),
    ("a.pkl", "x", "text must be .txt, .csv, .tsv or .jsonl, got .pkl"),
])  # fmt: skip
def test_unusable_text_files(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        text(write(tmp_path / name, content), classes=3)


def test_other_errors_of_text(tmp_path):
    with pytest.raises(ValueError, match="text needs the model's tokenizer, got none"):
        open_data(["a"], "text")
    with pytest.raises(ValueError, match="the path must exist"):
        text(tmp_path / "absent.csv")
    with pytest.raises(ValueError, match="must be sentences, or .* got rows of other kinds"):
        text([("a", "b", 1.0), "c"])
    with pytest.raises(ValueError, match="kind must be one of text, pictures, features, got 'audio'"):
        open_data(["a"], "audio")
    with pytest.raises(ValueError, match="batch_size and limit must be at least 1"):
        text(["a"], limit=0)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="must be UTF-8 text, got a byte at 3"):
        text(tmp_path / "latin.txt")


@pytest.fixture
def folders(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (4, 5), (100 * label + i, 0, 255)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "notes.md").write_text("not a picture")
    return tmp_path


def test_a_labelled_directory(folders):
    data = open_data(folders, "pictures", batch_size=4, classes=2)
    batches = list(data)
    assert [tuple(batch.inputs["pixels"].shape) for batch in batches] == [(4, 3, 5, 4), (2, 3, 5, 4)]
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1] and batches[0].labels.tolist() == [0, 0, 0, 1]
    assert batches[0].inputs["pixels"][3, :, 0, 0].tolist() == pytest.approx([100 / 255, 0, 1])
    assert open_data(folders, "pictures", limit=2).labels.tolist() == [0, 1]
    assert open_data(folders / "cat", "pictures").labels is None


def test_folders_by_the_models_names(folders):
    assert open_data(folders, "pictures", classes=["Dog", "bird", "Cat"]).labels.tolist() == [2, 2, 2, 0, 0, 0]
    assert open_data(folders, "pictures", classes=["LABEL_0", "LABEL_1"]).labels.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="folders must be named as the model's classes, got 'cat'"):
        open_data(folders, "pictures", classes=["dog", "bird"])
    with pytest.raises(ValueError, match="at most 1 folders, one a class, got 2"):
        open_data(folders, "pictures", classes=1)


def test_folders_by_number(tmp_path):
    """As text, 10 stands before 2."""
    Image = pytest.importorskip("PIL.Image")
    for name in ("0", "2", "10"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 5), (int(name), 0, 0)).save(tmp_path / name / "one.png")
    data = open_data(tmp_path, "pictures")
    assert [round(255 * float(x[0, 0, 0])) for x in next(iter(data)).inputs["pixels"]] == data.labels.tolist()
    assert sorted(data.labels.tolist()) == [0, 2, 10]
    with pytest.raises(ValueError, match="labels must be classes of the model, 0 to 9, got 0 to 10"):
        open_data(tmp_path, "pictures", classes=10)


def test_pairs_to_be_read_together_are_refused(tmp_path):
    (tmp_path / "pairs.csv").write_text("sentence1,sentence2,label\na,b,1\n")
    with pytest.raises(ValueError, match="pairs must have a score, got 'label' alone"):
        read_text_rows(tmp_path / "pairs.csv")


def test_processors(folders):
    """A function of intensities, or an object of the transformers package with `preprocess`."""

    class Halves:
        preprocess = None

        def __call__(self, images, return_tensors):
            return {"pixel_values": np.stack([image[:2, :2].transpose(2, 0, 1) / 2 for image in images])}

    plain = next(iter(open_data(folders, "pictures", processor=lambda x: x - 1))).inputs["pixels"]
    assert plain[0, :, 0, 0].tolist() == [-1, -1, 0]
    theirs = open_data(folders, "pictures", processor=Halves(), inputs=("pixel_values",), item_shape=(3, 2, 2))
    assert next(iter(theirs)).inputs["pixel_values"][0, :, 0, 0].tolist() == [0, 0, 127.5]
    gray = open_data(np.zeros((2, 5, 4), np.uint8), "pictures", processor=Halves())
    assert next(iter(gray)).inputs["pixels"].shape == (2, 3, 2, 2)


def test_pictures_of_other_shapes_are_refused_at_once(folders):
    with pytest.raises(ValueError, match=r"must have the shape \(3, 8, 8\) of the model, got \(3, 5, 4\)"):
        open_data(folders, "pictures", item_shape=(3, 8, 8))
    from PIL import Image

    Image.new("RGB", (9, 9)).save(folders / "cat" / "3.png")
    with pytest.raises(ValueError, match="without a processor all must have one size"):
        list(open_data(folders, "pictures"))
    (folders / "dog" / "3.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="3.png must be a picture"):
        list(open_data(folders, "pictures", batch_size=1))


def test_arrays_of_pictures(tmp_path):
    images, labels = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), np.uint8), np.array([0, 1, 2, 1])
    np.savez(tmp_path / "a.npz", images=images, labels=labels, classes=np.array(["a", "b", "c"]))
    stored = open_data(tmp_path / "a.npz", "pictures", item_shape=(3, 6, 6))
    first = open_data((images.transpose(0, 3, 1, 2), labels), "pictures")
    assert torch.equal(next(iter(stored)).inputs["pixels"], next(iter(first)).inputs["pixels"])
    assert stored.labels.tolist() == [0, 1, 2, 1] and stored.sha256 == first.sha256
    prepared = torch.randn(4, 3, 6, 6, dtype=torch.float64)
    assert torch.equal(next(iter(open_data(prepared, "pictures"))).inputs["pixels"], prepared.float())
    grey = torch.full((2, 1, 4, 4), 8, dtype=torch.uint8)
    ours = Dataset("d", grey, torch.tensor([0, 1]), ("a", "b"), (0.25,), (0.5,), 16.0)
    assert next(iter(open_data(ours, "pictures"))).inputs["pixels"].unique().tolist() == [0.5]


@pytest.mark.parametrize(("source", "message"), [
    (np.zeros((2, 5, 5, 4), np.uint8), "must have 1 or 3 channels"), (np.zeros((2, 5)), "images must be uint8"),
    (np.zeros((2, 3, 5, 5), np.int64), "images must be uint8"),
    ((np.zeros((2, 4, 4), np.uint8), [0, 1, 1]), "one class index"),
    ((np.zeros((2, 4, 4), np.uint8), [0.5, 1.0]), "one class index for each of the 2 samples"),
    ((np.zeros((2, 4, 4), np.uint8), [0, -1]), "labels must be classes of the model, 0 and up, got -1 to 0"),
    (np.zeros((0, 4, 4), np.uint8), "must not be empty"), ({"x": 1}, "there must be an array named images, got x"),
])  # fmt: skip
def test_unusable_arrays(source, message):
    with pytest.raises(ValueError, match=message):
        open_data(source, "pictures")


def test_pickles_are_not_read(tmp_path):
    torch.save(torch.zeros(2, 3, 4), tmp_path / "a.pt")
    np.savez(tmp_path / "objects.npz", tokens=np.array([{}], dtype=object))
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="Pickles .* are programs and are not read"):
        open_data(tmp_path / "a.pt", "features")
    for name in ("objects", "cut"):
        with pytest.raises(ValueError, match=f"{name}.npz: must be a file of plain arrays"):
            open_data(tmp_path / f"{name}.npz", "features")


def test_features(tmp_path):
    tokens, mask = torch.randn(5, 3, 4), torch.tensor([[1, 1, 0]] * 5)
    save_file({"tokens": tokens, "labels": torch.tensor([0, 1, 2, 0, 1])}, tmp_path / "a.safetensors")
    stored = open_data(tmp_path / "a.safetensors", "features", batch_size=2)
    assert torch.equal(torch.cat([batch.inputs["tokens"] for batch in stored]), tokens)
    assert stored.labels.tolist() == [0, 1, 2, 0, 1]
    masked = open_data({"tokens": tokens, "attention_mask": mask}, "features", limit=2)
    assert next(iter(masked)).inputs["attention_mask"].tolist() == [[1, 1, 0]] * 2
    assert torch.equal(next(iter(masked)).inputs["tokens"], tokens[[0, 2]])
    for bad in (torch.zeros(3, 4, dtype=torch.int64), torch.zeros(3)):
        with pytest.raises(ValueError, match="features must be floating point"):
            open_data(bad, "features")
    with pytest.raises(ValueError, match=r"shape \(3, 8\) of the model, got \(3, 4\)"):
        open_data(tokens, "features", item_shape=(3, 8))


def test_batches_as_they_are():
    x, y = torch.randn(5, 3, 4), torch.tensor([0, 1, 0, 1, 1])
    forms = [
        [{"tokens": x[:3], "labels": y[:3]}, {"tokens": x[3:], "labels": y[3:]}],
        [(x[:3], y[:3]), (x[3:], y[3:])],
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=3),
        (part for part in [({"tokens": x[:3]}, y[:3]), ({"tokens": x[3:]}, y[3:])]),
        [Batch({"tokens": x[:3]}, torch.arange(3), y[:3]), Batch({"tokens": x[3:]}, torch.arange(2), y[3:])],
    ]
    for form in forms:
        data = open_data(form, "features")
        for _ in range(2):  # a generator is kept: evaluation goes over it twice
            assert torch.equal(torch.cat([batch.inputs["tokens"] for batch in data]), x)
            assert torch.equal(torch.cat([batch.labels for batch in data]), y)
        assert data.items == 5 and data.labels.tolist() == y.tolist()
    short = open_data(forms[0], "features", limit=4)
    assert [len(batch.index) for batch in short] == [3, 1] and short.labels.tolist() == [0, 1, 0, 1]
    bare = open_data([x], "features")
    assert torch.equal(next(iter(bare)).inputs["tokens"], x)


def test_unusable_batches():
    with pytest.raises(ValueError, match="must not be empty"):
        open_data([], "features")
    with pytest.raises(TypeError, match="a batch must be tensors by name"):
        open_data([{"tokens": [1, 2]}], "features")
    with pytest.raises(ValueError, match="must have the inputs input_ids, got none of them"):
        open_data([{"ids": torch.zeros(1, 2)}], "text", inputs=("input_ids",))
    with pytest.raises(ValueError, match="every batch must have labels, or none, got 1 for 3"):
        open_data([(torch.zeros(1, 2), torch.tensor([0])), (torch.zeros(2, 2),)], "features")
    with pytest.raises(TypeError, match="must be a path, values or batches, got int"):
        open_data(3, "features")

"""Loaders on real data where it is at hand, and on hostile or damaged files always."""

import gzip
import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from spikeattn.data import FormatError, cifar10, load, mnist
from spikeattn.data.arrays import Expected, read_idx, read_npz
from spikeattn.data.plain_pickle import read_plain_pickle

MNIST_HASHES = ("3655811c0e1223700a4714a92a51f55bd215ed7dc1fa2baa4326a2b58042d82d",
                "634538fb34c5277fce98470b8b285d1e8419eb87f328da42ef1faf690d2c3911")
CIFAR10_HASHES = ("55a61f79a40ece2ceda9fb5f9f7078f6ea2fc4952489cef56682bcf92cfcc260",
                  "325704b01eb92e1e2a6215ae6a916bb7db7de054af0c496be1c7be2e0fcfbf5f")


@pytest.mark.slow
def test_real_mnist_in_both_layouts(data_root, tmp_path):
    if not (data_root / "mnist").is_dir():
        pytest.skip("no mnist/ in the data directory")
    splits = load("mnist", data_root)
    assert (splits.train.content_hash(), splits.test.content_hash()) == MNIST_HASHES
    assert splits.train.images.shape == (60000, 1, 28, 28) and len(splits.test) == 10000
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, data in (("train", splits.train), ("test", splits.test)):
        for axis, values, opened in (("x", data.images[:, 0], open), ("y", data.labels, gzip.open)):
            name = mnist.IDX[f"{axis}_{part}"] + (".gz" if opened is gzip.open else "")
            with opened(folder / name, "wb") as file:
                file.write(idx_bytes(values.to(torch.uint8).numpy()))
    again = load("mnist", tmp_path)
    assert torch.equal(again.train.images, splits.train.images) and torch.equal(again.test.labels, splits.test.labels)


@pytest.mark.slow
def test_real_cifar10_in_all_four_layouts(data_root, tmp_path):
    pytest.importorskip("PIL", reason="the WebP mosaics need Pillow")
    if not (data_root / "cifar10").is_dir():
        pytest.skip("no cifar10/ in the data directory")
    splits = load("cifar10", data_root)
    assert (splits.train.content_hash(), splits.test.content_hash()) == CIFAR10_HASHES
    parts = {"train": splits.train, "test": splits.test}
    for layout in (write_npz_layout, write_python_layout, write_binary_layout):
        root = tmp_path / layout.__name__
        root.mkdir()
        layout(root, parts)
        again = load("cifar10", root)
        for part, data in parts.items():
            assert torch.equal(getattr(again, part).images, data.images), (layout.__name__, part)
            assert torch.equal(getattr(again, part).labels, data.labels), (layout.__name__, part)


def write_npz_layout(root, parts):
    for part, data in parts.items():
        np.savez(root / f"{part}.npz", images=data.images.permute(0, 2, 3, 1).numpy(), labels=data.labels.numpy())


def write_python_layout(root, parts):
    (root / "cifar-10-batches-py").mkdir()
    for part, data in parts.items():
        batches = zip(cifar10.BATCHES[part], data.images.split(10000), data.labels.split(10000), strict=True)
        for name, images, labels in batches:
            (root / "cifar-10-batches-py" / name).write_bytes(
                python2_batch(images.flatten(1).numpy(), labels.tolist()))


def write_binary_layout(root, parts):
    (root / "cifar-10-batches-bin").mkdir()
    for part, data in parts.items():
        rows = torch.cat([data.labels[:, None].to(torch.uint8), data.images.flatten(1)], 1)
        for name, block in zip(cifar10.BATCHES[part], rows.split(10000), strict=True):
            (root / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(block.numpy().tobytes())


def idx_bytes(values: np.ndarray) -> bytes:
    lengths = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return bytes([0, 0, 8, values.ndim]) + lengths + values.tobytes()


def python2_batch(data: np.ndarray, labels: list[int]) -> bytes:
    """The bytes that Python 2 wrote for {'labels': [...], 'data': array}, opcode by opcode."""
    rows, columns = (value.to_bytes(4, "little") for value in data.shape)
    return b"".join([
        b"\x80\x02}q\x01(U\x06labelsq\x04]q\x05(", *(b"K" + bytes([label]) for label in labels), b"e",
        b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\tU\x01bq\n\x87Rq\x0b",
        b"(K\x01J", rows, b"J", columns, b"\x86q\x0ccnumpy\ndtype\nq\rU\x02u1q\x0eK\x00K\x01\x87q\x0fRq\x10",
        b"(K\x03U\x01|q\x11NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x12b\x89T", data.size.to_bytes(4, "little"),
        data.tobytes(), b"q\x13tq\x14bu.",
    ])


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_batch_is_read_without_unpickling(protocol):
    data = np.arange(24, dtype=np.uint8).reshape(2, 12)
    written = {b"data": data, b"labels": [3, 300], b"name": "batch", b"none": None, b"pair": (1, True)}
    got = read_plain_pickle(pickle.dumps(written, protocol=protocol))
    assert np.array_equal(got["data"], data) and got["data"].dtype == np.uint8
    assert got["labels"] == [3, 300] and got["name"] == "batch"


def test_a_batch_of_python_2_is_read():
    data = np.arange(24, dtype=np.uint8).reshape(2, 12)
    got = read_plain_pickle(python2_batch(data, [7, 9]))
    assert np.array_equal(got["data"], data) and got["labels"] == [7, 9]


class Attack:
    def __reduce__(self):
        return eval, ("__import__('pathlib').Path('pwned').write_text('x')",)


@pytest.mark.parametrize("payload", [
    pickle.dumps(Attack()), pickle.dumps(Attack(), protocol=0), pickle.dumps({"data": [Attack()]}),
    pickle.dumps(Exception("x")), pickle.dumps(np.array([Attack()], dtype=object)),
    b"cos\nsystem\n(S'true'\ntR.", b"(S'true'\nios\nsystem\n.", b"\x80\x02cnumpy\nload\n.",
])
def test_a_malicious_pickle_is_refused(payload, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError):
        read_plain_pickle(payload)
    assert not list(tmp_path.iterdir())


def test_a_small_pickle_cannot_grow():
    nested = b"\x80\x02]q\x00" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(60)) + b"."
    doubled = b"\x80\x02}U\x01aK\x01s" + nested[2:-1] + b"U\x01bh\x3cs."
    for payload in (nested, doubled):
        with pytest.raises(FormatError):
            read_plain_pickle(payload)
    array = pickle.dumps(np.zeros(10_000, np.uint8), protocol=3)[2:-1]
    many = b"\x80\x03}(" + b"".join(b"K%c" % i + array for i in range(20)) + b"u."
    with pytest.raises(FormatError, match="at most 8 arrays"):
        read_plain_pickle(many)


def test_damaged_batches_are_format_errors():
    whole = python2_batch(np.arange(24, dtype=np.uint8).reshape(2, 12), [7, 9])
    for length in range(len(whole)):
        with pytest.raises(FormatError):
            read_plain_pickle(whole[:length])
    generator = np.random.RandomState(0)
    for _ in range(2000):
        damaged = bytearray(whole)
        for place in generator.randint(0, len(whole), 3):
            damaged[place] = generator.randint(256)
        try:
            read_plain_pickle(bytes(damaged))
        except FormatError:
            continue


def write_npz(path, **members: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)


def npy(array, **options) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def test_npz_is_read_exactly(tmp_path):
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.savez_compressed(tmp_path / "a.npz", images=images, labels=np.asfortranarray(np.array([[5, 6], [7, 8]])))
    got = read_npz(tmp_path / "a.npz", {"images": Expected((None, 3, 4)), "labels": Expected((2, 2), "iu", 8)})
    assert np.array_equal(got["images"], images) and got["labels"].tolist() == [[5, 6], [7, 8]]


def test_a_bomb_is_refused_before_it_unpacks(tmp_path):
    header = io.BytesIO()
    shape = (3 << 20, 32, 32)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(64 << 20))
    tracemalloc.start()
    with pytest.raises(FormatError, match="shape must be"):
        read_npz(tmp_path / "bomb.npz", {"images": Expected((None, 32, 32))})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("members, text", [
    ({"images": npy(np.array([Attack()], dtype=object), allow_pickle=True)}, "Object arrays are programs"),
    ({"images": npy(np.zeros((2, 3), np.float32))}, "kind 'u'"),
    ({"images": npy(np.zeros((2, 4), np.uint8))}, "shape must be"),
    ({"images": npy(np.zeros((2, 3), np.uint8))[:-1]}, "must hold 6 bytes"),
    ({"images": npy(np.zeros((2, 3), np.uint8)) + b"x"}, "must hold 6 bytes"),
    ({"images": b"no header"}, "plain .npy header"),
    ({"pictures": npy(np.zeros((2, 3), np.uint8))}, "must hold the array 'images', got \\['pictures'\\]"),
])
def test_a_wrong_npz_is_refused(members, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "a.npz", **members)
    with pytest.raises(FormatError, match=text):
        read_npz(tmp_path / "a.npz", {"images": Expected((None, 3))})
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_truncated_or_damaged_npz_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, images=npy(np.random.RandomState(0).randint(0, 255, (50, 3)).astype(np.uint8)))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            read_npz(path, {"images": Expected((None, 3))})
    damaged = bytearray(whole)
    damaged[100] ^= 255
    path.write_bytes(bytes(damaged))
    with pytest.raises(FormatError):
        read_npz(path, {"images": Expected((None, 3))})


def test_idx_is_read_and_checked(tmp_path):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path, whole = tmp_path / "a", idx_bytes(values)
    path.write_bytes(whole)
    assert np.array_equal(read_idx(path, (2, 3, 4)), values)
    (tmp_path / "a.gz").write_bytes(gzip.compress(whole))
    assert np.array_equal(read_idx(tmp_path / "a.gz", (2, 3, 4)), values)
    for wrong in (b"", whole[:-1], whole + b"x", gzip.compress(whole), whole[:3] + b"\x02" + whole[4:]):
        path.write_bytes(wrong)
        with pytest.raises(FormatError):
            read_idx(path, (2, 3, 4))
    (tmp_path / "a.gz").write_bytes(gzip.compress(whole)[:-9])
    with pytest.raises(FormatError):
        read_idx(tmp_path / "a.gz", (2, 3, 4))


def test_truncated_cifar_files_are_named(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    (folder / "data_batch_1.bin").write_bytes(b"123")
    with pytest.raises(FormatError, match="data_batch_1.bin: must hold 30730000 bytes, got 3"):
        load("cifar10", tmp_path)
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps({"data": [1]}))
    with pytest.raises(FormatError, match="must hold 'data' of shape"):
        load("cifar10", tmp_path)

import pytest
import torch

from spikeattn.data import DATASETS, Dataset, Splits, check_facts, data_directory, load, stratified_split
from spikeattn.data.batches import epoch_order, evaluation_batches, steps_per_epoch, training_batches


def small(count=100, classes=5):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 2, 4, 3), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % classes
    return Dataset("small", images, labels, tuple("abcde"[:classes]), mean=(0.5, 0.4), std=(0.25, 0.2))


def test_digits_is_the_fixed_split():
    splits = load("digits")
    assert len(splits.train) == 1438 and len(splits.test) == 359 and splits.validation is None
    assert splits.train.images.shape[1:] == (1, 8, 8) and int(splits.train.images.max()) == 16
    intensities = splits.train.scale(splits.train.images)
    assert abs(intensities.mean() - splits.train.mean[0]) < 1e-4
    assert abs(intensities.std() - splits.train.std[0]) < 2e-4
    normal = splits.train.normalise(intensities)
    assert abs(normal.mean()) < 1e-3 and abs(normal.std() - 1) < 1e-3
    counts = torch.bincount(splits.test.labels)
    assert counts.min() >= 35 and counts.max() <= 37


def test_digits_notices_other_pictures(monkeypatch):
    from sklearn import datasets

    bunch = datasets.load_digits()
    bunch.images[0, 0, 0] += 1
    monkeypatch.setattr(datasets, "load_digits", lambda: bunch)
    with pytest.raises(ValueError, match="digits: the pictures must be those"):
        load("digits")


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match="got 'cifar'. Did you mean cifar10"):
        load("cifar")
    assert set(DATASETS) == {"digits", "mnist", "cifar10"}


def test_a_missing_directory_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("SPIKEATTN_DATA", raising=False)
    with pytest.raises(ValueError, match="Set SPIKEATTN_DATA"):
        load("mnist")
    monkeypatch.setenv("SPIKEATTN_DATA", str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="must be an existing directory"):
        data_directory()
    monkeypatch.setenv("SPIKEATTN_DATA", str(tmp_path))
    assert data_directory() == tmp_path
    for name in ("mnist", "cifar10"):
        with pytest.raises(ValueError, match=f"{name}: must lie in .* got none of them"):
            load(name)


def test_stratified_split_is_fixed_by_content():
    data = small()
    rest, part = stratified_split(data, 0.2, salt=b"x")
    assert torch.bincount(part.labels).tolist() == [4] * 5 and len(rest) == 80
    shuffled = data.select(torch.randperm(100, generator=torch.Generator().manual_seed(5)))
    again = stratified_split(shuffled, 0.2, salt=b"x")[1]
    assert again.content_hash() == part.content_hash()
    assert stratified_split(data, 0.2, salt=b"y")[1].content_hash() != part.content_hash()


def test_content_hash_ignores_order_and_sees_every_change():
    data = small()
    assert data.select(torch.arange(99, -1, -1)).content_hash() == data.content_hash()
    other = data.images.clone()
    other[7, 1, 2, 0] += 1
    assert Dataset("small", other, data.labels, data.classes, data.mean, data.std).content_hash() != data.content_hash()
    relabelled = (data.labels + (torch.arange(100) == 3)) % 5
    assert (Dataset("small", data.images, relabelled, data.classes, data.mean, data.std).content_hash()
            != data.content_hash())


def test_hold_out_keeps_the_test_set():
    splits = Splits(train=small(), test=small(10)).hold_out(0.1)
    assert len(splits.train) == 90 and len(splits.validation) == 10 and len(splits.test) == 10


@pytest.mark.parametrize("change, text", [
    ({"images": torch.zeros(3, 1, 2, 2)}, "images must be uint8"),
    ({"labels": torch.zeros(4, dtype=torch.int64)}, r"labels must be int64 \(3,\)"),
    ({"labels": torch.tensor([0, 1, 9])}, r"labels must lie in \[0, 2\)"),
])
def test_a_wrong_record_is_refused(change, text):
    fine = dict(name="x", images=torch.zeros(3, 1, 2, 2, dtype=torch.uint8), labels=torch.zeros(3, dtype=torch.int64),
                classes=("a", "b"), mean=(0.0,), std=(1.0,))
    with pytest.raises(ValueError, match=text):
        Dataset(**(fine | change))


def test_facts_are_checked():
    data = small()
    check_facts(data, 20)
    with pytest.raises(ValueError, match="counts per class must be"):
        check_facts(data, 21)
    with pytest.raises(ValueError, match="the mean per channel must be"):
        check_facts(data, 20, mean=(0.9, 0.9))


def test_an_epoch_visits_every_picture_once_in_a_new_order():
    orders = [epoch_order(10, seed=0, epoch=epoch).tolist() for epoch in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2]) == list(range(10))
    assert epoch_order(10, seed=1, epoch=0).tolist() != orders[0]


def test_batches_continue_where_they_stopped():
    data = small()
    whole = list(training_batches(data, 16, seed=1, epoch=2))
    rest = list(training_batches(data, 16, seed=1, epoch=2, start=4))
    assert len(whole) == steps_per_epoch(100, 16) == 6
    for (images, labels), (again, labels_again) in zip(whole[4:], rest, strict=True):
        assert torch.equal(images, again) and torch.equal(labels, labels_again)


def test_a_small_set_is_one_batch_and_evaluation_sees_all():
    data = small(10)
    assert [len(labels) for _, labels in training_batches(data, 16, seed=0, epoch=0)] == [10]
    assert [len(labels) for _, labels in evaluation_batches(data, 4)] == [4, 4, 2]
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        next(training_batches(data, 0, seed=0, epoch=0))

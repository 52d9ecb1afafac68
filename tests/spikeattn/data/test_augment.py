import math

import pytest
import torch

from spikeattn.data.augment import apply, crop, cutmix, either, erase, flip, mixup, pipeline, symmetric_beta

FILL = (0.25, 0.5, 0.75)
CASES = {
    "crop": lambda *a: crop(*a, padding=2),
    "flip": lambda *a: flip(*a, probability=0.5),
    "erase": lambda *a: erase(*a, probability=0.5, fill=FILL),
    "mixup": lambda *a: mixup(*a, alpha=0.5),
    "cutmix": lambda *a: cutmix(*a, alpha=1.0),
    "either": either(lambda *a: mixup(*a, alpha=0.5), lambda *a: cutmix(*a, alpha=1.0)),
}


def pictures(count=64, channels=3, height=9, width=7, classes=5):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(count, channels, height, width, generator=generator)
    targets = torch.nn.functional.one_hot(torch.arange(count) % classes, classes).float()
    return images, targets


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", CASES)
def test_shapes_range_and_label_mass(name):
    images, targets = pictures()
    before = images.clone(), targets.clone()
    new_images, new_targets = CASES[name](images, targets, seeded())
    assert new_images.shape == images.shape and new_images.dtype == images.dtype
    assert new_targets.shape == targets.shape
    assert not torch.equal(new_images, images), "the transform did nothing"
    assert new_images.min() >= 0 and new_images.max() <= 1
    torch.testing.assert_close(new_targets.sum(1), torch.ones(len(images)))
    assert (new_targets >= 0).all()
    assert torch.equal(images, before[0]) and torch.equal(targets, before[1]), "inputs were written to"


@pytest.mark.parametrize("name", CASES)
def test_the_generator_decides_everything(name):
    images, targets = pictures()
    first, again, other = (CASES[name](images, targets, seeded(seed))[0] for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("name", CASES)
def test_each_picture_draws_its_own_numbers(name):
    images, targets = pictures()
    same = images[:1].expand_as(images).contiguous()
    if name in ("mixup", "cutmix", "either"):
        same = torch.where(torch.arange(len(images)).view(-1, 1, 1, 1) % 2 == 0, same, 1 - same)
    assert len(CASES[name](same, targets, seeded())[0].unique(dim=0)) > 2 - (name == "flip")


def test_crop_is_a_shift_with_black_borders():
    images = torch.arange(1.0, 10.0).view(1, 1, 3, 3).repeat(200, 1, 1, 1)
    shifted, _ = crop(images, torch.ones(200, 1), seeded(), padding=1)
    padded = torch.nn.functional.pad(images[0, 0], (1, 1, 1, 1))
    windows = {tuple(padded[y:y + 3, x:x + 3].flatten().tolist()) for y in range(3) for x in range(3)}
    assert {tuple(picture.flatten().tolist()) for picture in shifted} == windows


def test_flip_mirrors_about_half():
    images, targets = pictures(count=1000)
    flipped, _ = flip(images, targets, seeded())
    mirrored = (flipped == images.flip(-1)).all((1, 2, 3))
    unchanged = (flipped == images).all((1, 2, 3))
    assert (mirrored ^ unchanged).all()
    assert 440 < mirrored.sum() < 560


def test_erase_paints_one_rectangle_of_the_stated_area():
    images = torch.ones(500, 3, 16, 12)
    erased, _ = erase(images, torch.ones(500, 1), seeded(), probability=0.4, fill=FILL)
    hit = (erased == torch.tensor(FILL).view(1, 3, 1, 1)).all(1)
    painted = hit.any((1, 2))
    assert 150 < painted.sum() < 250
    for mask in hit[painted]:
        rows, columns = mask.any(1), mask.any(0)
        assert mask.sum() == rows.sum() * columns.sum(), "not a rectangle"
    share = hit[painted].float().mean((1, 2))
    assert share.max() < 0.45 and 0.1 < share.mean() < 0.25


def test_mixup_blends_pictures_and_targets_alike():
    images = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)]).repeat(50, 1, 1, 1)
    targets = torch.eye(2).repeat(50, 1)
    mixed, soft = mixup(images, targets, seeded(), alpha=1.0)
    torch.testing.assert_close(mixed[:, 0, 0, 0], soft[:, 1])


def test_cutmix_targets_follow_the_area():
    images = torch.stack([torch.zeros(1, 8, 6), torch.ones(1, 8, 6)]).repeat(50, 1, 1, 1)
    targets = torch.eye(2).repeat(50, 1)
    mixed, soft = cutmix(images, targets, seeded(), alpha=1.0)
    torch.testing.assert_close(mixed.mean((1, 2, 3)), soft[:, 1])


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 4.0])
def test_symmetric_beta_has_the_moments_of_the_beta_distribution(alpha):
    sample = symmetric_beta(alpha, torch.empty(200_000), seeded())
    assert sample.min() >= 0 and sample.max() <= 1
    deviation = 1 / (4 * (2 * alpha + 1))
    fourth = torch.distributions.Beta(alpha, alpha).sample((200_000,)).sub(0.5).pow(4).mean()
    assert math.isclose(sample.mean(), 0.5, abs_tol=0.005)
    assert math.isclose(sample.var(), deviation, rel_tol=0.02)
    assert math.isclose((sample - 0.5).pow(4).mean(), fourth, rel_tol=0.04)


def test_symmetric_beta_names_a_bad_alpha():
    with pytest.raises(ValueError, match="alpha must be positive, got 0"):
        symmetric_beta(0, torch.empty(3), seeded())


def test_pipeline_is_composed_by_data():
    assert pipeline() == ()
    assert len(pipeline(crop_padding=1, flip_probability=0.5, erase_probability=0.2, mixup_alpha=0.5)) == 4
    assert len(pipeline(mixup_alpha=0.5, cutmix_alpha=1.0)) == 1
    images, targets = pictures()
    transforms = pipeline(crop_padding=2, flip_probability=0.5, erase_probability=0.3, fill=FILL,
                          mixup_alpha=0.5, cutmix_alpha=1.0)
    new_images, new_targets = apply(transforms, images, targets, seeded())
    assert new_images.shape == images.shape
    torch.testing.assert_close(new_targets.sum(1), torch.ones(len(images)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", CASES)
def test_on_the_device(name):
    images, targets = (tensor.cuda() for tensor in pictures())
    generator = torch.Generator("cuda").manual_seed(0)
    new_images, new_targets = CASES[name](images, targets, generator)
    assert new_images.is_cuda and new_targets.is_cuda
    torch.testing.assert_close(new_targets.sum(1), torch.ones(len(images), device="cuda"))

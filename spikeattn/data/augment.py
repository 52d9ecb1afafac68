"""Augmentation on the device of the pictures, one small pure function each.

    images, targets = crop(images, targets, generator, padding=4)

images: float (B, C, Y, X), intensities in [0, 1]. targets: float (B, K), a distribution over the classes.
generator: all randomness comes from it; it lives on the device of the pictures. Every picture draws its own
numbers, and the inputs are never written to. A pipeline is a tuple of such functions (see `pipeline`).
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Generator, Tensor

Pair = tuple[Tensor, Tensor]
Transform = Callable[[Tensor, Tensor, Generator], Pair]


def crop(images: Tensor, targets: Tensor, generator: Generator, *, padding: int) -> Pair:
    """Shift each picture by up to `padding` pixels in both directions; what enters is black."""
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    shift = _randint(2 * padding + 1, (2, count, 1), images, generator)
    rows = shift[0] + torch.arange(height, device=images.device)  # (B, Y)
    columns = shift[1] + torch.arange(width, device=images.device)  # (B, X)
    picture = torch.arange(count, device=images.device)
    shifted = padded[picture[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (B, Y, X, C)
    return shifted.permute(0, 3, 1, 2).contiguous(), targets


def flip(images: Tensor, targets: Tensor, generator: Generator, *, probability: float = 0.5) -> Pair:
    """Mirror left and right with the given probability."""
    chosen = _chosen(images, generator, probability)
    return torch.where(chosen, images.flip(-1), images), targets


def erase(images: Tensor, targets: Tensor, generator: Generator, *, probability: float, fill: Sequence[float],
          area: tuple[float, float] = (0.02, 1 / 3), aspect: float = 0.3) -> Pair:
    """Paint a random rectangle with one colour (Zhong et al., Random Erasing, AAAI 2020).

    Its area is uniform in `area` (shares of the picture), the logarithm of its aspect ratio uniform between
    those of `aspect` and 1/aspect. Differs from the paper in: a side longer than the picture is cut off
    instead of drawn again.
    """
    count, channels, height, width = images.shape
    share, ratio = _rand((2, count), images, generator)
    share = area[0] + (area[1] - area[0]) * share
    stretch = aspect ** (1 - 2 * ratio)
    box_height = (share * stretch).sqrt().mul(height).round().clamp(1, height)
    box_width = (share / stretch).sqrt().mul(width).round().clamp(1, width)
    top, left = _rand((2, count), images, generator)
    box = _box((top * (height - box_height + 1)).floor(), (left * (width - box_width + 1)).floor(),
               box_height, box_width, images)
    colour = images.new_tensor(fill).view(1, channels, 1, 1)
    return torch.where(box & _chosen(images, generator, probability), colour, images), targets


def mixup(images: Tensor, targets: Tensor, generator: Generator, *, alpha: float) -> Pair:
    """Blend each picture and its target with another of the batch (Zhang et al., mixup, ICLR 2018).

        x' = lam x + (1 - lam) x_partner,  lam ~ Beta(alpha, alpha)
    """
    lam = symmetric_beta(alpha, images, generator)
    partner = torch.randperm(len(images), generator=generator, device=images.device)
    mixed = _blend(images, images[partner], lam[:, None, None, None])
    return mixed, _blend(targets, targets[partner], lam[:, None])


def cutmix(images: Tensor, targets: Tensor, generator: Generator, *, alpha: float) -> Pair:
    """Replace a rectangle by another picture's; targets follow the area (Yun et al., CutMix, ICCV 2019).

    The rectangle has the aspect ratio of the picture and area 1 - lam, lam ~ Beta(alpha, alpha), around a
    uniform centre; after it is cut off at the border, lam is the share that is really left.
    """
    count, _, height, width = images.shape
    side = (1 - symmetric_beta(alpha, images, generator)).sqrt()
    centre_y, centre_x = _rand((2, count), images, generator)
    top = (centre_y * height - side * height / 2).round().clamp(0, height)
    left = (centre_x * width - side * width / 2).round().clamp(0, width)
    bottom = (centre_y * height + side * height / 2).round().clamp(0, height)
    right = (centre_x * width + side * width / 2).round().clamp(0, width)
    box = _box(top, left, bottom - top, right - left, images)
    lam = 1 - (bottom - top) * (right - left) / (height * width)
    partner = torch.randperm(count, generator=generator, device=images.device)
    return torch.where(box, images[partner], images), _blend(targets, targets[partner], lam[:, None])


def either(first: Transform, second: Transform) -> Transform:
    """The transform that applies one of two to each picture, with equal chances."""

    def transform(images: Tensor, targets: Tensor, generator: Generator) -> Pair:
        chosen = _chosen(images, generator, 0.5)
        images_1, targets_1 = first(images, targets, generator)
        images_2, targets_2 = second(images, targets, generator)
        return torch.where(chosen, images_1, images_2), torch.where(chosen[:, 0, 0], targets_1, targets_2)

    return transform


def pipeline(*, crop_padding: int = 0, flip_probability: float = 0.0, erase_probability: float = 0.0,
             fill: Sequence[float] = (0.0,), mixup_alpha: float = 0.0,
             cutmix_alpha: float = 0.0) -> tuple[Transform, ...]:
    """The transforms that are on (0 is off), in their order; mixup and cutmix together are alternatives."""
    mixers = ((mixup, mixup_alpha), (cutmix, cutmix_alpha))
    mixed = [partial(function, alpha=alpha) for function, alpha in mixers if alpha > 0]
    steps: list[Transform] = []
    if crop_padding > 0:
        steps.append(partial(crop, padding=crop_padding))
    if flip_probability > 0:
        steps.append(partial(flip, probability=flip_probability))
    if erase_probability > 0:
        steps.append(partial(erase, probability=erase_probability, fill=tuple(fill)))
    return (*steps, *([either(*mixed)] if len(mixed) == 2 else mixed))


def apply(transforms: Sequence[Transform], images: Tensor, targets: Tensor, generator: Generator) -> Pair:
    """Every transform in turn."""
    for transform in transforms:
        images, targets = transform(images, targets, generator)
    return images, targets


def symmetric_beta(alpha: float, like: Tensor, generator: Generator) -> Tensor:
    """One Beta(alpha, alpha) number per picture, from two uniform ones.

        r^2 = U^(-1/alpha) - 1,  c = cos(2 pi V),  B = 1/2 + sign(c) / (2 sqrt(1 + 1 / (r^2 c^2)))

    Bailey's polar method for Student's t (Math. Comp. 62, 1994), and
    B = 1/2 + t / (2 sqrt(2 alpha + t^2)) for t with 2 alpha degrees of freedom. torch's own sampler takes no generator.
    """
    if not alpha > 0:
        raise ValueError(f"symmetric_beta: alpha must be positive, got {alpha}. Leave the transform out.")
    u, v = _rand((2, len(like)), like, generator).double().clamp(min=2**-30)
    cosine = torch.cos(2 * torch.pi * v)
    squared = (u ** (-1 / alpha) - 1) * cosine**2
    return (0.5 + cosine.sign() / (2 * (1 + 1 / squared).sqrt())).to(like.dtype)


def _rand(shape: tuple[int, ...], like: Tensor, generator: Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=like.device, dtype=torch.float32)


def _randint(end: int, shape: tuple[int, ...], like: Tensor, generator: Generator) -> Tensor:
    return torch.randint(end, shape, generator=generator, device=like.device)


def _chosen(images: Tensor, generator: Generator, probability: float) -> Tensor:
    return (_rand((len(images),), images, generator) < probability).view(-1, 1, 1, 1)


def _box(top: Tensor, left: Tensor, height: Tensor, width: Tensor, images: Tensor) -> Tensor:
    """True inside the rectangle: (B, 1, Y, X)."""
    y = torch.arange(images.shape[2], device=images.device).view(1, 1, -1, 1)
    x = torch.arange(images.shape[3], device=images.device).view(1, 1, 1, -1)
    top, left, height, width = (value.view(-1, 1, 1, 1) for value in (top, left, height, width))
    return (y >= top) & (y < top + height) & (x >= left) & (x < left + width)


def _blend(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    return share * first + (1 - share) * second

"""Handwritten digits that come with scikit-learn: 1797 grey pictures of 8 x 8, values 0 to 16, no download.

Alpaydin and Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), its test part. There is no
official split of these 1797; ours is stratified, a fifth for the test, and fixed by the content of the pictures.
"""

from pathlib import Path

import torch

from spikeattn.data.dataset import Dataset, Splits, stratified_split

CLASSES = tuple("0123456789")
TRAIN_HASH = "67979eb753d997aa7f5e45f2198f577bdf4a2386852f86e58de2d12b946e3a6c"
TEST_HASH = "0f27634fa96b0c7f33345e8bf9111399f6f72f558753519ca4ee75b4d1250b61"


def load_digits(root: str | Path | None = None) -> Splits:
    """The fixed split: 1438 training and 359 test pictures; `root` is not used."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError("digits: needs scikit-learn, which is missing. pip install scikit-learn") from error
    bunch = datasets.load_digits()
    dataset = Dataset(
        name="digits",
        images=torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1),
        labels=torch.from_numpy(bunch.target).long(),
        classes=CLASSES,
        mean=(0.3050,),
        std=(0.3759,),
        peak=16.0,
    )
    train, test = stratified_split(dataset, 0.2, salt=b"test")
    if (train.content_hash(), test.content_hash()) != (TRAIN_HASH, TEST_HASH):
        raise ValueError("digits: the pictures must be those that scikit-learn ships, got others. "
                         "Reinstall scikit-learn; results on another set would not compare.")
    return Splits(train=train, test=test)

"""One picture from a file of any common format."""

from pathlib import Path

import numpy as np

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})


def read_picture(path: Path, *, gray: bool = False) -> np.ndarray:
    """8-bit intensities (Y, X, 3), or (Y, X, 1) if gray; transparency is dropped."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ValueError("read_picture: a picture file needs the package pillow, got none. "
                         "pip install pillow.") from error
    try:
        with Image.open(path) as picture:
            found = np.asarray(picture.convert("L" if gray else "RGB"))
    except (OSError, ValueError) as error:
        raise ValueError(f"read_picture: {path.name} must be a picture, got {error}. Remove or replace it.") from error
    return found[..., None] if gray else found

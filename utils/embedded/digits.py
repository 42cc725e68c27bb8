"""embedded/digits: 1,797 handwritten digits, split by the hand that wrote them, and drawn at any size.

Imported by the picture modules beside it, and by chapters.

Origin: the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning
Repository, CC BY 4.0), as it comes with scikit-learn: 8 × 8 pixels, each the number of dark pixels, 0 to 16, in a block of
4 × 4 of the scan. Thirteen people wrote them. Who wrote which is not told, but each filled in the same form, so that the
sequence of the labels repeats: the forms begin at 0, 130, 256, …, and the splits are cut between forms. No hand of the
validation or test part is in the training part, unless one person filled in two forms.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SPLITS = ("train", "validation", "test")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ENDS = {"train": (0, 1157), "validation": (1157, 1415), "test": (1415, 1797)}  # nine forms, two forms, three forms


def known(split: str) -> str:
    """`split`, if it is one of SPLITS; ValueError otherwise."""
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}; choose one of {', '.join(SPLITS)}.")
    return split


def generator(split: str, seed: int, *path: int) -> np.random.Generator:
    """A random generator that depends on nothing but these numbers: the same in every process, on every machine."""
    return np.random.default_rng([SPLITS.index(known(split)), seed, *path])


@cache
def _all() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images / 16).astype(np.float32), data.target.astype(np.int64)


def pool(split: str) -> range:
    """The numbers of the digits of a split among the 1,797: 1,157 for train, 258 for validation, 382 for test."""
    return range(*_ENDS[known(split)])


def load(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, (digits, 8, 8) float32 from 0 (paper) to 1 (ink), and labels, (digits,) int64, of a split."""
    images, labels = _all()
    rows = pool(split)
    return images[rows.start : rows.stop], labels[rows.start : rows.stop]


@cache
def labels() -> tuple[int, ...]:
    """What each of the 1,797 digits is."""
    return tuple(_all()[1].tolist())


@cache
def by_label(split: str) -> tuple[tuple[int, ...], ...]:
    """For each label 0 to 9 the numbers of the split's digits that show it."""
    return tuple(tuple(row for row in pool(split) if labels()[row] == label) for label in range(10))


@cache
def glyph(number: int, height: int) -> np.ndarray:
    """Digit `number`, as ink that is `height` pixels high: (height, width) float32 opacity from 0 to 1, cut to its ink.

    Enlarged with bicubic interpolation; the soft edge is then made steeper, since eight pixels enlarged are a blur.
    Every row and column of the border holds a value of at least 0.5. Read only: it is kept for the next call.
    """
    from PIL import Image

    image = _all()[0][number]
    for scale in (height, height + 1, height + 2, height + 3, height + 4, height + 6, height + 8, height + 12):
        large = np.asarray(Image.fromarray(image).resize((scale, scale), Image.Resampling.BICUBIC))
        ink = np.clip((large - 0.35) / 0.35, 0, 1)
        solid = ink >= 0.5
        rows = np.flatnonzero(solid.any(1))
        if rows[-1] - rows[0] + 1 >= height:
            break
    bottom = rows[0] + min(height, rows[-1] - rows[0] + 1)
    cut = solid[rows[0] : bottom]
    columns = np.flatnonzero(cut.any(0))
    result = np.ascontiguousarray(ink[rows[0] : bottom, columns[0] : columns[-1] + 1])
    result.flags.writeable = False
    return result

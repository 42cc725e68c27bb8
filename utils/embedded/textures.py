"""embedded/textures: backgrounds cut from ten photographs, from other parts of them for each split.

Imported by the picture modules beside it.

Origin: the pictures that scikit-image brings along. Brick and gravel (CC0 Textures), grass (linolafett), the cameraman (Lav
Varshney), coffee (Rachel Michetti), the cat (Stefan van der Walt): CC0. The rocket (SpaceX), the Hubble deep field (NASA) and
the Moon: public domain. The stained tissue (Center for Microscopy and Molecular Imaging): no known copyright restrictions.
Nothing is downloaded. Along its longer side each picture is cut in three: the first half is for training, the next quarter
for validation, the last for the test.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from utils.embedded.digits import known

PICTURES = ("brick", "camera", "coffee", "chelsea", "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon", "rocket")
_PARTS = {"train": (0.0, 0.5), "validation": (0.5, 0.75), "test": (0.75, 1.0)}
LARGEST = 96  # pixels of a side


@cache
def parts(split: str) -> tuple[np.ndarray, ...]:
    """The split's part of each picture of PICTURES, (height, width, 3) uint8; both sides are at least LARGEST."""
    import skimage.data

    start, stop = _PARTS[known(split)]
    found = []
    for name in PICTURES:
        picture = getattr(skimage.data, name)()
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        if picture.shape[0] > picture.shape[1]:
            picture = picture.transpose(1, 0, 2)
        width = picture.shape[1]
        part = picture[:, round(start * width) : round(stop * width)]
        found.append(np.ascontiguousarray(part))
    return tuple(found)


def crop(split: str, size: int, draw: np.random.Generator) -> np.ndarray:
    """A square of `size` pixels from a random place of the split's pictures, perhaps mirrored: (size, size, 3) uint8, a view."""
    sources = parts(split)
    which, y, x, mirror, upright = draw.random(5)
    source = sources[int(which * len(sources))]
    y, x = int(y * (source.shape[0] - size + 1)), int(x * (source.shape[1] - size + 1))
    cut = source[y : y + size, x : x + size]
    if mirror < 0.5:
        cut = cut[:, ::-1]
    return cut if upright < 0.5 else cut.transpose(1, 0, 2)

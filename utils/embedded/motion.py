"""embedded/motion: short films of a handwritten digit that drifts over a photograph. Imported by chapters.

The label is the direction, one of DIRECTIONS. What leaves the picture on one side comes in on the other, and the digit starts
anywhere. So, by construction, no single frame tells anything about the direction: the digit's place in each frame is as good
as any other. All frames together but out of order tell the axis, left–right or up–down, and no more, since a film run
backwards is a film of the opposite direction. A model that looks at one frame can reach .25, one that ignores the order .5.

Digits and photographs are those of `utils.embedded.digits` and `utils.embedded.textures`, disjoint between the splits. Film k
of a split and seed is the same in every process. The photograph stands still; noise is new in each frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.embedded import digits, textures
from utils.embedded.digits import SPLITS

__all__ = ["DIRECTIONS", "SPLITS", "Film", "film", "load"]

DIRECTIONS = ("right", "down", "left", "up")
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # x and y
SIZES = (32, 64)


@dataclass(frozen=True)
class Film:
    """frames: (frames, size, size, 3) uint8. label: the place in DIRECTIONS. digit: 0 to 9. speed: pixels from frame to frame.

    places: (frames, 2) int64, x and y of the upper left corner of the digit; what is beyond the edge goes on at the other."""

    split: str
    index: int
    frames: np.ndarray
    label: int
    digit: int
    speed: int
    places: np.ndarray


def load(split: str, count: int, frames: int = 8, size: int = 32, start: int = 0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Films start … start + count − 1: (count, frames, size, size, 3) uint8 and labels (count,) int64, as even as can be."""
    films = [film(split, index, frames, size, seed) for index in range(start, start + count)]
    return np.stack([one.frames for one in films]), np.array([one.label for one in films])


def film(split: str, index: int, frames: int = 8, size: int = 32, seed: int = 0) -> Film:
    """One film of 2 to 16 frames, 32 or 64 pixels wide and high. ValueError for another size, length or split."""
    if size not in SIZES or not 2 <= frames <= 16:
        raise ValueError(f"Films have 2 to 16 frames of 32 or 64 pixels; you asked for {frames} frames of {size}.")
    draw = digits.generator(split, seed, index, 3)
    block = digits.generator(split, seed, index // 4, 4).permutation(4)  # of four films in a row, each has another direction
    label = int(block[index % 4])
    scale = size // 32
    speed = int(draw.integers(2, 4)) * scale
    digit = int(draw.integers(10))
    numbers = digits.by_label(split)[digit]
    ink = digits.glyph(numbers[int(draw.random() * len(numbers))], int(draw.integers(12, 17)) * scale)
    height, width = ink.shape

    ground = textures.crop(split, 64, draw)[:: 2 // scale, :: 2 // scale].astype(np.float32)
    ground = (0.5 * ground + 0.5 * ground.mean(2, keepdims=True) - ground.mean()) * draw.uniform(0.3, 0.6) + draw.uniform(40, 80)
    paint = 255 * draw.uniform(0.72, 1.0, 3)
    paint[draw.integers(3)] *= draw.uniform(0.3, 1.0)

    first = draw.integers(size, size=2)
    places = (first + np.arange(frames)[:, None] * np.array(_STEPS[label]) * speed) % size
    pictures = np.empty((frames, size, size, 3), dtype=np.float32)
    for picture, (x, y) in zip(pictures, places.tolist(), strict=True):
        picture[:] = ground
        rows, columns = (y + np.arange(height)) % size, (x + np.arange(width)) % size
        window = picture[rows[:, None], columns]
        picture[rows[:, None], columns] = window + ink[..., None] * (paint - window)
    pictures += draw.normal(0, 5, pictures.shape)
    return Film(split, index, np.clip(pictures, 0, 255).astype(np.uint8), label, digit, speed, places)

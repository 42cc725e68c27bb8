"""embedded/cards: one handwritten digit on a card of 16 × 16 pixels, as ink or in colour with a prompt. Imported by chapters.

Small enough for a picture to be made by a diffusion model within seconds. The digits, with their licence and the split by
hands, are those of `utils.embedded.digits`, the colours those of `utils.embedded.scenes`. Nothing is drawn by chance unless a
seed says how.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from utils.embedded import digits
from utils.embedded.digits import WORDS
from utils.embedded.scenes import COLOURS

SIZE, HEIGHT = 16, 12  # pixels of a card, and of the ink on it
NAMES = tuple(COLOURS)
# Combinations of colour and digit that `coloured("train", …)` never shows: one for each digit.
UNSEEN = tuple((NAMES[(3 * digit + 1) % len(NAMES)], digit) for digit in range(10))
_PAINT = np.array(list(COLOURS.values()), dtype=np.float32) / 255


@dataclass(frozen=True)
class Cards:
    """images: (cards, 16, 16, 3) float32 from 0 to 1; digits and colours (places in NAMES): (cards,) int64; prompts: one for each."""

    images: np.ndarray
    digits: np.ndarray
    colours: np.ndarray
    prompts: tuple[str, ...]


@cache
def ink(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Every digit of a split in the middle of its card: (digits, 16, 16) float32 from 0 (paper) to 1 (ink), and labels, (digits,) int64."""
    pictures = np.stack([placed(digits.glyph(number, HEIGHT)) for number in digits.pool(split)])
    pictures.flags.writeable = False
    return pictures, digits.load(split)[1]


def placed(glyph: np.ndarray, right: int = 0, down: int = 0) -> np.ndarray:
    """A glyph of at most 16 × 16 pixels on an empty card, (16, 16), in the middle but for so many pixels; what does not fit is cut."""
    card = np.zeros((SIZE, SIZE), dtype=np.float32)
    glyph = glyph[:SIZE, :SIZE]
    height, width = glyph.shape
    y = min(max((SIZE - height) // 2 + down, 0), SIZE - height)
    x = min(max((SIZE - width) // 2 + right, 0), SIZE - width)
    card[y : y + height, x : x + width] = glyph
    return card


def painted(pictures: np.ndarray, colours: np.ndarray, seed: int = 0) -> np.ndarray:
    """Pictures of ink, (cards, 16, 16), in these colours (places in NAMES) on dark backgrounds: (cards, 16, 16, 3) float32 from 0 to 1.

    A background has a tint of its own and gets a little lighter to one side; the paint differs a little from card to card.
    """
    draw = np.random.default_rng([seed, len(pictures)])
    count = len(pictures)
    tint = 0.08 + 0.16 * draw.random((count, 1, 1, 3))
    slope = draw.uniform(-0.06, 0.06, (count, 2))
    axis = np.linspace(-1, 1, SIZE)
    soft = slope[:, :1, None] * axis[None, :, None] + slope[:, 1:, None] * axis[None, None, :]  # (cards, 16, 16)
    background = tint + soft[..., None]
    paint = _PAINT[colours] * draw.uniform(0.9, 1.0, (count, 1)) + draw.normal(0, 0.02, (count, 3))
    share = np.asarray(pictures)[..., None]
    return np.clip(background + share * (paint[:, None, None] - background), 0, 1).astype(np.float32)


def prompt(colour: str | None = None, thing: str | None = None) -> str:
    """What is on a card, in words: "a red three", "a red digit", "a three", "a digit". `thing` may be any word."""
    first = colour or thing or "digit"
    return " ".join(word for word in ("an" if first[0] in "aeiou" else "a", colour, thing or "digit") if word)


def coloured(split: str, count: int, seed: int = 0, unseen: bool = False) -> Cards:
    """`count` cards with digits of a split, moved by up to one pixel, in colours; prompts name colour and digit.

    Without the combinations of UNSEEN, or with these alone.
    """
    draw = digits.generator(split, seed, 7, int(unseen))
    pictures, labels = ink(split)
    allowed = [(c, d) for c in range(len(NAMES)) for d in range(10) if ((NAMES[c], d) in UNSEEN) == unseen]
    chosen = [allowed[i] for i in draw.integers(len(allowed), size=count)]
    colours, wanted = (np.array(column, dtype=np.int64) for column in zip(*chosen, strict=True))
    rows = [draw.choice(_rows(split)[digit]) for digit in wanted]
    moved = np.stack([np.roll(pictures[row], draw.integers(-1, 2, 2), (0, 1)) for row in rows])
    prompts = tuple(prompt(NAMES[c], WORDS[d]) for c, d in zip(colours, wanted, strict=True))
    return Cards(painted(moved, colours, seed), labels[rows], colours, prompts)


@cache
def _rows(split: str) -> tuple[np.ndarray, ...]:
    labels = ink(split)[1]
    return tuple(np.flatnonzero(labels == digit) for digit in range(10))


def found_colours(images: np.ndarray) -> np.ndarray:
    """Which colour of NAMES the thing on each card has, by a rule: (cards,) int64.

    images: (cards, 16, 16, 3) from 0 to 1. Of the pixels that differ most from the median of the border, a tenth of all, the
    median colour is taken, and the nearest of COLOURS.
    """
    images = np.asarray(images, dtype=np.float32)
    border = np.ones((SIZE, SIZE), dtype=bool)
    border[1:-1, 1:-1] = False
    background = np.median(images[:, border], axis=1)  # (cards, 3)
    pixels = images.reshape(len(images), -1, 3)
    far = np.linalg.norm(pixels - background[:, None], axis=2)
    most = np.argsort(-far, axis=1)[:, : SIZE * SIZE // 10]
    paint = np.median(np.take_along_axis(pixels, most[..., None], axis=1), axis=1)
    return np.linalg.norm(paint[:, None] - _PAINT[None], axis=2).argmin(axis=1)


def found_ink(images: np.ndarray) -> np.ndarray:
    """Cards, (cards, 16, 16, 3) from 0 to 1, without their colours: distance from the background, the farthest pixel 1; (cards, 16, 16)."""
    images = np.asarray(images, dtype=np.float32)
    border = np.ones((SIZE, SIZE), dtype=bool)
    border[1:-1, 1:-1] = False
    background = np.median(images[:, border], axis=1)[:, None, None]
    far = np.linalg.norm(images - background, axis=3)
    return far / np.maximum(far.reshape(len(far), -1).max(1), 1e-6)[:, None, None]


# ---------------------------------------------------------------- a thing that is no digit

_HOUSE = np.array([[2.2, 5.6], [7.5, 1.2], [12.8, 5.6], [11.4, 5.6], [11.4, 12.6], [3.6, 12.6], [3.6, 5.6], [2.2, 5.6]])  # x, y in pixels
_DOOR = np.array([[7.5, 12.6], [7.5, 9.0]])


def houses(count: int, seed: int = 0) -> np.ndarray:
    """Houses drawn by a shaky hand, for a model to which they are new: (count, 16, 16) float32 from 0 (paper) to 1 (ink).

    Every corner is moved by chance, and so is the whole; drawing k of a seed is the same whatever `count` is.
    """
    from PIL import Image, ImageDraw

    fine, drawn = 8, []
    for index in range(count):
        draw = np.random.default_rng([seed, index, 5])
        sheet = Image.new("L", (SIZE * fine, SIZE * fine))
        pen, whole = ImageDraw.Draw(sheet), draw.uniform(-0.5, 0.5, 2) + 0.5
        corners = draw.normal(0, 0.35, _HOUSE.shape)
        corners[-1] = corners[0]  # where the line began
        for line in (_HOUSE + corners, _DOOR + draw.normal(0, 0.35, _DOOR.shape)):
            pen.line([tuple(point) for point in (fine * (line + whole)).tolist()], fill=255, width=int(1.5 * fine), joint="curve")
        drawn.append(np.asarray(sheet.resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float32) / 255)
    return np.stack(drawn)

"""embedded/plates: drawn dishes of one to four foods, with masks, grams and calories. Imported by chapters.

The dishes are drawn by this program; tables are photographs (`utils.embedded.textures`). Dish k of a split and seed is the
same in every process. The grains, peas and slices, and the tables, of the three splits are different ones.

What a dish weighs follows from what the picture shows:

    grams = density · sum over the food's pixels in sight of (height of the food there · area of a pixel)

A plate is 24 cm wide in every picture, which gives the area of a pixel (`cm_per_pixel`). The height of each food varies from
dish to dish by up to 35 per cent about its usual one, and shows: light comes from the upper left, 45° above the table, so the
shadow of a food is as long as the food is high, and its slopes are lighter on that side. Where two foods overlap, nothing
lies beneath the upper one. Densities in bulk are the US Department of Agriculture's weight of a cup (236.6 ml), where there is one;
those of chips, egg and beef, and all heights, are our own round numbers.

Area alone, with the usual heights (`estimate`, from the true mask), is off by 27 kcal a dish on average; always saying the
middle value is off by 105.

Calories: USDA National Nutrient Database for Standard Reference (release 28 and SR Legacy; public domain), kcal per 100 g
of the entry that each food names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from utils.embedded import digits, textures
from utils.embedded.digits import SPLITS

__all__ = ["FOODS", "LABELS", "SPLITS", "Dish", "Food", "dish", "estimate", "kcal", "load"]

CUP = 236.6  # ml
PLATE = 24.0  # cm across
SIZES = (64, 96)
_CANVAS = 192  # pixels: dishes are drawn two or three times as large as they are handed out


@dataclass(frozen=True)
class Food:
    """kcal: per 100 g. density: g/ml. height: cm, the usual one at the highest point. form: mean height / highest point."""

    entry: str  # of the nutrient database: its number and name
    kcal: float
    density: float
    height: float
    form: float

    @property
    def grams_per_cm2(self) -> float:
        """What a square centimetre of it weighs that is as high as usual."""
        return self.density * self.height * self.form


FOODS = {
    "rice": Food("20045 Rice, white, long-grain, regular, enriched, cooked", 130, 158 / CUP, 2.2, 0.65),
    "peas": Food("11305 Peas, green, cooked, boiled, drained, without salt", 84, 160 / CUP, 2.0, 0.65),
    "carrots": Food("11125 Carrots, cooked, boiled, drained, without salt", 35, 156 / CUP, 1.8, 0.64),
    "broccoli": Food("11091 Broccoli, cooked, boiled, drained, without salt", 35, 156 / CUP, 3.0, 0.63),
    "chips": Food("21138 Fast foods, potato, french fried in vegetable oil", 312, 0.4, 3.0, 0.62),
    "tomato": Food("11529 Tomatoes, red, ripe, raw, year round average", 18, 180 / CUP, 0.9, 1.0),
    "egg": Food("01128 Egg, whole, cooked, fried", 196, 1.0, 1.6, 0.37),
    "beef": Food("23568 Beef, ground, 85% lean meat / 15% fat, patty, cooked, broiled", 250, 1.0, 1.8, 0.96),
}
LABELS = ("table", "plate", *FOODS)  # what the numbers of a mask mean
_KINDS = tuple(FOODS)


@dataclass(frozen=True)
class Dish:
    """image: (size, size, 3) uint8. mask: (size, size) int64, the place in LABELS. grams: of each food on the plate.
    heights: cm, at the highest point of each. cm_per_pixel: the side of a pixel on the plate."""

    split: str
    index: int
    seed: int
    image: np.ndarray
    mask: np.ndarray
    grams: dict[str, float]
    heights: dict[str, float]
    cm_per_pixel: float

    @cached_property
    def kcal(self) -> float:
        """Calories (kcal) of the whole dish."""
        return kcal(self.grams)


def kcal(grams: dict[str, float]) -> float:
    """Calories (kcal) of so many grams of each of FOODS."""
    return sum(FOODS[name].kcal * weight / 100 for name, weight in grams.items())


def estimate(mask: np.ndarray, cm_per_pixel: float) -> dict[str, float]:
    """Grams of each food in a mask, if every food were as high as usual: area times `grams_per_cm2`. All an area can tell."""
    counts = np.bincount(np.asarray(mask).ravel(), minlength=len(LABELS))[2:]
    return {name: n * cm_per_pixel**2 * FOODS[name].grams_per_cm2 for name, n in zip(_KINDS, counts.tolist(), strict=True) if n}


def load(split: str, count: int, start: int = 0, seed: int = 0, size: int = 96) -> list[Dish]:
    """Dishes start … start + count − 1 of "train", "validation" or "test", `size` (64 or 96) pixels wide and high."""
    return [dish(split, index, seed, size) for index in range(start, start + count)]


def dish(split: str, index: int, seed: int = 0, size: int = 96) -> Dish:
    """One dish; in both sizes the same one, drawn larger or smaller. ValueError if there is no such split or size."""
    from scipy.ndimage import gaussian_filter

    if size not in SIZES:
        raise ValueError(f"Dishes are 64 or 96 pixels wide, not {size}.")
    draw = digits.generator(split, seed, index, 2)
    picture, plate, radius, middle = _table(split, draw)
    ground = picture.copy()
    while True:
        picture[:] = ground
        labels, height = plate.astype(np.int64), np.zeros_like(plate, dtype=np.float32)
        heights, whole = {}, {}
        for name, place, wide in _portions(draw, radius, middle):
            heights[name] = FOODS[name].height * draw.uniform(0.65, 1.35)
            whole[name] = _PAINTERS[name](split, draw, name, place, wide, heights[name], picture, labels, height)
        seen = {name: int((labels == LABELS.index(name)).sum()) for name in whole}
        if all(seen[name] > 0.6 * whole[name] for name in whole):
            break
    pixel = PLATE / (2 * radius)  # cm
    grams = {name: FOODS[name].density * float(height[labels == LABELS.index(name)].sum()) * pixel**2 for name in whole}

    down, right = np.gradient(gaussian_filter(height, 1.5), pixel)
    picture *= np.clip(1 + 0.28 * (down + right), 0.6, 1.25)[..., None]
    shadow = np.zeros_like(height)
    for step in range(1, int(height.max() / (1.41 * pixel)) + 1):
        # Light from the upper left: what stands `step` pixels up and left hides the light if it is high enough.
        blocked = height[:-step, :-step] - step * 1.41 * pixel > height[step:, step:]
        shadow[step:, step:] = np.maximum(shadow[step:, step:], blocked)
    picture *= (1 - 0.5 * gaussian_filter(shadow, 1.0))[..., None]

    factor = _CANVAS // size
    picture = picture.reshape(size, factor, size, factor, 3).mean((1, 3))
    picture = picture * draw.uniform(0.95, 1.05, 3) * draw.uniform(0.85, 1.1) + draw.normal(0, 0.012, picture.shape)
    mask = labels[factor // 2 :: factor, factor // 2 :: factor]
    image = np.clip(picture * 255, 0, 255).astype(np.uint8)
    return Dish(split, index, seed, image, np.ascontiguousarray(mask), grams, heights, pixel * factor)


def _table(split: str, draw) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """An empty plate on a table: picture (canvas, canvas, 3) float32 from 0 to 1, where the plate is, its radius, its middle."""
    wood = textures.crop(split, _CANVAS // 2, draw).astype(np.float32).mean(2)
    wood = (wood - wood.mean()) / 255 * draw.uniform(0.5, 1.0)
    cloth = np.array([(0.45, 0.32, 0.22), (0.3, 0.36, 0.45), (0.42, 0.42, 0.4), (0.5, 0.4, 0.3), (0.28, 0.36, 0.3)])[draw.integers(5)]
    picture = np.clip(cloth * draw.uniform(0.8, 1.15) + wood[..., None], 0.02, 0.95).astype(np.float32).repeat(2, 0).repeat(2, 1)
    radius = draw.uniform(0.84, 0.95) * _CANVAS / 2
    middle = _CANVAS / 2 + draw.uniform(-1, 1, 2) * (_CANVAS / 2 - radius)
    y, x = np.mgrid[0:_CANVAS, 0:_CANVAS].astype(np.float32) + 0.5
    far = np.hypot(x - middle[0], y - middle[1]) / radius
    behind = np.hypot(x - middle[0] - 4, y - middle[1] - 4) / radius
    picture *= (1 - 0.45 * np.clip((1.04 - behind) / 0.08, 0, 1))[..., None]
    china = np.array([(0.95, 0.95, 0.93), (0.93, 0.9, 0.83), (0.82, 0.88, 0.93), (0.85, 0.85, 0.86)])[draw.integers(4)]
    well = draw.uniform(0.74, 0.8)
    slope = np.where(far > well, 1.0, 0.95) + 0.1 * np.exp(-(((far - well) / 0.02) ** 2)) * (x + y - middle.sum()) / (1.41 * radius)
    edge = np.clip((1 - far) / 0.03, 0, 1)[..., None]
    picture = picture * (1 - edge) + edge * china.astype(np.float32) * slope[..., None]
    if draw.random() < 0.4:  # a painted line near the rim
        line = np.exp(-(((far - 0.93) / 0.015) ** 2))[..., None]
        picture = picture * (1 - line) + line * draw.uniform(0.15, 0.5, 3)
    return picture.astype(np.float32), far < 1, radius, middle


def _portions(draw, radius: float, middle: np.ndarray) -> list[tuple[str, np.ndarray, float]]:
    """Which foods, where, and how wide: (name, middle of the portion, its radius in pixels) for one to four foods."""
    number = int(draw.integers(1, 5))
    chosen = draw.permutation(len(_KINDS))[:number]
    first = draw.uniform(0, 2 * np.pi)
    portions = []
    for k, kind in enumerate(chosen.tolist()):
        wide = radius * draw.uniform(*((0.4, 0.6), (0.34, 0.46), (0.3, 0.4), (0.27, 0.36))[number - 1])
        angle = first + 2 * np.pi * k / number + draw.uniform(-0.25, 0.25)
        far = min(radius * draw.uniform(*((0.0, 0.25), (0.38, 0.5), (0.42, 0.54), (0.45, 0.56))[number - 1]), 0.92 * radius - wide)
        portions.append((_KINDS[kind], middle + far * np.array([np.cos(angle), np.sin(angle)]), wide))
    return portions


def _window(place, half: float) -> tuple[slice, slice, np.ndarray, np.ndarray]:
    """The part of the canvas around a place: rows, columns, and x and y of its pixels from that place."""
    left, top = (max(int(p - half), 0) for p in place)
    right, bottom = (min(int(p + half) + 1, _CANVAS) for p in place)
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32) + 0.5
    return slice(top, bottom), slice(left, right), x - place[0], y - place[1]


def _outline(draw, rough: float):
    """A closed curve round the origin: a function of x and y that is below 1 inside, 0 at the origin, for a radius of 1."""
    waves = [(n, draw.uniform(-rough, rough) / n, draw.uniform(0, 2 * np.pi)) for n in (2, 3, 5)]

    def inside(x, y):
        angle = np.arctan2(y, x)
        return np.hypot(x, y) / (1 + sum(a * np.cos(n * angle + phase) for n, a, phase in waves))

    return inside


def _lay(name, rows, columns, there, colour, high, picture, labels, height) -> int:
    """Put a food on the canvas where `there` is; returns the number of its pixels."""
    picture[rows, columns][there] = colour[there]
    labels[rows, columns][there] = LABELS.index(name)
    height[rows, columns][there] = high[there]
    return int(there.sum())


# ---------------------------------------------------------------- heaps of small things


def _heap(split, draw, name, place, wide, high, picture, labels, height) -> int:
    """Rice, peas, carrots, broccoli, chips: a heap, cut from a sheet so that every piece is whole."""
    sheet, piece_x, piece_y = _sheet(split, name)
    rows, columns, x, y = _window(place, 1.4 * wide + 14)
    tall, broad = x.shape
    top, left = (int(draw.random() * (len(sheet) - n + 1)) for n in (tall, broad))
    cut = np.s_[top : top + tall, left : left + broad]
    inside = _outline(draw, 0.25)
    # A piece belongs to the heap when its middle does.
    home_x, home_y = piece_x[cut] - left + columns.start - place[0], piece_y[cut] - top + rows.start - place[1]
    there = inside(home_x / wide, home_y / wide) < 1
    rise = high * (0.3 + 0.7 * (1 - np.clip(inside(x / wide, y / wide), 0, 1) ** 2))
    colour = sheet[cut] * draw.uniform(0.96, 1.04, 3) * draw.uniform(0.88, 1.06)
    return _lay(name, rows, columns, there, colour, rise, picture, labels, height)


@cache
def _sheet(split: str, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A table full of one food: colours (256, 256, 3) float32, and for each pixel x and y of the middle of its piece."""
    draw = np.random.default_rng([SPLITS.index(split), _KINDS.index(name), 11])
    size = 256
    gap, apart, sprite = _PIECES[name]
    sheet = np.empty((size, size, 3), dtype=np.float32)
    sheet[:] = gap
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) + 0.5
    home_x, home_y = x.copy(), y.copy()
    points = np.stack(np.meshgrid(np.arange(-apart, size + apart, apart), np.arange(-apart, size + apart, apart)), -1).reshape(-1, 2)
    points = np.concatenate([points, points + apart / 2]) if name in ("rice", "chips", "broccoli") else points
    for px, py in draw.permutation(points + draw.uniform(-0.45, 0.45, points.shape) * apart):
        colour, alpha = sprite(draw)
        half = len(colour) // 2
        left, top = round(px) - half, round(py) - half
        a, b, c, d = max(top, 0), min(top + len(colour), size), max(left, 0), min(left + len(colour), size)
        if a >= b or c >= d:
            continue
        own = np.s_[a - top : b - top, c - left : d - left]
        solid = alpha[own][..., None]
        sheet[a:b, c:d] = sheet[a:b, c:d] * (1 - solid) + colour[own] * solid
        home_x[a:b, c:d][alpha[own] > 0.5], home_y[a:b, c:d][alpha[own] > 0.5] = px, py
    return sheet, home_x, home_y


def _grid(half: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    return x, y


def _turned(x, y, angle):
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _ball(x, y, radius: float, colour, shine: float) -> tuple[np.ndarray, np.ndarray]:
    """A lit ball: colours and opacity."""
    squared = (x**2 + y**2) / radius**2
    up = np.sqrt(np.clip(1 - squared, 0, 1))
    light = np.clip(0.55 + 0.3 * up - 0.22 * (x + y) / radius, 0.25, 1.15)
    gloss = shine * np.exp(-(((x / radius + 0.35) ** 2 + (y / radius + 0.35) ** 2) / 0.06))
    return np.asarray(colour) * light[..., None] + gloss[..., None], np.clip((1 - np.sqrt(squared)) * radius + 0.5, 0, 1)


def _pea(draw):
    return _ball(*_grid(5), draw.uniform(3.3, 4.1), np.array((0.42, 0.66, 0.16)) * draw.uniform(0.85, 1.15), 0.25)


def _grain(draw):
    x, y = _turned(*_grid(6), draw.uniform(0, np.pi))
    long, thin = draw.uniform(4.0, 5.5), draw.uniform(1.4, 1.8)
    far = np.hypot(x / long, y / thin)
    light = np.clip(1.05 - 0.25 * far**2, 0.6, 1.0) * draw.uniform(0.88, 1.0)
    return np.array((0.97, 0.95, 0.89)) * light[..., None], np.clip((1.1 - far) * thin + 0.3, 0, 1)


def _carrot(draw):
    x, y = _turned(*_grid(13), draw.uniform(0, np.pi))
    radius, flat = draw.uniform(7.5, 10.5), draw.uniform(0.75, 1.0)
    far = np.hypot(x, y / flat) / radius
    core = np.exp(-((far / 0.45) ** 4))
    rays = 0.04 * np.cos(np.arctan2(y, x) * 9 + draw.uniform(0, 6)) * (far < 0.45)
    colour = np.array((0.95, 0.48, 0.08)) * (1 - 0.45 * np.clip((far - 0.8) / 0.2, 0, 1))[..., None]
    colour = colour + core[..., None] * np.array((0.03, 0.14, 0.08)) + rays[..., None]
    return colour * draw.uniform(0.9, 1.06), np.clip((1 - far) * radius + 0.5, 0, 1)


def _chip(draw):
    x, y = _turned(*_grid(24), draw.uniform(0, np.pi))
    long, thin = draw.uniform(13, 23), draw.uniform(3.0, 4.0)
    side = np.clip(1.08 - 0.38 * (np.abs(y) / thin) ** 3, 0.5, 1.1)
    brown = np.clip((np.abs(x) / long - 0.7) / 0.3, 0, 1)[..., None]
    colour = np.array((0.96, 0.77, 0.33)) * side[..., None] * (1 - brown * np.array((0.2, 0.32, 0.4)))
    solid = np.clip(thin - np.abs(y) + 0.5, 0, 1) * np.clip(long - np.abs(x) + 0.5, 0, 1)
    return colour * draw.uniform(0.88, 1.06), solid


def _floret(draw):
    x, y = _grid(18)
    colour = np.zeros((*x.shape, 3), dtype=np.float32)
    alpha = np.zeros_like(x)
    turn = draw.uniform(0, 2 * np.pi)
    u, v = _turned(x, y, turn)
    stem = (np.clip(3.6 - np.abs(v) + 0.5, 0, 1) * (u > 0) * np.clip(15 - u, 0, 1)).astype(np.float32)
    colour += stem[..., None] * np.array((0.62, 0.76, 0.4)) * np.clip(1.05 - 0.05 * np.abs(v), 0.6, 1.1)[..., None]
    alpha = np.maximum(alpha, stem)
    for _ in range(34):
        angle, far = draw.uniform(0, 2 * np.pi), 8.5 * np.sqrt(draw.random())
        bx, by = far * np.cos(angle) - 4 * np.cos(turn), far * np.sin(angle) - 4 * np.sin(turn)
        shade = np.array((0.2, 0.45, 0.12)) * draw.uniform(0.7, 1.35) * (1.1 - 0.02 * (bx + by))
        ball, solid = _ball(x - bx, y - by, draw.uniform(2.2, 3.6), shade, 0.05)
        colour = colour * (1 - solid[..., None]) + ball * solid[..., None]
        alpha = np.maximum(alpha, solid)
    return colour, alpha


_PIECES = {  # the colour between the pieces, how far apart they lie, and how one is drawn
    "rice": ((0.72, 0.68, 0.58), 4.2, _grain),
    "peas": ((0.16, 0.27, 0.06), 6.2, _pea),
    "carrots": ((0.5, 0.2, 0.04), 11.0, _carrot),
    "broccoli": ((0.1, 0.2, 0.06), 20.0, _floret),
    "chips": ((0.5, 0.33, 0.12), 14.0, _chip),
}


# ---------------------------------------------------------------- single pieces


def _tomato(split, draw, name, place, wide, high, picture, labels, height) -> int:
    """Two to four slices that overlap."""
    number, first = int(draw.integers(2, 5)), draw.uniform(0, 2 * np.pi)
    radius = wide * {2: 0.62, 3: 0.56, 4: 0.52}[number]
    colours, before = draw.uniform(0.9, 1.08), labels == LABELS.index(name)
    for k in range(number):
        angle = first + 2 * np.pi * k / number
        middle = place + (wide - radius) * 1.05 * np.array([np.cos(angle), np.sin(angle)])
        rows, columns, x, y = _window(middle, radius + 2)
        turn, chambers = draw.uniform(0, 2 * np.pi), int(draw.integers(5, 8))
        far, angle = np.hypot(x, y) / radius, np.arctan2(y, x) + turn
        wall = np.abs(np.cos(angle * chambers / 2))  # 1 in the middle of a chamber
        gel = np.clip((wall - 0.42) * 5, 0, 1) * np.clip((0.8 - far) * 8, 0, 1) * np.clip((far - 0.22) * 8, 0, 1)
        seeds = gel * (np.sin(angle * chambers * 2.5) * np.sin(far * 21 + turn) > 0.45)
        colour = np.array((0.88, 0.27, 0.2)) * (1 - 0.3 * np.clip((far - 0.86) / 0.1, 0, 1))[..., None]
        colour = colour * (1 - gel[..., None]) + gel[..., None] * np.array((0.75, 0.13, 0.06))
        colour = colour * (1 - seeds[..., None]) + seeds[..., None] * np.array((0.93, 0.75, 0.4))
        colour = colour * (1 - 0.25 * (far > 0.93) * (x + y) / (1.41 * radius))[..., None]
        _lay(name, rows, columns, far < 1, colour * colours, np.full_like(far, high), picture, labels, height)
    return int(((labels == LABELS.index(name)) & ~before).sum())


def _egg(split, draw, name, place, wide, high, picture, labels, height) -> int:
    """White with a browned rim, and a yolk."""
    rows, columns, x, y = _window(place, 1.3 * wide)
    far = _outline(draw, 0.22)(x / wide, y / wide)
    shift = draw.uniform(-0.18, 0.18, 2) * wide
    round_ = np.hypot(x - shift[0], y - shift[1]) / (0.42 * wide)
    yolk = np.clip((1 - round_) * 8, 0, 1)
    colour = np.array((0.97, 0.96, 0.93)) * (1 - 0.06 * far)[..., None]
    brown = np.clip((far - 0.88) / 0.12, 0, 1)[..., None] * draw.uniform(0.3, 0.9)
    colour = colour * (1 - brown) + brown * np.array((0.72, 0.52, 0.28))
    yellow = np.array((0.98, draw.uniform(0.66, 0.76), 0.12)) * (1.05 - 0.25 * round_**2)[..., None]
    gloss = 0.35 * np.exp(-(((x - shift[0]) / wide + 0.13) ** 2 + ((y - shift[1]) / wide + 0.13) ** 2) / 0.006)
    colour = colour * (1 - yolk[..., None]) + yolk[..., None] * yellow + gloss[..., None]
    rise = high * np.maximum(0.3, np.sqrt(np.clip(1 - round_**2, 0, 1)))
    return _lay(name, rows, columns, far < 1, colour, rise, picture, labels, height)


def _beef(split, draw, name, place, wide, high, picture, labels, height) -> int:
    """A grilled patty: rough, brown, perhaps with the marks of the grill."""
    from scipy.ndimage import gaussian_filter

    rows, columns, x, y = _window(place, 1.2 * wide)
    far = _outline(draw, 0.1)(x / wide, y / wide)
    rough = gaussian_filter(draw.normal(size=x.shape), 1.3)
    coarse = gaussian_filter(draw.normal(size=x.shape), 4)
    light = 1 + 0.16 * rough / rough.std() + 0.1 * coarse / coarse.std()
    if draw.random() < 0.6:
        _, across = _turned(x, y, draw.uniform(0, np.pi))
        light = light * (1 - 0.5 * np.clip(np.cos(across / wide * 14) * 3 - 1.6, 0, 1))
    colour = np.array((0.43, 0.26, 0.15)) * draw.uniform(0.85, 1.15) * light[..., None]
    colour = colour * (1 - 0.35 * np.clip((far - 0.88) / 0.12, 0, 1))[..., None]
    rise = high * np.clip(0.6 + 4 * (1 - far), 0.6, 1)
    return _lay(name, rows, columns, far < 1, colour, rise, picture, labels, height)


_PAINTERS = {**dict.fromkeys(_PIECES, _heap), "tomato": _tomato, "egg": _egg, "beef": _beef}

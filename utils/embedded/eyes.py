"""embedded/eyes: drawings in the manner of fundus photographs, in four classes. Imported by chapters.

THESE ARE DRAWINGS BY A PROGRAM, NOT MEDICAL DATA. No patient is behind them, and what a model learns from them says nothing
about any eye. They share with the photographs of the chapter's source their four classes and how unequal these are, 300
normal, 100 cataract, 101 glaucoma, 100 retinopathy, and that small things decide:

- cataract: the lens is clouded, vessels and disc are blurred and behind a haze;
- glaucoma: in the optic disc, the pale cup is large (0.58 to 0.85 of the disc's width; else 0.2 to 0.5);
- retinopathy: a few dark red dots and pale yellow specks on the retina;
- normal: none of these.

What is no sign of anything varies in every class: left or right eye, place, size and slant of the disc, vessels, pigment,
light, colours and focus of the camera, a slight haze, dust, noise. The mildest cases are hard to tell from normal ones.

Measured on the 121 pictures of 64 × 64 that `split` sets aside, three splits; accuracy, in brackets the mean over the classes:

- always normal: .50 (.25)
- logistic regression on a histogram of the colours: .53 to .59 (.35 to .40)
- logistic regression on the pixels, or on their first 100 principal components: .51 to .54 (.28 to .31)
- a convolutional network of six layers, 16 to 64 wide, trained on the other 480 with flips, 55 epochs, 37 seconds on one
  thread: .93 to .95 (.90 to .93); after 20 epochs .75 (.64), when it still missed all retinopathy
"""

from __future__ import annotations

import math

import numpy as np

CLASSES = ("normal", "cataract", "glaucoma", "retinopathy")
COUNTS = (300, 100, 101, 100)  # of the photographs that the printed book trains on
SIZES = (64, 96, 128)
_STEP = 0.05  # of a vessel, in radii of the field of view


def load(counts: tuple[int, int, int, int] = COUNTS, size: int = 64, seed: int = 0, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures start, start + 1, … of each class, as many as `counts` says, shuffled: images (n, size, size, 3) uint8 and
    labels (n,) int64, the place in CLASSES. More pictures of the same kind: larger counts, or another start."""
    labels = np.repeat(np.arange(len(CLASSES)), counts)
    images = [draw(label, start + k, size, seed) for label, count in enumerate(counts) for k in range(count)]
    order = np.random.default_rng([seed, 99]).permutation(len(labels))
    return np.stack(images)[order], labels[order]


def split(labels: np.ndarray, test: float = 0.2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of a training and a test part in which the classes have the same shares: two arrays of int64."""
    from sklearn.model_selection import train_test_split

    first, second = train_test_split(np.arange(len(labels)), test_size=test, stratify=labels, random_state=seed)
    return np.sort(first), np.sort(second)


def draw(label: int, index: int, size: int = 64, seed: int = 0) -> np.ndarray:
    """One picture of a class, given by its place in CLASSES or its name: (size, size, 3) uint8. The same for the same arguments."""
    from scipy.ndimage import gaussian_filter

    if label not in CLASSES and label not in range(len(CLASSES)):
        raise ValueError(f"There is no class {label!r}; choose one of {', '.join(CLASSES)}.")
    label = CLASSES.index(label) if label in CLASSES else int(label)
    if size not in SIZES:
        raise ValueError(f"Eyes are drawn {', '.join(map(str, SIZES))} pixels wide, not {size}.")
    rng = np.random.default_rng([seed, label, index])
    wide = 2 * size  # drawn twice as large, then made smaller: soft edges
    between = rng.uniform
    y, x = (np.mgrid[0:wide, 0:wide].astype(np.float32) + 0.5) / wide * 2 - 1  # -1 to 1
    middle = between(-0.05, 0.05, 2)
    radius = between(0.84, 0.99)
    x, y = (x - middle[0]) / radius, (y - middle[1]) / radius  # the field of view is the unit circle
    far = np.hypot(x, y)

    # the ground: pigment, light from one side, darker towards the rim
    red, green = between(0.62, 0.88), between(0.26, 0.44)
    ground = np.array([red, green, green * between(0.3, 0.65)], dtype=np.float32)
    light = np.exp(-((x - between(-0.5, 0.5)) ** 2 + (y - between(-0.5, 0.5)) ** 2) / between(1.2, 4.0)) * between(0.4, 0.9) + between(
        0.35, 0.6
    )
    mottle = gaussian_filter(rng.normal(size=(wide // 4, wide // 4)), between(1, 4))
    mottle = (mottle / mottle.std() * between(0.01, 0.05)).repeat(4, 0).repeat(4, 1)
    picture = (ground * (light + mottle)[..., None]).astype(np.float32)

    # the macula, darker, and the optic disc on the side of the nose
    side = rng.choice([-1, 1])
    disc = np.array([side * between(0.28, 0.5), between(-0.15, 0.15)])
    macula = (x + side * between(0.2, 0.45)) ** 2 + (y - between(-0.1, 0.1)) ** 2
    picture *= (1 - between(0.2, 0.5) * np.exp(-macula / between(0.02, 0.06)))[..., None]
    width, slant, turn = between(0.19, 0.27), between(0.85, 1.0), between(0, np.pi)
    u = ((x - disc[0]) * np.cos(turn) + (y - disc[1]) * np.sin(turn)) / slant
    v = (y - disc[1]) * np.cos(turn) - (x - disc[0]) * np.sin(turn)
    away = np.hypot(u, v) / width
    cup = between(0.58, 0.85) if label == 2 else between(0.2, 0.5)
    glow = between(0.75, 1.1)
    rim = _inside(away, 1.0, 0.12)[..., None]
    picture = picture * (1 - rim) + rim * glow * np.array([0.95, between(0.55, 0.68), between(0.25, 0.4)])
    shift = between(-0.1, 0.1, 2) * (1 - cup)
    hollow = _inside(np.hypot(u / width - shift[0], v / width - shift[1]), cup, 0.12)[..., None] * between(0.75, 1.0)
    picture = picture * (1 - hollow) + hollow * glow * np.array([1.0, 0.88, between(0.62, 0.75)])

    blood = _vessels(rng, disc, side, wide, middle, radius) * between(0.45, 0.75)
    picture *= 1 - blood[..., None] * np.array([0.45, 0.75, 0.7])

    # dots and specks; a single dot means nothing, and so does a speck of dust on the lens
    spots = [("dot", rng.integers(0, 3)), ("dust", rng.integers(0, 4))]
    if label == 3:
        spots += [("dot", rng.integers(4, 14)), ("speck", rng.integers(3, 11))]
    where = between(-0.5, 0.5, 2)  # specks lie together
    for kind, number in spots:
        for _ in range(number):
            spread = where + rng.normal(0, 0.22, 2) if kind == "speck" else _somewhere(rng)
            scale = {"dot": between(0.016, 0.04), "speck": between(0.018, 0.045), "dust": between(0.03, 0.1)}[kind]
            _spot(picture, spread, scale, kind, x, y, between)

    # the lens of the eye, then that of the camera
    blur, haze = between(0, 0.011), between(0, 0.3)
    if label == 1:
        blur, haze = between(0.017, 0.04), between(0.1, 0.5)
    picture = gaussian_filter(picture, (blur * wide, blur * wide, 0))
    veil = picture.mean((0, 1)) * between(0.7, 1.3) + between(0, 0.1)
    picture = picture * (1 - haze) + haze * veil
    picture *= between(0.8, 1.2, 3) * between(0.75, 1.15)
    picture = np.clip(picture, 0, 1) ** between(0.85, 1.2)
    picture = picture * _inside(far, 1.0, 0.02)[..., None] + between(0.0, 0.05)
    picture = picture.reshape(size, 2, size, 2, 3).mean((1, 3))
    picture += rng.normal(0, between(0.005, 0.025), picture.shape)
    image = np.clip(picture * 255, 0, 255).astype(np.uint8)
    return image


def _spot(picture, place, scale, kind, x, y, between) -> None:
    """Put one spot on the picture, in place: a dark dot, a pale speck, or dust, which makes what is there lighter or darker."""
    columns = slice(*np.searchsorted(x[0], [place[0] - 3 * scale, place[0] + 3 * scale]))
    rows = slice(*np.searchsorted(y[:, 0], [place[1] - 3 * scale, place[1] + 3 * scale]))
    window = picture[rows, columns]
    squared = ((x[rows, columns] - place[0]) ** 2 + (y[rows, columns] - place[1]) ** 2) / scale**2
    spot = np.exp(-(squared ** (0.7 if kind == "dust" else 1.5)))[..., None]
    if kind == "dust":
        window *= 1 + spot * between(-0.25, 0.25)
    else:
        colour = np.array([0.33, 0.06, 0.05]) if kind == "dot" else np.array([0.98, 0.85, 0.45])
        window += spot * 0.8 * (colour * between(0.75, 1.05) - window)


def _inside(distance: np.ndarray, edge: float, soft: float) -> np.ndarray:
    """1 well inside the edge, 0 well outside, and a slope between that is `soft` wide."""
    return np.clip((edge - distance) / soft + 0.5, 0, 1).astype(np.float32)


def _somewhere(rng: np.random.Generator) -> np.ndarray:
    """A random point of the field of view, (2,)."""
    angle, far = rng.uniform(0, 2 * np.pi), 0.88 * np.sqrt(rng.random())
    return far * np.array([np.cos(angle), np.sin(angle)])


def _vessels(rng, disc, side, wide: int, middle, radius: float) -> np.ndarray:
    """Vessels that leave the disc upwards and downwards, bend towards the macula and fork: (wide, wide) float32, 0 to 1."""
    from PIL import Image, ImageDraw

    sheet = Image.new("L", (wide, wide), 0)
    pen = ImageDraw.Draw(sheet)
    towards = np.pi if side > 0 else 0.0  # of the macula
    stems = []
    for up in (-1, 1):
        steep = rng.uniform(1.1, 1.6)
        stems.append((disc, towards + side * up * steep, -side * up * rng.uniform(0.5, 1.3), rng.uniform(2.2, 3.4), 1.6))
        stems.append((disc, towards + side * up * (np.pi - rng.uniform(0.5, 1.0)), rng.uniform(-0.5, 0.5), rng.uniform(1.2, 2.4), 0.8))
        if rng.random() < 0.6:
            stems.append(
                (disc, towards + side * up * rng.uniform(0.5, 1.1), -side * up * rng.uniform(0.1, 0.6), rng.uniform(1.0, 1.6), 0.9)
            )
    forks = rng.uniform(0.08, 0.22)
    scale, left, top = radius * wide / 2, (middle[0] + 1) * wide / 2, (middle[1] + 1) * wide / 2
    while stems:
        (x, y), angle, bend, thick, length = stems.pop()
        steps = int(length / _STEP)
        wander, chance = rng.normal(0, 0.09, steps).tolist(), rng.random(steps).tolist()
        for turn, lot in zip(wander, chance, strict=True):
            angle += bend * _STEP + turn
            following = x + _STEP * math.cos(angle), y + _STEP * math.sin(angle)
            ends = (x * scale + left, y * scale + top, following[0] * scale + left, following[1] * scale + top)
            pen.line(ends, fill=255, width=max(1, round(thick * wide / 128)))
            (x, y), thick = following, thick * 0.975
            if x * x + y * y > 1:
                break
            if thick > 0.9 and length > 0.3 and lot < forks:
                away = rng.choice([-1, 1]) * rng.uniform(0.4, 0.9)
                stems.append(((x, y), angle + away, rng.uniform(-0.8, 0.8), thick * 0.65, length * 0.5))
    return np.asarray(sheet, dtype=np.float32) / 255

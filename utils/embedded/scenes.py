"""embedded/scenes: one to four handwritten digits, coloured, near and far, before a photograph. Imported by chapters.

`load("train", 500)` gives 500 scenes, each an image and all that there is to know about it: boxes, masks, depth, captions,
questions with answers. Scene k of a split and seed is the same in every process, whatever was drawn before. The digits
(`utils.embedded.digits`) and the backgrounds (`utils.embedded.textures`, with their licences) of the three splits are disjoint.

The world of a scene: digits are cards, all of one height, that stand upright before a camera, the nearest 1 metre and the
farthest 2 metres away; the wall behind them, the photograph, is 3 metres away. So the ink of a digit at a distance of
z metres is 28 / z pixels high in a picture of 64 × 64 (42 / z in one of 96 × 96). No two digits of a scene are equally far;
where two overlap, the nearer one hides the farther, of which at least four fifths stay in sight; their colours differ.

What a model reaches that sees only the question (`blind`, three seeds, learned from 4,000 questions, asked 2,000 about test
scenes): count .26, colour .12, digit .09, left .09, right .10, nearest .09, exists .51, beside .52, all together .22.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.embedded import digits, textures
from utils.embedded.digits import SPLITS, WORDS

__all__ = ["COLOURS", "SPLITS", "Item", "Question", "Scene", "blind", "centred", "coco", "crops", "load", "questions", "scene", "stack"]

COLOURS = {
    "red": (226, 38, 38),
    "orange": (250, 140, 20),
    "yellow": (245, 228, 60),
    "green": (50, 190, 60),
    "cyan": (70, 220, 225),
    "blue": (55, 95, 250),
    "pink": (250, 120, 195),
    "white": (248, 248, 248),
}
SIZES = (64, 96)
MOST = 4  # digits in a scene
WALL = 3.0  # metres
_NAMES, _PAINT = tuple(COLOURS), np.array(list(COLOURS.values()), dtype=np.float32)
_DIGITS = tuple("0123456789")
_ANSWERS = {  # to each kind of question
    "count": tuple("1234"),
    "colour": _NAMES,
    "digit": _DIGITS,
    "left": _DIGITS,
    "right": _DIGITS,
    "nearest": _DIGITS,
    "exists": ("yes", "no"),
    "beside": ("yes", "no"),
}


@dataclass(frozen=True)
class Item:
    """One digit of a scene. box: x, y, width, height of what is in sight of it, in pixels, as COCO writes boxes.

    metres: its distance from the camera. number: which of the 1,797 digits it is. area: pixels in sight.
    """

    digit: int
    colour: str
    box: tuple[int, int, int, int]
    metres: float
    number: int
    area: int

    @property
    def centre(self) -> float:
        """The x of the middle of its box, in pixels."""
        return self.box[0] + self.box[2] / 2


@dataclass(frozen=True)
class Question:
    """text: what is asked; answer: one word; kind: one of count, colour, digit, left, right, nearest, exists, beside."""

    text: str
    answer: str
    kind: str
    scene: int  # the index of its scene


@dataclass(frozen=True)
class Scene:
    """One picture and what is in it.

    image: (size, size, 3) uint8. instances: (items, size, size) bool, the pixels in sight of each item, in the order of
    `items`, which is from left to right by the middle of the box.
    """

    split: str
    index: int
    seed: int
    image: np.ndarray
    items: tuple[Item, ...]
    instances: np.ndarray

    @cached_property
    def classes(self) -> np.ndarray:
        """(size, size) int64: 0 for the background, 1 + digit where one is."""
        found = np.zeros(self.image.shape[:2], dtype=np.int64)
        for item, mask in zip(self.items, self.instances, strict=True):
            found[mask] = 1 + item.digit
        return found

    @cached_property
    def depth(self) -> np.ndarray:
        """(size, size) float32: distance from the camera in metres; WALL where there is no digit."""
        found = np.full(self.image.shape[:2], WALL, dtype=np.float32)
        for item, mask in zip(self.items, self.instances, strict=True):
            found[mask] = item.metres
        return found

    @property
    def captions(self) -> tuple[str, ...]:
        """Five wordings of the same content: each digit with its colour, from left to right."""
        figures = [f"{_article(item.colour)} {item.colour} {item.digit}" for item in self.items]
        words = [f"{_article(item.colour)} {item.colour} {WORDS[item.digit]}" for item in self.items]
        number = WORDS[len(self.items)]
        digits_word = "digit" if len(self.items) == 1 else "digits"
        return (
            _listed(figures),
            _listed(words),
            f"a picture of {_listed(words)}",
            f"{number} {digits_word}: {_listed(figures)}",
            f"{_listed(words)} in front of a photograph",
        )

    @property
    def caption(self) -> str:
        """One of the captions, drawn by the scene's own numbers."""
        return self.captions[digits.generator(self.split, self.seed, self.index, 1).integers(len(self.captions))]

    def candidates(self) -> list[Question]:
        """Every question that has exactly one right answer in this scene, in its first wording."""
        return [Question(_WORDINGS[kind][0].format(*values), answer, kind, self.index) for kind, values, answer in self._facts()]

    def _facts(self) -> list[tuple[str, tuple[str, ...], str]]:
        """(kind, what goes into the wording, answer) of every question that can be asked."""
        items = self.items
        colours, shown = Counter(item.colour for item in items), Counter(item.digit for item in items)
        facts = [("count", (), str(len(items)))]
        for place, item in enumerate(items):
            name = f"{item.colour} digit" if colours[item.colour] == 1 else None
            if shown[item.digit] == 1:
                facts.append(("colour", (str(item.digit),), item.colour))
            if name:
                facts.append(("digit", (item.colour,), str(item.digit)))
                for side, others in (("left", items[:place][::-1]), ("right", items[place + 1 :])):
                    if others and _apart(item, others[0]) and (len(others) == 1 or _apart(*others[:2])):
                        facts.append((side, (name,), str(others[0].digit)))
                for other in items:
                    if other is not item and colours[other.colour] == 1 and _apart(item, other):
                        facts.append(("beside", (name, f"{other.colour} one"), "yes" if item.centre < other.centre else "no"))
        near = sorted(items, key=lambda item: item.metres)
        if len(near) > 1 and near[1].metres > 1.1 * near[0].metres:
            facts.append(("nearest", (), str(near[0].digit)))
        facts += [("exists", (colour,), "yes" if colours[colour] else "no") for colour in COLOURS]
        return facts


_WORDINGS = {
    "count": ("How many digits are there?", "How many digits does the picture show?"),
    "colour": ("What colour is the {}?", "Which colour does the {} have?"),
    "digit": ("Which digit is {}?", "What is the {} digit?"),
    "left": ("Which digit is next on the left of the {}?", "What stands just left of the {}?"),
    "right": ("Which digit is next on the right of the {}?", "What stands just right of the {}?"),
    "nearest": ("Which digit is nearest?", "Which digit is closest to the camera?"),
    "exists": ("Is there a digit in {}?", "Is any digit {}?"),
    "beside": ("Is the {} left of the {}?", "Does the {} stand left of the {}?"),
}


def load(split: str, count: int, start: int = 0, seed: int = 0, size: int = 64) -> list[Scene]:
    """Scenes start … start + count − 1 of a split ("train", "validation", "test"), `size` (64 or 96) pixels wide and high."""
    return [scene(split, index, seed, size) for index in range(start, start + count)]


def scene(split: str, index: int, seed: int = 0, size: int = 64) -> Scene:
    """One scene. ValueError if there is no such split or size. The two sizes show different scenes."""
    if size not in SIZES:
        raise ValueError(f"Scenes are 64 or 96 pixels wide, not {size}.")
    draw = digits.generator(split, seed, index, 0, size)
    background = textures.crop(split, size, draw).astype(np.float32)
    tint, (contrast, light) = draw.random(3), draw.random(2)
    grey = background.mean(2, keepdims=True)
    mean = grey.mean()
    # Photographs are darkened and lose half their colours, so that every paint stands out from each of them.
    canvas = (0.5 * background + 0.5 * grey - mean) * (0.3 + 0.3 * contrast) + (35 + 45 * light) * (0.75 + 0.5 * tint)
    np.clip(canvas, 5, 150, out=canvas)

    items, masks, painted = [], [], []
    for number, label, x, y, metres, glyph, seen in _placed(split, size, draw):
        height, width = glyph.shape
        colour = _colour(draw, (x, y, width, height), painted)
        painted.append((x, y, width, height, colour))
        paint = _PAINT[colour] * (0.88 + 0.12 * draw.random()) + draw.normal(0, 6, 3)
        window = canvas[y : y + height, x : x + width]
        window += glyph[..., None] * (paint - window)
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        box = (int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1))
        items.append(Item(label, _NAMES[colour], box, metres, number, int(seen.sum())))
        masks.append(seen)
    canvas += draw.normal(0, 4, canvas.shape)
    order = sorted(range(len(items)), key=lambda k: (items[k].centre, items[k].box))
    image = np.clip(canvas, 0, 255).astype(np.uint8)
    return Scene(split, index, seed, image, tuple(items[k] for k in order), np.stack([masks[k] for k in order]))


def _colour(draw: np.random.Generator, place: tuple[int, int, int, int], painted: list[tuple[int, ...]]) -> int:
    """A colour, as its place in COLOURS, that no digit has whose rectangle touches this one."""
    x, y, width, height = place
    taken = {c for px, py, w, h, c in painted if px <= x + width and x <= px + w and py <= y + height and y <= py + h}
    free = [c for c in range(len(_NAMES)) if c not in taken]
    return free[int(draw.random() * len(free))]


def _placed(split: str, size: int, draw: np.random.Generator):
    """Digits with their places, the farthest first: (number, label, x, y, metres, glyph, what is in sight of it)."""
    wanted = int(draw.integers(1, MOST + 1))
    tallest = 28 * size // 64
    heights = np.sort(draw.choice(np.arange(tallest // 2, tallest + 1), wanted, replace=False))
    chosen = []
    for height in heights.tolist():
        label = int(draw.integers(10))
        numbers = digits.by_label(split)[label]
        number = numbers[int(draw.random() * len(numbers))]
        chosen.append((number, label, tallest / height, digits.glyph(number, height)))
    while True:
        where = draw.random((wanted, 2))
        placed, masks = [], []
        for (number, label, metres, glyph), (across, down) in zip(chosen, where.tolist(), strict=True):
            height, width = glyph.shape
            x, y = int(across * (size - width + 1)), int(down * (size - height + 1))
            solid = np.zeros((size, size), dtype=bool)
            solid[y : y + height, x : x + width] = glyph >= 0.5
            placed.append((number, label, x, y, metres, glyph))
            masks.append(solid)
        if _in_sight(masks):
            return [(*what, mask) for what, mask in zip(placed, masks, strict=True)]


def _in_sight(masks: list[np.ndarray]) -> bool:
    """Take from each mask what later ones hide of it; False if less than four fifths of one stay in sight."""
    nearer = masks[-1].copy()
    for k in range(len(masks) - 2, -1, -1):
        whole = masks[k].copy()
        masks[k] &= ~nearer
        if 5 * masks[k].sum() < 4 * whole.sum():
            return False
        nearer |= whole
    return True


def _apart(one: Item, other: Item) -> bool:
    """Whether nobody would doubt which of the two is farther left: the middles of their boxes are 5 or more pixels apart."""
    return abs(one.centre - other.centre) >= 5


def _article(colour: str) -> str:
    return "an" if colour == "orange" else "a"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


# ---------------------------------------------------------------- many scenes at once


def stack(scenes: Sequence[Scene]) -> np.ndarray:
    """The images as one array: (scenes, size, size, 3) uint8."""
    return np.stack([one.image for one in scenes])


def centred(boxes, size: int) -> np.ndarray:
    """COCO boxes, x, y, width, height in pixels, as DETR wants them: centre x, centre y, width, height, from 0 to 1; (boxes, 4)."""
    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    return np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], axis=1) / np.float32(size)


def coco(one: Scene) -> dict:
    """What a detection image processor takes as annotations: image_id and one annotation for each digit (category 0 to 9)."""
    return {
        "image_id": one.index,
        "annotations": [
            {"image_id": one.index, "category_id": item.digit, "bbox": list(item.box), "area": item.area, "iscrowd": 0}
            for item in one.items
        ],
    }


def crops(split: str, count: int, size: int = 24, seed: int = 0, start: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Single digits cut from scenes, with some of what is around: images (count, size, size, 3) uint8, labels (count,) int64,
    colours (count,) int64, the place in COLOURS. For training an eye before it has to find anything. Scenes start, … are cut."""
    from PIL import Image

    images, labels, colours, index = [], [], [], start
    while len(images) < count:
        one = scene(split, index, seed)
        picture = Image.fromarray(one.image)
        for item in one.items[: count - len(images)]:
            x, y, width, height = item.box
            side = min(round(1.1 * max(width, height)), 64)
            x, y = (min(max(round(a - side / 2), 0), 64 - side) for a in (x + width / 2, y + height / 2))
            window = (x, y, x + side, y + side)
            images.append(np.asarray(picture.crop(window).resize((size, size), Image.Resampling.BILINEAR)))
            labels.append(item.digit)
            colours.append(_NAMES.index(item.colour))
        index += 1
    return np.stack(images), np.array(labels), np.array(colours)


def questions(scenes: Sequence[Scene], each: int = 2, seed: int = 0) -> list[Question]:
    """`each` questions for each scene, so chosen that kinds, and the answers within a kind, are as even as they can be.

    Of the questions that a scene allows, the one is taken whose kind, then whose answer to just this question, came up least
    so far, answers that are ahead of others last; chance decides between equals. What the question alone gives away: `blind`.
    """
    draw = np.random.default_rng([seed, 7])
    kinds, answers, found = Counter(), defaultdict(Counter), []

    def asked_before(fact, chance):
        kind, values, answer = fact
        ahead = answers[kind][answer] - min(answers[kind][other] for other in _ANSWERS[kind])
        return ahead > 2, kinds[kind], answers[kind, values][answer], answers[kind][answer], chance

    for one in scenes:
        left = one._facts()
        for _ in range(min(each, len(left))):
            fact, _ = min(zip(left, draw.random(len(left)).tolist(), strict=True), key=lambda pair: asked_before(*pair))
            left.remove(fact)
            kind, values, answer = fact
            kinds[kind] += 1
            answers[kind, values][answer] += 1
            answers[kind][answer] += 1
            wording = _WORDINGS[kind][int(draw.integers(len(_WORDINGS[kind])))]
            found.append(Question(wording.format(*values), answer, kind, one.index))
    return found


def blind(known: Sequence[Question], asked: Sequence[Question]) -> dict[str, float]:
    """How often the commonest answer to the same text, or else to the same kind, is right: accuracy by kind, and under "all".

    known: questions to learn from; asked: those to answer. A model that looks at the picture has to do better.
    """
    texts, kinds = defaultdict(Counter), defaultdict(Counter)
    for question in known:
        texts[question.text][question.answer] += 1
        kinds[question.kind][question.answer] += 1
    right = defaultdict(list)
    for question in asked:
        guess = (texts.get(question.text) or kinds[question.kind]).most_common(1)
        hit = bool(guess) and guess[0][0] == question.answer
        right[question.kind].append(hit)
        right["all"].append(hit)
    return {kind: float(np.mean(hits)) for kind, hits in right.items()}

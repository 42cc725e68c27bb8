"""A reader's own pictures: a sub-folder for each class, pictures of one thing, or boxes as COCO or VOC files. Imported by chapters.

What cannot be used at all is refused with a `OwnFileError`: one sentence that says what to do. A single picture that
cannot be read (corrupt, cut off, too large) is left out, and named: on the error output at once, and in the notes.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from utils import own_files
from utils.own_files import OwnFileError

KINDS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
FEWEST_OF_A_CLASS = 8  # so that training, validation and test all have some
MOST_MEGAPIXELS = 50  # a picture of that size takes 150 MB once it is decoded, however small its file
PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}


class _Unreadable(Exception):
    """One picture cannot be used; the message says why."""


@dataclass
class Pictures:
    """images (n, size, size, 3) uint8 and labels (n,) int64, the place in `classes`, the names of the sub-folders."""

    images: np.ndarray
    labels: np.ndarray
    classes: list[str]
    notes: list[str] = field(default_factory=list)


class Boxed(NamedTuple):
    """A picture (height, width, 3) uint8 and its annotations as an image processor takes them: a COCO dictionary."""

    name: str
    image: np.ndarray
    coco: dict


def load(folder: str | Path, size: int = 64, most: int = 3000, seed: int = 0) -> Pictures:
    """Pictures from the sub-folders of `folder`, cut to the square in their middle and made `size` pixels wide.

    A relative path is looked for where the notebook runs, then in the book's folder. Of more than `most` pictures so many
    are drawn by `seed`, which also decides their order. The same file twice is taken once. Raises OwnFileError.
    """
    path, notes = own_files.find(folder, "folder", "a folder with one sub-folder of pictures for each class"), []
    classes = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if classes and PARTS.issuperset(c.casefold() for c in classes):
        raise OwnFileError(f"{path.name!r} holds {', '.join(classes)}; give one of them, a folder with one sub-folder for each class.")
    if len(classes) < 2:
        has = f"only the class {classes[0]!r}" if classes else "no sub-folder"
        raise OwnFileError(f"{path.name!r} holds {has}; give a folder with one sub-folder of pictures for each of two or more classes.")
    files = [(file, label) for label, name in enumerate(classes) for file in _pictures(path / name)]
    _enough(classes, [label for _, label in files])
    draw = np.random.default_rng(seed)
    chosen = [files[k] for k in draw.permutation(len(files))]
    if len(chosen) > most:
        notes.append(f"{most:,} of {len(files):,} pictures were drawn at random")
    images, labels, seen = [], [], {}
    for file, label in chosen[:most]:
        try:
            content = hashlib.sha256(file.read_bytes()).digest()
            if content in seen:
                _leave_out(notes, f"{_name(file, path)} is the same file as {seen[content]}: taken once")
                continue
            picture = ImageOps.fit(_open(file), (size, size), Image.Resampling.BILINEAR)
        except (_Unreadable, OSError) as why:
            _leave_out(notes, f"{_name(file, path)} was left out: {why}")
            continue
        seen[content] = _name(file, path)
        images.append(np.asarray(picture)), labels.append(label)
    _enough(classes, labels, ", of those that can be read,")
    return Pictures(np.stack(images), np.array(labels, dtype=np.int64), classes, notes)


def thing(folder: str | Path, size: int = 64, fewest: int = 3, most: int = 20) -> tuple[np.ndarray, list[str]]:
    """Pictures of one thing, in one folder: (n, size, size, 3) uint8, cut to the square in their middle, and notes.

    Of more than `most` the first by name are taken. Raises OwnFileError, also when fewer than `fewest` can be read.
    """
    path, notes, images = own_files.find(folder, "folder", "a folder of pictures of one thing"), [], []
    files = _pictures(path)
    if len(files) > most:
        notes.append(f"the first {most} of {len(files)} pictures were taken")
    for file in files[:most]:
        try:
            images.append(np.asarray(ImageOps.fit(_open(file), (size, size), Image.Resampling.BILINEAR)))
        except (_Unreadable, OSError) as why:
            _leave_out(notes, f"{_name(file, path)} was left out: {why}")
    if len(images) < fewest:
        raise OwnFileError(f"{path.name!r} holds {len(images)} pictures that can be read; give a folder with {fewest} to {most} of one thing.")
    return np.stack(images), notes


def boxes(folder: str | Path, longest: int = 640, most: int = 2000) -> tuple[list[Boxed], list[str], list[str]]:
    """Pictures with boxes: (pictures, classes, notes). Boxes are x, y, width, height in pixels, in a COCO dictionary each.

    The folder holds one COCO .json file, or VOC .xml files, anywhere in it; pictures are looked for by their names. A picture
    whose longer side is above `longest` is made smaller, and its boxes with it. Raises OwnFileError.
    """
    path, notes, found = own_files.find(folder, "folder", "a folder of pictures with a COCO .json or VOC .xml files"), [], []
    files = {file.name: file for file in _pictures(path)}
    described = _coco(path) or _voc(path)
    if not described:
        raise OwnFileError(f"{path.name!r} holds neither a COCO .json nor VOC .xml files; put the boxes beside the pictures.")
    classes = sorted({name for _, marked in described for name, _ in marked})
    for number, (name, marked) in enumerate(described[:most]):
        try:
            if name not in files:
                raise _Unreadable("it is described, but not in the folder")
            picture = _open(files[name], upright=False)  # boxes are measured on the picture as it is stored
        except (_Unreadable, OSError) as why:
            _leave_out(notes, f"{name} was left out: {why}")
            continue
        scale = min(1.0, longest / max(picture.size))
        small = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.BILINEAR) if scale < 1 else picture
        annotations = []
        for label, (x, y, width, height) in marked:
            x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + width, picture.width), min(y + height, picture.height)
            if x1 <= x0 or y1 <= y0:
                _leave_out(notes, f"{name}: a box of {label!r} lies outside the picture or is empty; it was left out")
                continue
            box = [float(scale * side) for side in (x0, y0, x1 - x0, y1 - y0)]
            annotations.append(
                {"image_id": number, "category_id": classes.index(label), "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            )
        found.append(Boxed(name, np.asarray(small), {"image_id": number, "annotations": annotations}))
    if not found or not classes:
        raise OwnFileError(f"No picture of {path.name!r} can be used with its boxes; the lines above say why.")
    return found, classes, notes


def _pictures(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.rglob("*")) if p.suffix.casefold() in KINDS and p.is_file() and not p.name.startswith(".")]


def _enough(classes: list[str], labels: list[int], which: str = "") -> None:
    counts = Counter(labels)
    for label, name in enumerate(classes):
        if counts[label] < FEWEST_OF_A_CLASS:
            raise OwnFileError(f"The class {name!r} has{which} {counts[label]} pictures; at least {FEWEST_OF_A_CLASS} are needed.")


def _open(file: Path, upright: bool = True) -> Image.Image:
    """The picture in RGB, turned upright as its camera noted. Its size is looked at before anything is decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(file)
        with opened as picture:
            megapixels = picture.width * picture.height / 1e6
            if megapixels > MOST_MEGAPIXELS:
                raise _Unreadable(f"it has {megapixels:,.0f} megapixels, {MOST_MEGAPIXELS} are the most; make it smaller")
            if picture.mode.startswith(("I", "F")):  # more than 8 bits a pixel, as in medicine: from its darkest to its lightest
                values = np.asarray(picture, dtype=np.float32)
                values = (values - values.min()) / max(float(np.ptp(values)), 1e-9)
                picture = Image.fromarray((255 * values).astype(np.uint8))
            return (ImageOps.exif_transpose(picture) if upright else picture).convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _Unreadable(f"it is far larger than {MOST_MEGAPIXELS} megapixels; make it smaller") from None
    except (OSError, SyntaxError, ValueError, EOFError):  # what Pillow raises for files that are cut off or no picture at all
        raise _Unreadable("it is corrupt, cut off, or no picture") from None


def _coco(folder: Path) -> list[tuple[str, list]]:
    """(file name, [(class, box), …]) of every picture that a COCO file lists."""
    files = sorted(folder.rglob("*.json"))
    if len(files) > 1:
        raise OwnFileError(f"{folder.name!r} holds {len(files)} .json files; leave the one with the boxes.")
    if not files:
        return []
    try:
        content = json.loads(files[0].read_text(encoding="utf-8-sig"))
        names = {c["id"]: str(c["name"]) for c in content["categories"]}
        marked = {image["id"]: (Path(image["file_name"]).name, []) for image in content["images"]}
        for one in content["annotations"]:
            marked[one["image_id"]][1].append((names[one["category_id"]], tuple(map(float, one["bbox"]))))
    except (UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise OwnFileError(
            f"{files[0].name} is no COCO file ({type(error).__name__}: {error}); it needs images, annotations with bbox, and categories."
        ) from None
    return list(marked.values())


def _voc(folder: Path) -> list[tuple[str, list]]:
    """The same from VOC files. Their corners are counted from 1, the last pixel included."""
    from xml.etree import ElementTree

    found = []
    for file in sorted(folder.rglob("*.xml")):
        try:
            text = file.read_text(encoding="utf-8-sig")
            if "<!ENTITY" in text:
                raise ValueError("entities are not allowed")
            root, marked = ElementTree.fromstring(text), []
            for thing in root.iter("object"):
                x0, y0, x1, y1 = (float(thing.find("bndbox").findtext(corner)) for corner in ("xmin", "ymin", "xmax", "ymax"))
                marked.append((thing.findtext("name").strip(), (x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1)))
            found.append((Path(root.findtext("filename")).name, marked))
        except (ElementTree.ParseError, UnicodeDecodeError, ValueError, TypeError, AttributeError):
            raise OwnFileError(f"{file.name} is no VOC file; it needs a filename and objects with a name and a bndbox.") from None
    return found


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _leave_out(notes: list[str], note: str) -> None:
    """Said twice: where nobody overlooks it, and in the notes that the chapter shows."""
    print(note, file=sys.stderr)
    notes.append(note)

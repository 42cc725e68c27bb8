"""A reader's own long texts: a folder with a sub-folder of text files for each class. Imported by chapters.

The layout is that of the polarity review set (Pang and Lee, 2004) and of many others: `pos/one.txt`, `neg/two.txt`.
What cannot be used is refused with an `OwnFileError`: one sentence that names the folder or file and says what to do.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

from utils import own_files
from utils.own_files import OwnFileError

FEWEST = 10  # texts of a class, so that some can be held out


class Labelled(NamedTuple):
    """`texts`, pairs of a text and the position of its class in `classes`, the names of the sub-folders."""

    texts: list[tuple[str, int]]
    classes: list[str]


def folders(folder: str, most: int = 2000, seed: int = 0) -> Labelled:
    """Texts and labels from the sub-folders of `folder`, in an order drawn by `seed`; of more than `most`, so many are drawn.

    Files are UTF-8, or else Latin-1, as older sets are; hidden files and other file types than .txt are left out, and empty
    files too. A relative path is looked for where the notebook runs, then in the book's folder. Raises OwnFileError.
    """
    path = own_files.find(folder, "folder", "the folder that holds one sub-folder of .txt files for each class")
    classes = sorted(p.name for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(classes) < 2:
        raise OwnFileError(f"The folder {path.name!r} has {len(classes)} sub-folders; give one for each class, such as pos and neg.")
    found = []
    for label, name in enumerate(classes):
        texts = [text for file in sorted((path / name).glob("*.txt")) if not file.name.startswith(".") and (text := _read(file).strip())]
        if len(texts) < FEWEST:
            raise OwnFileError(f"The class {name!r} has {len(texts)} texts; at least {FEWEST} .txt files are needed in its folder.")
        found += [(text, label) for text in texts]
    random.Random(seed).shuffle(found)
    return Labelled(found[:most], classes)


def _read(file: Path) -> str:
    data = file.read_bytes()
    if b"\0" in data:
        raise OwnFileError(f"{file.name} is no text file; take it out of the folder, or save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")

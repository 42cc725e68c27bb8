"""Finding a reader's own file or folder, and the error of everything that reads one. Imported by chapters and utils.own_*."""

from __future__ import annotations

from pathlib import Path

from utils import ROOT


class OwnFileError(ValueError):
    """A reader's file or folder cannot be used; the message says why and what to do, in one sentence."""


def find(name: str | Path, kind: str, give: str) -> Path:
    """The file or folder called `name`: from where the notebook runs, or else in the book's folder; ~ is the home folder.

    kind: "file", "folder", or "file or folder". give: what to give instead, the end of the sentence. Raises OwnFileError.
    """
    given = Path(name).expanduser()
    found = next((place for place in (given, ROOT / given) if place.exists()), None)
    if found is None:
        raise OwnFileError(f"There is no {kind} {str(name)!r} here or in the book's folder; give {give}.")
    really = "folder" if found.is_dir() else "file"
    if really not in kind:
        raise OwnFileError(f"{found.name!r} is a {really}; give {give}.")
    return found

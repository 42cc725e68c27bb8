"""`book clean`: remove what was built. Sources, committed results and, unless asked, `.venv` stay."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from utils import ROOT
from utils.book import BookError
from utils.book.guard import alone


def run(all: bool = False, venv: bool = False) -> None:
    """Remove `_build`; with all also what npm brought, and caches; with venv also `.venv`."""
    with alone("book clean", wait=False):
        doomed = [p for p in (ROOT / "_build").iterdir() if not p.name.startswith("book.lock")]
        if all:
            doomed += [ROOT / name for name in ("node_modules", "tests/browser/node_modules", ".pytest_cache", ".ruff_cache")]
            for folder in ("chapters", "tests", "utils"):
                doomed += [p for name in ("__pycache__", ".ipynb_checkpoints") for p in (ROOT / folder).rglob(name)]
        _remove(doomed)
    _remove([ROOT / "_build"])
    if venv:
        if Path(sys.prefix).resolve().is_relative_to(ROOT / ".venv") and sys.platform == "win32":
            raise BookError("Windows keeps the .venv that is in use; delete the folder .venv by hand.")
        _remove([ROOT / ".venv"])


def _remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.exists() or path.is_symlink():
            path.unlink()
        else:
            continue
        print(f"removed {path.relative_to(ROOT).as_posix()}")

"""The key of a run: one hash of what its results depend on. A kept run counts only while its key is the same.

What counts: the code cells, the parameters and the reader's files they name, judges and quiz beside the
chapter, the modules of `utils` that it imports and those that these import, the models and texts that all of
them name, the locked versions. What does not: prose, comments in modules, recipes and cards of models, and
what only other chapters use.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import utils
from utils import ROOT
from utils.book import lock, records

CODE = Path(utils.__file__).resolve().parent
MUCH = 200 * 2**20  # bytes of a reader's own data that are read for the key at most


@dataclass(frozen=True)
class Reading:
    """What matters of some source code."""

    imports: tuple[
        tuple[str, int], ...
    ]  # dotted names that it may import, and how many packages up they begin
    strings: frozenset[str]  # every piece of text in it, without documentation
    digest: str  # of what Python reads: comments and layout do not count
    whole: bool = True  # False for a cell that Python cannot read; then everything counts


def key(chapter: records.Chapter, cells: list[dict], target, parameters: dict, defaults: dict) -> str:
    """The key of a chapter (its code cells, as JSON) on a target, with these parameters over its defaults."""
    beside = [chapter.path.with_name(f"{chapter.stem}{end}") for end in (".checks.py", ".quiz.yml")]
    readings = [read(_without_magic(records.source_of(cell))) for cell in cells]
    readings += [read(_text(path)) for path in beside if path.suffix == ".py" and path.is_file()]
    everything = not all(r.whole for r in readings)
    modules = _all_modules() if everything else imported(readings)
    readings += [read(_text(path)) for path in modules]
    names = frozenset().union(*(r.strings for r in readings), _strings(parameters))
    parts = {
        "cells": [
            [records.source_of(c), [t for t in records.tags_of(c) if not t.startswith("nbval-")]]
            for c in cells
        ],
        "parameters": parameters,
        "target": [target.device, target.dtype, target.network, target.threads],
        "beside": [_hash(path) for path in beside],
        "modules": {_relative(path, CODE): read(_text(path)).digest for path in modules},
        "assets": {_relative(path, ROOT): _hash(path) for path in assets(names, everything)},
        "own files": own_files({**defaults, **parameters}, chapter.path.parent),
        "versions": [*_installed(), _hash(ROOT / "package-lock.json")],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


@lru_cache(maxsize=20_000)
def read(source: str) -> Reading:
    """Parse some code, once."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return Reading((), frozenset(), "", whole=False)
    imports, strings, prose = [], [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(alias.name, 0) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):  # `from utils import show` may mean a module or a name
            imports.append((node.module or "", node.level))
            imports += [
                (".".join(filter(None, [node.module, alias.name])), node.level) for alias in node.names
            ]
        elif isinstance(node, ast.Expr):
            prose.add(id(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            strings.append(node)
    named = frozenset(node.value for node in strings if id(node) not in prose)
    return Reading(tuple(imports), named, hashlib.sha256(ast.dump(tree).encode()).hexdigest())


def imported(readings: Iterable[Reading]) -> list[Path]:
    """The files of `utils` that some code imports, and those that these import; without the command."""
    found: set[Path] = set()
    waiting = [name for reading in readings for name in _ours(reading, "")]
    while waiting:
        path, package = _file(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting += _ours(read(_text(path)), package)
    return sorted(found)


def assets(names: set[str], everything: bool = False) -> list[Path]:
    """The files of models and texts that some names mean, such as "embedded/tapas", "tapas", "reviews"."""
    words = {word for name in names for word in [name, *re.findall(r"[\w.-]+", name if "/" in name else "")]}
    found = []
    for kind in ("models", "texts"):
        folder = ROOT / "data" / kind
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            top = path.relative_to(folder).parts[0]
            if path.suffix in (".md", ".py", ".pyc") or (kind == "models" and path.parent == folder):
                continue  # cards and recipes; the list of checksums, which speaks of all models
            if everything or {top, Path(top).stem} & words:
                found.append(path)
    return found


def own_files(parameters: dict, here: Path) -> list[tuple]:
    """Name and content of every file that parameters name, as the chapter finds them: where it runs, or in the book's folder.

    In place of the content, size and time of a file count where there is much to read.
    """
    found = []
    for value in sorted(_strings(parameters)):
        try:
            given = Path(value).expanduser()
            place = next((p for p in (here / given, ROOT / given) if p.exists()), None) if value.strip() else None
        except (OSError, ValueError, RuntimeError):  # no name for a file on this system
            continue
        if place is None or place.resolve() in (ROOT, *ROOT.parents):
            continue
        files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        much = sum(path.stat().st_size for path in files) > MUCH
        found += [(value, _relative(path, place), *(_state(path) if much else [_hash(path)])) for path in files]
    return found


def _ours(reading: Reading, package: str) -> set[str]:
    """Dotted names of modules of `utils` that some code of `package` may import, and of their packages."""
    parts, names = package.split("."), set()
    for name, level in reading.imports:
        above = parts[: len(parts) - level + 1] if level else []
        steps = [*above, *filter(None, name.split("."))]
        names |= {".".join(steps[:n]) for n in range(1, len(steps) + 1)}
    return {
        name for name in names if name.split(".")[0] == "utils" and not f"{name}.".startswith("utils.book.")
    }


def _all_modules() -> list[Path]:
    return sorted(
        p for p in CODE.rglob("*.py") if CODE / "book" not in p.parents and "__pycache__" not in p.parts
    )


def _without_magic(source: str) -> str:
    """A cell without its lines of IPython magic."""
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())


def _file(name: str) -> tuple[Path | None, str]:
    """The file of a module and the package it is in; None for a name that is no module."""
    place = CODE.joinpath(*name.split(".")[1:])
    if (place / "__init__.py").is_file():
        return place / "__init__.py", name
    return (
        (place.with_suffix(".py"), name.rpartition(".")[0])
        if place.with_suffix(".py").is_file()
        else (None, "")
    )


def _strings(value) -> set[str]:
    """All texts in a parameter's value, or in those of a dictionary."""
    if isinstance(value, str):
        return {value}
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return {text for each in inside for text in _strings(each)}


def _hash(path: Path) -> str:
    return _hash_at(path, *_state(path)) if path.is_file() else ""


@lru_cache(maxsize=5000)
def _hash_at(path: Path, *state: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file does; a second chapter that needs it then does not read it again."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=1)
def _installed() -> list[str]:
    """Python and every locked package as it is here: corpora are made from the standard library and from packages."""
    found = [f"python {platform.python_version()}"]
    for name in sorted({requirement.name for requirement in lock.locked(CODE.parent)}):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return found


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")

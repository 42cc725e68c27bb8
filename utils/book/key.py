"""The key of a run: one hash of what its results depend on. A kept run counts only while its key is the same.

What counts: the code cells, the parameters and the reader's files they name, judges and quiz beside the
chapter, the modules of `utils` that the chapter imports and those that these import, the models and texts that
all of them name, the locked versions. What does not: prose, comments in modules, recipes and cards of models,
and what only other chapters use.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import utils
from utils import ROOT
from utils.book import lock, records

CODE = Path(utils.__file__).resolve().parent
_UNREADABLE = ast.parse(
    "import unreadable_cell"
)  # stands for cells that Python cannot read: then everything counts


def key(chapter: records.Chapter, cells: list[dict], target, parameters: dict, defaults: dict) -> str:
    """The key of a chapter (its code cells, as JSON) on a target, with these parameters over its own defaults."""
    beside = [chapter.path.with_name(f"{chapter.stem}{end}") for end in (".checks.py", ".quiz.yml")]
    trees = [tree(records.source_of(cell)) for cell in cells]
    trees += [tree(_text(path)) for path in beside if path.suffix == ".py" and path.is_file()]
    modules = imported(trees)
    names = named([*trees, *(_parsed(path) for path in modules)]) | _strings(parameters)
    everything = any(t is _UNREADABLE for t in trees)
    parts = {
        "cells": [
            [records.source_of(c), [t for t in records.tags_of(c) if not t.startswith("nbval-")]]
            for c in cells
        ],
        "parameters": parameters,
        "target": [target.device, target.dtype, target.network, target.threads],
        "beside": [_hash(path) for path in beside],
        "modules": {_relative(path, CODE): _hash_of_module(path) for path in modules},
        "assets": {_relative(path, ROOT): _hash(path) for path in assets(names, everything)},
        "own files": [_hash(path) for path in own_files({**defaults, **parameters}, chapter.path.parent)],
        "versions": [f"python {sys.version_info.major}.{sys.version_info.minor}", *_locked()],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def tree(source: str) -> ast.Module:
    """The syntax tree of a cell, without its lines of IPython magic."""
    try:
        return ast.parse(
            "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines())
        )
    except SyntaxError:
        return _UNREADABLE


def imported(trees: Iterable[ast.Module]) -> list[Path]:
    """The files of `utils` that some code imports, and those that these import in turn; without the command."""
    trees = list(trees)
    if any(t is _UNREADABLE for t in trees):
        return sorted(
            p for p in CODE.rglob("*.py") if CODE / "book" not in p.parents and "__pycache__" not in p.parts
        )
    found: set[Path] = set()
    waiting = [name for t in trees for name in _imports(t, "")]
    while waiting:
        path, package = _file(waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting += _imports(_parsed(path), package)
    return sorted(found)


def named(trees: Iterable[ast.Module]) -> set[str]:
    """Every piece of text that some code holds, without its documentation."""
    found = set()
    for each in trees:
        prose = {id(node.value) for node in ast.walk(each) if isinstance(node, ast.Expr)}
        found |= {
            n.value
            for n in ast.walk(each)
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in prose
        }
    return found


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


def own_files(parameters: dict, here: Path) -> list[Path]:
    """The files that parameters name: each as the chapter finds it, from where it runs or in the book's folder."""
    found = []
    for value in sorted(_strings(parameters)):
        if not value.strip() or "\0" in value or len(value) > 1000:
            continue
        given = Path(value).expanduser()
        try:
            place = next((p for p in (here / given, ROOT / given) if p.exists()), None)
        except OSError:  # no name for a file on this system
            continue
        if place is not None:
            found += sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
    return found


def _imports(code: ast.Module, package: str) -> list[str]:
    """Dotted names that some code of `package` may import from `utils`; `from utils import x` may mean a module."""
    found = []
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    parents = {name.rsplit(".", n)[0] for name in found for n in range(name.count(".") + 1)}
    return sorted(
        name for name in parents if name.split(".")[0] == "utils" and not f"{name}.".startswith("utils.book.")
    )


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


def _parsed(path: Path) -> ast.Module:
    return _parsed_at(path, *_state(path))


def _hash_of_module(path: Path) -> str:
    """Of what Python reads in it: comments and layout do not count."""
    return hashlib.sha256(ast.dump(_parsed(path)).encode()).hexdigest()


def _hash(path: Path) -> str:
    return _hash_at(path, *_state(path)) if path.is_file() else ""


@lru_cache(maxsize=500)
def _parsed_at(path: Path, *state: int) -> ast.Module:
    return ast.parse(_text(path))


@lru_cache(maxsize=5000)
def _hash_at(path: Path, *state: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file does; a second chapter that needs it then does not read it again."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=1)
def _locked() -> list[str]:
    """The locked versions, without the hashes of their files."""
    return [str(requirement) for requirement in lock.locked(CODE.parent)]


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")

"""embedded/docs as summaries: the first line of a docstring, and the name and the text from which to write it.

Imported by chapters and a recipe. Modules are divided into train, validation and test as in `utils.embedded.docs`. Origin
and licences: see there; `more` also reads the sources of the other packages in OTHERS (BSD 3-Clause, but Transformers,
Apache 2.0, and Matplotlib, its own licence in the manner of Python's). Nothing is copied into this repository.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from utils.embedded import docs

OTHERS = ("numpy", "scipy", "sklearn", "torch", "pandas", "matplotlib", "transformers", "sympy", "networkx", "skimage")
_ASIDE = {"site-packages", "test", "tests", "testing", "idlelib", "lib2to3", "_vendor", "models"}  # folders that `more` passes over
_EXAMPLES = re.compile(r"^\s*(?:>>>|\.\. )|^(?:Examples?|References|See Also)\n[-=]{3,}", re.MULTILINE)
_HEADING = re.compile(r"\s*[A-Z][\w ]+\n[-=]{3}")


@dataclasses.dataclass(frozen=True)
class Pair:
    """A docstring in two: its `summary`, the first line, and its `body`, all the rest in at most 110 words, with its sections.

    sentences: those of the body's opening prose, from four words up; a summary that is only chosen is one of them.
    """

    module: str
    name: str
    summary: str
    body: str
    sentences: tuple[str, ...]

    @property
    def spelled(self) -> str:
        """The name in words: "SSLSocket.recv_into" → "ssl socket recv into"."""
        return spelled(self.name)

    @property
    def source(self) -> str:
        """What embedded/docs-summary reads."""
        return f"{self.spelled}: {self.body}"


def spelled(name: str) -> str:
    """The words of a qualified name, in small letters."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.sub(r"[._]+", " ", apart).lower().split())


def pairs(split: str, fewest: int = 1) -> list[Pair]:
    """Docstrings of one split that go on in prose after their first line, of `fewest` sentences or more, in a fixed order.

    Summaries have 4 to 20 words. Raises ValueError for an unknown split.
    """
    if split not in ("train", "validation", "test"):
        raise ValueError(f"There is no split {split!r}; take train, validation or test.")
    found = [divided(d.module, d.name, d.text) for d in docs.documents(whole=True) if d.split == split]
    return [p for p in found if p and len(p.sentences) >= fewest and len(p.summary.split()) >= 4]


def more() -> list[Pair]:
    """All that a summariser may learn from: the training modules, and every docstring in the sources of the installed OTHERS
    and of the standard library, also of private functions and also without a body. About 37,000, in a fixed order.

    Left out are whole files from which a docstring of validation or test comes, and whatever opens with the same twelve
    words as one of these, has a body that does, or has its name and its first line.
    """
    whole = docs.documents(whole=True)
    held = [d for d in whole if d.split != "train"]
    texts = {d.text for d in held}
    known = {_opening(d.text) for d in held}
    bodies, lines = set(), set()
    for pair in filter(None, (divided(d.module, d.name, d.text) for d in held)):
        known.add(_opening(f"{pair.summary} {pair.body}"))
        lines.add((pair.spelled, pair.summary))
        if len(opening := _opening(pair.body)) >= 8:
            bodies.add(opening)
    found = [(d.module, d.name, d.text) for d in whole if d.split == "train"]
    for file in _files():
        here = list(_docstrings(file))
        if not any(text in texts for _, _, text in here):
            found += here
    kept = {}
    for pair in filter(None, (divided(*row) for row in found)):
        opening = _opening(f"{pair.summary} {pair.body}")
        if opening not in known and _opening(pair.body) not in bodies and (pair.spelled, pair.summary) not in lines:
            kept.setdefault((pair.spelled, opening), pair)
    return list(kept.values())


def divided(module: str, name: str, doc: str) -> Pair | None:
    """A docstring as a Pair; None when its first paragraph is no sentence of 3 to 20 words."""
    doc = inspect.cleandoc(doc)
    if re.match(r"^[\w.]+\(.*", doc):  # the signature of a function written in C
        line, _, rest = doc.partition("\n")
        doc = (re.sub(r"^[\w.]+\([^\n]*(?:\n[^\n]+)*?(?=\n\s*\n|\Z)", "", doc, count=1) if ")" not in line else rest).strip()
    first, _, rest = doc.partition("\n\n")
    first = _plain(first)
    if not 3 <= len(first.split()) <= 20 or any(sign in first for sign in ("(", "::", ">>>")):
        return None
    prose = "" if _HEADING.match(rest) else docs.prose(rest, words=120)
    sentences = tuple(s for s in re.split(r"(?<=[.!?])\s+", prose) if len(s.split()) >= 4)
    if cut := _EXAMPLES.search(rest):
        rest = rest[: cut.start()]
    rest = re.sub(r"^[-=~]{3,}$", "", rest, flags=re.MULTILINE)
    return Pair(module, name, first, " ".join(_plain(rest).split()[:110]), sentences)


def _plain(text: str) -> str:
    """Without the signs of reStructuredText."""
    text = re.sub(r":[\w:]+:`~?\.?([^`<]*?)\s*(?:<[^>]*>)?`", r"\1", text)
    return " ".join(re.sub(r"[`*|]+", "", text).split())


def _opening(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[a-z]+", text.lower())[:12])


def _files() -> Iterator[Path]:
    paths = sysconfig.get_paths()
    for root in (Path(paths["stdlib"]), *(Path(paths["purelib"]) / name for name in OTHERS)):
        for file in sorted(root.rglob("*.py")):
            if not _ASIDE & set(file.relative_to(root).parts):
                yield file


def _docstrings(file: Path) -> Iterator[tuple[str, str, str]]:
    """(module, qualified name, docstring) of all functions and classes in a source file; none of one that cannot be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # backslashes in old sources; only inside this block
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            return

    def inside(node, before):
        for child in node.body:
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = [*before, child.name]
                if doc := ast.get_docstring(child):
                    yield file.stem, ".".join(name), doc
                if isinstance(child, ast.ClassDef):
                    yield from inside(child, name)

    yield from inside(tree, [])

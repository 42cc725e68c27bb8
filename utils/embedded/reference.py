"""embedded/reference: the language reference in passages, the standard library in functions. Imported by chapters and recipes.

Origin: `pydoc_data.topics`, the text behind `help("if")`, and the source of the standard library (both PSF Licence),
read from the running Python; nothing is copied into this repository. What a reader gets therefore depends on the
version of Python, and on nothing else. `texts.load("questions")` asks about these passages.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import hashlib
import json
import platform
import re
import sys
import sysconfig
import textwrap
import tokenize
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from utils import ROOT
from utils.embedded.docs import _write

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

FEWEST, MOST = 60, 150  # words of a passage; a shorter one is a whole section, a longer one a single sentence


@dataclasses.dataclass(frozen=True)
class Passage:
    """A few paragraphs of one section: `title` is the section's heading, `id` the heading with a number."""

    id: str
    title: str
    text: str


@dataclasses.dataclass(frozen=True)
class Function:
    """One function or method: its `source` with and without the docstring, and the `module` it is defined in."""

    name: str
    module: str
    source: str
    bare: str
    split: str


# ---- the language reference

_RULE = re.compile(r"(.+)\n([*=\-~^\"+.])\2{2,}")
_BULLET = re.compile(r"(?:[*•]|\d+\.|\[\d+\])\s")
_ENTRY = re.compile(r"(?:(?:class|classmethod|static|coroutine) )?[\w.]+\(.*\)|(?:object|module|function|method|frame)\.\w+")
_ADMONITIONS = ("Note:", "See also:", "Warning:")


def load() -> Dataset:
    """The passages as a `datasets.Dataset` with the columns id, title and text; see `passages`."""
    from datasets import Dataset

    return Dataset.from_list([dataclasses.asdict(p) for p in passages()])


def passages(topics: dict[str, str] | None = None) -> list[Passage]:
    """The language reference in passages of about 60 to 150 words, in a fixed order, no section twice.

    Grammar, tables and programs are left out and the markup is removed, so that a passage is prose. A passage never
    crosses a heading. topics: name → text, instead of those of the running Python (another version's, in the tests).
    """
    if topics is None:
        from pydoc_data.topics import topics
    found, seen, numbers = [], set(), {}
    for topic in sorted(set(topics) - {"debugger"}):  # the manual of pdb, no part of the language
        for title, paragraphs in _sections(topics[topic]):
            for text in _join(paragraphs):
                if len(text.split()) < 8 or (key := re.sub(r"\W+", " ", text.lower())) in seen:  # many topics are part of a larger one
                    continue
                seen.add(key)
                slug = re.sub(r"\W+", "-", title.lower()).strip("-")
                numbers[slug] = numbers.get(slug, 0) + 1
                found.append(Passage(f"{slug}-{numbers[slug]}", title, text))
    return found


def holding(evidence: str, found: list[Passage]) -> list[Passage]:
    """The passages with a given sentence, whatever its case, hyphens and quotation marks are."""
    wanted = _plain(evidence)
    return [p for p in found if wanted in _plain(p.text)]


def locate(span: str, text: str) -> tuple[int, int] | None:
    """Where a span stands in a text: first character and the one after the last; None where it does not."""
    words = re.findall(r"\w+", span)
    for pattern in (re.escape(span), r"\W+".join(words)):  # as it is written, or with other hyphens and quotation marks
        if words and (match := re.search(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE)):
            return match.span()
    return None


def _plain(text: str) -> str:
    return f" {' '.join(re.findall(r'[a-z0-9_]+', text.lower()))} "


def _sections(topic: str):
    """Pairs of a heading and its paragraphs, of which an indented one belongs to the entry before it."""
    title, paragraphs, before, code = "", [], "", -1
    for block in re.split(r"\n\s*\n", topic.strip("\n")):
        block = block.strip("\n")
        if rule := _RULE.fullmatch(block):
            if paragraphs:
                yield title, paragraphs
            title, paragraphs, before, code = _clean(rule[1]), [], "", -1
            continue
        indent = len(block) - len(block.lstrip())
        if 0 <= code <= indent:  # inside a program
            continue
        code = indent if _is_program(block, before) else -1
        if code < 0 and not re.match(r"\s*[+|]", block):  # a table
            paragraphs.append(block)
            before = block
    if paragraphs:
        yield title, paragraphs


def _is_program(block: str, before: str) -> bool:
    """Whether an indented block is grammar, a session or a program rather than prose."""
    text = textwrap.dedent(block)
    if "::=" in text or text.startswith((">>>", "(Pdb)", "$", ">")):
        return True
    outer = len(before) - len(before.lstrip())
    if len(block) - len(block.lstrip()) <= outer or re.match(r"[*•]\s|\d+\.\s", text):
        return False
    announced = before.rstrip().endswith(":") and before.strip() not in _ADMONITIONS
    with contextlib.suppress(SyntaxError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in examples, only inside this block
        if announced or any(not isinstance(statement, ast.Expr) for statement in ast.parse(text).body):
            ast.parse(text)
            return True
    if not announced:
        return False
    return bool(re.search(r"[=({\[]|^\s*#|^\w+ \w+:$", text, re.MULTILINE)) and not re.search(r"\.$", text)


def _join(paragraphs: list[str]) -> list[str]:
    """Passages from paragraphs: as many as make `FEWEST` words, cut at sentences where it would be more than `MOST`."""
    pieces, head = [], ""
    for paragraph in paragraphs:
        text = _clean(paragraph)
        if not text:
            continue
        if "\n" not in paragraph and _ENTRY.fullmatch(paragraph.strip()) or text in _ADMONITIONS:
            head += text.removesuffix(":") + ": "  # the name of what the next paragraph describes
            continue
        pieces.append(head + text)
        head = ""
    passages, open_words = [], 0
    for piece in pieces:
        for part in _parts(piece):
            words = len(part.split())
            if passages and open_words < FEWEST and open_words + words <= MOST:
                passages[-1] += " " + part
                open_words += words
            elif passages and words < 20 and open_words + words <= MOST:  # a short rest stays with what it is about
                passages[-1] += " " + part
                open_words += words
            else:
                passages.append(part)
                open_words = words
    if len(passages) > 1 and open_words < FEWEST // 2 and len(passages[-2].split()) + open_words <= MOST + 30:
        passages[-2:] = [" ".join(passages[-2:])]
    return passages


def _parts(text: str) -> list[str]:
    """A paragraph that is too long, cut at the ends of sentences into equal parts."""
    total = len(text.split())
    if total <= MOST:
        return [text]
    parts, size = [""], total / -(-total // MOST)
    for sentence in re.split(r"(?<=[.?!])\s+(?=[A-Z“\"(])", text):
        if len(parts[-1].split()) >= size * 0.8:
            parts.append("")
        parts[-1] = f"{parts[-1]} {sentence}".strip()
    return parts


def _clean(text: str) -> str:
    """One line without markup: no emphasis, no footnote marks; quotation marks, which stand for code, stay."""
    text = re.sub(r"(?<=[a-z])-\n\s*(?=[a-z])", "-", text.strip())
    text = " ".join(text.split())
    text = re.sub(r"\s\[\d+\]", "", text)
    text = re.sub(r"\*\*(?=\S)([^*\"]+?)(?<=\S)\*\*", r"\1", text)
    text = re.sub(r"(?<![\w*\"])\*(?=\S)([^*\"]+?)(?<=\S)\*(?![\w*])", r"\1", text)
    return _BULLET.sub("", text, count=1) if _BULLET.match(text) else text


# ---- the source of the standard library

_LEFT_OUT = set("test tests idlelib lib2to3 turtledemo pydoc_data ensurepip distutils encodings this antigravity site-packages".split())


def code(docstrings: bool = False, cache: Path | None = None) -> DatasetDict:
    """The functions as a `datasets.DatasetDict` with train, validation and test, split by top-level module.

    Columns: source, name (of a method: Class.method), module. docstrings: whether they stay in the source.
    The first call reads the standard library (some seconds); later ones a file under `_build/cache`. See `functions`.
    """
    from datasets import Dataset, DatasetDict

    rows = {"train": [], "validation": [], "test": []}
    for function in functions(cache=cache):
        source = function.source if docstrings else function.bare
        rows[function.split].append({"source": source, "name": function.name, "module": function.module})
    return DatasetDict({split: Dataset.from_list(found) for split, found in rows.items()})


def functions(fewest: int = 3, most: int = 60, cache: Path | None = None) -> list[Function]:
    """Functions and methods of the standard library with `fewest` to `most` lines without docstring, in a fixed order.

    Of several with the same body only the first stays, whatever their names, docstrings and comments. A module's
    split depends on the name of its package alone: about 10 % of the packages are test, 10 % validation.
    """
    path = (cache or ROOT / "_build" / "cache") / f"code-{fewest}-{most}-{_key()}.json"
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError):  # absent, or cut off: made again
        return [Function(*row) for row in json.loads(path.read_text(encoding="utf-8"))]
    kept = {}
    for file in _files():
        for body, function in _functions(file):
            if fewest <= function.bare.count("\n") + 1 <= most:
                kept.setdefault(body, function)
    made = list(kept.values())
    _write(path, json.dumps([dataclasses.astuple(f) for f in made]))
    return made


def split_of(module: str) -> str:
    """The split of a module, from the name of its package alone: train, validation or test."""
    package = re.sub(r"^_(py)?", "", module.partition(".")[0])  # _pydatetime stays with datetime
    place = zlib.crc32(package.encode()) % 10
    return {0: "test", 1: "validation"}.get(place, "train")


def _key() -> str:
    parts = [platform.python_version(), Path(__file__).read_text(encoding="utf-8")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _files() -> list[tuple[str, Path]]:
    """Module names and files of the standard library, by name; those that are the same on every platform."""
    top = Path(sysconfig.get_path("stdlib"))
    if not (top / "ast.py").exists():
        raise FileNotFoundError("This Python came without the source of its standard library. Install one from python.org or conda-forge.")
    found = []
    for path in top.rglob("*.py"):
        parts = path.relative_to(top).with_suffix("").parts
        if parts[0] in sys.stdlib_module_names and not _LEFT_OUT & set(parts) and not parts[0].startswith("_sysconfigdata"):
            found.append((".".join(parts).removesuffix(".__init__"), path))
    return sorted(found)


def _functions(file: tuple[str, Path]):
    """Pairs of a function's body, as a key, and the function: those of modules and classes, not of functions."""
    module, path = file
    with tokenize.open(path) as opened:
        lines = opened.read().splitlines()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes of old modules, only inside this block
        tree = ast.parse("\n".join(lines))

    def visit(node, within):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                yield from visit(child, [*within, child.name])
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield child, ".".join([*within, child.name])
            elif isinstance(child, ast.If | ast.Try):
                yield from visit(child, within)

    for node, name in visit(tree, []):
        first = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
        source = textwrap.dedent("\n".join(lines[first : node.end_lineno]))
        bare, body = source, node.body
        if ast.get_docstring(node, clean=False) is not None:
            doc, *body = node.body
            if not body or doc.lineno == node.lineno or body[0].lineno <= doc.end_lineno:
                continue
            bare = textwrap.dedent("\n".join([*lines[first : doc.lineno - 1], *lines[doc.end_lineno : node.end_lineno]]))
        bare = re.sub(r"(:[^\n]*\n)(?:[ \t]*\n)+", r"\1", bare, count=1) if bare != source else bare
        try:
            ast.parse(bare)
        except SyntaxError:  # a multi-line string that starts left of the function, or a file cut by form feeds
            continue
        key = ast.dump(ast.Module(body, [])) + ast.dump(node.args)
        yield key, Function(name, module, source, bare, split_of(module))

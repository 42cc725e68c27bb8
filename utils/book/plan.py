"""What a command is to execute: which chapters, with which parameters, and whether anything changed since last time."""

from __future__ import annotations

import ast
import difflib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from utils.book import BookError, records
from utils.book.key import key
from utils.book.records import Chapter
from utils.targets import Target


@dataclass
class Job:
    """One chapter to execute on one target."""

    chapter: Chapter
    target: Target
    parameters: dict
    folder: Path
    defaults: dict = field(default_factory=dict)  # the parameters cell: name -> value
    key: str = ""
    problem: str | None = None  # why it cannot even start

    def file(self, ending: str) -> Path:
        """`.ipynb` and `.json` after a good run; `.failed.ipynb` and `.failed.json` after a bad one."""
        return self.folder / f"{self.chapter.stem}{ending}"

    @property
    def record(self) -> dict | None:
        """The record of the last good run, if it was of exactly this job and nothing went wrong since."""
        kept = _json(self.file(".json"))
        failed = _json(self.file(".failed.json"))
        good = kept and kept.get("key") == self.key and self.file(".ipynb").exists()
        return kept if good and not (failed and failed.get("key") == self.key) else None

    @property
    def seed(self) -> int | None:
        """The seed it runs with; None for a chapter without one."""
        return self.parameters.get("seed", self.defaults.get("seed"))

    def with_seed(self, seed: int) -> Job:
        """The same chapter with another seed, kept in a folder of its own."""
        folder = self.folder / "seeds" / str(seed)
        return make(self.chapter, self.target, {**self.parameters, "seed": seed}, folder)


def choose(selectors: list[str]) -> list[Chapter]:
    """The chapters that numbers ("4"), ranges ("1-3") or parts of names ("interpret") select; all for none."""
    every = records.chapters()
    if not every:
        raise BookError("There are no chapters in chapters/.")
    if not selectors:
        return every
    chosen = {c.number for selector in selectors for c in _select(selector, every)}
    return [c for c in every if c.number in chosen]


def assignments(given: list[str]) -> dict:
    """`["seed=3", "sizes=[1, 2]"]` as typed values: YAML, and 1e-3 is a number too."""
    import yaml

    values = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not (equals and name.strip().isidentifier()):
            raise BookError(f"-p {item!r} has to be NAME=VALUE, like -p seed=3.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise BookError(f"-p {item!r}: the value is not valid YAML; quote it, like -p name='\"a: b\"'.") from None
        values[name.strip()] = _plain(value, text)
    return values


def jobs(chapters: list[Chapter], target: Target, given: dict) -> list[Job]:
    """One job per chapter. BookError when a parameter is not one of the chapter's, before anything runs."""
    return [make(c, target, {**target.parameters_for(c.number), **given}, records.runs_folder(target.name)) for c in chapters]


def make(chapter: Chapter, target: Target, parameters: dict, folder: Path) -> Job:
    """A job, with its content hash; a notebook that cannot be executed gets a `problem` instead."""
    job = Job(chapter, target, parameters, folder)
    try:
        notebook = json.loads(chapter.path.read_text(encoding="utf-8"))
        cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        job.problem = f"not a notebook: the file holds no valid notebook JSON{where}"
        return job
    tagged = [c for c in cells if "parameters" in records.tags_of(c)]
    if len(tagged) != 1:
        job.problem = f"{len(tagged) or 'no'} cell{'s are' * (len(tagged) > 1)} tagged 'parameters'; exactly one has to be"
        return job
    job.defaults = parameters_in(records.source_of(tagged[0]))
    for name in parameters:
        if name not in job.defaults:
            raise BookError(f"Chapter {chapter.number} has no parameter {name!r}.{_near(name, job.defaults)}")
    job.key = key(chapter, cells, target, parameters, job.defaults)
    return job


def parameters_in(source: str) -> dict:
    """The names that a parameters cell assigns, with their values where these are literals."""
    found = {}
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return found
    for statement in statements:
        names = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for name in names:
            if isinstance(name, ast.Name):
                try:
                    found[name.id] = ast.literal_eval(statement.value)
                except (ValueError, TypeError):
                    found[name.id] = None
    return found


def _select(selector: str, every: list[Chapter]) -> list[Chapter]:
    if found := re.fullmatch(r"(\d+)(?:-(\d+))?", selector):
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            raise BookError(f"The range {selector} is empty; write {last}-{first}.")
        chosen = [c for c in every if first <= c.number <= last]
    else:
        chosen = [c for c in every if selector.lower() in c.stem.lower() or selector.lower() in c.title.lower()]
    if not chosen:
        raise BookError(f"There is no chapter {selector!r}.{_near(selector, [c.stem for c in every])}")
    return chosen


def _near(name: str, known) -> str:
    """A hint: the nearest of the known names, or all of them."""
    known = list(known)
    words = {word: k for k in known for word in (k, *k.split("_"))}
    near = difflib.get_close_matches(name, words, 1, 0.6)
    return f" Did you mean {words[near[0]]!r}?" if near else f" There are: {', '.join(known) or 'none'}."


def _plain(value, text: str):
    """What JSON and a notebook can hold: dates and "ROMEO:" stay text; 1e-3, which YAML reads as text, becomes a number."""
    if isinstance(value, dict) and not text.lstrip().startswith("{"):
        return text
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    try:
        json.dumps(value)
        return value
    except TypeError:
        return text


def _json(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None

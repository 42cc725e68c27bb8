"""The key of a run: what results depend on makes it another one, what they do not depend on leaves it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from utils import targets
from utils.book import key, plan, records

CELL = """from utils import claim, show
from utils.embedded import scenes as drawn
model = f"embedded/{name}"
reviews = drawn.load("scenes-detr")
"""
FILES = {
    "utils/__init__.py": "from utils.claims import claim\n",
    "utils/claims.py": '"""Claims."""\n\nLIMIT = 3\n',
    "utils/show/__init__.py": "from . import curves\n",
    "utils/show/curves.py": "def curve():\n    from utils import palette\n    return palette\n",
    "utils/palette.py": "BLUE = 1\n",
    "utils/layers.py": "WIDTH = 2\n",
    "utils/embedded/__init__.py": "",
    "utils/embedded/scenes.py": 'from utils.embedded import digits\n# drawn\nT = ROOT / "texts" / "people"\n',
    "utils/embedded/digits.py": "def known():\n    import json\n",
    "utils/embedded/plates.py": 'CARD = "embedded/plates-segformer"\n',
    "utils/book/recipes.py": "STEPS = 5\n",
    "data/models/scenes-detr/model.safetensors": "weights",
    "data/models/scenes-detr/config.json": "{}",
    "data/models/scenes-detr/recipe.py": "from utils.book import recipes\n",
    "data/models/scenes-detr/README.md": "A card.",
    "data/models/plates-segformer/model.safetensors": "weights",
    "data/models/tapas/tokenizer/vocab.txt": "words",
    "data/models/SHA256SUMS": "sums",
    "data/texts/people/de.txt": "Sätze",
    "data/texts/reviews.jsonl": "{}",
    "data/texts/README.md": "Origin.",
    "chapters/90_own.checks.py": "from utils.layers import WIDTH\n",
    "chapters/90_own.quiz.yml": "[]",
    "chapters/mine.csv": "text,label\n",
    "package-lock.json": '{"packages": {"d3": 5}}',
    "requirements.lock": "rich==15.0.0 \\\n    --hash=sha256:00\n",
    "pyproject.toml": '[project]\ndependencies = ["torch==2.13.0"]\n',
}


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A small book; `book(**given)` is the key of its chapter with these parameters."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(key, "CODE", tmp_path / "utils")
    monkeypatch.setattr(key, "ROOT", tmp_path)
    chapter = records.Chapter(90, tmp_path / "chapters" / "90_own.ipynb", "90_own", "Own")

    def now(source: str = CELL, target=None, **given) -> str:
        key._installed.cache_clear()
        cells = [{"cell_type": "code", "source": source, "metadata": {}}]
        return key.key(chapter, cells, target or targets.load("cpu"), given, {"name": "", "keep": ""})

    yield now
    key._installed.cache_clear()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("utils/claims.py", '"""Claims."""\n\nLIMIT = 4\n'),
        ("utils/show/curves.py", "def curve():\n    from utils import palette\n    return palette.BLUE\n"),
        ("utils/palette.py", "BLUE = 2\n"),  # imported inside a function of an imported module
        ("utils/embedded/digits.py", "def known():\n    import ast\n"),
        ("utils/layers.py", "WIDTH = 3\n"),  # the judge of an exercise imports it
        ("data/models/scenes-detr/model.safetensors", "other weights"),
        ("data/models/scenes-detr/config.json", '{"layers": 2}'),
        ("data/texts/people/de.txt", "andere Sätze"),  # an imported module names it
        ("chapters/90_own.checks.py", "from utils.layers import WIDTH as W\n"),
        ("chapters/90_own.quiz.yml", "[1]"),
        ("requirements.lock", "numpy==2.0.0 \\\n    --hash=sha256:00\n"),
        ("package-lock.json", '{"packages": {"d3": 6}}'),
    ],
)
def test_what_a_chapter_depends_on_makes_another_key(book, tmp_path, file, text):
    before = book()
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert book() != before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("data/models/scenes-detr/recipe.py", "# longer\nfrom utils.book import recipes\n"),
        ("data/models/scenes-detr/README.md", "Another card."),
        ("data/models/plates-segformer/model.safetensors", "weights of another chapter"),
        ("data/models/tapas/tokenizer/vocab.txt", "other words"),
        ("data/models/SHA256SUMS", "other sums"),
        ("data/texts/reviews.jsonl", '{"text": "another chapter\'s"}'),
        ("data/texts/README.md", "Where from."),
        ("utils/embedded/plates.py", "CARD = 0\n"),
        ("utils/book/recipes.py", "STEPS = 6\n"),
        (
            "utils/embedded/scenes.py",
            FILES["utils/embedded/scenes.py"].replace("# drawn", "# drawn anew,\n# and explained"),
        ),
        ("requirements.lock", "rich==15.0.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n"),
        ("chapters/91_other.ipynb", "{}"),
    ],
)
def test_what_it_does_not_depend_on_leaves_the_key(book, tmp_path, file, text):
    before = book()
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert book() == before


def test_an_asset_that_a_parameter_names_counts_and_so_does_the_parameter(book, tmp_path):
    plain, named = book(), book(name="embedded/tapas")
    assert plain != named
    (tmp_path / "data/models/tapas/tokenizer/vocab.txt").write_text("other words", encoding="utf-8")
    assert book() == plain and book(name="embedded/tapas") != named


@pytest.mark.parametrize("given", ["mine.csv", "chapters/mine.csv", "absolute", "folder"])
def test_the_content_of_a_readers_file_counts(book, tmp_path, given):
    file = tmp_path / "chapters" / "mine.csv"
    value = {"absolute": str(file), "folder": str(tmp_path / "chapters")}.get(given, given)
    before, without = book(keep=value), book()
    file.write_text("text,label\none,1\n", encoding="utf-8")
    assert book(keep=value) != before and book() == without


@pytest.mark.parametrize("change", [{"device": "mps"}, {"dtype": "float16"}, {"network": True}, {"threads": 2}])
def test_hardware_and_threads_count(book, change):
    target = targets.load("cpu")
    assert book(target=dataclasses.replace(target, **change)) != book()
    assert book(target=dataclasses.replace(target, summary="other", timeout=9, memory_gb=9)) == book()


def test_what_is_installed_counts(book, monkeypatch):
    before = book()
    monkeypatch.setattr(key.metadata, "version", lambda name: "99")
    after = book()
    monkeypatch.setattr(key.platform, "python_version", lambda: "3.12.99")
    assert len({before, after, book()}) == 3


def test_a_readers_file_under_another_name_counts_and_much_data_is_not_read(book, tmp_path, monkeypatch):
    for name in ("neg/1.txt", "pos/2.txt"):
        (tmp_path / "films" / name).parent.mkdir(parents=True)
        (tmp_path / "films" / name).write_text(name, encoding="utf-8")
    keys = [book(keep="films")]
    (tmp_path / "films/neg/1.txt").rename(tmp_path / "films/pos/1.txt")  # the class is the folder
    keys.append(book(keep="films"))
    monkeypatch.setattr(key, "MUCH", 3)
    keys.append(book(keep="films"))
    monkeypatch.setattr(key, "_hash_at", None)
    monkeypatch.setattr(key, "_hash", lambda path: pytest.fail("read") if "films" in path.parts else "")
    (tmp_path / "films/pos/1.txt").write_text("longer than before", encoding="utf-8")
    keys.append(book(keep="films"))
    assert len(set(keys)) == 4


@pytest.mark.parametrize("value", ["~nobody-of-this-name/x", "a\0b", "/", "x" * 5000, " "])
def test_a_text_that_names_no_file_does_no_harm(book, value):
    assert book(keep=value) != book()


def test_a_cell_that_python_cannot_read_makes_everything_count(book, tmp_path):
    strange = "%%bash\nfor x in 1 2; do echo $x; done"
    before = book(strange)
    (tmp_path / "data/models/tapas/tokenizer/vocab.txt").write_text("other words", encoding="utf-8")
    after = book(strange)
    (tmp_path / "utils/embedded/plates.py").write_text("CARD = 0\n", encoding="utf-8")
    assert len({before, after, book(strange)}) == 3
    magic = "%matplotlib inline\n" + CELL
    before = book(magic)
    (tmp_path / "utils/embedded/plates.py").write_text("CARD = 1\n", encoding="utf-8")
    assert book(magic) == before, "a line of magic does not make everything count"


def test_the_real_chapters_know_their_modules_and_models():
    """Of the book itself: chapter 11 depends on TAPAS and its questions, not on pictures."""
    [job] = plan.jobs(plan.choose(["11"]), targets.load("cpu"), {})
    readings = [key.read(source) for source in _cells(job.chapter.path)]
    modules = key.imported(readings)
    names = {p.relative_to(key.CODE).as_posix() for p in modules}
    assert {"tapas.py", "layers.py", "embedded/table_questions.py", "show/attention.py"} <= names
    assert not {"embedded/scenes.py", "own_pictures.py", "tabular.py"} & names
    assert not [n for n in names if n.startswith("book/")]
    strings = frozenset().union(*(r.strings for r in readings))
    folders = {p.relative_to(key.ROOT / "data").parts[1] for p in key.assets(strings)}
    assert {"tapas", "tapas-facts"} <= folders and "digits-cnn" not in folders


def _cells(path: Path) -> list[str]:
    import json

    content = json.loads(path.read_text(encoding="utf-8"))
    return [records.source_of(c) for c in content["cells"] if c["cell_type"] == "code"]

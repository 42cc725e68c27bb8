"""Every chapter keeps the book's rules. Each rule is a function that lists what is wrong, and is itself tested on a bad notebook."""

from __future__ import annotations

import ast
import json
import re
import shutil
import warnings

import nbformat
import pytest

from utils import ROOT, exercises, targets
from utils.book import plan, records
from utils.book.accept import TAG, calls, lines
from utils.quizzes import questions

CHAPTERS = {c.stem: c for c in records.chapters()}
LONGEST, FAR_TOO_LONG = 15, 25  # lines of a code cell: the style, and what fails


class Notebook:
    """A chapter's notebook, and short ways to its parts."""

    def __init__(self, number: int, content: dict):
        self.number, self.content = number, content
        self.cells = list(enumerate(content["cells"], 1))
        self.code = [(n, c, records.source_of(c)) for n, c in self.cells if c["cell_type"] == "code"]
        self.markdown = [(n, records.source_of(c)) for n, c in self.cells if c["cell_type"] == "markdown"]

    def calls(self, *names):
        """(cell number, cell, call) for every call of these functions."""
        return [(n, cell, call) for n, cell, source in self.code for call in calls(source, set(names))]


def prose(text: str) -> str:
    """Markdown without its code."""
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)


def is_valid(notebook):
    ids = [c.get("id") for _, c in notebook.cells]
    if None in ids or len(set(ids)) < len(ids):
        yield "every cell needs an id of its own"
    else:
        try:
            nbformat.validate(nbformat.from_dict(notebook.content))
        except nbformat.ValidationError as error:
            yield str(error).splitlines()[0]
    if notebook.content["metadata"].get("kernelspec", {}).get("name") != "python3":
        yield "the kernel spec has to be python3"


def has_one_title_and_no_skipped_heading(notebook):
    levels = []
    for number, text in notebook.markdown:
        for marks, _ in re.findall(r"^(#{1,6}) +(.+)$", prose(text), re.MULTILINE):
            if levels and len(marks) > levels[-1] + 1:
                yield f"cell {number}: heading level {len(marks)} follows level {levels[-1]}"
            levels.append(len(marks))
    if levels.count(1) != 1 or levels[0] != 1:
        yield f"the first heading, and no other, has to be an H1; there are {levels.count(1)}"
    if not notebook.markdown or notebook.markdown[0][0] != 1:
        yield "the first cell has to be the title"


def has_parameters_and_opens_itself(notebook):
    tagged = [source for _, cell, source in notebook.code if "parameters" in records.tags_of(cell)]
    if len(tagged) != 1:
        yield f"{len(tagged)} cells are tagged 'parameters'"
    elif plan.parameters_in(tagged[0]).get("target") != "cpu" or plan.parameters_in(tagged[0]).get("seed") != 0:
        yield 'the parameters cell has to set target = "cpu" and seed = 0'
    opened = [call.args[0].value for *_, call in notebook.calls("open_chapter") if call.args]
    if opened != [notebook.number]:
        yield f"open_chapter has to be called once, with {notebook.number}; found {opened}"


def has_ten_claims_of_its_own(notebook):
    ids = [ast.literal_eval(call.args[0]) if isinstance(call.args[0], ast.Constant) else "" for *_, call in notebook.calls("claim")]
    if len(set(ids)) < 10:
        yield f"at least ten claims are needed; there are {len(set(ids))}"
    for id in ids:
        if not str(id).startswith(f"{notebook.number}."):
            yield f"the claim id {id!r} has to be written out and begin with {notebook.number}."
        if ids.count(id) > 1:
            yield f"the claim id {id!r} is used twice"


def stores_the_reference_and_nothing_else(notebook):
    for number, cell, call in notebook.calls("claim", "check"):
        id = call.args[0].value if isinstance(call.args[0], ast.Constant) else "?"
        if TAG not in records.tags_of(cell):
            yield f"cell {number} claims or checks {id} without the tag {TAG}; run: book accept {notebook.number}"
        elif not any(line.startswith("✓") and id in line for line in lines(cell["outputs"])):
            yield f"cell {number} has no stored ✓ line of {id}; run: book accept {notebook.number}"
        elif cell["execution_count"] is None:
            yield f"cell {number} has no execution count, so nbval would not compare it; run: book accept {notebook.number}"
    for number, cell, _ in notebook.code:
        if TAG not in records.tags_of(cell) and (cell["outputs"] or cell["execution_count"]):
            yield f"cell {number} stores outputs, and only claim and exercise cells may; run: book accept {notebook.number}"
        if any(o["output_type"] == "error" for o in cell["outputs"]):
            yield f"cell {number} stores an error"
        if [key for o in cell["outputs"] for key in o.get("data", {}) if key != "text/plain"]:
            yield f"cell {number} stores more than text; run: book accept {notebook.number}"


def describes_its_figures(notebook):
    for number, _, source in notebook.code:
        for call in ast.walk(tree(source)):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)):
                continue
            name = f"{call.func.value.id}.{call.func.attr}"
            alt = next((k.value for k in call.keywords if k.arg == "alt"), None)
            if name == "show.figure" and (alt is None or (isinstance(alt, ast.Constant) and len(str(alt.value)) < 15)):
                yield f"cell {number}: show.figure needs alt=, a sentence that says what there is to see"
            if name == "plt.show":
                yield f"cell {number}: plt.show() leaves a picture without alt text; use show.figure"


def leaves_out_what_does_not_belong(notebook):
    forbidden = {
        r"\bpip3? install|%pip|\bconda install": "installs something",
        r"from [\w.]+ import \*": "imports *",
        r"warnings\.(filterwarnings|simplefilter)\(": "filters warnings for everything after it",
        r"^\s*(import|from) (requests|httpx|urllib\.request|aiohttp)\b|!\s*(wget|curl)\b": "uses the network",
        r"""["'](/(home|root|Users|tmp|content|usr|mnt|work|kaggle)/|[A-Za-z]:[\\/])""": "has an absolute path",
        r"except( Exception)?:\s*\n?\s*pass\b": "hides an error",
    }
    for number, _, source in notebook.code:
        for pattern, what in forbidden.items():
            if re.search(pattern, source, re.MULTILINE) and not (what.startswith("filters") and "catch_warnings" in source):
                yield f"cell {number} {what}"
    for number, text in notebook.markdown:
        if re.search(r"^(```|:::)\{|(?<!`)\{[a-z:-]+\}`", text, re.MULTILINE):
            yield f"cell {number} uses MyST, which JupyterLab does not show"
        if re.search(r"!\[[^\]]*\]\(https?:|<(img|script|iframe)[^>]+src=.?https?:", text):
            yield f"cell {number} shows something from another site"
        if re.search(r"!\[\s*\]\(", text):
            yield f"cell {number} has a picture without alt text"


def has_short_cells(notebook):
    for number, cell, source in notebook.code:
        body = [line for line in source.splitlines() if line.strip()]
        free = "exercise" in records.tags_of(cell) or any(isinstance(n, ast.ClassDef) for n in ast.walk(tree(source)))
        if len(body) > FAR_TOO_LONG and not free:
            yield f"cell {number} has {len(body)} lines; {LONGEST} are the aim"
        elif len(body) > LONGEST and not free:
            warnings.warn(f"chapter {notebook.number}, cell {number}: {len(body)} lines, {LONGEST} are the aim", stacklevel=2)


def has_five_exercises(notebook):
    cells = [(n, cell, source) for n, cell, source in notebook.code if "exercise" in records.tags_of(cell)]
    if len(cells) < 5:
        yield f"at least five exercises are needed; there are {len(cells)}"
    headings = " ".join(re.findall(r"^### Exercise (\d+\.\d+)", "\n".join(text for _, text in notebook.markdown), re.MULTILINE))
    for number, cell, source in cells:
        ids = [call.args[0].value for call in calls(source, {"check"})]
        if len(ids) != 1 or not re.fullmatch(rf"{notebook.number}\.\d+", ids[0]):
            yield f"cell {number} has to end with one check of an exercise of this chapter; it checks {ids}"
        elif ids[0] not in headings.split():
            yield f"exercise {ids[0]} has no heading '### Exercise {ids[0]} …'"
        if source.count("### BEGIN SOLUTION") != 1 or source.count("### END SOLUTION") != 1:
            yield f"cell {number} needs one ### BEGIN SOLUTION and one ### END SOLUTION"
        if "hide-input" not in records.tags_of(cell) or not cell["metadata"].get("jupyter", {}).get("source_hidden"):
            yield f"cell {number}: the solution has to stand collapsed (tag hide-input, jupyter.source_hidden)"


def tree(source: str) -> ast.AST:
    """A cell's syntax tree, without lines of IPython magic."""
    return ast.parse("\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()))


RULES = [
    is_valid,
    has_one_title_and_no_skipped_heading,
    has_parameters_and_opens_itself,
    has_ten_claims_of_its_own,
    stores_the_reference_and_nothing_else,
    describes_its_figures,
    leaves_out_what_does_not_belong,
    has_short_cells,
    has_five_exercises,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_chapter(chapter, rule):
    path = CHAPTERS[chapter].path
    wrong = list(rule(Notebook(CHAPTERS[chapter].number, json.loads(path.read_text(encoding="utf-8")))))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_quiz_has_six_questions_with_a_reason_for_every_choice(chapter):
    number = CHAPTERS[chapter].number
    assert len(questions(number)) >= 6
    notebook = Notebook(number, json.loads(CHAPTERS[chapter].path.read_text(encoding="utf-8")))
    assert [call.args[0].value for *_, call in notebook.calls("quiz")] == [number]


# Runs in a process of its own: reads [imports, {id: [solution, stub]}] and answers {id: [verdict, verdict]}.
JUDGE = """
import json, sys
from utils import exercises
imports, tasks = json.load(sys.stdin)
sys.stdout, answers = sys.stderr, sys.stdout
def verdict(source):
    found = {}
    space = {"__name__": "__main__"}
    exec(imports, space)
    space["check"] = lambda id, answer: found.update({id: exercises.grade(id, answer)})
    try:
        exec(source, space)
    except Exception as error:
        return f"stopped before the check: {type(error).__name__}: {error}"
    return next(iter(found.values()), "nothing was checked")
json.dump({id: [verdict(s) for s in sources] for id, sources in tasks.items()}, answers)
"""


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_solution_passes_and_every_stub_fails_in_a_sentence(chapter, warm):
    number = CHAPTERS[chapter].number
    notebook = Notebook(number, json.loads(CHAPTERS[chapter].path.read_text(encoding="utf-8")))
    imports = [s for _, _, s in notebook.code if all(isinstance(n, ast.Import | ast.ImportFrom) for n in tree(s).body)]
    tasks = {
        calls(source, {"check"})[0].args[0].value: [source, exercises.stub(source)]
        for _, cell, source in notebook.code
        if "exercise" in records.tags_of(cell)
    }
    verdicts = judge(warm, "\n".join(imports), tasks)
    for id, (solution, stub) in verdicts.items():
        assert solution is None, f"exercise {id}: the solution is judged wrong: {solution}"
        assert stub and re.search(r"no answer yet|returns nothing yet", stub), f"exercise {id}: its stub is judged: {stub}"
    assert set(verdicts) == set(exercises.load(number)), "exercises and judges have to be the same"


def judge(warm, imports: str, tasks: dict, root=ROOT) -> dict:
    """What the chapter's judges say about solution and stub of each exercise."""
    done = warm.run(JUDGE, cwd=root / "chapters", text=json.dumps([imports, tasks]), BOOK_ROOT=str(root))
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def bad_notebook() -> Notebook:
    """A notebook that breaks every rule."""

    def code(source, **more):
        return {"cell_type": "code", "id": "same", "metadata": {}, "outputs": [], "execution_count": None, "source": source, **more}

    error = {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
    cells = [
        code("from torch import *"),
        {"cell_type": "markdown", "id": "same", "metadata": {}, "source": "## Too low\n\n#### Far too low"},
        code('claim("5.1-elsewhere", 1, "…")'),
        code("show.figure(fig)"),
        code("\n".join(f"a{i} = {i}" for i in range(FAR_TOO_LONG + 1))),
        code('open("/home/me/data.csv")', outputs=[error], execution_count=7),
        code("def f(): pass", metadata={"tags": ["exercise"]}),
    ]
    return Notebook(4, {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_bad_notebook_breaks_the_rule(rule):
    assert list(rule(bad_notebook()))


def test_wrong_solutions_are_noticed(warm, tmp_path):
    (tmp_path / "chapters").mkdir()
    shutil.copy(ROOT / "tests" / "fixtures" / "notebooks" / "90_good.checks.py", tmp_path / "chapters")
    answers = ["lambda n: 2 * n", "lambda n: n", "lambda n: unknown", "None"]
    verdicts = judge(warm, "from utils import check", {a: [f"check('90.1', {a})"] for a in answers}, tmp_path)
    assert verdicts[answers[0]] == [None]
    assert verdicts[answers[1]] == ["for 3 it gives 3, not 6."]
    assert "NameError" in verdicts[answers[2]][0] and "no answer yet" in verdicts[answers[3]][0]


@pytest.mark.parametrize("target", targets.names())
def test_a_target_sets_only_parameters_that_its_chapters_have(target):
    jobs = plan.jobs(list(CHAPTERS.values()), targets.load(target), {})  # BookError names a parameter that is not there
    assert [job.problem for job in jobs] == [None] * len(CHAPTERS)

"""check(), hint(), quiz(): answers at once, in a sentence; the student's stub comes from the solution."""

import re

import pytest

from utils import exercises
from utils.exercises import check, exercise, grade, hint, stub
from utils.quizzes import Quiz, questions, quiz


@pytest.fixture(autouse=True)
def one_chapter(tmp_path, monkeypatch):
    (tmp_path / "41_sums.checks.py").write_text(
        "from utils.exercises import exercise\n"
        "@exercise('41.1', hints=('Think of +.', 'Two numbers, one sign.', 'Return a + b.'))\n"
        "def add(answer):\n"
        "    return None if answer(2, 3) == 5 else f'for 2 and 3 it gives {answer(2, 3)}, it should give 5.'\n",
        encoding="utf-8",
    )
    (tmp_path / "41_sums.quiz.yml").write_text(
        "- question: What is `2 < 3`?\n  choices:\n"
        "  - {text: '**True**', correct: true, why: Two comes first.}\n"
        "  - {text: 'False & co', why: 'It is <b>smaller</b>.'}\n"
        "  - {text: 'None', why: Comparisons give booleans.}\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(exercises, "CHAPTERS", tmp_path)
    monkeypatch.setattr("utils.quizzes.CHAPTERS", tmp_path)
    monkeypatch.setattr(exercises, "_exercises", {})
    return tmp_path


def test_a_right_answer_is_right(capsys):
    check("41.1", lambda a, b: a + b)
    assert capsys.readouterr().out == "✓ Exercise 41.1 is right.\n"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda a, b: a * b, "for 2 and 3 it gives 6"),
        (lambda a: a, "TypeError"),
        (lambda a, b: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda a, b: None + 1, "returns nothing yet"),
        (None, "no answer yet"),
        (..., "no answer yet"),
        (5, "function itself, not int"),
    ],
)
def test_a_wrong_answer_is_told_in_one_sentence(capsys, answer, says):
    check("41.1", answer)
    out = capsys.readouterr().out
    assert out.startswith("✗ Exercise 41.1: ") and says in out and out.count("\n") == 1


def test_hints_come_in_three_steps_and_the_last_one_stays(capsys):
    for _ in range(4):
        hint("41.1")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Hint 1 of 3: Think of +." and lines[2] == lines[3] == "Hint 3 of 3: Return a + b."


@pytest.mark.parametrize(("id", "says"), [("41.2", "did you mean '41.1'"), ("99.1", "no exercises"), ("one", "like '1.2'")])
def test_an_unknown_exercise_names_the_nearest(id, says):
    with pytest.raises(ValueError, match=says):
        grade(id, lambda: None)


def test_an_exercise_has_three_hints():
    with pytest.raises(ValueError, match="three hints"):
        exercise("41.9", hints=("one",))


def test_the_stub_keeps_everything_but_the_solution():
    cell = (
        "def add(a, b):\n    ### BEGIN SOLUTION\n    total = a + b\n    return total\n    ### END SOLUTION\n\n"
        "def twice(a):\n    ### BEGIN SOLUTION\n    return 2 * a\n    ### END SOLUTION\ncheck('41.1', add)"
    )
    assert stub(cell) == (
        "def add(a, b):\n    ...  # your code here\n\ndef twice(a):\n    ...  # your code here\ncheck('41.1', add)"
    )
    space: dict = {"check": lambda *_: None}
    exec(stub(cell), space)
    assert "returns nothing" in grade("41.1", space["add"]) or "it gives None" in grade("41.1", space["add"])


def test_a_solution_without_an_end_is_refused():
    with pytest.raises(ValueError, match="END SOLUTION"):
        stub("### BEGIN SOLUTION\nx = 1")


def test_a_quiz_is_html_with_one_group_a_question_and_a_reason_a_choice():
    page = quiz(41)._repr_html_()
    assert page.count('type="radio"') == page.count('class="why"') == 3 and page.count("<fieldset>") == 1
    assert len(set(re.findall(r'name="([^"]+)"', page))) == 1 and "<script" not in page
    assert "<code>2 &lt; 3</code>" in page and "<strong>True</strong>" in page and "&lt;b&gt;smaller" in page
    assert page == Quiz(41)._repr_html_(), "the order of the choices has to be the same every time"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- question: Q\n  choices: [{text: a, why: b}]\n", "at least three"),
        ("- question: Q\n  choices: [{text: a, why: b}, {text: c, why: d}, {text: e, why: f}]\n", "exactly one"),
        ("- question: Q\n  choices: [{text: a, why: b, correct: true}, {text: c}, {text: e, why: f}]\n", "'why'"),
    ],
)
def test_a_malformed_quiz_names_file_and_question(one_chapter, text, says):
    (one_chapter / "41_sums.quiz.yml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"41_sums.quiz.yml, question 1.*{says}"):
        questions(41)


def test_a_chapter_without_a_quiz_says_so():
    with pytest.raises(ValueError, match="chapter 40 has no quiz"):
        quiz(40)

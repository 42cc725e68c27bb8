"""check() and hint(): answers to a chapter's exercises, judged at once and offline.

Imported by chapters. The judges of chapter 4 stand beside it in `chapters/04_….checks.py`; the solution in the
chapter is the only source, and `stub()` derives the student's cell from it.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass

from utils import ROOT

CHAPTERS = ROOT / "chapters"
PLACEHOLDER = "...  # your code here"
_SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION[ \t]*$", re.DOTALL | re.MULTILINE)


@dataclass
class Exercise:
    """One exercise: three hints, from a nudge to nearly the answer, and the judge."""

    id: str
    hints: tuple[str, str, str]
    judge: Callable  # (answer) -> what is wrong, in one sentence, or None
    shown: int = 0


_exercises: dict[str, Exercise] = {}


def exercise(id: str, *, hints: tuple[str, str, str]):
    """Register the decorated function as the judge of exercise `id` (used in `chapters/*.checks.py`).

    The judge takes the student's answer (a function) and returns None when it is right, otherwise one
    sentence that says what is wrong and for which input.
    """
    if len(hints) != 3:
        raise ValueError(f"exercise {id} needs three hints, it has {len(hints)}")

    def register(judge):
        _exercises[id] = Exercise(id, tuple(hints), judge)
        return judge

    return register


def check(id: str, answer) -> None:
    """Say whether `answer` solves exercise `id`, or in one sentence what is wrong with it."""
    wrong = grade(id, answer)
    print(f"✓ Exercise {id} is right." if wrong is None else f"✗ Exercise {id}: {wrong}")


def hint(id: str) -> None:
    """Print the next of the three hints for exercise `id`."""
    task = _find(id)
    task.shown = min(task.shown + 1, 3)
    print(f"Hint {task.shown} of 3: {task.hints[task.shown - 1]}")


def grade(id: str, answer) -> str | None:
    """What is wrong with the answer, in one sentence; None when it is right."""
    task = _find(id)
    if answer is None or answer is ...:
        return "there is no answer yet; write your code, run the cell again."
    if not callable(answer):
        return f"the answer has to be the function itself, not {type(answer).__name__}; pass its name without brackets."
    try:
        return task.judge(answer)
    except NotImplementedError:
        return "there is no answer yet; write your code, run the cell again."
    except Exception as error:  # whatever a student's code raises is an answer to be judged, not our failure
        if "NoneType" in str(error) or "ellipsis" in str(error):
            return "the function returns nothing yet; end it with a `return`."
        return f"it stops with {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"


def stub(source: str) -> str:
    """The student's version of a cell: everything between the solution marks replaced by a placeholder.

    >>> print(stub("def one():\\n    ### BEGIN SOLUTION\\n    return 1\\n    ### END SOLUTION"))
    def one():
        ...  # your code here
    """
    if source.count("### BEGIN SOLUTION") != source.count("### END SOLUTION"):
        raise ValueError("a '### BEGIN SOLUTION' has no '### END SOLUTION', or the other way round")
    return _SOLUTION.sub(lambda m: m.group(1) + PLACEHOLDER, source)


def load(chapter: int) -> dict[str, Exercise]:
    """The exercises of one chapter, from the file beside it."""
    found = sorted(CHAPTERS.glob(f"{chapter:02d}_*.checks.py"))
    if not found:
        raise ValueError(f"chapter {chapter} has no exercises (no chapters/{chapter:02d}_*.checks.py)")
    if not any(id.startswith(f"{chapter}.") for id in _exercises):
        spec = importlib.util.spec_from_file_location(f"checks_{chapter:02d}", found[0])
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return {id: task for id, task in _exercises.items() if id.startswith(f"{chapter}.")}


def _find(id: str) -> Exercise:
    chapter = str(id).partition(".")[0]
    if not chapter.isdigit():
        raise ValueError(f"an exercise is named by chapter and number, like '1.2', not {id!r}")
    tasks = load(int(chapter))
    if id not in tasks:
        near = difflib.get_close_matches(id, tasks, 1)
        raise ValueError(f"there is no exercise {id!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return tasks[id]

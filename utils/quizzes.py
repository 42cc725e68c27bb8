"""quiz(): a chapter's own questions, with a reason for every choice.

Imported by chapters. The questions stand beside the chapter in `chapters/04_….quiz.yml`. The output is HTML and CSS
alone: radio buttons show their reason when chosen, so it works in JupyterLab, on the static page, by keyboard, and
without JavaScript.
"""

from __future__ import annotations

import html
import random

from utils import ROOT

CHAPTERS = ROOT / "chapters"
_STYLE = """
.quiz{max-width:46em;counter-reset:right}
.quiz fieldset{border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-radius:6px;margin:0 0 1em;padding:.6em 1em}
.quiz legend{font-weight:600;padding:0 .3em;float:none;width:auto;font-size:1em;margin:0}
.quiz .choice{margin:.3em 0}
.quiz label{cursor:pointer;display:inline}
.quiz input{margin:0 .5em 0 0;accent-color:#0072B2}
.quiz input:focus-visible{outline:3px solid #0072B2;outline-offset:2px}
.quiz .why{display:none;margin:.15em 0 .5em 1.6em;padding:.2em .7em;border-left:4px solid #c2410c}
.quiz .right~.why{border-color:#1b7f5c}
.quiz input:checked~.why{display:block}
.quiz input.right:checked{counter-increment:right}
.quiz .score::after{content:counter(right) " of " attr(data-total) " right"}
"""


def questions(chapter: int) -> list[dict]:
    """The questions of one chapter, checked: text, at least three choices, one of them correct, each with a reason."""
    import yaml

    found = sorted(CHAPTERS.glob(f"{chapter:02d}_*.quiz.yml"))
    if not found:
        raise ValueError(f"chapter {chapter} has no quiz (no chapters/{chapter:02d}_*.quiz.yml)")
    asked = yaml.safe_load(found[0].read_text(encoding="utf-8"))
    for number, item in enumerate(asked, 1):
        where = f"{found[0].name}, question {number}"
        choices = item.get("choices", [])
        if "question" not in item or len(choices) < 3:
            raise ValueError(f"{where}: needs 'question' and at least three 'choices'")
        if sum(bool(c.get("correct")) for c in choices) != 1:
            raise ValueError(f"{where}: exactly one choice has to be 'correct: true'")
        if not all(c.get("text") and c.get("why") for c in choices):
            raise ValueError(f"{where}: every choice needs 'text' and 'why'")
    return asked


class Quiz:
    """What a notebook shows for quiz(n)."""

    def __init__(self, chapter: int):
        self.chapter, self.questions = chapter, questions(chapter)

    def __repr__(self) -> str:
        return f"Quiz of chapter {self.chapter}: {len(self.questions)} questions"

    def _repr_html_(self) -> str:
        body = "".join(self._question(n, item) for n, item in enumerate(self.questions, 1))
        return (
            f'<div class="quiz tex2jax_ignore"><style>{_STYLE}</style>{body}'
            f'<p><b class="score" role="status" data-total="{len(self.questions)}"></b></p></div>'
        )

    def _question(self, number: int, item: dict) -> str:
        choices = list(enumerate(item["choices"]))
        random.Random(f"{self.chapter}.{number}").shuffle(choices)  # the same order on every machine
        rows = []
        for index, choice in choices:
            name = f"quiz-{self.chapter}-{number}"
            kind, verdict = ("right", "Right.") if choice.get("correct") else ("wrong", "Not quite.")
            rows.append(
                f'<div class="choice"><input class="{kind}" type="radio" name="{name}" id="{name}-{index}" '
                f'aria-describedby="{name}-{index}-why"><label for="{name}-{index}">{_inline(choice["text"])}</label>'
                f'<div class="why" id="{name}-{index}-why"><b>{verdict}</b> {_inline(choice["why"])}</div></div>'
            )
        return f"<fieldset><legend>{number}. {_inline(item['question'])}</legend>{''.join(rows)}</fieldset>"


def quiz(chapter: int) -> Quiz:
    """The quiz of a chapter; as the last expression of a cell it shows itself."""
    return Quiz(chapter)


def _inline(text: str) -> str:
    """Markdown of one line (code, emphasis) as HTML; anything else is escaped."""
    from markdown_it import MarkdownIt

    return MarkdownIt("zero").enable(["backticks", "emphasis"]).renderInline(html.unescape(str(text)))

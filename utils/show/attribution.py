"""show.attribution: scores of tokens as colours. Imported by chapters."""

from __future__ import annotations

import html
from collections.abc import Sequence

_FOR, _AGAINST = (0, 114, 178), (213, 94, 0)  # blue and vermilion of Okabe and Ito: apart for colour-blind eyes too


def tokens(rows: Sequence[tuple[str, Sequence[str], Sequence[float]]], title: str) -> None:
    """Show rows of (name, tokens, scores): blue speaks for the prediction, orange against it.

    Each row is scaled by its own largest score, since methods have different units. The strongest tokens carry their
    number under them; every number stands in the tooltip and in the text alternative.
    title: what the scores explain. Raises ValueError when a row has more tokens than scores, or the other way round.
    """
    from IPython.display import display

    lines = [_row(*row) for row in rows]
    legend = f'<span style="{_colour(1)}">&nbsp;for&nbsp;</span> <span style="{_colour(-1)}">&nbsp;against&nbsp;</span> the prediction'
    body = "".join(
        f'<tr><th scope="row" style="text-align:left;vertical-align:top;line-height:2.5;white-space:nowrap;padding-right:1em">{html.escape(name)}</th>'
        f'<td style="text-align:left;line-height:2.5">{cells}</td></tr>'
        for name, cells, _ in lines
    )
    table = (
        f'<table class="attribution"><caption style="text-align:left;caption-side:top">{html.escape(title)} '
        f"(<small>{legend}</small>)</caption><tbody>{body}</tbody></table>"
    )
    plain = "\n".join([title, *(f"{name}: {text}" for name, _, text in lines)])
    display({"text/plain": plain, "text/html": table}, raw=True)


def _row(name: str, words: Sequence[str], scores: Sequence[float]) -> tuple[str, str, str]:
    scores = [float(s) for s in scores]
    if len(words) != len(scores):
        raise ValueError(f"the row {name!r} has {len(words)} tokens but {len(scores)} scores; give one score for each token")
    largest = max(map(abs, scores), default=0) or 1.0
    strongest = set(sorted(range(len(scores)), key=lambda i: -abs(scores[i]))[:3])
    cells = []
    for index, (word, score) in enumerate(zip(words, scores, strict=True)):
        number = f'<small aria-hidden="true" style="position:absolute;left:2px;top:100%;font-size:.65em;line-height:1">{score:+.2g}</small>'
        cells.append(
            f'<span title="{score:+.4f}" style="position:relative;display:inline-block;line-height:1.5;padding:0 2px;'
            f'border-radius:3px;{_colour(score / largest)}">{html.escape(word)}{number if index in strongest else ""}</span>'
        )
    return name, " ".join(cells), " ".join(f"{w}({s:+.2g})" for w, s in zip(words, scores, strict=True))


def _colour(share: float) -> str:
    """A see-through background, at most half opaque: the text keeps its own colour, in light and in dark mode."""
    red, green, blue = _FOR if share >= 0 else _AGAINST
    return f"background:rgba({red},{green},{blue},{0.5 * abs(share):.2f})"

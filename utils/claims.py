"""claim(): check a result against a bound and its control, show it, leave a machine-readable trace.

Imported by chapters. The command reads the trace back from executed notebooks by its MIME type.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev

MIME = "application/vnd.book.claim+json"


class ClaimFailed(AssertionError):
    """A claim does not hold: its value misses the bound, or its control reaches it."""


def claim(
    id: str,
    value: float | Sequence[float],
    says: str,
    *,
    control: tuple[str, float | Sequence[float]],
    at_least: float | None = None,
    at_most: float | None = None,
    between: tuple[float, float] | None = None,
    greater_than: float | None = None,
    published: tuple[float, str, str] | None = None,
    erratum: tuple[str, str] | None = None,
    seed_dependent: bool = False,
    unit: str = "",
) -> None:
    """Check that `value` keeps its bound while the control misses it, and show both.

    id: `<chapter>.<row>-<short-name>`, stable over time: "1.4-own-equals-torch".
    value: a number, or one number per seed; then every one of them has to keep the bound.
    says: the sentence that is claimed, without digits that differ between machines.
    control: (name, value) of what must NOT keep the bound, such as an untrained model.
    at_least, at_most, between, greater_than: exactly one of them, the bound.
    published: (value, source, data) of the number that a source reports for its own data.
    erratum: (source, what it prints) where the claim puts a printed statement right.
    seed_dependent: luck could decide; `book run --record` then keeps three seeds.
    unit: shown behind the value, for instance "s" or "%".

    Raises ClaimFailed naming id, value and bound; ValueError for a malformed claim.
    """
    chapter, _, rest = id.partition(".")
    if not (chapter.isdigit() and rest):
        raise ValueError(f"claim id {id!r} has to begin with chapter and row, like '1.4-own-equals-torch'")
    bound, keeps = _bound(id, at_least, at_most, between, greater_than)
    values, controls = _numbers(value), _numbers(control[1])
    if not values or not controls:
        raise ValueError(f"claim {id}: value and control each need at least one number")

    held, control_failed = all(map(keeps, values)), not any(map(keeps, controls))
    trace = {
        "id": id,
        "chapter": int(chapter),
        "says": says,
        "value": fmean(values),
        "values": values,
        "bound": bound,
        "control": {"name": control[0], "value": fmean(controls), "values": controls},
        "published": dict(zip(("value", "source", "data"), published, strict=True)) if published else None,
        "erratum": dict(zip(("source", "printed"), erratum, strict=True)) if erratum else None,
        "seed_dependent": seed_dependent,
        "unit": unit,
        "held": held and control_failed,
    }
    _publish(trace)
    if not held:
        raise ClaimFailed(f"claim {id}: {show_numbers(values)} is not {bound}. It should hold that: {says}")
    if not control_failed:
        raise ClaimFailed(
            f"claim {id}: the control “{control[0]}” reaches {show_numbers(controls)}, "
            f"which is {bound} too, so the claim shows nothing"
        )


def _bound(id, at_least, at_most, between, greater_than):
    """The bound in words, and the test that a value keeps it (never true for NaN)."""
    given = [b is not None for b in (at_least, at_most, between, greater_than)]
    if sum(given) != 1:
        raise ValueError(f"claim {id} needs exactly one of at_least, at_most, between, greater_than")
    if at_least is not None:
        return f"≥ {show_number(at_least)}", lambda v: v >= float(at_least)
    if at_most is not None:
        return f"≤ {show_number(at_most)}", lambda v: v <= float(at_most)
    if greater_than is not None:
        return f"> {show_number(greater_than)}", lambda v: v > float(greater_than)
    low, high = map(float, between)
    return f"between {show_number(low)} and {show_number(high)}", lambda v: low <= v <= high


def _numbers(value) -> list[float]:
    """One float per seed, whatever came: a number, a list, an array or a tensor."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [float(v) for v in value] if isinstance(value, Iterable) else [float(value)]


def show_number(value: float) -> str:
    """Three significant figures, and powers of ten where they help."""
    value = float(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.1e}"


def show_numbers(values: Sequence[float]) -> str:
    """One number as it is; several as mean ± standard deviation."""
    if len(values) == 1:
        return show_number(values[0])
    return f"{show_number(fmean(values))} ± {show_number(stdev(values))}"


def line(trace: dict) -> str:
    """The stable line that nbval compares: no number that a machine could change."""
    return f"{'✓' if trace['held'] else '✗'} {trace['id']} — {trace['says']}"


def _publish(trace: dict) -> None:
    try:
        from IPython import get_ipython

        notebook = get_ipython() is not None
    except ImportError:
        notebook = False
    if not notebook:
        print(line(trace))
        return
    from IPython.display import display

    display({"text/plain": line(trace), "text/html": as_html(trace), MIME: trace}, raw=True)


def as_html(trace: dict) -> str:
    """One readable line: the sentence, its value and bound, the control, the published number."""
    unit = f" {trace['unit']}" if trace["unit"] else ""
    held = trace["held"]
    parts = [
        f"<b>{show_numbers(trace['values'])}{html.escape(unit)}</b> {html.escape(trace['bound'])}",
        f"control, {html.escape(trace['control']['name'])}: "
        f"<b>{show_numbers(trace['control']['values'])}{html.escape(unit)}</b>",
    ]
    if trace["published"]:
        p = trace["published"]
        parts.append(
            f"published: <b>{show_number(p['value'])}</b> ({html.escape(p['source'])}, {html.escape(p['data'])})"
        )
    if trace["erratum"]:
        e = trace["erratum"]
        parts.append(f"puts right {html.escape(e['source'])}: {html.escape(e['printed'])}")
    colour = "#1b7f5c" if held else "#c2410c"
    return (
        f'<div class="claim" id="claim-{html.escape(trace["id"])}" style="border-left:4px solid {colour};'
        'padding:.35em .8em;margin:.4em 0;line-height:1.45">'
        f'<span style="color:{colour};font-weight:700">{"✓" if held else "✗"}</span> {html.escape(trace["says"])}'
        f'<br><small style="opacity:.85">{" · ".join(parts)} · <code>{html.escape(trace["id"])}</code></small></div>'
    )

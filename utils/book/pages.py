"""The generated parts of the site: numbers and cards of the landing page, the card of a chapter, results, errata.

Used by the Sphinx extension. Everything is HTML without blank lines (one CommonMark block), made from the records
and the claims in them: nothing here knows a result.
"""

from __future__ import annotations

import html
import json
import math
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from urllib.parse import quote, urlencode

from utils import ROOT, targets
from utils.book import plan, records
from utils.claims import show_number, show_numbers

BOOK_CHAPTERS = 17  # of the printed book


# ---------------------------------------------------------------- what is known


@dataclass(frozen=True)
class Entry:
    """One chapter: its notebook and the latest record of each target that it was run on."""

    number: int
    stem: str
    title: str
    path: Path
    runs: dict[str, dict]  # target -> record, the default target first

    @cached_property
    def cells(self) -> list[dict]:
        return json.loads(self.path.read_text(encoding="utf-8"))["cells"]

    @property
    def summary(self) -> str:
        """What the reader will build: the first paragraph under the title, as plain text."""
        return first_paragraph(records.source_of(self.cells[0])) if self.cells else ""

    @property
    def defaults(self) -> dict:
        """The parameters as they stand in the notebook."""
        tagged = [c for c in self.cells if "parameters" in records.tags_of(c)]
        return plan.parameters_in(records.source_of(tagged[0])) if tagged else {}

    @property
    def exercises(self) -> int:
        return sum("exercise" in records.tags_of(cell) for cell in self.cells)


def entries() -> list[Entry]:
    """All chapters there are, with their records."""
    found = []
    for chapter in records.chapters():
        runs = {name: record for name in targets.names() if (record := records.latest(name, chapter.number))}
        found.append(Entry(chapter.number, chapter.stem, chapter.title, Path(chapter.path), runs))
    return found


def first_paragraph(markdown: str) -> str:
    """The first paragraph below the title, without its markup."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(markdown)
    for opening, inline in pairwise(tokens):
        if opening.type == "paragraph_open":
            parts = (" " if t.type == "softbreak" else t.content for t in inline.children if t.type != "html_inline")
            return re.sub(r"\$([^$]+)\$", r"\1", "".join(parts))
    return ""


# ---------------------------------------------------------------- where the book is published


@dataclass(frozen=True)
class Repository:
    """Where a reader's cloud finds the book. Buttons exist only for what is known."""

    url: str = ""  # https://host/owner/name
    branch: str = "main"
    jupyterhub: str = ""

    def buttons(self, path: str) -> list[tuple[str, str]]:
        """(label, address) for the notebook at `path` inside the repository."""
        if not self.url:
            return []
        host, _, name = self.url.removeprefix("https://").partition("/")
        lab = quote(f"lab/tree/{path}", safe="")
        kind = {"github.com": f"gh/{name}", "gitlab.com": f"gl/{quote(name, safe='')}"}.get(host, f"git/{quote(self.url, safe='')}")
        found = [("Binder", f"https://mybinder.org/v2/{kind}/{quote(self.branch, safe='')}?urlpath={lab}")]
        if host == "github.com":
            found.insert(0, ("Colab", f"https://colab.research.google.com/github/{name}/blob/{self.branch}/{path}"))
        if self.jupyterhub:
            folder = name.rpartition("/")[2]
            query = urlencode({"repo": self.url, "branch": self.branch, "urlpath": f"lab/tree/{folder}/{path}"})
            found.append(("JupyterHub", f"{self.jupyterhub.rstrip('/')}/hub/user-redirect/git-pull?{query}"))
        return found


def repository(configured: str = "", branch: str = "main", jupyterhub: str = "", root: Path = ROOT) -> Repository:
    """The address set in `_config.yml`, else that of the clone's `origin` when it is on GitHub or GitLab, else none."""
    url = public_address(configured, any_host=True) or public_address(origin(root))
    return Repository(url, branch, jupyterhub)


def origin(root: Path) -> str:
    """What `git remote get-url origin` says; empty without git, clone or remote."""
    try:
        asked = subprocess.run(["git", "remote", "get-url", "origin"], cwd=root, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def public_address(remote: str, any_host: bool = False) -> str:
    """`https://host/owner/name` of an https or ssh address, without user, password and `.git`; empty for any other.

    >>> public_address("git@github.com:reader/book.git")
    'https://github.com/reader/book'
    >>> public_address("/home/reader/book")
    ''
    """
    match = re.fullmatch(r"(?:https://(?:[^@/]+@)?|ssh://(?:[^@/]+@)?|[\w.-]+@)([\w.-]+)[:/]([\w./-]+?)(?:\.git)?/?", remote.strip())
    if not match or "/" not in match[2] or not (any_host or match[1] in ("github.com", "gitlab.com")):
        return ""
    return f"https://{match[1]}/{match[2]}"


# ---------------------------------------------------------------- how numbers are written


def duration(seconds: float) -> str:
    """61.2 → '61 s', 200 → '3 min 20 s'."""
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60:02d} s"


def memory(megabytes: float) -> str:
    """1234 → '1.2 GB'."""
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def day(moment: str) -> str:
    """'2025-11-20T09:14:00+00:00' → '20 November 2025'."""
    when = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return f"{when.day} {when:%B %Y}"


def held(record: dict) -> tuple[int, int]:
    """(claims held, claims checked) of a record."""
    claims = record.get("claims") or []
    return sum(bool(c["held"]) for c in claims), len(claims)


def machine(record: dict) -> str:
    """The hardware of a record in words: 'x86_64, 2 cores, 1 thread, 8 GB'."""
    hardware = record.get("hardware") or {}
    cores, size, threads = hardware.get("cores"), hardware.get("memory_gb"), record.get("threads")
    accelerator = hardware.get("accelerator")
    parts = [
        hardware.get("processor") or hardware.get("machine"),
        f"{cores} core{'s' * (cores != 1)}" if cores else "",
        f"{threads} thread{'s' * (threads != 1)}" if threads else "",
        f"{size:.0f} GB" if size else "",
        accelerator if accelerator and accelerator != "none" else "",
    ]
    return ", ".join(str(p) for p in parts if p)


def _claims_text(record: dict) -> str:
    kept, total = held(record)
    if record.get("status") == "failed":
        return f"{kept} claims held before the run failed"
    return f"all {total} claims hold" if kept == total else f"{kept} of {total} claims hold"


# ---------------------------------------------------------------- landing page


def numbers(found: Sequence[Entry]) -> str:
    """What the default target's records add up to, as four figures."""
    runs = [e.runs["cpu"] for e in found if e.runs.get("cpu", {}).get("status") == "ok"]
    if not runs:
        return '<p class="book-none">No chapter has been run here yet: <code>python3 book.py build</code> runs them.</p>'
    kept, total = (sum(column) for column in zip(*map(held, runs), strict=True))
    cores = sorted({r.get("hardware", {}).get("cores") or 0 for r in runs})
    facts = [
        (f"{kept} of {total}", "claims hold, each beside a control that has to miss the same bound"),
        (duration(sum(r["seconds"] for r in runs)), f"to execute {_count(len(runs), 'chapter')}, one after the other"),
        (memory(max(r["peak_memory_mb"] for r in runs)), "of memory at the most"),
        (" or ".join(map(str, cores)), f"processor core{'s' * (cores != [1])}, no GPU, no network"),
    ]
    items = "".join(f"<div><dt>{html.escape(words)}</dt><dd>{html.escape(value)}</dd></div>" for value, words in facts)
    return f'<dl class="book-numbers">{items}</dl>'


def cards(found: Sequence[Entry]) -> str:
    """One card for each chapter, with what its records say."""
    made = []
    for entry in found:
        facts = [_run_fact(name, record) for name, record in entry.runs.items()] or ["<li>not run here yet</li>"]
        if entry.exercises:
            facts.append(f"<li>{_count(entry.exercises, 'exercise')} and a quiz</li>")
        made.append(
            f'<a class="book-card" href="../chapters/{entry.stem}.html"><span class="book-card-number">{entry.number}</span>'
            f'<span class="book-card-title">{html.escape(bare_title(entry.title))}</span>'
            f'<span class="book-card-text">{html.escape(shorten(entry.summary))}</span></a>'
            f'<ul class="book-card-facts">{"".join(facts)}</ul>'
        )
    rest = BOOK_CHAPTERS - len(found)
    note = (
        f'<p class="book-none">The printed book has {BOOK_CHAPTERS} chapters; {len(found)} are executable so far.</p>' if rest > 0 else ""
    )
    return f'<div class="book-cards">{"".join(f"<div>{card}</div>" for card in made)}</div>{note}'


def _run_fact(target: str, record: dict) -> str:
    kept, total = held(record)
    good = kept == total and record.get("status") == "ok"
    mark = f'<span class="{"good" if good else "bad"}" aria-hidden="true">{"✓" if good else "✗"}</span>'
    return f"<li>{mark} {_claims_text(record)} · {duration(record['seconds'])} on <code>{html.escape(target)}</code></li>"


def bare_title(title: str) -> str:
    """The title without a chapter number in front: the card has one already."""
    return re.sub(r"^(?:chapter\s+)?\d+\s*[.:–—·-]*\s+", "", title, flags=re.IGNORECASE)


def shorten(text: str, limit: int = 230) -> str:
    """Whole sentences up to `limit` characters; the first sentence in any case."""
    sentences = re.split(r"(?<=[.!?])\s+", text.strip())
    if len(sentences) > 1 and not re.search(r"[.!?]$", sentences[-1]):
        sentences.pop()  # it leads over to a list
    while len(sentences) > 1 and len(" ".join(sentences)) > limit:
        sentences.pop()
    return " ".join(sentences)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def attention(words: Sequence[str] = ("we", "make", "a", "claim", "and", "try", "to", "break", "it")) -> str:
    """The picture of the landing page: attention of each word to each other by sinusoidal positions alone.

    Computed here, as chapter 1 does with tensors: softmax of the scaled dot products of the position encodings
    (Vaswani et al. 2017, section 3.5). Points at a word with the mouse: the style sheet dims the others.
    """
    width = 16
    codes = [[f(p / 10_000 ** (2 * i / width)) for i in range(width // 2) for f in (math.sin, math.cos)] for p in range(len(words))]
    step, left, right = 38, 92, 308
    height = step * len(words) + 6
    rows = []
    for i, query in enumerate(codes):
        scores = [sum(a * b for a, b in zip(query, key, strict=True)) / math.sqrt(width) for key in codes]
        exponentials = [math.exp(3 * s) for s in scores]  # three times as sharp as one head: lines one can tell apart
        weights = [e / sum(exponentials) for e in exponentials]
        y = step * i + 25
        lines = "".join(
            f'<path d="M{left} {y - 5} C{left + 90} {y - 5} {right - 90} {step * j + 20} {right} {step * j + 20}" '
            f'stroke-opacity="{min(1, 0.1 + 2 * weight):.2f}" stroke-width="{0.7 + 7 * weight:.1f}"/>'
            for j, weight in enumerate(weights)
            if weight >= 0.05
        )
        rows.append(
            f'<g class="hue{i % 3}"><rect x="0" y="{y - 24}" width="{left}" height="{step}"/>'
            f'<text x="{left - 10}" y="{y}">{words[i]}</text>{lines}</g>'
        )
    targets_ = "".join(f'<text class="to" x="{right + 10}" y="{step * j + 25}">{word}</text>' for j, word in enumerate(words))
    label = "Two columns of words, each word on the left joined to those near it on the right by lines as thick as their attention."
    return f'<svg class="book-attention" viewBox="0 0 400 {height}" role="img" aria-label="{label}">{"".join(rows)}{targets_}</svg>'


# ---------------------------------------------------------------- chapter page


def chapter_card(entry: Entry, where: Repository, shown: str = "cpu") -> str:
    """What was run, on what, when, and how it ended; and how to get the notebook. `shown`: the target on the page."""
    rows = "".join(_run_row(name, record, name == shown) for name, record in entry.runs.items())
    table = (
        '<table class="book-runs"><thead><tr><th scope="col">target</th><th scope="col">claims</th><th scope="col">time</th>'
        f'<th scope="col">memory</th><th scope="col">hardware</th><th scope="col">last run</th></tr></thead><tbody>{rows}</tbody></table>'
        if rows
        else '<p class="book-none">This chapter has not been run here yet: <code>python3 book.py build</code> runs it.</p>'
    )
    record = entry.runs.get(shown) or next(iter(entry.runs.values()), {})
    first = ("python", "torch", "transformers")
    known = sorted(
        (record.get("versions") or {}).items(), key=lambda item: (first.index(item[0]) if item[0] in first else len(first), item)
    )
    details = [f"{html.escape(k)} {html.escape(str(v))}" for k, v in known if v]
    defaults = entry.defaults
    chosen = {k: v for k, v in (record.get("parameters") or {}).items() if k != "target" and v != defaults.get(k)}
    versions = f'<p class="book-versions">{" · ".join(details)}</p>' if details else ""
    if chosen:
        versions += f'<p class="book-versions">run with {html.escape(", ".join(f"{k}={v!r}" for k, v in chosen.items()))}</p>'
    links = [f'<a href="../_sources/chapters/{entry.stem}.ipynb" download="{entry.stem}.ipynb">Download notebook</a>']
    links += [
        f'<a href="{html.escape(address)}" rel="noopener">{label}</a>' for label, address in where.buttons(f"chapters/{entry.stem}.ipynb")
    ]
    return f'<aside class="book-chapter" aria-label="About this run">{table}{versions}<p class="book-buttons">{"".join(links)}</p></aside>'


def _run_row(target: str, record: dict, shown: bool) -> str:
    good = record.get("status") == "ok" and len(set(held(record))) == 1
    claims = f'<span class="{"good" if good else "bad"}" aria-hidden="true">{"✓" if good else "✗"}</span> {_claims_text(record)}'
    if failure := record.get("failure"):
        claims += f"<br><small>cell {failure.get('cell')}: {html.escape(str(failure.get('reason', ''))[:300])}</small>"
    cells = [
        ("claims", claims),
        ("time", duration(record["seconds"])),
        ("memory", memory(record["peak_memory_mb"]) if record.get("peak_memory_mb") else ""),
        ("hardware", html.escape(machine(record))),
        ("last run", f"<time datetime='{html.escape(record['finished'])}'>{day(record['finished'])}</time>"),
    ]
    body = "".join(f'<td data-label="{label}">{text}</td>' for label, text in cells)
    here = " <small>(this page)</small>" if shown else ""
    return f'<tr><th scope="row"><code>{html.escape(target)}</code>{here}</th>{body}</tr>'


# ---------------------------------------------------------------- results and errata


def results(found: Sequence[Entry]) -> str:
    """Every claim on every target that has a record, grouped by chapter, as Markdown headings and HTML tables."""
    links = "".join(f'<a href="#chapter-{e.number}">{e.number} {html.escape(bare_title(e.title))}</a>' for e in found)
    parts = [f'<nav class="book-jump" aria-label="Chapters">{links}</nav>'] if len(found) > 1 else []
    for entry in found:
        names = list(entry.runs)
        parts.append(f"(chapter-{entry.number})=\n## {entry.number} {bare_title(entry.title)}")
        if not names:
            parts.append('<p class="book-none">Not run here yet.</p>')
            continue
        seeds = {name: {c["id"]: c for c in _committed(name, entry.number)} for name in names}
        latest = {name: {c["id"]: c for c in entry.runs[name].get("claims") or []} for name in names}
        ids = list(dict.fromkeys(id for claims in latest.values() for id in claims))
        heads = "".join(f'<th scope="col"><code>{html.escape(name)}</code></th>' for name in names)
        rows = "".join(
            _claim_row(entry.stem, id, {n: latest[n].get(id) for n in names}, {n: seeds[n].get(id) for n in names}) for id in ids
        )
        parts.append(
            f'<div class="book-wide"><table class="book-results"><thead><tr><th scope="col">claim</th>{heads}'
            f'<th scope="col">published</th></tr></thead><tbody>{rows}</tbody></table></div>'
        )
    parts += [own_data()] if found else []
    return "\n\n".join(filter(None, parts)) or '<p class="book-none">There is no chapter yet.</p>'


def own_data(folder: Path = ROOT / "data" / "results" / "own-data") -> str:
    """What models reached on data that are not in the book, from the records of `utils.own_records.keep`; empty without any."""
    parts = []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        measures = [m for m in next(iter(record["models"].values())) if m != "seconds"]
        heads = "".join(f'<th scope="col">{html.escape(m)}</th>' for m in [*measures, "seconds a training", "published"])
        rows = "".join(_model_row(name, values, measures, record["published"].get(name)) for name, values in record["models"].items())
        about = f"{record['about']}; {record['cores']} processor cores; {day(record['day'])}."
        about += f" Published: {record['source']}." if record["published"] else ""
        parts.append(
            f"### {_plain(record['title'].capitalize())}\n\n<p>{html.escape(about)}<br><code>{html.escape(record['command'])}</code></p>\n\n"
            f'<div class="book-wide"><table class="book-results book-own"><thead><tr><th scope="col">model</th>{heads}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
        )
    return "\n\n".join(["(own-data)=\n## On a reader's own data", *parts]) if parts else ""


def _spread(values: list[float]) -> str:
    """Mean ± standard deviation with four decimals, as the published numbers have; whole numbers from a thousand on."""
    digits = ",.0f" if abs(fmean(values)) >= 1000 else ".4f"
    return f"{fmean(values):{digits}}" + (f" ± {stdev(values):{digits}}" if len(values) > 1 else "")


def _model_row(name: str, values: dict, measures: list[str], published: float | None) -> str:
    cells = [(m, _spread(values[m])) for m in measures] + [("seconds a training", show_number(values["seconds"]))]
    cells.append(("published", f"{published:.4f}" if published else '<span class="none" aria-label="none">–</span>'))
    body = "".join(f'<td data-label="{html.escape(m)}">{text}</td>' for m, text in cells)
    return f'<tr><th scope="row">{html.escape(name)}</th>{body}</tr>'


def _committed(target: str, chapter: int) -> list[dict]:
    return ((records.committed(target) or {}).get("chapters", {}).get(str(chapter)) or {}).get("claims") or []


def _claim_row(stem: str, id: str, by_target: dict, with_seeds: dict) -> str:
    any_trace = next(t for t in by_target.values() if t)
    published = any_trace.get("published")
    shown = (
        f"<b>{show_number(published['value'])}</b> <small>{html.escape(published['source'])}; {html.escape(published['data'])}</small>"
        if published
        else '<span class="none" aria-label="none">–</span>'
    )
    cells = "".join(f'<td data-label="{html.escape(n)}">{_measured(t, with_seeds[n])}</td>' for n, t in by_target.items())
    return (
        f'<tr><th scope="row"><a href="../chapters/{stem}.html#claim-{html.escape(id)}">{html.escape(any_trace["says"])}</a> '
        f'<code>{html.escape(id)}</code></th>{cells}<td data-label="published">{shown}</td></tr>'
    )


def _measured(trace: dict | None, recorded: dict | None) -> str:
    if trace is None:
        return '<span class="none" aria-label="not run">–</span>'
    unit = f" {html.escape(trace['unit'])}" if trace.get("unit") else ""
    good = trace["held"]
    mark = f'<span class="{"good" if good else "bad"}" role="img" aria-label="{"held" if good else "failed"}">{"✓" if good else "✗"}</span>'
    control = trace["control"]
    text = (
        f"{mark} <b>{show_numbers(trace['values'])}{unit}</b> <span class='bound'>{html.escape(trace['bound'])}</span>{scale(trace)}"
        f"<small>control, {html.escape(control['name'])}: {show_numbers(control['values'])}{unit}</small>"
    )
    by_seed = (recorded or {}).get("by_seed") or {}
    if len(by_seed) > 1:
        means = [fmean(v) if isinstance(v, list) else float(v) for v in by_seed.values()]
        text += f"<small>seeds {html.escape(', '.join(by_seed))}: {show_number(fmean(means))} ± {show_number(stdev(means))}{unit}</small>"
    return text


def scale(trace: dict, width: int = 150) -> str:
    """A small line: the value (dot), its control (ring) and the bound (stroke), logarithmic where they lie far apart."""
    bounds = [float(n.replace(",", "")) for n in re.findall(r"-?\d[\d,]*\.?\d*(?:e[+-]?\d+)?", trace["bound"])]
    values, controls = trace["values"], trace["control"]["values"]
    points = [*values, *controls, *bounds]
    if not all(map(math.isfinite, points)):
        return ""
    low, high = min(points), max(points)
    if low > 0 and high / low > 50:
        place = math.log
    elif low < high:
        place = float
    else:
        return ""
    start, span = place(low), place(high) - place(low)

    def x(point: float) -> str:
        return f"{6 + (width - 12) * (place(point) - start) / span:.1f}"

    marks = "".join(f'<path d="M{x(b)} 1v12"/>' for b in bounds)
    marks += "".join(f'<circle class="control" cx="{x(c)}" cy="7" r="3.5"/>' for c in controls)
    marks += "".join(f'<circle class="value" cx="{x(v)}" cy="7" r="4"/>' for v in values)
    axis = f'<path class="axis" d="M0 7h{width}"/>'
    return f'<svg class="book-scale" viewBox="0 0 {width} 14" width="{width}" height="14" aria-hidden="true">{axis}{marks}</svg>'


def errata(found: Sequence[Entry]) -> str:
    """Every claim that puts a printed statement right, grouped by the source of the statement."""
    by_source: dict[str, list[str]] = {}
    for entry in found:
        seen: set[str] = set()
        for target, record in entry.runs.items():
            for trace in record.get("claims") or []:
                if not trace.get("erratum") or trace["id"] in seen:
                    continue
                seen.add(trace["id"])
                unit = f" {html.escape(trace['unit'])}" if trace.get("unit") else ""
                control = trace["control"]
                work, place = work_and_place(trace["erratum"]["source"])
                by_source.setdefault(work, []).append(
                    f'<tr><td data-label="printed">{html.escape(trace["erratum"]["printed"])}<small>{html.escape(place)}</small></td>'
                    f'<td data-label="measured"><a href="../chapters/{entry.stem}.html#claim-{html.escape(trace["id"])}">'
                    f"{html.escape(trace['says'])}</a>"
                    f"<small>{show_numbers(trace['values'])}{unit} {html.escape(trace['bound'])}; control, {html.escape(control['name'])}: "
                    f"{show_numbers(control['values'])}{unit}; on <code>{html.escape(target)}</code></small></td></tr>"
                )
    if not by_source:
        return '<p class="book-none">No claim of the chapters that were run so far puts a printed statement right.</p>'
    return "\n\n".join(
        f'## {_plain(name)}\n\n<table class="book-errata"><thead><tr><th scope="col">printed</th><th scope="col">measured</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
        for name, rows in by_source.items()
    )


def work_and_place(source: str) -> tuple[str, str]:
    """The work that a source names, and the place in it.

    >>> work_and_place("a tutorial, chapters 3 and 9")
    ('A tutorial', 'chapters 3 and 9')
    """
    work, place = re.fullmatch(
        r"(.+?)(?:,\s*((?:chapter|section|page|part|table|figure|notebook)s?\b.*))?", source.strip(), re.DOTALL
    ).groups()
    return work[:1].upper() + work[1:], place or ""


def _plain(text: str) -> str:
    """Text as Markdown that shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#$|])", r"\\\1", text)

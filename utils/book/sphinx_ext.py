"""The Sphinx extension of the book: puts the outputs of runs into chapters, fills generated places, checks the pages.

Loaded by Jupyter Book through `_config.yml`, so that plain `jupyter-book build .` makes the same site. Nothing is staged:
a source is replaced in memory while Sphinx reads it, and read again when what would replace it has changed.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import shutil
import struct
from pathlib import Path

from sphinx.errors import SphinxError

from utils.book import javascript, offline, pages, records

MATHJAX = "mathjax"  # below _static of the built site, not of the book: Jupyter Book would load every .js found there
NOT_RUN = "This chapter has not been run here: the page shows its source without results. `python3 book.py build` runs it."
CHANGED = (
    "The code of this chapter changed since it was last run: the page shows its source without results. "
    "`python3 book.py build` runs it again."
)
_PICTURE = re.compile(r'<img\b[^>]*?\ssrc="data:image/png;base64,(iVBORw0KGgo[A-Za-z0-9+/]+={0,2})"[^>]*>')
PLACES = {"numbers": pages.numbers, "cards": pages.cards, "results": pages.results, "errata": pages.errata}


class PageError(SphinxError):
    """The built pages are not fit to be published."""

    category = "The built site"


def setup(app) -> dict:
    """Register with Sphinx. The style sheet counts as a setting: Sphinx copies it only when a page is written."""
    app.add_config_value("book_static", _static(Path(app.srcdir) / "pages" / "_static"), "html")
    app.connect("builder-inited", settle)
    app.connect("env-get-outdated", outdated)
    app.connect("source-read", replace)
    app.connect("env-purge-doc", lambda app, env, docname: _texts(env).pop(docname, None))
    app.connect(
        "env-merge-info",
        lambda app, env, docnames, other: _texts(env).update({d: _texts(other)[d] for d in docnames if d in _texts(other)}),
    )
    app.connect("env-updated", navigation)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _static(folder: Path) -> str:
    """A hash of the files that every page uses."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


# ---------------------------------------------------------------- before reading


def settle(app) -> None:
    """Read once what all pages share, and take the theme's own launch buttons out: the card of a chapter has them."""
    options = app.config.html_theme_options
    hub = (options.pop("launch_buttons", None) or {}).get("jupyterhub_url", "")
    app.book_repository = pages.repository(
        options.get("repository_url") or "", options.get("repository_branch") or "main", hub, Path(app.srcdir)
    )
    app.book_target = os.environ.get("BOOK_TARGET", "cpu")
    app.book_entries = pages.entries()
    if app.builder.format == "html":
        copy_mathjax(javascript.folder(Path(app.srcdir)) / "mathjax" / "es5", Path(app.outdir) / "_static" / MATHJAX)


def copy_mathjax(package: Path, into: Path) -> None:
    """Copy the parts of MathJax that a page can ask for (4 MB); PageError when the package is not there."""
    if not (package / "tex-mml-chtml.js").is_file():
        raise PageError("MathJax is missing in node_modules: run `python3 book.py build` once, or `npm ci --ignore-scripts`.")
    if (into / "tex-mml-chtml.js").is_file():
        return
    for part in ("output/chtml/fonts/woff-v2", "input/tex/extensions"):
        shutil.copytree(package / part, into / part, dirs_exist_ok=True)
    shutil.copy(package / "tex-mml-chtml.js", into / "tex-mml-chtml.js")


def outdated(app, env, added, changed, removed) -> list[str]:
    """Documents whose replaced text differs from the one that was read: a new run, a new record, a new template."""
    known = env.found_docs & set(_texts(env))
    return [name for name in sorted(known - added - changed) if _digest(text_of(app, name)) != _texts(env)[name]]


# ---------------------------------------------------------------- reading


def replace(app, docname: str, content: list[str]) -> None:
    """Replace the source of a document by what the page is made from."""
    content[0] = text_of(app, docname, content[0])
    _texts(app.env)[docname] = _digest(content[0])


def text_of(app, docname: str, text: str | None = None) -> str:
    """The text a page is made from: a chapter with its run and card, a page with its generated places filled."""
    path = Path(app.env.doc2path(docname))
    if text is None:
        text = path.read_text(encoding="utf-8")
    entry = next((e for e in app.book_entries if e.stem == path.stem), None)
    if entry and path.suffix == ".ipynb":
        return chapter_text(text, entry, app.book_repository, app.book_target)
    if "<!-- book:" not in text:
        return text
    text = text.replace("<!-- book:attention -->", pages.attention())
    for name, make in PLACES.items():
        if (place := f"<!-- book:{name} -->") in text:
            text = text.replace(place, make(app.book_entries))
    return text


def chapter_text(text: str, entry: pages.Entry, where: pages.Repository, target: str) -> str:
    """The notebook (JSON) of a chapter's page: current source, outputs of the run where they belong to it, card."""
    notebook = json.loads(text)
    run = records.runs_folder(target) / f"{entry.stem}.ipynb"
    note = NOT_RUN
    if run.is_file():
        note = None if join(notebook, json.loads(run.read_text(encoding="utf-8"))) else CHANGED
    if failed := later_failure(run):
        note = " ".join(filter(None, (failed, note)))
    for cell in notebook["cells"]:
        if "exercise" in records.tags_of(cell):
            cell["metadata"]["mystnb"] = {"code_prompt_show": "Show solution", "code_prompt_hide": "Hide solution"}
    title = f"{entry.number} {pages.bare_title(entry.title)}"
    insert_card(notebook, title, pages.chapter_card(entry, where, target) + (f"\n\n:::{{warning}}\n{note}\n:::" if note else ""))
    return json.dumps(notebook, ensure_ascii=False, sort_keys=True)


def later_failure(run: Path) -> str | None:
    """What to say when the chapter's last run failed, so that the page shows the good one before it, or none."""
    failed = run.with_suffix(".failed.json")
    good = run.with_suffix(".json")
    if not failed.is_file():
        return None
    record = json.loads(failed.read_text(encoding="utf-8"))
    if good.is_file() and json.loads(good.read_text(encoding="utf-8")).get("finished", "") > record.get("finished", ""):
        return None
    failure = record.get("failure") or {}
    return (
        f"The last run of this chapter failed in cell {failure.get('cell')}: {html.escape(str(failure.get('reason', 'no reason kept')))}."
    )


def join(notebook: dict, run: dict) -> bool:
    """Put the outputs of `run` into the code cells of `notebook`. False, and no outputs, when the code is not the same."""
    cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    executed = [c for c in run["cells"] if c["cell_type"] == "code" and "injected-parameters" not in records.tags_of(c)]
    same = [records.source_of(c).rstrip() for c in cells] == [records.source_of(c).rstrip() for c in executed]
    for cell, twin in zip(cells, executed if same else [{}] * len(cells), strict=True):
        cell["outputs"] = [_shown(o) for o in twin.get("outputs", [])]
        cell["execution_count"] = twin.get("execution_count")
    return same


def _shown(output: dict) -> dict:
    """An output without what a page cannot show: the machine-readable trace of a claim, the state of a widget."""
    data = output.get("data")
    if not data:
        return output
    kept = {k: v for k, v in data.items() if k != records.MIME and not k.startswith("application/vnd.jupyter.widget")}
    return {**output, "data": kept}


def insert_card(notebook: dict, title: str, card: str) -> None:
    """Put `card` below the title, which stands in the first cell and gets the chapter's number."""
    if not notebook["cells"]:
        return
    first = notebook["cells"][0]
    lines = records.source_of(first).splitlines()
    place = next((i for i, line in enumerate(lines) if line.startswith("# ")), None)
    above, below = ([], lines) if place is None else (lines[:place], lines[place + 1 :])
    first["source"] = "\n".join([*above, f"# {title}", "", card, "", *below])


def navigation(app, env) -> list[str]:
    """All documents when a title or the order changed: every page shows them in its side bar."""
    now = {name: env.titles[name].astext() for name in env.titles}, dict(env.toctree_includes)
    before, env.book_navigation = getattr(env, "book_navigation", None), now
    return sorted(env.all_docs) if before not in (None, now) else []


def _texts(env) -> dict[str, str]:
    """docname → digest of the text that was read; kept in Sphinx's pickled environment."""
    if not hasattr(env, "book_texts"):
        env.book_texts = {}
    return env.book_texts


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


# ---------------------------------------------------------------- after building


def finish(app, exception) -> None:
    """Clean the built pages up and refuse them, naming page and reason, when they are not fit to be published."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    remove_stale(folder, app.env.all_docs)
    (folder / "index.html").write_text(entrance(app.config.master_doc, app.config.html_title), encoding="utf-8", newline="\n")
    for path in folder.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        clean = offline.without_idle_spy(offline.without_preloads(offline.without_thebe(page)))
        clean = pictures_to_files(clean, path, folder / "_images")
        if clean != page:
            path.write_text(clean, encoding="utf-8", newline="\n")
    if found := offline.complaints(folder):
        raise PageError("\n".join(["is not fit to be published:", *found]))


def pictures_to_files(page: str, path: Path, into: Path) -> str:
    """The page with its embedded PNG pictures moved into files, named by their content, and room kept for them.

    A notebook carries its pictures inside; a page that does is long to load before its first line is shown.
    """

    def move(found: re.Match) -> str:
        tag, data = found[0], base64.b64decode(found[1])
        file = into / f"picture-{hashlib.blake2b(data, digest_size=10).hexdigest()}.png"
        into.mkdir(exist_ok=True)
        file.write_bytes(data)
        wide, high = struct.unpack(">II", data[16:24])  # as every PNG begins
        if (width := re.search(r'\swidth="(\d+)"', tag)) and not re.search(r"\sheight=", tag):
            tag = tag.replace(width[0], f'{width[0]} height="{round(int(width[1]) * high / wide)}"')
        return tag.replace(f"data:image/png;base64,{found[1]}", os.path.relpath(file, path.parent).replace(os.sep, "/"))

    return _PICTURE.sub(move, page)


def entrance(page: str, title: str) -> str:
    """The index.html that leads to the landing page; the one that the table of contents makes has no title and no icon."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<link rel="icon" href="_static/favicon.svg">'
        f'<meta http-equiv="refresh" content="0; url={page}.html"><a href="{page}.html">{html.escape(title)}</a></html>\n'
    )


def remove_stale(folder: Path, documents) -> None:
    """Remove pages of chapters and pages that are no longer in the book, which Sphinx leaves, and pictures of no page."""
    for part in ("chapters", "pages"):
        for path in (folder / part).glob("*.html"):
            if f"{part}/{path.stem}" not in documents:
                path.unlink()
    used = {name for path in folder.rglob("*.html") for name in re.findall(r"picture-\w+\.png", path.read_text(encoding="utf-8"))}
    for path in (folder / "_images").glob("picture-*.png"):
        if path.name not in used:
            path.unlink()

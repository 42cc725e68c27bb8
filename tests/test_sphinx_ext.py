"""The extension and the generated parts, without Sphinx and without a browser."""

import json
from pathlib import Path

import pytest

from utils.book import BookError, offline, pages, records, site, sphinx_ext


def code(source, outputs=(), tags=(), count=None):
    return {"cell_type": "code", "source": source, "outputs": list(outputs), "execution_count": count, "metadata": {"tags": list(tags)}}


def text(source):
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def trace(id="1.4-sum", held=True, **given):
    return {
        "id": id, "chapter": 1, "says": "Weights sum to one", "value": 1.0, "values": [1.0], "bound": "≥ 0.99",
        "control": {"name": "without softmax", "value": 0.2, "values": [0.2]},
        "published": None, "erratum": None, "seed_dependent": False, "unit": "", "held": held,
    } | given  # fmt: skip


def record(claims=(), **given):
    return {
        "target": "cpu", "status": "ok", "seconds": 61.2, "peak_memory_mb": 1234.0, "finished": "2025-11-20T09:14:00+00:00",
        "hardware": {"processor": "A processor", "cores": 2, "memory_gb": 7.8, "accelerator": None},
        "versions": {"python": "3.11.7", "torch": "2.13.0"}, "parameters": {"target": "cpu"}, "claims": list(claims), "failure": None,
    } | given  # fmt: skip


@pytest.fixture
def entry(tmp_path):
    path = tmp_path / "01_first.ipynb"
    cells = [text("# First steps\n\nWe build *one* model. Then we test it."), code("x = 1", tags=["exercise"])]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")
    return pages.Entry(1, "01_first", "First steps", path, {"cpu": record([trace(), trace("1.5-other")])})


# ---------------------------------------------------------------- joining a run to its source


def test_outputs_of_the_run_join_the_current_prose():
    source = {"cells": [text("# New title"), code("x = 1", tags=["parameters"]), code("x + 1\n")]}
    result = {"output_type": "execute_result", "data": {"text/plain": "2"}}
    run = {
        "cells": [
            text("# Old title"),
            code("x = 1", tags=["parameters"]),
            code("x = 7", tags=["injected-parameters"]),
            code(["x + 1"], [result], count=3),
        ]
    }
    assert sphinx_ext.join(source, run)
    assert source["cells"][0]["source"] == "# New title"
    assert source["cells"][2]["outputs"] == [result] and source["cells"][2]["execution_count"] == 3
    assert len(source["cells"]) == 3


def test_changed_code_shows_no_outputs_of_the_old_code():
    source = {"cells": [code("x = 2", [{"output_type": "stream", "name": "stdout", "text": "stored"}])]}
    assert not sphinx_ext.join(source, {"cells": [code("x = 1", [{"output_type": "stream", "name": "stdout", "text": "old"}])]})
    assert source["cells"][0]["outputs"] == []


def test_what_a_page_cannot_show_is_left_out():
    output = {
        "output_type": "display_data",
        "data": {"text/html": "<b>1</b>", records.MIME: {}, "application/vnd.jupyter.widget-view+json": {}},
    }
    source = {"cells": [code("f()")]}
    assert sphinx_ext.join(source, {"cells": [code("f()", [output])]})
    assert source["cells"][0]["outputs"][0]["data"] == {"text/html": "<b>1</b>"}


def chapter_page(entry, folder, monkeypatch):
    monkeypatch.setattr(records, "runs_folder", lambda target: folder)
    made = json.loads(sphinx_ext.chapter_text(entry.path.read_text(encoding="utf-8"), entry, pages.Repository(), "cpu"))
    return made, made["cells"][0]["source"]


def test_a_chapter_gets_its_card_below_the_title_and_its_solutions_a_name(entry, tmp_path, monkeypatch):
    run = json.loads(entry.path.read_text(encoding="utf-8"))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "01_first.ipynb").write_text(json.dumps(run), encoding="utf-8")
    made, first = chapter_page(entry, tmp_path / "runs", monkeypatch)
    assert first.startswith("# 1 First steps\n\n<aside") and "We build *one* model." in first
    assert "{warning}" not in first
    assert made["cells"][1]["metadata"]["mystnb"]["code_prompt_show"] == "Show solution"


def test_a_chapter_that_was_not_run_says_so(entry, tmp_path, monkeypatch):
    assert sphinx_ext.NOT_RUN in chapter_page(entry, tmp_path / "none", monkeypatch)[1]


def test_a_chapter_whose_code_changed_says_so(entry, tmp_path, monkeypatch):
    (tmp_path / "01_first.ipynb").rename(tmp_path / "source.ipynb")
    (tmp_path / "01_first.ipynb").write_text(json.dumps({"cells": [code("x = 2")]}), encoding="utf-8")
    changed = pages.Entry(1, "01_first", entry.title, tmp_path / "source.ipynb", entry.runs)
    assert sphinx_ext.CHANGED in chapter_page(changed, tmp_path, monkeypatch)[1]


def test_a_failure_after_the_shown_run_is_told(entry, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    failed = {"finished": "2025-11-21T00:00:00+00:00", "failure": {"cell": 12, "claim": None, "reason": "it <broke>"}}
    (tmp_path / "runs" / "01_first.failed.json").write_text(json.dumps(failed), encoding="utf-8")
    assert "failed in cell 12: it &lt;broke&gt;" in chapter_page(entry, tmp_path / "runs", monkeypatch)[1]


# ---------------------------------------------------------------- generated parts


def test_the_card_of_a_chapter_is_made_from_its_record(entry):
    card = pages.chapter_card(entry, pages.Repository())
    for part in ("all 2 claims hold", "61 s", "1.2 GB", "A processor, 2 cores, 8 GB", "20 November 2025", "torch 2.13.0", "01_first.ipynb"):
        assert part in card
    assert "\n" not in card, "one HTML block of Markdown ends at the first blank line"
    assert "Colab" not in card


def test_the_card_names_parameters_that_differ_from_the_notebook(entry):
    notebook = json.loads(entry.path.read_text(encoding="utf-8"))
    notebook["cells"].append(code("target = 'cpu'\nseed = 0\nsteps = 300", tags=["parameters"]))
    entry.path.write_text(json.dumps(notebook), encoding="utf-8")
    entry.runs["cpu"]["parameters"] = {"target": "cpu", "seed": 3, "steps": 300}
    assert "run with seed=3</p>" in pages.chapter_card(entry, pages.Repository())


def test_a_failed_claim_is_not_counted_as_held(entry):
    failed = pages.Entry(1, "01_first", "t", entry.path, {"cpu": record([trace(), trace("1.5-other", held=False)])})
    assert "1 of 2 claims hold" in pages.cards([failed]) and "✓" not in pages.cards([failed])
    assert "1 of 2" in pages.numbers([failed])


def test_summary_title_and_exercises_come_from_the_notebook(entry):
    assert entry.summary == "We build one model. Then we test it."
    assert pages.bare_title("1 First steps") == pages.bare_title("Chapter 1: First steps") == "First steps"
    assert entry.exercises == 1
    assert "1 exercise and a quiz" in pages.cards([entry])


def test_a_summary_ends_with_a_whole_sentence():
    assert pages.shorten("We build it. On the way you") == "We build it."
    assert pages.shorten("One. " + "Two words follow " * 20 + "here.") == "One."
    assert pages.shorten("no point at all") == "no point at all"


def test_without_any_run_the_landing_page_says_so(entry):
    bare = pages.Entry(1, "01_first", "t", entry.path, {})
    assert "No chapter has been run" in pages.numbers([bare])
    assert "not run here yet" in pages.cards([bare])
    assert "has not been run here yet" in pages.chapter_card(bare, pages.Repository())


def test_results_show_value_control_seeds_and_published_beside_each_other(entry, monkeypatch):
    published = {"value": 0.95, "source": "A paper 2017", "data": "WMT <2014>"}
    seeds = trace(by_seed={"0": 0.9, "1": 1.0, "2": 1.1})
    monkeypatch.setattr(records, "committed", lambda target: {"chapters": {"1": {"claims": [seeds]}}})
    entry.runs["cuda"] = record([])
    entry.runs["cpu"]["claims"] = [trace(published=published)]
    made = pages.results([entry])
    for part in (
        'href="../chapters/01_first.html#claim-1.4-sum"',
        "≥ 0.99",
        "without softmax: 0.2",
        "seeds 0, 1, 2: 1 ± 0.1",
        "A paper 2017; WMT &lt;2014&gt;",
    ):
        assert part in made
    assert 'aria-label="not run"' in made, "a claim that a target has not run is shown as such"


def test_errata_are_grouped_by_source_and_link_to_their_claim(entry):
    entry.runs["cpu"]["claims"] = [trace(), trace("1.5-other", erratum={"source": "the book, chapter 9", "printed": "768 & more"})]
    made = pages.errata([entry])
    assert (
        "## The book\n" in made
        and "<small>chapter 9</small>" in made
        and "768 &amp; more" in made
        and "#claim-1.5-other" in made
        and "#claim-1.4-sum" not in made
    )
    assert "No claim" in pages.errata([])


@pytest.mark.parametrize(
    ("bound", "values", "drawn"),
    [("≥ 0.99", [1.0], True), ("≤ 1.0e-06", [1e-8], True), ("between 1,000 and 2,000", [1500.0], True), ("≥ 0.2", [float("nan")], False)],
)
def test_scale_reads_every_form_of_bound(bound, values, drawn):
    made = pages.scale(trace(bound=bound, values=values))
    assert bool(made) is drawn
    if drawn:
        assert made.count("<path d=") == (2 if "between" in bound else 1)


def test_the_picture_of_the_landing_page_is_attention():
    assert pages.attention(("one", "two", "three")).count("<g ") == 3


# ---------------------------------------------------------------- where the book is published


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:reader/book.git", "https://github.com/reader/book"),
        ("ssh://git@gitlab.com/group/sub/book.git", "https://gitlab.com/group/sub/book"),
        ("https://user:secret@github.com/reader/book", "https://github.com/reader/book"),
        ("https://git.example.org/reader/book", ""),
        ("/home/reader/book", ""),
        ("file:///home/reader/book", ""),
        ("C:\\books\\book", ""),
        ("", ""),
    ],
)
def test_only_a_public_origin_makes_launch_buttons(remote, address):
    assert pages.public_address(remote) == address


def test_launch_buttons_follow_the_address(tmp_path):
    assert pages.repository(root=tmp_path).buttons("chapters/01_first.ipynb") == []
    github = dict(
        pages.repository("https://github.com/reader/book", jupyterhub="https://hub.example.org").buttons("chapters/01_first.ipynb")
    )
    assert github["Colab"] == "https://colab.research.google.com/github/reader/book/blob/main/chapters/01_first.ipynb"
    assert github["Binder"] == "https://mybinder.org/v2/gh/reader/book/main?urlpath=lab%2Ftree%2Fchapters%2F01_first.ipynb"
    assert github["JupyterHub"].startswith(
        "https://hub.example.org/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgithub.com%2Freader%2Fbook&"
    )
    own = dict(pages.repository("https://git.example.org/reader/book").buttons("x.ipynb"))
    assert list(own) == ["Binder"] and "/git/https%3A%2F%2Fgit.example.org%2Freader%2Fbook/" in own["Binder"]


# ---------------------------------------------------------------- in Sphinx


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of one chapter, a landing page and a plain page; `book()` builds it and returns the documents that were read."""
    monkeypatch.setattr(records, "ROOT", tmp_path)
    monkeypatch.setattr(sphinx_ext, "copy_mathjax", lambda package, into: None)
    for folder in ("chapters", "pages", "_build/runs/cpu"):
        (tmp_path / folder).mkdir(parents=True)
    notebook = {"cells": [text("# First steps\n\nWe build."), code("1 + 1")], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    (tmp_path / "chapters" / "01_first.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    toc = "```{toctree}\nother\n/chapters/01_first\n```"
    (tmp_path / "pages" / "index.md").write_text(f"# Book\n\n<!-- book:cards -->\n\n{toc}\n", encoding="utf-8")
    (tmp_path / "pages" / "other.md").write_text("# Other\n", encoding="utf-8")
    (tmp_path / "pages" / "_static").mkdir()
    (tmp_path / "pages" / "_static" / "book.css").write_text("p { margin: 0 }", encoding="utf-8")

    def build():
        from sphinx.application import Sphinx
        from sphinx.util.docutils import docutils_namespace

        read = []
        settings = {
            "extensions": ["myst_nb", "utils.book.sphinx_ext"],
            "master_doc": "pages/index",
            "nb_execution_mode": "off",
            "html_theme": "basic",
            "html_static_path": ["pages/_static"],
        }
        settings |= {"exclude_patterns": ["_build", "out", "jupyter_execute"], "mathjax_path": "x.js"}
        with docutils_namespace():
            app = Sphinx(tmp_path, None, tmp_path / "out", tmp_path / "out.doctrees", "html", settings, None, None)
            app.connect("source-read", lambda app, docname, content: read.append(docname))
            app.build()
        return sorted(read)

    build.root = tmp_path
    return build


def a_run(root, output, **given):
    run = json.loads((root / "chapters" / "01_first.ipynb").read_text(encoding="utf-8"))
    run["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": output}]
    (root / "_build/runs/cpu/01_first.ipynb").write_text(json.dumps(run), encoding="utf-8")
    (root / "_build/runs/cpu/01_first.json").write_text(json.dumps(record([trace()], **given)), encoding="utf-8")


def test_only_what_changed_is_read_again(book):
    page = book.root / "out" / "chapters" / "01_first.html"
    assert book() == ["chapters/01_first", "pages/index", "pages/other"]
    assert "has not been run here" in page.read_text(encoding="utf-8")
    assert book() == []

    a_run(book.root, "forty-two")
    assert book() == ["chapters/01_first", "pages/index"], "a new run: its page, and the cards"
    assert "forty-two" in page.read_text(encoding="utf-8")

    source = book.root / "chapters" / "01_first.ipynb"
    changed = json.loads(source.read_text(encoding="utf-8"))
    changed["cells"].append(text("A new last word."))
    source.write_text(json.dumps(changed), encoding="utf-8")
    assert book() == ["chapters/01_first"], "one Markdown cell: its page alone"
    assert "A new last word." in page.read_text(encoding="utf-8") and "forty-two" in page.read_text(encoding="utf-8")
    assert book() == []


def test_a_page_that_would_ask_another_machine_is_refused(book):
    (book.root / "pages" / "other.md").write_text('# Other\n\n<script src="https://a.example/x.js"></script>\n', encoding="utf-8")
    with pytest.raises(sphinx_ext.PageError, match="pages/other.html would request https://a.example/x.js"):
        book()


def test_a_changed_title_reaches_every_page(book):
    book()
    other = book.root / "out" / "pages" / "other.html"
    before = other.stat().st_mtime_ns
    source = book.root / "chapters" / "01_first.ipynb"
    source.write_text(source.read_text(encoding="utf-8").replace("First steps", "Second steps"), encoding="utf-8")
    book()
    assert other.stat().st_mtime_ns > before, "side bars name all chapters"


def test_a_changed_style_sheet_reaches_the_site(book):
    book()
    (book.root / "pages" / "_static" / "book.css").write_text("p { margin: 1px }", encoding="utf-8")
    assert book() == [], "no page has to be read again"
    assert (book.root / "out" / "_static" / "book.css").read_text(encoding="utf-8") == "p { margin: 1px }"


# ---------------------------------------------------------------- what a page must not do


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://a.example/x.js"></script>',
        "<script src='//a.example/x.js'></script>",
        '<link rel="stylesheet" href="http://a.example/x.css">',
        '<link rel="preload icon" href="https://a.example/x">',
        '<img alt="a" src="https://a.example/x.png">',
        '<img alt="a" srcset="x.png 1x, https://a.example/y.png 2x">',
        '<iframe src="https://a.example/"></iframe>',
        '<iframe srcdoc="&lt;script src=&quot;https://a.example/x.js&quot;&gt;&lt;/script&gt;"></iframe>',
        "<style>@import 'https://a.example/x.css';</style>",
        "<style>p { background: url( https://a.example/x.png ) }</style>",
        '<p style="background:url(//a.example/x.png)">',
        '<script>import("https://a.example/x.js")</script>',
        '<script type="module">import x from "https://a.example/x.js"</script>',
        '<script>fetch("https://a.example/x.json")</script>',
        '<script>s.src = "https://a.example/x.js"</script>',
        '<object data="https://a.example/x.svg"></object>',
        '<meta http-equiv="refresh" content="0; url=https://a.example/">',
    ],
)
def test_a_request_to_another_machine_is_found(page):
    found = offline.outside_requests(f"<main>{page}</main>")
    assert len(found) == 1 and "//a.example/" in found[0]


@pytest.mark.parametrize(
    "page",
    [
        '<a href="https://a.example/">a plain link</a>',
        '<link rel="next" href="x.html"><link rel="canonical" href="https://a.example/">',
        '<img alt="a" src="data:image/png;base64,aa//bb"><script src="../_static/x.js"></script>',
        '<svg xmlns="http://www.w3.org/2000/svg"><use href="#a"/></svg>',
        '<iframe srcdoc="&lt;a href=&quot;https://a.example/&quot;&gt;x&lt;/a&gt;"></iframe>',
        "<pre>requests.get(url(https://a.example))</pre>",
        '<script>const note = "https://a.example/";</script>',
    ],
)
def test_links_and_local_parts_are_allowed(page):
    assert offline.outside_requests(page) == []


def test_style_sheets_are_read_without_their_comments():
    assert offline.outside_in_css("/* url(https://a.example/1) */ a { background: url('x.png') }") == []
    assert offline.outside_in_css("@font-face { src: url(https://a.example/2) }") == ["https://a.example/2"]


def test_pictures_need_words():
    assert offline.without_words('<main><img src="a.png"></main>') == ["a.png"]
    assert offline.without_words('<main><img src="a.png" alt=" "></main>') == ["a.png"]
    assert offline.without_words('<main><img src="a.png" alt="../_images/a.png"></main>') == ["a.png"], "a file name says nothing"
    assert offline.without_words('<main><img src="a.png" alt="" role="presentation"><img src="b.png" alt="Loss falls"></main>') == []
    assert offline.without_words('<nav><img src="a.png"></nav>') == [], "only the main content is judged"


def test_a_page_over_three_megabytes_is_too_large():
    assert offline.too_large(3_000_000) is None
    assert "3.1 MB" in offline.too_large(3_100_000)


def test_thebe_is_taken_out_and_nothing_else():
    page = (
        '<script>const THEBE_JS_URL = "https://unpkg.com/thebe@0.8.2/lib/index.js"; const thebe_selector = ".t"</script>\n'
        '<script async="async" src="../_static/sphinx-thebe.js?v=1"></script>\n<script src="x.js"></script>'
        "<script type=\"text/x-thebe-config\">\n{ a: 1 }\n</script><script>kernelName = 'python3'</script><script>y</script>"
    )
    assert offline.without_thebe(page) == '<script src="x.js"></script><script>y</script>'


def test_fonts_are_not_preloaded_but_scripts_are():
    page = '<link rel="preload" as="font" type="font/woff2" crossorigin href="x.woff2" />\n<link rel="preload" as="script" href="x.js" />'
    assert offline.without_preloads(page) == '<link rel="preload" as="script" href="x.js" />'


def test_the_scroll_spy_stays_where_it_has_something_to_mark():
    body = '<body data-bs-spy="scroll" data-bs-target=".bd-toc-nav">'
    assert offline.without_idle_spy(body) == '<body data-bs-target=".bd-toc-nav">'
    assert offline.without_idle_spy(f'{body}<nav class="bd-toc-nav page-toc">') == f'{body}<nav class="bd-toc-nav page-toc">'


def test_complaints_name_page_and_address(tmp_path):
    (tmp_path / "a.html").write_text('<main><img src="https://a.example/x.png"></main>', encoding="utf-8")
    (tmp_path / "b.html").write_text("<main>fine</main>" + " " * 3_000_000, encoding="utf-8")
    (tmp_path / "c.css").write_text("@import 'http://a.example/y.css'", encoding="utf-8")
    found = offline.complaints(tmp_path)
    assert "a.html would request https://a.example/x.png" in found
    assert any(c.startswith("a.html has a picture without alternative text") for c in found)
    assert any(c.startswith("b.html has 3.0 MB") for c in found)
    assert "c.css would request http://a.example/y.css" in found


# ---------------------------------------------------------------- site.py


def test_missing_mathjax_is_a_sentence(tmp_path):
    with pytest.raises(sphinx_ext.PageError, match="MathJax is missing"):
        sphinx_ext.copy_mathjax(tmp_path / "none", tmp_path / "into")


def test_pages_that_left_the_book_are_removed(tmp_path):
    for name in ("chapters/01_a.html", "chapters/02_b.html", "pages/index.html", "search.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    sphinx_ext.remove_stale(tmp_path, {"chapters/02_b", "pages/index"})
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.html")) == [
        "chapters/02_b.html",
        "pages/index.html",
        "search.html",
    ]


def test_pictures_become_files_with_room_kept_for_them(tmp_path):
    import base64
    import struct

    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1400, 700) + b"rest"
    inside = (
        f'<img class="figure" src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="A plot" width="700" style="height:auto">'
    )
    (tmp_path / "chapters").mkdir()
    made = sphinx_ext.pictures_to_files(f"<p>{inside}</p>", tmp_path / "chapters" / "01_a.html", tmp_path / "_images")
    (file,) = (tmp_path / "_images").iterdir()
    assert file.read_bytes() == png
    assert f'src="../_images/{file.name}"' in made and 'width="700" height="350"' in made and 'alt="A plot"' in made
    (tmp_path / "chapters" / "01_a.html").write_text(made, encoding="utf-8")
    sphinx_ext.remove_stale(tmp_path, {"chapters/01_a"})
    assert file.exists()
    sphinx_ext.remove_stale(tmp_path, set())
    assert not file.exists(), "a picture of no page is removed"


def test_warnings_are_told_without_colours_paths_and_odd_line_numbers():
    stderr = (
        f"\x1b[31m{site.ROOT / 'chapters' / '01_first.ipynb'}:50008: WARNING: 'myst' cross-reference target not found\x1b[0m\nfine\n\nother"
    )
    assert (
        site.warnings(stderr)[0].replace("\\", "/")
        == "chapters/01_first.ipynb, cell 5, line 8: WARNING: 'myst' cross-reference target not found"
    )
    assert site.warnings("Running Jupyter-Book\nbuild succeeded.") == []


def test_a_new_site_replaces_the_old_one_as_a_whole(tmp_path):
    built, published = tmp_path / "built", tmp_path / "html"
    for folder, name in ((built, "new.html"), (published, "old.html")):
        folder.mkdir()
        (folder / name).write_text("", encoding="utf-8")
    site.put_in_place(built, published, "stamp")
    assert sorted(p.name for p in published.iterdir()) == [site.STAMP, "new.html"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["built", "html"]


def test_a_taken_port_and_a_missing_site_are_sentences(tmp_path):
    with pytest.raises(BookError, match="no built site"):
        site.server(0, tmp_path)
    (tmp_path / "index.html").write_text("hello", encoding="utf-8")
    with site.server(0, Path(tmp_path)) as first, pytest.raises(BookError, match=f"Port {first.server_port} is taken"):
        site.server(first.server_port, tmp_path)
    with pytest.raises(BookError, match="between 0 and 65535"):
        site.server(70_000, tmp_path)

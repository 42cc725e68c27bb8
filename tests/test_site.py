"""The built site in a real browser: what a reader meets on a desktop, on a phone, in the dark, by keyboard, without a server.

`book test` builds the site before it calls these. Alone: `python3 book.py build`, then `pytest -m site`.
"""

import contextlib
import json
import re
import threading
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import lxml.html
import nbformat
import pytest

from utils import ROOT
from utils.book import records, site

pytestmark = pytest.mark.site

SITE = ROOT / "_build" / "html"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


# ---------------------------------------------------------------- a site, a browser, a page


@pytest.fixture(scope="module")
def address():
    """The built site on a loopback port, by the server of `book serve`."""
    if not (SITE / "index.html").is_file():
        pytest.fail("There is no built site: run `python3 book.py build` first.")
    with site.server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


@pytest.fixture
def opened(browser):
    """Opens pages; `opened.troubles` lists console errors, failed requests and requests to other machines."""
    with contextlib.ExitStack() as stack:
        troubles = []

        def open_page(url, **options):
            context = stack.enter_context(browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options))
            page = context.new_page()
            own = (url.split("/", 3)[2] if url.startswith("http") else "", "")
            page.on("console", lambda m: troubles.append(f"{page.url}: {m.text}") if m.type == "error" else None)
            page.on("pageerror", lambda e: troubles.append(f"{page.url}: {e}"))
            page.on("response", lambda r: troubles.append(f"{r.url} answers {r.status}") if r.status >= 400 else None)
            # ERR_ABORTED: the browser dropped a request itself, since the test went on to another page
            page.on("requestfailed", lambda r: troubles.append(f"{r.url} failed: {r.failure}") if "ABORTED" not in r.failure else None)
            page.on("request", lambda r: troubles.append(f"{page.url} asks {r.url}") if urlsplit(r.url).netloc not in own else None)
            page.goto(url, wait_until="load")
            return page

        open_page.troubles = troubles
        yield open_page


def pages():
    """All pages of the site, as paths below it."""
    found = [p.relative_to(SITE).as_posix() for part in ("pages", "chapters") for p in sorted((SITE / part).glob("*.html"))]
    return [*found, "search.html", "genindex.html"]


def chapter_pages():
    return [name for name in pages() if name.startswith("chapters/")]


def first_page_with(part):
    found = next((name for name in pages() if part in (SITE / name).read_text(encoding="utf-8")), None)
    assert found, f"no page of the site has {part!r}"
    return found


# ---------------------------------------------------------------- every page


def test_every_chapter_has_its_page():
    assert {f"chapters/{c.stem}.html" for c in records.chapters()} == set(chapter_pages())


@pytest.mark.parametrize("part", range(4))  # the longest test here, in parts that can run side by side
def test_every_page_loads_without_an_error_or_a_request_to_another_machine(address, opened, part):
    page = opened(address)  # the address of the folder leads to the landing page
    page.wait_for_url("**/pages/index.html", wait_until="networkidle")
    assert len(pages()) > 4
    for name in pages()[part::4]:
        page.goto(address + name, wait_until="load")
        page.evaluate("window.scrollTo(0, document.body.scrollHeight)")  # what loads only when it comes into sight
        for frame in page.query_selector_all("iframe"):
            frame.scroll_into_view_if_needed()
        page.wait_for_load_state("networkidle")
    assert opened.troubles == []


def test_pages_opened_as_files_work_too(opened):
    for name in ("pages/index.html", first_page_with("math notranslate")):
        page = opened((SITE / name).as_uri())
        page.wait_for_load_state("networkidle")
    page.wait_for_selector("mjx-container")
    assert opened.troubles == []


def test_no_page_scrolls_sideways_on_a_phone(address, opened):
    page = opened(address + "pages/index.html", **PHONE)
    wide = {}
    for name in pages():
        page.goto(address + name, wait_until="networkidle")
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        width = page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth)")
        if width > 390:
            wide[name] = (width, page.evaluate(WIDEST))
    assert wide == {}


WIDEST = """() => {
  const scrolls = e => e && (/(auto|scroll|hidden)/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 391 && !scrolls(e.parentElement))
    .slice(0, 3).map(e => e.outerHTML.slice(0, 120));
}"""


def parsed(name):
    """A page of the site as a tree: what a browser shows without its scripts."""
    return lxml.html.parse(SITE / name).getroot()


def of_class(name):
    """An XPath condition: the element has this class."""
    return f"contains(concat(' ', normalize-space(@class), ' '), ' {name} ')"


def test_every_picture_has_words_and_every_frame_a_title():
    seen = 0
    for name in pages():
        page = parsed(name)
        assert not page.xpath("//main//img[not(@alt) or (@alt='' and not(@role='presentation'))]"), name
        assert not page.xpath("//main//iframe[not(@title) or @title='']"), f"a frame on {name} has no title"
        seen += len(page.xpath("//main//img")) + len(page.xpath("//main//iframe"))
    assert seen > 50


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.targets, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.update(filter(None, (given.get("id"), given.get("name"))))
        if tag == "a" and given.get("href"):
            self.targets.append(given["href"])


def test_links_between_pages_lead_somewhere():
    read = {name: Links((SITE / name).read_text(encoding="utf-8")) for name in [*pages(), "index.html"]}
    broken = []
    for name, links in read.items():
        for target in links.targets:
            where, anchor = urldefrag(urljoin(name, target))
            if urlsplit(where).scheme:
                continue
            where = unquote(where) or name
            if not (SITE / where).is_file():
                broken.append(f"{name} → {target}")
            elif anchor and where in read and anchor not in ("", "top") and unquote(anchor) not in read[where].ids:
                broken.append(f"{name} → {target}")
    assert broken == []


# Every text of the main content against what lies behind it, as WCAG 2 counts contrast: 4.5, or 3 for large letters.
CONTRAST = """() => {
  const numbers = colour => {
    const found = colour.match(/[\\d.]+/g).map(Number), times = colour.startsWith('color(srgb') ? 255 : 1;
    return [found[0] * times, found[1] * times, found[2] * times, found[3] ?? 1];
  };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const linear = part => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = element => {
    const layers = [];
    for (; element; element = element.parentElement) {
      layers.push(numbers(getComputedStyle(element).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reduceRight((below, above) => over(above, below), [255, 255, 255, 1]);
  };
  const poor = {};
  const walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.data.trim(), element = walk.currentNode.parentElement;
    if (!text || element.closest('svg, mjx-container, .headerlink, style, script')) continue;
    if (!element.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize), back = ground(element);
    const [high, low] = [light(over(numbers(style.color), back)), light(back)].sort((x, y) => y - x);
    const ratio = (high + 0.05) / (low + 0.05), large = size >= 24 || (size >= 18.6 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5))
      poor[`${style.color} on ${back.slice(0, 3).map(Math.round)}`] = `${ratio.toFixed(2)} ${text.slice(0, 40)}`;
  }
  return poor;
}"""


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(address, opened, mode):
    page = opened(address + "pages/index.html", color_scheme=mode)
    assert page.locator("html").get_attribute("data-theme") == mode, "the page follows the reader's system"
    poor = {}
    for name in pages():
        page.goto(address + name)
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        if found := page.evaluate(CONTRAST):
            poor[name] = found
    assert poor == {}


def test_dark_mode_switches_and_stays(address, opened):
    page = opened(address + "pages/index.html", color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    bright = page.evaluate(background)
    for _ in range(3):
        if page.locator("html").get_attribute("data-theme") == "dark":
            break
        page.locator("button.theme-switch-button:visible").first.click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.evaluate(background) != bright
    page.goto(address + "pages/results.html")
    assert page.locator("html").get_attribute("data-theme") == "dark", "the choice holds on the next page"


def test_the_keyboard_focus_is_visible(address, opened):
    page = opened(address + "pages/index.html")
    seen = 0
    for _ in range(25):
        page.keyboard.press("Tab")
        style = page.evaluate(
            "(({tagName}, {outlineStyle, outlineWidth}) => [tagName, outlineStyle, parseFloat(outlineWidth)])"
            "(document.activeElement, getComputedStyle(document.activeElement))"
        )
        if style[0] in ("A", "BUTTON"):
            seen += 1
            assert style[1] != "none" and style[2] >= 2, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
    assert seen > 5


# ---------------------------------------------------------------- what a page can do


def test_mathematics_is_typeset(address, opened):
    name = first_page_with('class="math notranslate nohighlight"')
    page = opened(address + name)
    page.wait_for_selector("mjx-container")
    page.wait_for_function("document.querySelectorAll('span.math, div.math').length <= document.querySelectorAll('mjx-container').length")
    assert page.locator("mjx-merror").count() == 0
    assert page.locator("mjx-container").first.bounding_box()["width"] > 3
    assert page.evaluate("[...document.fonts].some(f => f.family.startsWith('MJX') && f.status === 'loaded')"), "its own fonts"


def test_bertviz_reacts_to_a_hover(address, opened):
    page = opened(address + first_page_with('class="bertviz"'))
    frame = page.locator("iframe.bertviz").first
    frame.scroll_into_view_if_needed()
    inside = frame.element_handle().content_frame()
    inside.wait_for_selector("svg text")
    before = inside.evaluate("document.body.innerHTML")
    changed = False
    for word in inside.locator("svg text:visible").all()[:8]:
        word.hover(force=True)
        page.wait_for_timeout(100)
        changed = changed or inside.evaluate("document.body.innerHTML") != before
    assert changed, "pointing at a word changes what is drawn"
    assert opened.troubles == []


def test_a_quiz_answers_to_the_mouse(address, opened):
    page = opened(address + first_page_with('class="quiz'))
    question = page.locator(".quiz fieldset").first
    for kind in ("wrong", "right"):
        choice = question.locator(f".choice:has(input.{kind})").first
        assert not choice.locator(".why").is_visible()
        choice.locator("label").click()
        assert choice.locator(".why").is_visible(), "each choice gives its reason"
    score = page.evaluate("getComputedStyle(document.querySelector('.quiz .score'), '::after').content")
    assert "counter(right)" in score
    assert question.locator(".why:visible").count() == 1


def test_a_quiz_answers_to_the_keyboard(address, opened):
    page = opened(address + first_page_with('class="quiz'))
    radios = page.locator(".quiz fieldset").first.locator("input")
    radios.first.focus()
    page.keyboard.press("Space")
    assert radios.first.is_checked()
    page.keyboard.press("ArrowDown")
    assert radios.nth(1).is_checked() and not radios.first.is_checked()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('fieldset') !== document.querySelector('.quiz fieldset')"), (
        "on to the next question"
    )


def test_a_solution_stands_collapsed_and_unfolds(address, opened):
    page = opened(address + first_page_with("Show solution"))
    folded = page.locator("details", has_text="Show solution").first
    code = folded.locator("pre").first
    assert not code.is_visible()
    folded.locator("summary").click()
    assert code.is_visible()


@pytest.mark.parametrize("kind", ["server", "file"])
def test_search_finds_a_word(address, opened, kind):
    start = address if kind == "server" else SITE.as_uri() + "/"
    page = opened(start + "pages/index.html")
    page.keyboard.press("Control+k")
    page.locator("input[type=search]:visible").first.fill("attention")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=attention*")
    page.wait_for_selector("#search-results li a")
    page.locator("#search-results li a", has_text=re.compile(r"\w")).first.click()
    page.wait_for_load_state()
    assert "attention" in page.locator("main").inner_text().lower()


def test_the_download_button_gives_the_notebook(address, opened, tmp_path):
    for name in chapter_pages():
        [button] = parsed(name).xpath("//a[normalize-space()='Download notebook']")
        offered = (SITE / name).parent / button.get("href")
        assert button.get("download") == offered.name == name.removeprefix("chapters/").replace(".html", ".ipynb")
        notebook = nbformat.read(offered, as_version=4)
        nbformat.validate(notebook)
        assert notebook.cells == nbformat.read(ROOT / "chapters" / offered.name, as_version=4).cells
    page = opened(address + name)  # one of them in the browser
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download notebook").click()
    waiting.value.save_as(tmp_path / waiting.value.suggested_filename)
    assert (tmp_path / offered.name).read_bytes() == offered.read_bytes()


def test_a_chapter_shows_the_claims_of_its_record():
    for chapter in records.chapters():
        record = records.local("cpu", chapter.number)
        assert record, f"chapter {chapter.number} was not run on this machine: python3 book.py build"
        page = parsed(f"chapters/{chapter.stem}.html")
        shown = page.xpath(f"//div[{of_class('claim')}]/@id")
        assert shown == [f"claim-{claim['id']}" for claim in record["claims"]]
        assert f"all {len(shown)} claims hold" in page.xpath(f"//*[{of_class('book-chapter')}]")[0].text_content()


def test_results_and_errata_list_what_the_records_hold(address, opened):
    page = opened(address + "pages/results.html")
    listed = page.locator(".book-results tbody th code").all_inner_texts()
    for chapter in records.chapters():
        for claim in (records.latest("cpu", chapter.number) or {}).get("claims", []):
            assert claim["id"] in listed
    page.goto(address + "pages/errata.html")
    errata = {
        c["id"] for chapter in records.chapters() for c in (records.latest("cpu", chapter.number) or {}).get("claims", []) if c["erratum"]
    }
    links = page.locator(".book-errata a").evaluate_all("all => all.map(e => e.hash)")
    assert errata <= {unquote(link).removeprefix("#claim-") for link in links}


def test_no_widget_needs_a_server():
    for name in pages():
        text = (SITE / name).read_text(encoding="utf-8")
        assert "application/vnd.jupyter.widget" not in text, name
        assert json.dumps("https://unpkg.com")[1:-1] not in text, name

"""What a built page must not do: ask another machine for something, show a picture without words, be too large.

Used by the Sphinx extension after a build. Works on the HTML as it is served; needs neither Sphinx nor a browser.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

LARGEST = 3_000_000  # bytes of one page

_LOADED = {  # what a browser fetches by itself; the href of <a> is not among it
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "frame": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "track": ("src",),
    "input": ("src",),
    "body": ("background",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
    "feimage": ("href", "xlink:href"),
    "base": ("href",),
}
_LINKS = {
    "stylesheet",
    "preload",
    "modulepreload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "icon",
    "apple-touch-icon",
    "manifest",
    "mask-icon",
}
_OUTSIDE = re.compile(r"(?:(?:https?|wss?|ftp|file):)?//", re.IGNORECASE)
_CSS = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])\s*([^"')\s]+)""", re.IGNORECASE)
_SCRIPT = re.compile(
    r"""(?:\bfetch\(|\bimport\b[^"'`;]*|\bimportScripts\(|\bfrom\s|\.src\s*=|\.open\([^,)]*,|new\s+\w*(?:Worker|Socket|Source)\()\s*["'`]([^"'`\s]+)"""
)
_PRELOADED_FONT = re.compile(r"""<link\b[^>]*\brel=["']preload["'][^>]*\bas=["']font["'][^>]*>\n?""")
_SPY = re.compile(r"""\sdata-bs-spy=["']scroll["']""")
_THEBE = re.compile(
    r"""<script>const THEBE_JS_URL.*?</script>\s*|<script[^>]*src=["'][^"']*sphinx-thebe\.js[^>]*></script>\s*"""
    r"""|<script type=["']text/x-thebe-config["']>.*?</script>\s*|<script>kernelName = .*?</script>\s*""",
    re.DOTALL,
)


class _Reader(HTMLParser):
    """Collects addresses that a browser would fetch, and the pictures of the main content that have no words."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.addresses: list[str] = []
        self.wordless: list[str] = []
        self._main = 0
        self._inside = ""

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        if tag in ("main", "article"):
            self._main += 1
        if tag in ("script", "style"):
            self._inside = tag
        for name in _LOADED.get(tag, ()):
            value = given.get(name, "")
            self.addresses += [part.split()[0] for part in value.split(",") if part.strip()] if name == "srcset" else [value]
        if tag == "link" and _LINKS & set(given.get("rel", "").lower().split()):
            self.addresses.append(given.get("href", ""))
        if tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.addresses.append(given.get("content", "").lower().partition("url=")[2].strip("'\" "))
        if "style" in given:
            self.addresses += _CSS.findall(given["style"])
        if tag == "iframe" and "srcdoc" in given:
            self.addresses += _read(given["srcdoc"]).addresses
        if tag == "img" and self._main and not _has_words(given):
            self.wordless.append(given.get("src", "")[:80])

    def handle_endtag(self, tag):
        if tag in ("main", "article"):
            self._main -= 1
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data):
        if self._inside == "style":
            self.addresses += _CSS.findall(data)
        elif self._inside == "script":
            self.addresses += _SCRIPT.findall(data)


def _has_words(given: dict) -> bool:
    """An alt text that is more than the name of the file; an empty one only where the picture is said to be decoration."""
    alt = given.get("alt", "").strip()
    if not alt:
        return "alt" in given and given.get("role") in ("presentation", "none")
    return not re.fullmatch(r"\S+\.(png|svg|jpe?g|gif|webp)", alt, re.IGNORECASE)


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader


def outside_requests(page: str) -> list[str]:
    """Addresses on other machines that a browser would fetch for this page by itself, iframes by `srcdoc` included."""
    return _outside(_read(page).addresses)


def outside_in_css(style: str) -> list[str]:
    """The same for a style sheet: `url()` and `@import`."""
    return _outside(_CSS.findall(re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)))


def _outside(addresses: list[str]) -> list[str]:
    return list(dict.fromkeys(a.strip() for a in addresses if _OUTSIDE.match(a.strip())))


def without_words(page: str) -> list[str]:
    """Sources (their beginning) of the pictures in the main content that have no alternative text."""
    return _read(page).wordless


def too_large(size: int) -> str | None:
    """What is wrong with a page of `size` bytes; None when it is small enough."""
    return f"has {size / 1e6:.1f} MB, more than the {LARGEST / 1e6:.0f} MB a page may have" if size > LARGEST else None


def without_thebe(page: str) -> str:
    """The page without thebe, which Jupyter Book puts on every page, with a remote address, whether or not it is used."""
    return _THEBE.sub("", page)


def without_preloads(page: str) -> str:
    """The page without the fonts that the theme loads ahead: opened as a file, a browser refuses them with an error."""
    return _PRELOADED_FONT.sub("", page)


def without_idle_spy(page: str) -> str:
    """The page without the scroll spy where there is no table of contents to mark: it would try every link of the page.

    An anchor with a point in it, such as that of a claim, stops the spy with an error.
    """
    return page if "bd-toc-nav page-toc" in page else _SPY.sub("", page)


def complaints(folder: Path) -> list[str]:
    """What is wrong with the pages and style sheets below `folder`, one sentence each, naming the file."""
    found = []
    for path in sorted(folder.rglob("*.html")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(("_static/", "_sources/")):
            continue
        reader = _read(path.read_text(encoding="utf-8"))
        found += [f"{name} would request {address}" for address in _outside(reader.addresses)]
        found += [f"{name} has a picture without alternative text: {start}" for start in reader.wordless]
        if reason := too_large(path.stat().st_size):
            found.append(f"{name} {reason}")
    for path in sorted(folder.rglob("*.css")):
        style = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(folder).as_posix()} would request {address}" for address in outside_in_css(style)]
    return found

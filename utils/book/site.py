"""The site: built by Jupyter Book, put in place when it is good, served to this machine.

The build works in `_build/site` and replaces `_build/html` only after it succeeded, so that a failed build leaves the
former site as it was.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from utils import ROOT
from utils.book import BookError, javascript, pages, records

HTML = ROOT / "_build" / "html"
WORK = ROOT / "_build" / "site"
STAMP = ".book-stamp"
SOURCES = ("_config.yml", "_toc.yml", "pages/**/*", "chapters/*.ipynb", "utils/book/*.py", "utils/claims.py", "data/results/*.json")
SOURCES += ("targets/*.yml", "package-lock.json", "requirements.lock")
_JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
_CELL = re.compile(r"(?<=\.ipynb):(\d{5,})")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def build(target: str = "cpu", strict: bool = True) -> Path:
    """Build the site from the latest runs on `target`; return its index.html.

    Returns at once when nothing changed. strict: a warning is an error. BookError names what was wrong; the former
    site then stays.
    """
    javascript.ensure()
    stamp = fingerprint(target)
    kept = HTML / STAMP
    if kept.is_file() and kept.read_text(encoding="utf-8") == stamp and (HTML / "index.html").is_file():
        return HTML / "index.html"
    done = _jupyter_book(target, strict)
    troubles = warnings(done.stderr)
    if done.returncode or (strict and troubles):
        # Sphinx would not warn again about a page that it has read
        (WORK / "_build" / ".doctrees" / "environment.pickle").unlink(missing_ok=True)
        reasons = troubles or _COLOURS.sub("", done.stderr or done.stdout).strip().splitlines()[-15:]
        raise BookError("The site could not be built; the former one, if any, is untouched.\n" + "\n".join(reasons))
    put_in_place(WORK / "_build" / "html", HTML, stamp)
    return HTML / "index.html"


def _jupyter_book(target: str, strict: bool) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", _JUPYTER_BOOK, "build", ".", "--path-output", str(WORK), *(["-W", "--keep-going"] if strict else [])]
    (WORK / "_build").mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "BOOK_TARGET": target, "PYTHONUTF8": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, encoding="utf-8", errors="replace")


def warnings(stderr: str) -> list[str]:
    """The warnings and errors that Sphinx wrote, without colours, each with the lines that belong to it."""
    found: list[str] = []
    belongs = False
    for line in _COLOURS.sub("", stderr).splitlines():
        if re.search(r"\b(WARNING|ERROR|CRITICAL|SEVERE)\b:? ", line) or line.startswith(
            ("The built site", "Extension error", "Theme error", "Configuration error")
        ):
            found.append(_CELL.sub(_cell, line.replace(f"{ROOT}{os.sep}", "")))
            belongs = True
        elif re.match(r"Traceback|RuntimeError|\s*$|[=╔╚]", line):
            belongs = False
        elif belongs:
            found.append(line)
    return found


def _cell(match: re.Match) -> str:
    """MyST-NB counts 10,000 lines a cell: ':50008' is line 8 of the fifth."""
    cell, line = divmod(int(match[1]), 10_000)
    return f", cell {cell}, line {line}"


def fingerprint(target: str) -> str:
    """A hash of everything that the built site depends on."""
    digest = hashlib.blake2b(digest_size=16)
    files = {p for pattern in SOURCES for p in ROOT.glob(pattern) if p.is_file() and "__pycache__" not in p.parts}
    files |= {p for p in (ROOT / "_build" / "runs").glob("*/*.json")} | set(records.runs_folder(target).glob("*.ipynb"))
    for path in sorted(files):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + hashlib.blake2b(path.read_bytes()).digest())
    digest.update(f"{target}\0{pages.origin(ROOT)}".encode())
    return digest.hexdigest()


def put_in_place(built: Path, published: Path, stamp: str) -> None:
    """Replace `published` by a copy of `built`: first beside it, then by renaming."""
    new, old = (published.with_name(f"{published.name}.{part}") for part in ("new", "old"))
    for left_over in (new, old):
        shutil.rmtree(left_over, ignore_errors=True)
    shutil.copytree(built, new)
    (new / STAMP).write_text(stamp, encoding="utf-8")
    if published.exists():
        published.rename(old)
    new.rename(published)
    shutil.rmtree(old, ignore_errors=True)


class _Handler(SimpleHTTPRequestHandler):
    # Windows takes these types from its registry, where they are often wrong
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".css": "text/css",
        ".svg": "image/svg+xml",
        ".woff2": "font/woff2",
        ".ipynb": "application/x-ipynb+json",
    }

    def log_message(self, *arguments):
        pass


class _Server(ThreadingHTTPServer):
    allow_reuse_address = os.name != "nt"  # Windows would let two servers share a port
    daemon_threads = True


def server(port: int = 0, folder: Path = HTML) -> ThreadingHTTPServer:
    """A server of the built site on 127.0.0.1; port 0 takes any free one. BookError when there is no site or no port."""
    if not (folder / "index.html").is_file():
        raise BookError("There is no built site yet: run `python3 book.py build` first.")
    if not 0 <= port <= 65535:
        raise BookError(f"A port is a number between 0 and 65535, not {port}.")
    try:
        return _Server(("127.0.0.1", port), partial(_Handler, directory=folder))
    except PermissionError:
        raise BookError(f"Port {port} needs more rights: choose one above 1023, or leave --port out.") from None
    except OSError:
        raise BookError(f"Port {port} is taken by another program: choose another, or leave --port out for a free one.") from None


def serve(port: int = 0) -> None:
    """Serve the built site until Ctrl-C."""
    with server(port) as running:
        print(f"The book is at http://127.0.0.1:{running.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            print()

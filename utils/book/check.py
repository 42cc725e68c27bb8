"""`book test`: unit tests, the chapters against their reference outputs, the built site in a browser."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

from rich.table import Table

from utils import ROOT, targets
from utils.book import BookError, javascript, pool, records
from utils.book import run as runner
from utils.book.guard import alone
from utils.book.progress import console

PARTS = ("unit", "chapters", "site")


def run(only: str | None = None, target: str = "cpu") -> None:
    """Run the parts (all, or one) and end with one table; BookError when any failed."""
    if only not in (None, *PARTS):
        raise BookError(f"--only {only!r} has to be one of {', '.join(PARTS)}.")
    if importlib.util.find_spec("pytest") is None:
        raise BookError("pytest is not installed here; run: python3 book.py build")
    where = targets.load(target)
    javascript.ensure()  # the first command on a new machine may be this one
    screen, rows = console(), []
    for part in [only] if only else PARTS:
        screen.rule(part)
        began = time.monotonic()
        try:
            ok, words = {"unit": unit, "chapters": chapters, "site": site}[part](where)
        except BookError as error:
            ok, words = False, str(error)
        rows.append((part, ok, words, time.monotonic() - began))
    table = Table()
    for heading in ("part", "result", "seconds", "what"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left", no_wrap=heading != "what")
    for part, ok, words, seconds in rows:
        table.add_row(part, "passed" if ok else "FAILED", f"{seconds:.0f}", words, style=None if ok else "red")
    screen.print(table)
    if failed := [part for part, ok, *_ in rows if not ok]:
        raise BookError(f"the tests of {', '.join(failed)} failed; what failed is above.")


def unit(target: targets.Target) -> tuple[bool, str]:
    """The tests of tests/ that need no built site."""
    side_by_side = min(pool.cores(), 4)
    return _pytest("unit", ["tests", "-m", "not site"], {**os.environ, **pool.share(target, side_by_side)}, side_by_side)


def chapters(target: targets.Target) -> tuple[bool, str]:
    """nbval: every chapter is executed once more, its claims and exercises compared with the stored outputs."""
    if not records.chapters():
        return False, "there are no chapters"
    arguments = ["chapters", "-p", "utils.book.reference", "--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={target.timeout}"]
    side_by_side = min(runner.jobs_that_fit(target), len(records.chapters()))
    with alone("book test"):
        return _pytest("chapters", arguments, pool.environment(target, side_by_side), side_by_side)


def site(target: targets.Target) -> tuple[bool, str]:
    """The built site in a real browser, built first."""
    runner.build(target.name)
    return _pytest("site", ["tests", "-m", "site"], dict(os.environ), 1)


def _pytest(part: str, arguments: list[str], env: dict[str, str], side_by_side: int) -> tuple[bool, str]:
    """Run pytest in the repository, its output shown as it comes; passed or not, and the counts."""
    report = ROOT / "_build" / "test" / f"{part}.xml"
    report.unlink(missing_ok=True)
    # One file's tests stay together: a notebook's cells have to.
    spread = ["-n", str(side_by_side), "--dist", "loadfile"] if side_by_side > 1 and importlib.util.find_spec("xdist") else []
    command = [sys.executable, "-m", "pytest", *arguments, *spread, "-q", f"--junitxml={report}"]
    code = subprocess.run(command, cwd=ROOT, env=env).returncode
    return code == 0, "no tests were found" if code == 5 else _counts(report, code)


def _counts(report: Path, code: int) -> str:
    try:
        suite = ElementTree.parse(report).getroot().find("testsuite").attrib
    except (OSError, ElementTree.ParseError, AttributeError):
        return f"pytest ended with code {code} and no report"
    bad = int(suite["failures"]) + int(suite["errors"])
    passed = int(suite["tests"]) - bad - int(suite["skipped"])
    return ", ".join(f"{n} {word}" for n, word in ((passed, "passed"), (bad, "failed"), (int(suite["skipped"]), "skipped")) if n)

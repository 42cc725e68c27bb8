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
from utils.book import BookError, browser, compare, javascript, plan, pool
from utils.book import run as runner
from utils.book.guard import alone
from utils.book.progress import console, summary

PARTS = ("unit", "chapters", "site")


def run(only: str | None = None, target: str = "cpu", chosen=(), force=False, at_once=None, timeout=None) -> None:
    """Run the parts (all, or one) and end with one table; BookError when any failed.

    chosen: chapters as `book run` takes them; given, theirs is the only part. force: execute what is unchanged, too.
    at_once, timeout: of chapters, as `book run` takes them.
    """
    if only not in (None, *PARTS):
        raise BookError(f"--only {only!r} has to be one of {', '.join(PARTS)}.")
    if chosen and only not in (None, "chapters"):
        raise BookError(f"Chapters are chosen for the part chapters; leave out --only {only}.")
    if importlib.util.find_spec("pytest") is None:
        raise BookError("pytest is not installed here; run: python3 book.py build")
    where, parts = targets.load(target), ["chapters"] if chosen else [only] if only else PARTS
    jobs = plan.jobs(plan.choose(list(chosen)), where, {}) if "chapters" in parts else []
    javascript.ensure()  # the first command on a new machine may be this one
    screen, rows, built = console(), [], True
    if {"unit", "site"} & set(parts):
        try:
            browser.ensure()
        except BookError as error:  # what needs none is tested all the same
            screen.print(f"{error}", style="red", markup=False, soft_wrap=True)
    for part in parts:
        screen.rule(part)
        began = time.monotonic()
        try:
            if part == "unit":
                ok, words = unit(where)
            elif part == "chapters":
                ok, words, built = chapters(jobs, force, at_once, timeout)
            elif built:
                ok, words = site(where)
            else:
                ok, words = False, "not built, since a chapter did not run through"
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


def chapters(jobs: list[plan.Job], force=False, at_once=None, timeout=None) -> tuple[bool, str, bool]:
    """nbval: what changed since its last good run is executed, and the outputs of every chapter are compared with the stored ones.

    Passed or not, the counts, and whether all chapters ran through.
    """
    with alone("book test"):
        outcomes = runner.execute(jobs, at_once, force, timeout, nbval=True)
        found = {o.name: _compared(o) for o in outcomes}
    screen = console()
    screen.print(summary(outcomes))
    for name, comparison in found.items():
        if comparison.failed:
            screen.print(f"\n{name}\n{comparison.said}", markup=False, highlight=False, soft_wrap=True)
    if moved := [words for comparison in found.values() for words in comparison.moved]:
        screen.rule("chapters: what moved")
        for words in moved:
            screen.print(words, markup=False, highlight=False, soft_wrap=True)
    failed = [o for o in outcomes if o.status == "failed"]
    for outcome in failed:
        screen.print(f"{outcome.name}: {outcome.words}.{runner.look([outcome])}", markup=False, soft_wrap=True)
    passed, wrong = sum(c.passed for c in found.values()), sum(c.failed for c in found.values())
    counts = f"cells: {passed} passed" + f", {wrong} failed" * bool(wrong)
    kept = sum(o.status == "unchanged" for o in outcomes)
    done = len(outcomes) - kept
    words = [f"{done} chapter{'s' * (done != 1)} executed, {kept} kept", counts]
    if failed:
        words.append(f"{len(failed)} chapter{'s' * (len(failed) > 1)} did not run through")
    return not failed and not wrong, "; ".join(words), not failed


def _compared(outcome: pool.Outcome) -> compare.Comparison:
    """What nbval found in a chapter: while it was executed, or now, in the kept run."""
    if outcome.status == "unchanged":
        return compare.kept(outcome.job.chapter.path, outcome.job.file(".ipynb"))
    return compare.Comparison(**(outcome.comparison or {}))


def site(target: targets.Target) -> tuple[bool, str]:
    """The built site in a real browser, built first."""
    runner.build(target.name)
    return _pytest("site", ["tests/test_site.py", "--dist", "load", "--maxschedchunk", "1"], dict(os.environ), min(pool.cores(), 4))


def _pytest(part: str, arguments: list[str], env: dict[str, str], side_by_side: int) -> tuple[bool, str]:
    """Run pytest in the repository, its output shown as it comes; passed or not, and the counts."""
    report = ROOT / "_build" / "test" / f"{part}.xml"
    report.unlink(missing_ok=True)
    # One file's tests stay together, since they share what they set up.
    spread = ["-n", str(side_by_side), "--dist", "loadfile"] if side_by_side > 1 else []
    command = [sys.executable, "-m", "pytest", *spread, *arguments, "-q", "--durations=20", f"--junitxml={report}"]
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

"""A pytest plugin over nbval: compares text and stdout only, and says which claims moved, with both lines."""

from __future__ import annotations

import re

import pytest

_CLAIM = re.compile(r"^[✓✗] (\d+\.\S+) — ", re.MULTILINE)


class _AllBut(tuple):
    """nbval's list of what it does not compare, turned round: everything but these."""

    def __contains__(self, key) -> bool:
        return not super().__contains__(key)


COMPARED = _AllBut(("data", "text/plain", "stdout", "ename", "evalue"))


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """Every notebook that nbval collects is compared by what is the same on every machine."""
    collected = yield
    for collector in collected:
        if hasattr(collector, "skip_compare"):
            collector.skip_compare = COMPARED
    return collected


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed cell's report carries what moved, also from xdist's workers."""
    report = yield
    if report.failed and hasattr(item, "test_outputs"):
        report.user_properties += [("moved", words) for words in moved(item)]
    return report


def pytest_terminal_summary(terminalreporter):
    """What moved, before pytest's closing line; `book test` tells it itself, of all chapters together."""
    if terminalreporter.config.pluginmanager.has_plugin("book-walk"):
        return
    failed = terminalreporter.stats.get("failed", [])
    said = [words for report in failed for name, words in report.user_properties if name == "moved"]
    if said:
        terminalreporter.section("chapters: what moved")
        for words in said:
            terminalreporter.write_line(words)


def moved(item) -> list[str]:
    """What a failed notebook cell did differently: one paragraph per claim, or one for the cell."""
    outputs = item.test_outputs or []
    old, new = _text(item.cell.outputs), _text(outputs)
    error = next((o for o in outputs if o.output_type == "error"), None)
    why = f"\n    why:  {error.evalue or error.ename}" if error else ""
    before, after = _claims(old), _claims(new)
    ids = [id for id in {**before, **after} if before.get(id) != after.get(id)]
    chapter = item.path.stem
    nothing = "(no line)"
    if ids:
        return [
            f"{chapter}, claim {id}\n    was:  {before.get(id, nothing)}\n    now:  {after.get(id, nothing)}{why}" for id in ids
        ]
    if old != new and (old or not error):
        return [f"{chapter}, code cell {item.cell_num + 1}\n    was:  {old.strip() or nothing}\n    now:  {new.strip() or nothing}{why}"]
    return [f"{chapter}, code cell {item.cell_num + 1} stopped{why}"]


def _text(outputs) -> str:
    """text/plain and stdout, one after the other."""
    return "\n".join(o.get("text", "") if o.get("name") == "stdout" else o.get("data", {}).get("text/plain", "") for o in outputs)


def _claims(text: str) -> dict[str, str]:
    return {found[1]: line for line in text.splitlines() if (found := _CLAIM.match(line))}

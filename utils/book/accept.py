"""`book accept`: the outputs of the claim and exercise cells become the reference that `book test` compares with."""

from __future__ import annotations

import ast
import difflib
import json

from utils import targets
from utils.book import BookError, plan, records
from utils.book import run as runner
from utils.book.guard import alone
from utils.book.progress import console

TAG = "nbval-check-output"


def run(chapters=(), wait: bool = True) -> None:
    """Renew the reference outputs from the latest run, made first where it is not of the present source."""
    jobs = plan.jobs(plan.choose(list(chapters)), targets.load("cpu"), {})
    screen = console()
    with alone("book accept", wait):
        outcomes = runner.execute(jobs)
        for outcome in outcomes:
            if outcome.status == "failed":
                continue
            path = outcome.job.chapter.path
            before = path.read_text(encoding="utf-8")
            source = json.loads(before)
            changes = renew(source, json.loads(outcome.job.file(".ipynb").read_text(encoding="utf-8")))
            if wrong := [line for line in changes if line.startswith("+ ✗")]:
                raise BookError(f"{outcome.name} was not accepted, since the book's own solution is wrong: {wrong[0][2:]}")
            after = json.dumps(source, indent=1, ensure_ascii=False) + "\n"
            if after != before:
                records.write_text(path, after)
            for line in changes:
                colour = {"+": "green", "-": "red"}.get(line[0], "bold")
                screen.print(line, style=colour, markup=False, soft_wrap=True)
            screen.print(f"{outcome.name}: {'the reference changed' if changes else 'the reference is as before'}")
    runner.finish(outcomes)


def renew(source: dict, executed: dict) -> list[str]:
    """Put the executed notebook's reference outputs into the source, in place; the lines of the difference.

    Cells that claim or check are tagged and keep text/plain and stdout; all others lose outputs and counts.
    """
    theirs = [c for c in executed["cells"] if c["cell_type"] == "code" and "injected-parameters" not in records.tags_of(c)]
    mine = [(number, c) for number, c in enumerate(source["cells"], 1) if c["cell_type"] == "code"]
    changes = []
    for count, ((number, cell), run) in enumerate(zip(mine, theirs, strict=True), 1):
        old = lines(cell.get("outputs", []))
        if TAG in records.tags_of(cell) or calls(records.source_of(cell), {"claim", "check"}):
            if TAG not in records.tags_of(cell):
                cell["metadata"].setdefault("tags", []).append(TAG)
            cell["outputs"] = [kept for output in run["outputs"] if (kept := reference(output, count))]
            cell["execution_count"] = count  # nbval does not compare a cell without
        else:
            cell["outputs"], cell["execution_count"] = [], None
        new = lines(cell["outputs"])
        if old != new:
            changes.append(f"cell {number}")
            changes += [line for line in difflib.ndiff(old, new) if line[0] in "+-"]
    return changes


def reference(output: dict, count: int) -> dict | None:
    """The part of an output that has to be the same on every machine; None when nothing of it is."""
    kind = output["output_type"]
    if kind == "stream" and output["name"] == "stdout":
        return {"name": "stdout", "output_type": kind, "text": _split(output["text"])}
    if "text/plain" not in output.get("data", {}):
        return None
    kept = {"data": {"text/plain": _split(output["data"]["text/plain"])}}
    if kind == "execute_result":
        kept["execution_count"] = count
    return {**kept, "metadata": {}, "output_type": kind}


def lines(outputs: list[dict]) -> list[str]:
    """The lines of text that a cell's outputs show: text/plain and stdout."""
    texts = [o.get("text", "") if o["output_type"] == "stream" else o.get("data", {}).get("text/plain", "") for o in outputs]
    return [line for text in texts for line in "".join(text).splitlines()]


def calls(source: str, names: set[str]) -> list[ast.Call]:
    """The calls of these functions in a cell; cells with IPython magics are read without those lines."""
    try:
        tree = ast.parse("\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()))
    except SyntaxError:
        return []
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id in names]
    return sorted(found, key=lambda call: call.lineno)


def _split(text) -> list[str]:
    return "".join(text).splitlines(keepends=True)

"""`book run` and `book build`: what is chosen, executed, recorded, and said about it."""

from __future__ import annotations

import importlib.util
import os

from utils import targets
from utils.book import BookError, javascript, plan, records
from utils.book.guard import alone
from utils.book.plan import Job
from utils.book.pool import CONTROL_GROUP, Outcome, Pool, cores, number
from utils.book.progress import Progress, summary

SEEDS = [0, 1, 2]


def run(chapters=(), target="cpu", parameters=(), at_once=None, force=False, timeout=None, record=False, seeds=None, wait=True) -> None:
    """Execute chapters and show how each went; BookError when one failed (the others' results are kept).

    chapters: numbers, ranges, parts of names. parameters: "name=value", which every chosen chapter has to have.
    record, seeds: write data/results/<target>.json, with these seeds ("0,1,2") for claims that depend on luck.
    """
    chosen = plan.choose(list(chapters))
    where = targets.load(target)
    if record and parameters:
        raise BookError("--record keeps what the target itself sets; leave -p out, or change targets/*.yml.")
    if seeds and not record:
        raise BookError("--seeds belongs to --record; for one run with another seed use -p seed=3.")
    luck = _seeds(seeds) if record else []
    jobs = plan.jobs(chosen, where, plan.assignments(list(parameters)))
    with alone("book run", wait):
        outcomes = execute(jobs, at_once, force, timeout)
        if record:
            outcomes += _record(outcomes, luck, at_once, force, timeout)
    finish(outcomes)


def build(target="cpu", jobs=None, force=False, timeout=None, wait=True) -> None:
    """Execute what changed and build the site from it. When a chapter fails the site stays as it was."""
    from utils.book import site

    where = targets.load(target)
    todo = plan.jobs(plan.choose([]), where, {})
    with alone("book build", wait):
        javascript.ensure()
        finish(execute(todo, jobs, force, timeout), "; the site was left as it was")
        index = site.build(target)
    print(f"The book is at {_relative(index)}. To read it: python3 book.py serve")


def execute(jobs: list[Job], at_once=None, force=False, timeout=None, nbval=False) -> list[Outcome]:
    """Execute the jobs whose content changed (all with force); one outcome each, in their order.

    at_once: chapters side by side; left out, as many as cores and free memory allow. nbval: let nbval walk through the
    cells, which compares them with the stored outputs; what a run leaves is the same.
    """
    outcomes = {id(job): Outcome(job, "unchanged", job.record) for job in jobs if job.record and not force}
    todo = [job for job in jobs if id(job) not in outcomes]
    if todo:
        if missing := [name for name in ("papermill", "ipykernel", "psutil") if importlib.util.find_spec(name) is None]:
            raise BookError(f"{missing[0]} is not installed here; run: python3 book.py build")
        javascript.ensure()  # a chapter's attention views need d3 and jQuery
        room = float("inf") if at_once else free_memory()  # --jobs decides alone
        at_once = min(at_once or side_by_side(todo[0].target), len(todo))
        with Progress() as progress:
            for outcome in Pool(progress, at_once, room, timeout, nbval).run(todo):
                outcomes[id(outcome.job)] = outcome
    return [outcomes[id(job)] for job in jobs]


def side_by_side(target: targets.Target) -> int:
    """How many chapters the cores of this machine hold, at least one; one where they share a GPU."""
    return max(1, cores() // target.threads) if target.device == "cpu" else 1


def free_memory() -> float:
    """MB that chapters may take together: what is free, and what a container leaves of it."""
    import psutil

    free = psutil.virtual_memory().available
    limit, used = (number(CONTROL_GROUP / name) for name in ("memory.max", "memory.current"))
    return min(free, limit - (used or 0) if limit else free) / 2**20


def finish(outcomes: list[Outcome], consequence: str = "") -> None:
    """Show the table; BookError naming each failed chapter, cell and reason."""
    Progress().console.print(summary(outcomes))
    failed = [o for o in outcomes if o.status == "failed"]
    if len(failed) == 1:
        raise BookError(f"{failed[0].name} failed{consequence}: {failed[0].words}.{look(failed)}")
    if failed:
        which = ", ".join(f"{o.name} (cell {o.record['failure']['cell'] or '–'})" for o in failed)
        raise BookError(f"{len(failed)} of {len(outcomes)} chapters failed{consequence}: {which}; the table says why.{look(failed)}")


def _record(outcomes: list[Outcome], seeds: list[int], at_once, force, timeout) -> list[Outcome]:
    """Write the good runs to data/results, after running other seeds where claims depend on luck; those outcomes."""
    good = [o for o in outcomes if o.status != "failed"]
    lucky = [o for o in good if any(c["seed_dependent"] for c in o.record["claims"]) and o.job.seed is not None]
    extra = [o.job.with_seed(seed) for o in lucky for seed in seeds if seed != o.job.seed]
    more = execute(extra, at_once, force, timeout)
    for outcome in good:
        mine = [m for m in more if m.job.chapter == outcome.job.chapter]
        if all(m.status != "failed" for m in mine):
            runs = {m.job.seed: m.record for m in mine}
            if outcome in lucky and outcome.job.seed in seeds:
                runs[outcome.job.seed] = outcome.record
            _merge(outcome.job, outcome.record, {seed: runs[seed] for seed in seeds if seed in runs})
    return more


def _merge(job: Job, record: dict, runs: dict[int, dict]) -> None:
    """Put one chapter's record into the committed one; claims that depend on luck get the values of all seeds."""
    claims = []
    for trace in record["claims"]:
        if trace["seed_dependent"] and runs:
            same = {seed: next((c for c in run["claims"] if c["id"] == trace["id"]), None) for seed, run in runs.items()}
            if lacking := [seed for seed, c in same.items() if c is None]:
                raise BookError(f"With seed {lacking[0]} there is no claim {trace['id']}; chapter {job.chapter.number} was not recorded.")
            trace = {
                **trace,
                "by_seed": {str(seed): c["value"] for seed, c in same.items()},
                "values": [v for c in same.values() for v in c["values"]],
                "value": sum(c["value"] for c in same.values()) / len(same),
                "held": all(c["held"] for c in same.values()),
            }
        claims.append(trace)
    kept = {k: v for k, v in record.items() if k != "key"}
    content = records.committed(job.target.name)
    content["chapters"][str(job.chapter.number)] = {**kept, "claims": claims, "seeds": list(runs)}
    records.write_json(records.results_file(job.target.name), content)


def look(failed: list[Outcome]) -> str:
    """Which notebooks show how far the failed ones got."""
    kept = [_relative(o.job.file(".failed.ipynb")) for o in failed if o.job.file(".failed.ipynb").exists()]
    return f" To look into it, open {', '.join(kept)}" if kept else ""


def _seeds(text: str | None) -> list[int]:
    if text is None:
        return SEEDS
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts) or len(set(parts)) < 3:
        raise BookError(f"--seeds {text!r} has to be at least three different numbers, like 0,1,2.")
    return [int(part) for part in dict.fromkeys(parts)]


def _relative(path) -> str:
    """A path as the user sees it from where the command was typed."""
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive, on Windows
        return str(path)

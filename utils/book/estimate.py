"""What a run is expected to take, and which chapter starts next: from the records of earlier runs."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from utils.book import records
from utils.book.plan import Job

WORKER_MB = 250  # what a chapter's worker process takes, beside the kernel that its record counts
MARGIN = 1.15  # how much more memory than in its record a chapter may take here


@dataclass(eq=False)
class Expected:
    """A job and what it is expected to take."""

    job: Job
    seconds: float
    memory_mb: float


def expected(jobs: list[Job]) -> list[Expected]:
    """The jobs, the longest first.

    Seconds and memory are those of the last run here, else those of the committed record (its seconds times
    the slowness of this machine), else the average of the others and the target's memory.
    """
    if not jobs:
        return []
    target = jobs[0].target
    committed, times = records.committed(target.name)["chapters"], slowness(target.name)
    found, unknown = [], []
    for job in jobs:
        here, there = records.local(target.name, job.chapter.number), committed.get(str(job.chapter.number))
        mine = {**job.defaults, **job.parameters}
        if _is_of(here, mine):
            found.append(Expected(job, here["seconds"], MARGIN * here["peak_memory_mb"] + WORKER_MB))
        elif _is_of(there, mine):
            found.append(
                Expected(job, there["seconds"] * times, MARGIN * there["peak_memory_mb"] + WORKER_MB)
            )
        else:
            unknown.append(job)
    average = statistics.fmean(e.seconds for e in found) if found else 60.0
    found += [Expected(job, average, 1024 * target.memory_gb) for job in unknown]
    return sorted(found, key=lambda e: -e.seconds)


def slowness(target: str) -> float:
    """How many times as long chapters take here as in the committed record: a median; 1 before any ran."""
    both = []
    for number, there in records.committed(target)["chapters"].items():
        here = records.local(target, int(number))
        if here and here["compute_seconds"] and there["compute_seconds"] and _is_of(here, there["parameters"]):
            both.append(here["compute_seconds"] / there["compute_seconds"])
    return statistics.median(both) if both else 1.0


def fitting(
    waiting: list[Expected], running: list[Expected], at_once: int, room_mb: float
) -> Expected | None:
    """The first of the waiting jobs that may start beside the running ones, if any. Alone, every job may."""
    if len(running) >= at_once:
        return None
    free = room_mb - sum(e.memory_mb for e in running)
    return next((e for e in waiting if not running or e.memory_mb <= free), None)


def seconds_left(
    waiting: list[Expected], running: dict[Expected, float], at_once: int, room_mb: float
) -> float:
    """Seconds until all are done when each takes what is expected. running: job → the seconds it has had."""
    waiting, now = list(waiting), 0.0
    left = {e: max(e.seconds - had, 0.0) for e, had in running.items()}
    while waiting or left:
        while following := fitting(waiting, list(left), at_once, room_mb):
            waiting.remove(following)
            left[following] = following.seconds
        step = min(left.values())
        now += step
        left = {e: seconds - step for e, seconds in left.items() if seconds > step}
    return now


def in_words(seconds: float) -> str:
    """ "40 s", "3 min", "1 h 5 min"."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _is_of(record: dict | None, parameters: dict) -> bool:
    """Is there a record, and was it made with these parameters, as far as both know them, seed apart?"""
    if not record or not record.get("seconds"):
        return False
    both = record["parameters"].keys() & parameters.keys() - {"seed"}
    return all(record["parameters"][name] == parameters[name] for name in both)

"""Worker processes: started with their share of the machine, listened to, ended with everything they started."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from utils import ROOT
from utils.book import estimate, key, records
from utils.book.estimate import Expected
from utils.book.plan import Job
from utils.book.progress import Progress, claims_in_words
from utils.targets import Target

CONTROL_GROUP = Path("/sys/fs/cgroup")  # where Linux tells a container its limits
GRACE = 60  # seconds a worker may take beyond its chapter's time-out, to start and to save


@dataclass
class Outcome:
    """How one job went: "ok", "unchanged" or "failed"."""

    job: Job
    status: str
    record: dict = field(default_factory=dict)
    comparison: dict | None = None  # what nbval found, where it walked through the cells

    @property
    def name(self) -> str:
        return label(self.job)

    @property
    def words(self) -> str:
        return describe(self.record["failure"]) if self.status == "failed" else self.status


class Pool:
    """Runs jobs, some at a time: the longest first, and only what fits into `room` MB together, by the records."""

    def __init__(self, progress: Progress, at_once: int, room: float = float("inf"), timeout: float | None = None, nbval: bool = False):
        self.progress, self.at_once, self.room, self.timeout, self.nbval = progress, at_once, room, timeout, nbval
        self.stopping = False
        self.alive: set = set()  # psutil.Process of workers and kernels
        self.began: dict[Expected, float] = {}  # of those at work
        self.ratios: list[float] = []  # of those done: seconds taken over seconds expected

    def run(self, jobs: list[Job]) -> list[Outcome]:
        """One outcome per job, in order. Ctrl-C ends all workers and their kernels, then goes on upwards."""
        for folder in {job.folder for job in jobs}:
            for leftover in folder.glob(".*.tmp"):  # of a command that was killed; the lock says nobody writes now
                leftover.unlink(missing_ok=True)
        waiting = estimate.expected(jobs)
        self.progress.say(self.announcement(waiting))
        done: dict[int, Outcome] = {}
        with concurrent.futures.ThreadPoolExecutor(self.at_once) as threads:
            working: dict[concurrent.futures.Future, Expected] = {}
            try:
                while waiting or working:
                    while following := estimate.fitting(waiting, list(working.values()), self.at_once, self.room):
                        waiting.remove(following)
                        self.began[following] = time.monotonic()
                        working[threads.submit(self.one, following.job)] = following
                    # short: a long wait is deaf to Ctrl-C on Windows
                    for future in concurrent.futures.wait(working, 0.2, concurrent.futures.FIRST_COMPLETED).done:
                        one = working.pop(future)
                        done[id(one.job)] = outcome = future.result()
                        took = time.monotonic() - self.began.pop(one)
                        if outcome.status == "ok":
                            self.ratios.append(took / one.seconds)
                        if waiting or working:
                            self.progress.say(f"{len(done)} of {len(jobs)} done, about {self.left(waiting)} left")
                    self.progress.tick()
            except BaseException:
                self.stopping = True
                threads.shutdown(wait=False, cancel_futures=True)
                self.end(*list(self.alive))
                raise
        return [done[id(job)] for job in jobs]

    def announcement(self, waiting: list[Expected]) -> str:
        """How many chapters, how many at a time, how long by the records."""
        count, target = len(waiting), waiting[0].job.target
        times = estimate.slowness(target.name)
        here = f" ({times:.1f} times the committed records on this machine)" if abs(times - 1) > 0.05 else ""
        threads = share(target, self.at_once)["BOOK_THREADS"]
        words = f"{threads} thread{'s' * (threads != '1')}"
        most = f"at most {self.at_once}" if self.at_once > 1 else "one"
        words = f"{count} chapters, {most} at a time, {words} each" if count > 1 else f"1 chapter on {words}"
        return f"{words}: about {self.left(waiting)}{here}"

    def left(self, waiting: list[Expected]) -> str:
        """Time until all are done: what is expected, times what the first ones took more or less than that."""
        now = time.monotonic()
        ratio = statistics.median(self.ratios) if self.ratios else 1.0
        had = {one: (now - began) / ratio for one, began in self.began.items()}
        return estimate.in_words(ratio * estimate.seconds_left(waiting, had, self.at_once, self.room))

    def one(self, job: Job) -> Outcome | None:
        """Execute one job and keep what it left."""
        if self.stopping:
            return None
        began = time.monotonic()
        part = job.folder / f".{job.chapter.stem}.part.tmp"
        self.progress.begin(label(job))
        last = {"failure": {"cell": None, "claim": None, "reason": job.problem}} if job.problem else self.work(job, part)
        try:
            if self.stopping:
                return None
            threads = int(share(job.target, self.at_once)["BOOK_THREADS"])
            outcome = settle(job, last, part, time.monotonic() - began, threads)
            outcome.comparison = last.get("comparison")
        finally:
            part.unlink(missing_ok=True)
        took = f"{outcome.record['seconds']:.1f} s, {claims_in_words(len(outcome.record['claims']))}"
        self.progress.end(label(job), f"done, {took}" if outcome.status == "ok" else f"FAILED: {outcome.words}")
        return outcome

    def work(self, job: Job, part: Path) -> dict:
        """Start a worker and listen until it ends; its last event, or one that says how it died."""
        import psutil

        timeout = self.timeout or job.target.timeout
        order = {
            "notebook": str(job.chapter.path),
            "part": str(part),
            "parameters": job.parameters,
            "cwd": str(job.chapter.path.parent),
            "timeout": timeout,
            "nbval": self.nbval,
        }
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
        with tempfile.TemporaryFile() as noise:
            worker = subprocess.Popen(
                [sys.executable, "-m", "utils.book.worker"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise, env=environment(job.target, self.at_once), cwd=ROOT, **apart,
            )  # fmt: skip
            processes = {psutil.Process(worker.pid)}
            self.alive |= processes
            if self.stopping:  # Ctrl-C came while this worker was being started
                self.end(*processes)
            late = threading.Timer(timeout + GRACE, lambda: self.end(*processes))
            late.start()
            last: dict = {}
            try:
                with contextlib.suppress(OSError):  # it died before it could read
                    worker.stdin.write(json.dumps(order).encode() + b"\n")
                    worker.stdin.flush()
                for line in worker.stdout:
                    with contextlib.suppress(ValueError):
                        event = json.loads(line)
                        if event["event"] == "kernel":
                            with contextlib.suppress(psutil.Error):
                                processes.add(psutil.Process(event["pid"]))
                                self.alive |= processes
                        else:
                            last = event
                            self.progress.event(label(job), event)
                worker.wait()
            finally:
                timed_out = not late.is_alive() and not self.stopping
                late.cancel()
                self.end(*processes)
                self.alive -= processes
                with contextlib.suppress(OSError):
                    worker.stdin.close()
                worker.stdout.close()
            if last.get("event") != "end":
                last["failure"] = _death(last, worker.returncode, noise, timed_out)
        return last

    def end(self, *processes) -> None:
        """Kill processes and all their children, and see them gone."""
        import psutil

        doomed = set(processes)
        for process in processes:
            with contextlib.suppress(psutil.Error):
                doomed.update(process.children(recursive=True))
        for process in doomed:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(doomed, timeout=5)  # gone, not only told to go, when the command says so


def environment(target: Target, at_once: int = 1) -> dict[str, str]:
    """What a chapter's process gets: this Python first, its share of the threads, and network or not."""
    paths = [str(key.CODE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {
        **os.environ,
        **share(target, at_once),
        "PYTHONPATH": os.pathsep.join(paths),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "IPYTHONDIR": str(ROOT / "_build" / "ipython"),  # a reader's own start-up files must not change results
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    # without network nothing goes to or comes from the caches in the reader's home, where `datasets` would leave files
    return env if target.network else {**env, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(ROOT / "_build" / "cache" / "datasets")}


def share(target: Target, at_once: int) -> dict[str, str]:
    """The threads of one of `at_once` processes, as the libraries read them; BOOK_THREADS can lower it."""
    threads = max(1, min(target.threads, cores() // at_once, int(os.environ.get("BOOK_THREADS") or target.threads)))
    env = dict.fromkeys(("BOOK_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    # Waiting threads of libgomp spin for long by default: where another program wants the core, torch gets ten times slower.
    # Never spinning costs half the speed on a free machine; this little keeps most of it, and is polite.
    return {**env, "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "1000")}


def settle(job: Job, last: dict, part: Path, seconds: float, threads: int) -> Outcome:
    """Keep what a run left: notebook and record under their names, or the failed ones beside the last good run."""
    failure = last.get("failure")
    ended = {
        "chapter": job.chapter.number,
        "name": job.chapter.stem,
        "title": job.chapter.title,
        "target": job.target.name,
        "parameters": {**job.defaults, **job.parameters},
        "key": job.key,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "failed" if failure else "ok",
        "seconds": round(seconds, 2),
        "compute_seconds": last.get("compute_seconds", 0),
        "peak_memory_mb": last.get("peak_memory_mb", 0),
        "threads": threads,
        "cells": last.get("of", 0),
        "hardware": records.hardware(job.target.device),
        "versions": records.versions(),
        "claims": [],
        "failure": failure,
    }
    job.folder.mkdir(parents=True, exist_ok=True)
    if part.exists():
        ended["claims"] = records.traces(json.loads(part.read_text(encoding="utf-8")))
    if failure:
        if part.exists():
            os.replace(part, job.file(".failed.ipynb"))
        elif not job.problem:  # it died before anything was saved
            shutil.copy(job.chapter.path, job.file(".failed.ipynb"))
        records.write_json(job.file(".failed.json"), ended)
        return Outcome(job, "failed", ended)
    job.file(".json").unlink(missing_ok=True)  # never an old record beside a new notebook
    os.replace(part, job.file(".ipynb"))
    records.write_json(job.file(".json"), ended)
    for ending in (".failed.ipynb", ".failed.json"):
        job.file(ending).unlink(missing_ok=True)
    return Outcome(job, "ok", ended)


def label(job: Job) -> str:
    """How a job is called in lines and tables."""
    extra = job.folder.parent.name == "seeds"
    return f"{job.chapter.stem} (seed {job.seed})" if extra else job.chapter.stem


def describe(failure: dict) -> str:
    """A failure in words: cell, claim, reason."""
    where = f"cell {failure['cell']}: " if failure.get("cell") else ""
    return f"{where}{failure['reason']}"


def _death(last: dict, code: int, noise, timed_out: bool) -> dict:
    """Why a worker ended without saying so."""
    if timed_out:
        reason = "it did not end at its time-out and was killed; --timeout sets another"
    elif code == -9:
        reason = "its process was killed, most likely because memory ran out; close other programs or use --jobs 1"
    else:
        noise.seek(0)
        said = noise.read().decode(errors="replace").strip().splitlines()
        reason = f"its process ended with code {code}" + (f": {said[-1]}" if said else "")
    return {"cell": last.get("cell") or None, "claim": None, "reason": reason}


def cores() -> int:
    """Processor cores this process may use; a container may have a share of those that it sees."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = (number(CONTROL_GROUP / "cpu.max", place) for place in (0, 1))
    return max(1, min(seen, int(quota / period))) if quota and period else seen


def number(path: Path, place: int = 0) -> int | None:
    """A number in a file of the kernel's, by its place in the line; None where there is no such file, or no limit ("max")."""
    try:
        return int(path.read_text().split()[place])
    except (OSError, ValueError, IndexError):
        return None

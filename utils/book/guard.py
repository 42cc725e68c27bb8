"""One command at a time works in `_build/`: a lock that says who holds it."""

from __future__ import annotations

import contextlib
import json
import os
import sys

from utils import ROOT
from utils.book import BookError


@contextlib.contextmanager
def alone(command: str, wait: bool = True):
    """Hold `_build/` for this command. When another holds it: wait and say so, or BookError with wait=False.

    The lock ends with its process, however that ends.
    """
    from filelock import FileLock, Timeout

    folder = ROOT / "_build"
    folder.mkdir(exist_ok=True)
    lock, holder = FileLock(folder / "book.lock"), folder / "book.lock.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise BookError(f"{_who(holder)} is at work in this folder; try again when it has finished.") from None
        print(f"Waiting: {_who(holder)} is at work in this folder (with --no-wait this command would end).", file=sys.stderr)
        lock.acquire()
    try:
        holder.write_text(json.dumps({"pid": os.getpid(), "command": command}), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _who(holder) -> str:
    try:
        other = json.loads(holder.read_text(encoding="utf-8"))
        return f"`{other['command']}` (process {other['pid']})"
    except (OSError, ValueError, KeyError):
        return "another book command"

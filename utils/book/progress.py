"""What a running command shows: one live line per chapter in a terminal, plain lines elsewhere, a table at the end."""

from __future__ import annotations

import sys
import threading
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

EVERY = 20  # seconds between two plain lines about the same chapter


def console() -> Console:
    """Where to print; wide enough for a table when it is a file or a pipe."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(width=140, highlight=False)


class Progress:
    """Collects the workers' events (from any thread) and shows them."""

    def __init__(self):
        self.console = console()
        self.running: dict[str, dict] = {}
        self.lock = threading.Lock()
        self.live = Live(get_renderable=self.table, console=self.console, transient=True) if self.console.is_terminal else None

    def __enter__(self) -> Progress:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *_) -> None:
        if self.live:
            self.live.stop()

    def begin(self, name: str) -> None:
        """A chapter starts."""
        with self.lock:
            self.running[name] = {"began": time.monotonic(), "told": time.monotonic(), "cell": 0, "of": 0, "claims": 0, "peak_memory_mb": 0}
        if not self.live:
            self.say(f"{name}: started")

    def event(self, name: str, event: dict) -> None:
        """A worker's event."""
        with self.lock:
            self.running[name].update({k: v for k, v in event.items() if k in self.running[name]})

    def tick(self) -> None:
        """Called often: without live lines, says now and then how far each chapter is."""
        if self.live:
            return
        with self.lock:
            due = [(name, state) for name, state in self.running.items() if time.monotonic() - state["told"] > EVERY]
            for _, state in due:
                state["told"] = time.monotonic()
        for name, state in due:
            self.say(f"{name}: {', '.join(_words(state))}")

    def end(self, name: str, words: str) -> None:
        """A chapter is done, well or badly."""
        with self.lock:
            self.running.pop(name, None)
        self.say(f"{name}: {words}")

    def say(self, line: str) -> None:
        """One line that stays."""
        self.console.print(Text(line), soft_wrap=True)

    def table(self) -> Table:
        """The live lines."""
        grid = Table.grid(padding=(0, 2))
        with self.lock:
            for name, state in self.running.items():
                grid.add_row(Text(name, style="bold"), *_words(state))
        return grid


def _words(state: dict) -> list[str]:
    """A chapter's state: cell, seconds, claims, memory."""
    return [
        f"cell {state['cell']} of {state['of']}" if state["of"] else "starting",
        f"{time.monotonic() - state['began']:.0f} s",
        claims_in_words(state["claims"]),
        f"{state['peak_memory_mb']} MB",
    ]


def claims_in_words(count: int) -> str:
    """ "1 claim", "2 claims"."""
    return f"{count} claim{'s' * (count != 1)}"


def summary(outcomes) -> Table:
    """One row per chapter: seconds, peak memory, claims, and how it went."""
    table = Table(title_justify="left")
    table.add_column("chapter", no_wrap=True)
    for heading in ("seconds", "memory", "held", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("result")
    for outcome in outcomes:
        record = outcome.record
        claims = record.get("claims", [])
        held = sum(c["held"] for c in claims)
        table.add_row(
            outcome.name,
            f"{record['seconds']:.1f}" if "seconds" in record else "",
            f"{record['peak_memory_mb']} MB" if record.get("peak_memory_mb") else "",
            str(held) if claims else "",
            str(len(claims) - held) if claims else "",
            outcome.words,
            style={"unchanged": "dim", "failed": "red"}.get(outcome.status),
        )
    return table

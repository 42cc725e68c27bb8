"""One chapter, executed by papermill in this process of its own: `python -m utils.book.worker`, started by pool.py.

It reads one line of JSON from stdin (notebook, part, parameters, cwd, timeout, nbval) and writes events, one line of JSON
each, to stdout. When stdin closes, the command that started it is gone: it ends its kernel and itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from utils.book import records

SAVE_EVERY = 5  # seconds between two copies of the unfinished notebook
SAMPLE_EVERY = 0.25  # seconds between two looks at the memory


class Execution:
    """The state of one run, filled by nbclient's hooks."""

    def __init__(self, job: dict, say):
        self.job, self.say = job, say
        self.notebook = self.kernel = None
        self.family: set = set()  # the kernel and every process it started, as far as seen
        self.cell = self.of = self.claims = 0
        self.compute = self.peak = 0.0
        self.failed: dict | None = None  # the first cell that failed
        self.comparison: dict | None = None  # what nbval found, where it walks
        self.started = self.saved = time.monotonic()

    def run(self) -> dict:
        """Execute; returns the last event, with `failure` None or cell, claim and reason."""
        import nbformat
        import papermill
        from papermill.engines import papermill_engines
        from papermill.exceptions import PapermillExecutionError

        failure = None
        try:
            source = nbformat.read(self.job["notebook"], as_version=4)
            for cell in source.cells:
                if cell.cell_type == "code":
                    cell.outputs, cell.execution_count = [], None
            if self.job["nbval"]:
                from utils.book import compare

                papermill_engines.register("nbval", compare.engine(self))
            papermill.execute_notebook(
                source,
                None,
                engine_name="nbval" if self.job["nbval"] else None,
                parameters=self.job["parameters"],
                kernel_name="python3",
                language="python",
                cwd=self.job["cwd"],
                progress_bar=False,
                start_timeout=120,
                kernel_manager_class=own_kernel(self),
                timeout_func=self.time_left,
                iopub_timeout=60,
                on_notebook_start=self.on_start,
                on_cell_start=self.on_cell,
                on_cell_execute=self.on_execute,
                on_cell_executed=self.on_executed,
                on_cell_error=self.on_error,
            )
        except PapermillExecutionError:
            pass  # on_error has seen it
        except Exception as error:  # whatever papermill and nbclient raise is this chapter's failure, not ours
            failure = self.failure(self.explain(error))
        failure = self.failed or failure
        if self.notebook is not None:
            self.save()
        self.end_family()
        return {"event": "end", "failure": failure, "comparison": self.comparison, **self.numbers()}

    def numbers(self) -> dict:
        """What every event tells."""
        return {
            "cell": self.cell,
            "of": self.of,
            "claims": self.claims,
            "compute_seconds": round(self.compute, 2),
            "peak_memory_mb": round(self.peak / 2**20),
        }

    def failure(self, reason: str, claim: str | None = None) -> dict:
        """How the record names a failure."""
        return {"cell": self.cell or None, "claim": claim, "reason": reason}

    def explain(self, error: Exception) -> str:
        """A time-out or a dead kernel in one sentence that says what to do."""
        kind = type(error).__name__
        if kind == "CellTimeoutError" and self.time_left() < 1:
            return f"it was still running after {self.job['timeout']:g} s, its time-out; --timeout sets another"
        if kind == "DeadKernelError":
            code = self.kernel.poll() if self.kernel else None
            held = f"it held {self.peak / 2**20:,.0f} MB"
            if code == -getattr(signal, "SIGKILL", 9):
                return f"the kernel was killed, most likely because memory ran out ({held}); close other programs or use --jobs 1"
            return f"the kernel died ({_code(code)}; {held})"
        text = str(error).strip()
        return f"{kind}: {text.splitlines()[0]}" if text else kind

    def traces(self) -> list[dict]:
        """The claims so far."""
        return records.traces(self.notebook) if self.notebook else []

    def time_left(self, cell=None) -> float:
        """Seconds until the chapter's time-out."""
        return max(0.1, self.started + self.job["timeout"] - time.monotonic())

    def on_start(self, notebook) -> None:
        self.notebook, self.started = notebook, time.monotonic()
        self.of = sum(not _injected(c) for c in notebook.cells)

    def on_cell(self, cell, cell_index) -> None:
        self.cell = sum(not _injected(c) for c in self.notebook.cells[: cell_index + 1])
        if cell.cell_type == "code":
            self.say({"event": "cell", **self.numbers()})

    def on_execute(self, cell, cell_index) -> None:
        self.cell_began = time.monotonic()

    def on_executed(self, cell, cell_index, execute_reply) -> None:
        now = time.monotonic()
        self.compute += now - self.cell_began
        self.claims += sum(records.MIME in o.get("data", {}) for o in cell.outputs)
        if now - self.saved > SAVE_EVERY:
            self.save()
            self.saved = now

    def on_error(self, cell, cell_index, execute_reply) -> None:
        if self.failed is None:
            error = execute_reply["content"]
            failed = [t["id"] for t in self.traces() if not t["held"]]
            is_claim = error["ename"] == "ClaimFailed"
            reason = error["evalue"] if is_claim else f"{error['ename']}: {error['evalue']}".strip(": ")
            self.failed = self.failure(reason.strip().partition("\n")[0], failed[-1] if is_claim and failed else None)

    def save(self) -> None:
        """A copy of the notebook as far as it got, without this machine's paths."""
        import nbformat

        copy = nbformat.NotebookNode(self.notebook)  # papermill still needs its own entry
        copy.metadata = nbformat.NotebookNode({k: v for k, v in copy.metadata.items() if k != "papermill"})
        records.write_text(Path(self.job["part"]), nbformat.writes(copy))

    def end_family(self) -> None:
        """Kill what the kernel left behind, such as a server that a chapter started."""
        import psutil

        for process in list(self.family):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def watch_memory(self, process) -> None:
        """Keep the largest resident memory of the kernel and its children, in bytes."""
        import psutil

        while True:
            try:
                tree = [process, *process.children(recursive=True)]
                self.family.update(tree)
                self.peak = max(self.peak, sum(p.memory_info().rss for p in tree))
            except psutil.Error:
                if not process.is_running():
                    return
            time.sleep(SAMPLE_EVERY)

    def started_kernel(self, popen) -> None:
        """A kernel is there: tell its process, watch its memory."""
        import psutil

        self.kernel = popen
        self.say({"event": "kernel", "pid": popen.pid})
        process = psutil.Process(popen.pid)
        self.family.add(process)
        threading.Thread(target=self.watch_memory, args=[process], daemon=True).start()


def own_kernel(execution: Execution):
    """A kernel manager whose kernel is this very Python, whatever kernel specs the machine has."""
    from ipykernel.kernelspec import RESOURCES, get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class OwnKernel(AsyncKernelManager):
        @property
        def kernel_spec(self):
            return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())

        async def _async_launch_kernel(self, kernel_cmd, **kwargs):
            await super()._async_launch_kernel(kernel_cmd, **kwargs)
            execution.started_kernel(self.provisioner.process)

    return OwnKernel


def _injected(cell) -> bool:
    """Is this papermill's cell, not the chapter's?"""
    return "injected-parameters" in cell.metadata.get("tags", [])


def _code(code: int | None) -> str:
    if code is None:
        return "no exit code"
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _end_with_parent(execution: Execution) -> None:
    """Wait until stdin closes, then end kernel and worker."""
    sys.stdin.buffer.read()
    execution.end_family()
    os._exit(1)


def main() -> None:
    """Run the job that stdin names."""
    # What jsonschema checks international addresses with builds its grammar for a second; no notebook has such an address.
    sys.modules.setdefault("rfc3987_syntax", None)
    # Events have a channel of their own: what libraries and the kernel print to stdout goes to stderr.
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(event: dict) -> None:
        print(json.dumps(event), file=events, flush=True)

    job = json.loads(sys.stdin.buffer.readline())
    execution = Execution(job, say)
    threading.Thread(target=_end_with_parent, args=[execution], daemon=True).start()
    try:
        say(execution.run())
    except Exception as error:  # before the first cell: a package that papermill needs is missing, say
        say({"event": "end", "failure": execution.failure(f"{type(error).__name__}: {error}"), **execution.numbers()})
    events.flush()
    os._exit(0)  # do not wait for the threads of libraries


if __name__ == "__main__":
    main()

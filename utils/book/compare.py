"""nbval over one chapter: it has each cell executed, in order, and compares the outputs with the stored ones.

Two things can stand behind its kernel: papermill's own client, which executes a cell when nbval asks for it
(`engine`), or the notebook of a kept run (`kept`). Either way the comparison is nbval's, by the rules of
`utils.book.reference`.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from utils.book import records


@dataclass
class Comparison:
    """What nbval found: cells as stored, cells that differ, what moved in them, and pytest's own words."""

    passed: int = 0
    failed: int = 0
    moved: list[str] = field(default_factory=list)
    said: str = ""


def kept(notebook: Path, executed: Path) -> Comparison:
    """Compare the outputs of a kept run with those stored in a chapter; nothing is executed."""
    cells = [c for c in json.loads(executed.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    outputs = [c["outputs"] for c in cells if "injected-parameters" not in records.tags_of(c)]
    return compare(notebook, outputs.__getitem__)


def compare(
    notebook: Path, outputs_of: Callable[[int], list], gone_on: Callable[[], bool] = lambda: True
) -> Comparison:
    """Let nbval walk through `notebook`; outputs_of(n) gives what its n-th code cell (from 0) put out.

    gone_on: asked after each cell; when it says no, because the kernel is gone, the walk ends.
    """
    import pytest

    found = Comparison()
    words = io.StringIO()
    options = ["--nbval-lax", "--nbval-current-env", "-q", "--capture=no", "--noconftest"]
    options += ["-p", "utils.book.reference", "-p", "no:cacheprovider", "-p", "no:warnings"]
    users = os.environ.pop("PYTEST_ADDOPTS", None)  # meant for the tests, not for this
    try:
        with contextlib.redirect_stdout(words):
            code = pytest.main([str(notebook), *options], plugins=[_Walk(found, outputs_of, gone_on)])
    finally:
        os.environ |= {"PYTEST_ADDOPTS": users} if users else {}
    if code == pytest.ExitCode.INTERRUPTED and gone_on():
        raise KeyboardInterrupt
    if not found.passed + found.failed or (code and not found.failed):
        found.failed += 1
        found.moved.append(
            f"{notebook.stem}: nbval could not compare it (pytest ended with code {int(code)})"
        )
    found.said = words.getvalue()
    return found


def engine(execution):
    """A papermill engine that executes a chapter as papermill's own does, each cell when nbval asks for it.

    execution: a worker's, which gets the comparison. A cell that fails does not end the run: the next ones
    show whether more has moved.
    """
    from nbclient.exceptions import CellExecutionError
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine

    class Client(PapermillNotebookClient):
        def papermill_execute_cells(self):
            self.todo, self.ended = iter(list(enumerate(self.nb.cells))), None
            self.asked = -1  # the last of the chapter's own code cells that was executed
            execution.comparison = asdict(
                compare(Path(execution.job["notebook"]), self.outputs_of, lambda: self.ended is None)
            )
            if self.ended is not None:
                raise self.ended  # a time-out, or a kernel that died
            for index, cell in self.todo:
                self.one(index, cell)

        def outputs_of(self, number: int) -> list:
            """Execute the chapter's cells up to its code cell of this number, from 0; prose and papermill's own cell, too."""
            for index, cell in self.todo:
                try:
                    self.one(index, cell)
                except Exception as error:
                    self.ended = error
                    return [*cell.outputs, _failure(error)]
                self.asked += cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
                if self.asked == number:
                    return cell.outputs
            return []

        def one(self, index: int, cell) -> None:
            self.nb_man.cell_start(cell, index)
            try:
                self.execute_cell(cell, index)
            except CellExecutionError as error:
                self.nb_man.cell_exception(cell, cell_index=index, exception=error)
            finally:
                self.nb_man.cell_complete(cell, cell_index=index)

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, start_timeout=60, **options):
            for name in ("input_path", "log_output", "stdout_file", "stderr_file", "execution_timeout"):
                options.pop(name, None)
            return Client(nb_man, kernel_name=kernel_name, startup_timeout=start_timeout, **options).execute()

    return Engine


class _Walk:
    """A pytest plugin: it puts the outputs behind nbval's kernel, and counts."""

    __name__ = "book-walk"  # by which `reference` knows that what moved is told elsewhere

    def __init__(self, found: Comparison, outputs_of: Callable[[int], list], gone_on: Callable[[], bool]):
        self.found, self.outputs_of, self.gone_on = found, outputs_of, gone_on

    def pytest_collection_modifyitems(self, items):
        for collector in {item.parent for item in items}:
            collector.setup = lambda collector=collector: setattr(
                collector, "kernel", _Kernel(self)
            )

    def pytest_runtest_setup(self, item):
        self.number = item.cell_num

    def pytest_runtest_logfinish(self):
        if not self.gone_on():
            self.session.shouldstop = "the kernel is gone"

    def pytest_sessionstart(self, session):
        self.session = session

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.failed:
            self.found.passed += report.passed
            self.found.failed += report.failed
            self.found.moved += [words for name, words in report.user_properties if name == "moved"]


class _Kernel:
    """What nbval takes for a kernel: it answers each cell with the messages that its outputs came in."""

    def __init__(self, walk: _Walk):
        self.walk, self.messages = walk, collections.deque()

    def execute_cell_input(self, source: str, allow_stdin=None) -> str:
        id, outputs = str(self.walk.number), self.walk.outputs_of(self.walk.number)
        for output in outputs:
            content = {"metadata": {}, "execution_count": None, **output}
            content["text"] = "".join(output.get("text", ""))  # on disk a list of lines
            content["data"] = {kind: _joined(value) for kind, value in output.get("data", {}).items()}
            self.messages.append(
                {"msg_type": output["output_type"], "parent_header": {"msg_id": id}, "content": content}
            )
        idle = {"msg_type": "status", "parent_header": {"msg_id": id}, "content": {"execution_state": "idle"}}
        self.messages.append(idle)
        return id

    def get_message(self, stream: str, timeout=None) -> dict:
        return self.messages.popleft()

    def await_reply(self, msg_id: str, timeout=None) -> None:
        pass  # what it did is all there

    def await_idle(self, parent_id: str, timeout=None) -> None:
        self.messages.clear()

    def is_alive(self) -> bool:
        return True

    def stop(self) -> None:
        pass


def _joined(value):
    return (
        "".join(value) if isinstance(value, list) and all(isinstance(part, str) for part in value) else value
    )


def _failure(error: Exception) -> dict:
    """What ended the walk, as an output of the cell in which it did."""
    return {
        "output_type": "error",
        "ename": type(error).__name__,
        "evalue": str(error).strip().partition("\n")[0],
        "traceback": [],
    }

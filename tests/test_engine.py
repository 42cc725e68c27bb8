"""The engine, with real kernels and with notebooks that fail in every way a chapter can."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil
import pytest

from utils import ROOT, targets
from utils.book import BookError, accept, compare, estimate, guard, key, plan, pool, progress, records, worker
from utils.book import run as runner

NOTEBOOKS = ROOT / "tests" / "fixtures" / "notebooks"


class Shelf:
    """A book of its own in a temporary folder, and the command that works on it."""

    def __init__(self, root: Path, *stems: str):
        self.root, self.chapters, self.runs = root, root / "chapters", root / "_build" / "runs" / "cpu"
        self.chapters.mkdir(parents=True)
        shutil.copytree(ROOT / "targets", root / "targets")
        for file in NOTEBOOKS.iterdir():
            if not stems or file.name.split(".")[0] in stems:
                shutil.copy(file, self.chapters)

    def start(self, *arguments: str, **env: str) -> subprocess.Popen:
        """Start `book …`; its output can be read from stdout."""
        environment = {**os.environ, "BOOK_ROOT": str(self.root), "PYTHONPATH": str(key.CODE.parent), "BOOK_THREADS": "1", **env}
        command = [sys.executable, "-u", "-m", "utils.book", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "encoding": "utf-8"}
        return subprocess.Popen(command, cwd=self.root, env=environment, **pipes)

    def book(self, *arguments: str, **env: str) -> tuple[int, str]:
        """Run `book …` to its end: exit code and output."""
        process = self.start(*arguments, **env)
        output = process.communicate(timeout=120)[0]
        return process.returncode, output

    def read(self, name: str) -> dict:
        return json.loads((self.runs / name).read_text(encoding="utf-8"))

    def processes(self) -> list[psutil.Process]:
        """Workers and kernels that belong to this book."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("BOOK_ROOT") == str(self.root) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def leftovers(self) -> list[str]:
        return [p.name for p in self.runs.rglob("*.tmp")]


def wait_until(happens, seconds: float = 30):
    """The first true value of happens()."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := happens():
            return value
        time.sleep(0.1)
    raise AssertionError(f"it did not happen within {seconds} s")


def answers(address: str) -> int:
    """The status a page answers with; 0 when nobody does."""
    try:
        return urlopen(address).status
    except HTTPError as error:
        return error.code
    except URLError:
        return 0


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """All fixtures, run once, with a kernel spec of the user that would lead astray, in a folder with an awkward name."""
    shelf = Shelf(tmp_path_factory.mktemp("books") / "Bücher {regal} 1")
    astray = shelf.root / "home" / "kernels" / "python3"
    astray.mkdir(parents=True)
    astray.joinpath("kernel.json").write_text('{"argv": ["no-such-python"], "display_name": "Another", "language": "python"}')
    data = str(shelf.root / "home")
    shelf.code, shelf.output = shelf.book("run", "--jobs", "2", "--timeout", "8", JUPYTER_DATA_DIR=data, JUPYTER_PATH=data)
    return shelf


def test_failures_end_the_command_non_zero_and_leave_the_other_results(broken):
    assert broken.code == 1
    assert "7 of 10 chapters failed" in broken.output
    for stem in ("90_good", "97_no_kernel_spec", "99_leaves_a_process"):
        assert broken.read(f"{stem}.json")["status"] == "ok" and (broken.runs / f"{stem}.ipynb").exists()
    assert broken.leftovers() == [] and broken.processes() == []


@pytest.mark.parametrize(
    "stem, cell, claim, reason",
    [
        ("91_raises", 6, None, "RuntimeError: the lamp is out"),
        ("92_hangs", 4, None, "still running after 8 s"),
        ("93_kills_its_kernel", 5, None, "memory ran out"),
        ("94_claim_fails", 5, "94.1-too-low", "0.25 is not ≥ 0.5"),
        ("95_control_holds", 4, "95.1-empty", "the control “untrained” reaches 0.8"),
        ("96_no_parameters", None, None, "no cell tagged 'parameters'"),
        ("98_not_json", None, None, "no valid notebook JSON"),
    ],
)
def test_a_failure_names_chapter_cell_and_reason(broken, stem, cell, claim, reason):
    failure = broken.read(f"{stem}.failed.json")["failure"]
    assert (failure["cell"], failure["claim"]) == (cell, claim)
    assert reason in failure["reason"]
    assert re.search(rf"^{stem}: FAILED: .*{re.escape(reason)}", broken.output, re.MULTILINE)
    assert not (broken.runs / f"{stem}.ipynb").exists()
    if cell:
        executed = broken.read(f"{stem}.failed.ipynb")["cells"]
        assert any(c.get("execution_count") for c in executed), "the failed notebook shows how far it got"


def test_a_run_leaves_a_complete_record(broken):
    record = broken.read("90_good.json")
    assert record["chapter"] == 90 and record["title"] == "A good chapter" and record["cells"] == 9
    assert record["parameters"] == {"target": "cpu", "seed": 0, "size": 10}
    assert [c["id"] for c in record["claims"]] == ["90.1-middle", "90.1-sum"]
    assert record["failure"] is None and 0 < record["compute_seconds"] < record["seconds"]
    assert record["peak_memory_mb"] > 20 and record["hardware"]["cores"] and record["versions"]["python"]


def test_the_kernel_is_the_python_that_runs_the_command(broken):
    outputs = [o for c in broken.read("90_good.ipynb")["cells"] for o in c.get("outputs", [])]
    assert f"draws on {sys.executable}\n" in "\n".join("\n".join(accept.lines([o])) + "\n" for o in outputs)


def test_an_executed_notebook_names_no_folder_of_this_machine_in_its_metadata(broken):
    assert str(broken.root) not in json.dumps(broken.read("90_good.ipynb")["metadata"], ensure_ascii=False)


def test_what_is_unchanged_is_not_executed_again(broken):
    before = (broken.runs / "90_good.ipynb").stat().st_mtime_ns
    began = time.monotonic()
    code, output = broken.book("run", "90", "97")
    assert code == 0 and output.count("unchanged") == 2
    assert (broken.runs / "90_good.ipynb").stat().st_mtime_ns == before
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["run", "90-91", "-p", "sed=3"], "Chapter 90 has no parameter 'sed'. Did you mean 'seed'?"),
        (["run", "rases"], "no chapter 'rases'. Did you mean '91_raises'?"),
        (["run", "90", "--target", "cup"], "no target 'cup'. Did you mean 'cpu'?"),
        (["run", "90", "-p", "seed"], "has to be NAME=VALUE"),
        (["run", "90", "--record", "--seeds", "0,1"], "at least three different numbers"),
        (["run", "90", "--seeds", "0,1,2"], "--seeds belongs to --record"),
        (["run", "90", "--record", "-p", "seed=3"], "leave -p out"),
        (["test", "--only", "chapter"], "has to be one of unit, chapters, site"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_runs_nothing(broken, arguments, sentence):
    code, output = broken.book(*arguments)
    assert code == 1 and sentence in output
    assert "Traceback" not in output and "started" not in output


def test_ctrl_c_ends_every_process_and_the_next_call_goes_on(tmp_path):
    shelf = Shelf(tmp_path / "shelf", "90_good", "92_hangs")
    command = shelf.start("run", "--jobs", "1")
    wait_until(lambda: shelf.runs.joinpath("90_good.json").exists() and len(shelf.processes()) >= 3)
    command.send_signal(signal.SIGINT)
    output = command.communicate(timeout=20)[0]
    assert command.returncode == 130 and "what was finished is kept" in output and "Traceback" not in output
    wait_until(lambda: not shelf.processes(), 5)
    assert shelf.leftovers() == [] and not list(shelf.runs.glob("92*"))
    assert "unchanged" in shelf.book("run", "90")[1]


def test_a_killed_worker_is_a_failure_of_its_chapter_and_takes_its_kernel_along(tmp_path):
    shelf = Shelf(tmp_path / "shelf", "92_hangs")
    command = shelf.start("run")
    mine = wait_until(lambda: (found := shelf.processes()) and len(found) >= 3 and found)
    next(p for p in mine if "utils.book.worker" in p.cmdline()).kill()
    output = command.communicate(timeout=20)[0]
    assert command.returncode == 1 and "92_hangs: FAILED" in output and "most likely because memory ran out" in output
    assert shelf.processes() == [] and (shelf.runs / "92_hangs.failed.ipynb").exists()


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_a_killed_command_leaves_no_process_and_no_lock(tmp_path):
    shelf = Shelf(tmp_path / "shelf", "90_good", "92_hangs")
    command = shelf.start("run", "92")
    wait_until(lambda: len(shelf.processes()) >= 3)
    command.kill()
    command.communicate(timeout=20)
    wait_until(lambda: not shelf.processes(), 10)
    code, _ = shelf.book("run", "90", "--no-wait")
    assert code == 0 and shelf.leftovers() == []


def test_a_second_command_waits_and_says_for_whom(broken, monkeypatch):
    monkeypatch.setattr(guard, "ROOT", broken.root)
    with guard.alone("book of this test"):
        code, output = broken.book("run", "90", "--no-wait")
        assert code == 1 and f"`book of this test` (process {os.getpid()}) is at work" in output
        second = broken.start("run", "90")
        assert f"Waiting: `book of this test` (process {os.getpid()})" in second.stdout.readline()
    assert "unchanged" in second.communicate(timeout=20)[0] and second.returncode == 0


def test_record_keeps_three_seeds_of_claims_that_depend_on_luck(broken):
    code, output = broken.book("run", "90", "97", "--record", "--jobs", "2")
    assert code == 0, output
    results = broken.root / "data" / "results" / "cpu.json"
    first = results.read_bytes()
    chapters = json.loads(first)["chapters"]
    lucky, certain = chapters["90"]["claims"]
    assert chapters["90"]["seeds"] == [0, 1, 2] and chapters["97"]["seeds"] == []
    assert set(lucky["by_seed"]) == {"0", "1", "2"} and len(set(lucky["by_seed"].values())) == 3
    assert lucky["value"] == pytest.approx(sum(lucky["by_seed"].values()) / 3, rel=1e-5)
    assert "by_seed" not in certain and "key" not in chapters["90"]
    assert (broken.runs / "seeds" / "2" / "90_good.ipynb").exists()
    assert broken.book("run", "90", "97", "--record")[0] == 0
    assert results.read_bytes() == first, "recording the same runs again changes nothing"


def test_accept_changes_only_outputs_and_nbval_then_names_what_moved(tmp_path):
    shelf = Shelf(tmp_path / "shelf", "90_good")
    path = shelf.chapters / "90_good.ipynb"
    before = json.loads(path.read_text(encoding="utf-8"))
    code, output = shelf.book("accept")
    assert code == 0 and "+ ✓ 90.1-sum — one and one are two" in output
    accepted = path.read_bytes()
    after = json.loads(accepted)
    for old, new in zip(before["cells"], after["cells"], strict=True):
        assert list(old) == list(new) and old["source"] == new["source"] and old["id"] == new["id"]
        if new["cell_type"] == "code":
            assert (accept.TAG in new["metadata"].get("tags", [])) == bool(new["outputs"])
            assert all(set(o.get("data", {})) <= {"text/plain"} for o in new["outputs"])

    code, output = shelf.book("test", "--only", "chapters")
    assert code == 0 and "0 chapters executed, 1 kept; cells: 6 passed" in output, output

    moved = accepted.decode().replace("one and one are two\\\"", "one and one make two\\\"").replace("(0.4, 0.6)", "(0.6, 0.7)")
    path.write_text(moved, encoding="utf-8", newline="\n")
    code, output = shelf.book("test", "--only", "chapters")
    assert code == 1 and "1 chapter executed, 0 kept; cells: 4 passed, 2 failed; 1 chapter did not run through" in output, output
    lines = [line.strip() for line in output.splitlines()]
    at = lines.index("90_good, claim 90.1-sum")
    assert lines[at + 1 : at + 3] == ["was:  ✓ 90.1-sum — one and one are two", "now:  ✓ 90.1-sum — one and one make two"]
    at = lines.index("90_good, claim 90.1-middle")
    assert lines[at + 1].startswith("was:  ✓") and lines[at + 2].startswith("now:  ✗")
    assert re.match(r"why:  claim 90.1-middle: 0.4\d+ is not between 0.6 and 0.7", lines[at + 3])

    path.write_bytes(accepted)
    assert "as before" in shelf.book("accept")[1]
    assert path.read_bytes() == accepted


def test_a_chapter_is_executed_once_whichever_command_comes_first(tmp_path):
    """nbval's run leaves what `run` leaves; `run` and `accept` after it, and `test` after them, execute nothing."""
    shelf = Shelf(tmp_path / "shelf", "90_good")
    assert shelf.book("accept")[0] == 0
    by_run, of_run = shelf.read("90_good.json"), shelf.read("90_good.ipynb")
    code, output = shelf.book("test", "90", "--force")
    assert code == 0 and "1 chapter executed, 0 kept; cells: 6 passed" in output, output
    by_nbval, of_nbval = shelf.read("90_good.json"), shelf.read("90_good.ipynb")
    assert by_nbval["finished"] >= by_run["finished"] and by_nbval["peak_memory_mb"] > 20 and by_nbval["compute_seconds"] > 0
    own = ("finished", "seconds", "compute_seconds", "peak_memory_mb")
    assert {k: v for k, v in by_nbval.items() if k not in own} == {k: v for k, v in by_run.items() if k not in own}

    def shown(notebook: dict) -> list:
        return [(c["source"], c.get("outputs"), c.get("execution_count")) for c in notebook["cells"]]

    assert shown(of_nbval) == shown(of_run)
    assert "unchanged" in shelf.book("run")[1] and "0 chapters executed, 1 kept" in shelf.book("test", "--only", "chapters")[1]


def test_nbval_walks_on_after_a_cell_that_fails_but_not_without_a_kernel(tmp_path):
    shelf = Shelf(tmp_path / "shelf", "91_raises", "93_kills_its_kernel", "96_no_parameters")
    code, output = shelf.book("test", "--only", "chapters")
    assert code == 1 and "3 chapters did not run through" in output
    assert shelf.read("91_raises.failed.json")["failure"] == {"cell": 6, "claim": None, "reason": "RuntimeError: the lamp is out"}
    after = [c for c in shelf.read("91_raises.failed.ipynb")["cells"] if c["cell_type"] == "code"]
    assert all(c["execution_count"] for c in after), "the cells after the failure were executed, too"
    assert "memory ran out" in shelf.read("93_kills_its_kernel.failed.json")["failure"]["reason"]
    assert "96_no_parameters: no cell tagged 'parameters'" in output
    assert shelf.leftovers() == [] and shelf.processes() == []


def test_a_kept_run_is_compared_by_nbval_without_a_kernel(tmp_path, monkeypatch):
    def notebook(name: str, stored: list[str], executed: list[str]) -> Path:
        cells = []
        for number, text in enumerate(stored):
            output = {"output_type": "stream", "name": "stdout", "text": [text] if executed is stored else text}
            cells.append({"cell_type": "code", "id": f"c{number}", "source": "print()", "outputs": [output], "execution_count": number + 1,
                          "metadata": {"tags": [accept.TAG]}})  # fmt: skip
        cells.insert(1, {"cell_type": "markdown", "id": "m", "source": "prose", "metadata": {}})
        if executed is stored:  # papermill's own cell
            own = {"cell_type": "code", "id": "own", "source": "seed = 1", "outputs": [], "execution_count": 9}
            cells.insert(1, own | {"metadata": {"tags": ["injected-parameters"]}})
        (tmp_path / name).write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")
        return tmp_path / name

    lines = ["✓ 90.1-a — first\n", "✓ 90.1-b — second\n", "✓ Exercise 90.1\n"]
    chapter = notebook("90_own.ipynb", lines, [])
    same = compare.kept(chapter, notebook("same.ipynb", lines, lines))
    assert (same.passed, same.failed, same.moved) == (3, 0, [])
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing")
    assert compare.kept(chapter, tmp_path / "same.ipynb").passed == 3, "a user's own options are for the tests"
    skipping = chapter.read_text(encoding="utf-8").replace(accept.TAG, "nbval-skip", 1)
    (tmp_path / "91_skips.ipynb").write_text(skipping, encoding="utf-8")
    assert compare.kept(tmp_path / "91_skips.ipynb", tmp_path / "same.ipynb").moved == [], "a skipped cell shifts nothing"
    other = [lines[0], "✗ 90.1-b — second\n", lines[2]]
    found = compare.kept(chapter, notebook("other.ipynb", other, other))
    assert (found.passed, found.failed) == (2, 1)
    assert found.moved == ["90_own, claim 90.1-b\n    was:  ✓ 90.1-b — second\n    now:  ✗ 90.1-b — second"]
    assert "what moved" not in found.said, "that is told once, for all chapters"

    def interrupted(number: int):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare.compare(chapter, interrupted)


def test_accept_refuses_a_wrong_solution(tmp_path):
    shelf = Shelf(tmp_path / "shelf", "90_good")
    path = shelf.chapters / "90_good.ipynb"
    before = path.read_bytes().replace(b"return 2 * number", b"return 3 * number")
    path.write_bytes(before)
    code, output = shelf.book("accept")
    assert code == 1 and "the book's own solution is wrong: ✗ Exercise 90.1: for 3 it gives 9, not 6." in output
    assert path.read_bytes() == before


def test_the_unfinished_notebook_is_saved_while_a_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "SAVE_EVERY", 0)
    part, events = tmp_path / "part.tmp", []
    job = {"notebook": str(NOTEBOOKS / "91_raises.ipynb"), "part": str(part), "parameters": {"seed": 5}}
    job |= {"cwd": str(tmp_path), "timeout": 60, "nbval": False}
    monkeypatch.setenv("PYTHONPATH", str(key.CODE.parent))
    saved = []
    monkeypatch.setattr(worker.Execution, "save", lambda self, save=worker.Execution.save: (save(self), saved.append(self.cell)))
    last = worker.Execution(job, events.append).run()
    assert last["failure"]["cell"] == 6 and last["of"] == 7
    assert saved[0] < saved[-1] and json.loads(part.read_text(encoding="utf-8"))["cells"]
    assert [e["cell"] for e in events if e["event"] == "cell"][-1] == 6


# Without a kernel: what is planned, and with which environment.


def job_of(stem: str = "90_good", folder: Path | None = None, **parameters) -> plan.Job:
    path = (folder or NOTEBOOKS) / f"{stem}.ipynb"
    return plan.make(records.Chapter(int(stem[:2]), path, stem, "Title"), targets.load("cpu"), parameters, Path("runs"))


def test_the_content_hash_follows_code_tags_and_parameters_but_not_prose(tmp_path):
    for name in ("90_good.ipynb", "90_good.checks.py"):
        shutil.copy(NOTEBOOKS / name, tmp_path)
    path = tmp_path / "90_good.ipynb"
    text, first = path.read_text(encoding="utf-8"), job_of(folder=tmp_path).key
    assert first != job_of(folder=tmp_path, seed=1).key
    for old, new, same in [
        ("The mean of many draws", "The average of many draws", True),
        ("size = 10", "size = 11", False),
        ('"hide-input"', '"show-input"', False),
        ('"hide-input"', '"hide-input", "nbval-check-output"', True),
    ]:
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        assert (job_of(folder=tmp_path).key == first) == same, f"{old} → {new}"
    path.write_text(text, encoding="utf-8")
    (tmp_path / "90_good.checks.py").write_text("# another judge")
    assert job_of(folder=tmp_path).key != first


def test_chapters_are_chosen_by_number_range_and_part_of_the_name(broken, monkeypatch):
    monkeypatch.setattr(records, "ROOT", broken.root)
    numbers = lambda *selectors: [c.number for c in plan.choose(list(selectors))]  # noqa: E731
    assert numbers() == [90, 91, 92, 93, 94, 95, 96, 97, 98, 99]
    assert numbers("97", "90-92") == [90, 91, 92, 97]
    assert numbers("kernel") == [93, 97] and numbers("GOOD") == [90]
    with pytest.raises(BookError, match="There is no chapter '5'"):
        numbers("5")
    with pytest.raises(BookError, match="write 90-92"):
        numbers("92-90")


def test_parameters_are_typed_as_yaml():
    given = ["seed=3", "rate=1e-3", "sizes=[1, 2]", "name=a=b", "on=true", "day=2020-01-01", "prompt=ROMEO:", "of={a: 1}"]
    texts = {"name": "a=b", "day": "2020-01-01", "prompt": "ROMEO:"}
    assert plan.assignments(given) == {"seed": 3, "rate": 0.001, "sizes": [1, 2], "on": True, "of": {"a": 1}} | texts


def test_the_targets_parameters_come_first_then_those_of_the_command(monkeypatch):
    target = targets.Target("cpu", "", "cpu", "float32", 2, 3, False, 60, {"seed": 1}, {90: {"size": 5}})
    chapter = records.Chapter(90, NOTEBOOKS / "90_good.ipynb", "90_good", "")
    [job] = plan.jobs([chapter], target, {"seed": 2})
    assert job.parameters == {"target": "cpu", "seed": 2, "size": 5}


def test_threads_are_shared_and_the_network_is_off(monkeypatch):
    monkeypatch.delenv("BOOK_THREADS", raising=False)
    monkeypatch.setattr(pool, "cores", lambda: 8)
    target = targets.Target("cpu", "", "cpu", "float32", 4, 3, False, 60)
    assert [pool.environment(target, n)["OMP_NUM_THREADS"] for n in (1, 2, 4, 16)] == ["4", "4", "2", "1"]
    env = pool.environment(target, 1)
    assert env["BOOK_THREADS"] == env["MKL_NUM_THREADS"] == "4" and env["HF_HUB_OFFLINE"] == "1"
    assert env["GOMP_SPINCOUNT"] == "1000", "two chapters, or a chapter and a browser, must not spin long against each other"


def test_a_long_cell_still_gives_a_sign_of_life(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY", 0)
    shown = progress.Progress()
    shown.begin("04_long")
    shown.event("04_long", {"event": "cell", "cell": 3, "of": 9, "claims": 1, "peak_memory_mb": 200})
    shown.tick()
    assert re.search(r"04_long: cell 3 of 9, \d s, 1 claim, 200 MB", capsys.readouterr().out)


def expecting(**needs: tuple[float, float]) -> dict[str, estimate.Expected]:
    """name → a job that is expected to take so many seconds and MB, the longest first."""
    made = {name: estimate.Expected(name, *need) for name, need in needs.items()}
    return dict(sorted(made.items(), key=lambda item: -item[1].seconds))


def test_chapters_start_longest_first_as_cores_and_memory_allow():
    jobs = expecting(small=(10, 500), long=(60, 2500), middle=(30, 3000))
    waiting = list(jobs.values())
    assert [e.job for e in waiting] == ["long", "middle", "small"]
    assert estimate.fitting(waiting, [], 2, 4000).job == "long"
    rest = waiting[1:]
    assert estimate.fitting(rest, [jobs["long"]], 2, 4000).job == "small", "the middle one has to wait for memory, the small one not"
    assert estimate.fitting(rest, [jobs["long"]], 2, 6000).job == "middle"
    assert estimate.fitting(rest, [jobs["long"], jobs["small"]], 2, 99999) is None, "two cores"
    assert estimate.fitting(waiting, [], 2, 100).job == "long", "alone, every chapter may"


def test_the_time_until_all_are_done_is_worked_out_with_what_fits():
    jobs = expecting(a=(60, 1000), b=(40, 1000), c=(30, 1000), d=(10, 3000))
    waiting = list(jobs.values())
    left = lambda at_once, room, **had: estimate.seconds_left(  # noqa: E731
        [e for e in waiting if e.job not in had], {jobs[name]: seconds for name, seconds in had.items()}, at_once, room
    )
    assert left(1, 9999) == 140
    assert left(2, 9999) == 70  # a and b, c after b, d after a
    assert left(2, 3500) == 80  # d alone, at the end
    assert left(2, 9999, a=50, b=0) == 50  # a ends at 10, c at 40, b at 40, d at 50
    assert [estimate.in_words(s) for s in (3, 62, 130, 3900)] == ["10 s", "60 s", "2 min", "1 h 5 min"]


def test_expectations_come_from_this_machine_then_from_the_committed_record(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROOT", tmp_path)

    def record(seconds: float, **parameters) -> dict:
        made_with = {"target": "cpu", "seed": 0, **parameters}
        return {"seconds": seconds, "compute_seconds": seconds, "peak_memory_mb": 1000, "parameters": made_with}

    records.write_json(records.results_file("cpu"), {"chapters": {"1": record(10), "2": record(40), "90": record(20, size=5)}})
    records.write_json(records.runs_folder("cpu") / "01_a.json", record(30))
    (records.runs_folder("cpu") / "01_a.ipynb").write_text("{}")
    assert estimate.slowness("cpu") == 3

    def job(number: int, **parameters) -> plan.Job:
        target = targets.load("cpu")
        return plan.Job(records.Chapter(number, Path(), f"{number:02d}_x", ""), target, {"target": "cpu", **parameters}, Path())

    records.write_json(records.runs_folder("cpu") / "02_b.json", record(1, steps=1) | {"parameters": {"steps": 1}})
    (records.runs_folder("cpu") / "02_b.ipynb").write_text("{}")  # a try with fewer steps
    committed = records.committed("cpu")
    committed["chapters"]["2"]["parameters"]["steps"] = 500
    records.write_json(records.results_file("cpu"), committed)
    assert estimate.slowness("cpu") == 3
    jobs = [job(1, seed=2), job(2, steps=500), job(90, size=5), job(90, size=6), job(3)]
    found = {(e.job.chapter.number, e.job.parameters.get("size")): e for e in estimate.expected(jobs)}
    assert found[1, None].seconds == 30, "seen here"
    assert found[2, None].seconds == 120 and found[90, 5].seconds == 60, "the committed ones, on a machine three times as slow"
    assert found[90, 6].seconds == found[3, None].seconds == 70, "of other parameters, or none: the average"
    assert found[2, None].memory_mb == estimate.MARGIN * 1000 + estimate.WORKER_MB and found[3, None].memory_mb == 3 * 1024
    assert [e.seconds for e in estimate.expected(jobs)] == [120, 70, 70, 60, 30]


def test_without_a_number_the_cores_decide_and_memory_is_counted(monkeypatch, tmp_path):
    for cores, threads, expected in [(8, 1, 8), (8, 2, 4), (1, 2, 1)]:
        monkeypatch.setattr(runner, "cores", lambda n=cores: n)
        assert runner.side_by_side(targets.Target("cpu", "", "cpu", "float32", threads, 3, False, 60)) == expected
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": 4 * 2**30}))
    monkeypatch.setattr(runner, "CONTROL_GROUP", tmp_path)
    assert runner.free_memory() == 4096
    (tmp_path / "memory.max").write_text("max\n")
    assert runner.free_memory() == 4096
    (tmp_path / "memory.max").write_text(f"{3 * 2**30}\n")
    (tmp_path / "memory.current").write_text(f"{2**30}\n")
    assert runner.free_memory() == 2048, "what a container has left"


def test_a_containers_share_of_the_cores_counts_and_a_gpu_takes_one_chapter(monkeypatch, tmp_path):
    monkeypatch.setattr(pool, "CONTROL_GROUP", tmp_path)
    seen = pool.cores()
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert pool.cores() == seen
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert pool.cores() == 1
    monkeypatch.setattr(runner, "cores", lambda: 16)
    assert runner.side_by_side(targets.load("cpu")) == 16 and runner.side_by_side(targets.load("cuda")) == 1


def test_a_missing_papermill_is_said_before_anything_runs(monkeypatch):
    monkeypatch.setattr(runner.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BookError, match="papermill is not installed"):
        runner.execute([job_of()])


def test_a_package_that_papermill_lacks_is_named(tmp_path):
    shelf = Shelf(tmp_path / "book", "90_good")
    (tmp_path / "broken" / "papermill").mkdir(parents=True)
    (tmp_path / "broken" / "papermill" / "__init__.py").write_text("import a_package_that_is_missing\n")
    paths = os.pathsep.join([str(tmp_path / "broken"), str(key.CODE.parent)])
    code, output = shelf.book("run", PYTHONPATH=paths)
    assert code == 1 and "No module named 'a_package_that_is_missing'" in re.sub(r"[│\s]+", " ", output)


def test_nothing_is_recorded_for_a_chapter_that_fails_with_another_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROOT", tmp_path)
    good = pool.Outcome(job_of(), "ok", {"claims": [{"id": "90.1-a", "seed_dependent": True}]})
    monkeypatch.setattr(runner, "execute", lambda jobs, *_: [pool.Outcome(job, "failed", {}) for job in jobs])
    more = runner._record([good], [0, 1, 2], None, False, None)
    assert [o.job.seed for o in more] == [1, 2] and pool.label(more[0].job) == "90_good (seed 1)"
    assert not records.results_file("cpu").exists()


def test_build_keeps_the_site_when_a_chapter_fails(monkeypatch, tmp_path):
    from utils.book import javascript, site

    built = []
    monkeypatch.setattr(javascript, "ensure", lambda: tmp_path)
    monkeypatch.setattr(site, "build", lambda target: built.append(target) or tmp_path / "index.html")
    monkeypatch.setattr(guard, "ROOT", tmp_path)
    monkeypatch.setattr(plan, "choose", lambda selectors: [])
    monkeypatch.setattr(runner, "execute", lambda *_: [pool.Outcome(job_of(), "unchanged", {"claims": []})])
    runner.build()
    assert built == ["cpu"]
    failed = pool.Outcome(job_of(), "failed", {"claims": [], "failure": {"cell": 3, "claim": None, "reason": "it broke"}})
    monkeypatch.setattr(runner, "execute", lambda *_: [failed])
    with pytest.raises(BookError, match="90_good failed; the site was left as it was: cell 3: it broke"):
        runner.build()
    assert built == ["cpu"]


def test_the_latest_record_is_the_local_one_then_the_committed(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROOT", tmp_path)
    assert records.latest("cpu", 1) is None
    records.write_json(records.results_file("cpu"), {"target": "cpu", "chapters": {"1": {"seconds": 1.23456789}}})
    assert records.latest("cpu", 1) == {"seconds": 1.23457}
    records.write_json(records.runs_folder("cpu") / "01_a.json", {"seconds": 2})
    assert records.latest("cpu", 1) == {"seconds": 1.23457}, "a record without its notebook does not count"
    (records.runs_folder("cpu") / "01_a.ipynb").write_text("{}")
    assert records.latest("cpu", 1) == {"seconds": 2}


def test_chapters_chosen_for_the_tests_are_the_only_part(broken):
    code, output = broken.book("test", "90", "--only", "unit")
    assert code == 1 and "leave out --only unit" in output
    code, output = broken.book("test", "5")
    assert code == 1 and "There is no chapter '5'" in output


@pytest.mark.parametrize("command", "build run test serve lab doctor accept lock clean".split())
def test_every_command_has_help_with_examples(broken, command):
    code, output = broken.book(command, "--help")
    assert code == 0 and "Examples" in output and f"book {command}" in output


def test_a_usage_error_is_exit_code_two(broken):
    assert broken.book("run", "--jobs", "0")[0] == 2
    assert broken.book("publish")[0] == 2


def test_clean_removes_what_was_built_and_nothing_else(tmp_path):
    shelf = Shelf(tmp_path / "shelf", "90_good")
    for folder in ("_build/runs/cpu", "node_modules", ".venv", "chapters/.ipynb_checkpoints"):
        (shelf.root / folder).mkdir(parents=True)
    assert shelf.book("clean")[0] == 0
    assert not (shelf.root / "_build").exists() and (shelf.root / "node_modules").exists()
    assert shelf.book("clean", "--all")[0] == 0
    assert sorted(p.name for p in shelf.root.iterdir()) == [".venv", "chapters", "targets"]
    assert sorted(p.name for p in shelf.chapters.iterdir()) == ["90_good.checks.py", "90_good.ipynb"]


def test_lab_is_for_this_machine_only_with_a_token_and_the_books_settings(tmp_path):
    shelf = Shelf(tmp_path / "shelf", "90_good")
    server = shelf.start("lab", "--no-browser")
    try:
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+/lab\S*token=\w+", line)))
        place, token = address.split("/lab")[0], address.split("token=")[1]
        wait_until(lambda: answers(f"{place}/api/contents") == 403)
        assert json.load(urlopen(f"{place}/api/contents/chapters?token={token}"))["content"]
        env = next(p for p in shelf.processes() if "jupyterlab" in p.cmdline()).environ()
        assert env["PATH"].startswith(str(Path(sys.executable).parent)) and env["HF_HUB_OFFLINE"] == "1"
    finally:
        for process in shelf.processes():
            process.send_signal(signal.SIGINT)
        server.communicate(timeout=20)
    assert not shelf.processes()

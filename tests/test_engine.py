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
from utils.book import BookError, accept, guard, plan, pool, progress, records, worker
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
        environment = {**os.environ, "BOOK_ROOT": str(self.root), "PYTHONPATH": str(plan.CODE.parent), "BOOK_THREADS": "1", **env}
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
    assert code == 0 and re.search(r"6 passed in", output), output

    moved = accepted.decode().replace("one and one are two\\\"", "one and one make two\\\"").replace("(0.4, 0.6)", "(0.6, 0.7)")
    path.write_text(moved, encoding="utf-8", newline="\n")
    code, output = shelf.book("test", "--only", "chapters")
    assert code == 1 and re.search(r"2 failed.*4 passed in", output), output
    lines = [line.strip() for line in output.splitlines()]
    at = lines.index("90_good, claim 90.1-sum")
    assert lines[at + 1 : at + 3] == ["was:  ✓ 90.1-sum — one and one are two", "now:  ✓ 90.1-sum — one and one make two"]
    at = lines.index("90_good, claim 90.1-middle")
    assert lines[at + 1].startswith("was:  ✓") and lines[at + 2].startswith("now:  ✗")
    assert re.match(r"why:  claim 90.1-middle: 0.4\d+ is not between 0.6 and 0.7", lines[at + 3])

    path.write_bytes(accepted)
    assert "as before" in shelf.book("accept")[1]
    assert path.read_bytes() == accepted


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
    job |= {"cwd": str(tmp_path), "timeout": 60}
    monkeypatch.setenv("PYTHONPATH", str(plan.CODE.parent))
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


def test_only_as_many_chapters_run_at_once_as_cores_and_memory_allow(monkeypatch):
    target = targets.Target("cpu", "", "cpu", "float32", 2, 3, False, 60)
    for cores, free, expected in [(8, 64, 4), (8, 7, 2), (1, 64, 1), (8, 1, 1)]:
        monkeypatch.setattr(runner, "cores", lambda n=cores: n)
        monkeypatch.setattr(psutil, "virtual_memory", lambda gb=free: type("M", (), {"available": gb * 2**30}))
        assert runner.jobs_that_fit(target) == expected


def test_a_missing_papermill_is_said_before_anything_runs(monkeypatch):
    monkeypatch.setattr(runner.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BookError, match="papermill is not installed"):
        runner.execute([job_of()])


def test_a_package_that_papermill_lacks_is_named(tmp_path):
    shelf = Shelf(tmp_path / "book", "90_good")
    (tmp_path / "broken" / "papermill").mkdir(parents=True)
    (tmp_path / "broken" / "papermill" / "__init__.py").write_text("import a_package_that_is_missing\n")
    paths = os.pathsep.join([str(tmp_path / "broken"), str(plan.CODE.parent)])
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

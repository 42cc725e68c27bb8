"""`book doctor` on this machine, and on machines that lack something."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys

from packaging.requirements import Requirement

from utils import ROOT, assets, targets
from utils.book import doctor, environment, lock


def found(findings: list[doctor.Finding], name: str) -> doctor.Finding:
    return next(f for f in findings if f.name == name)


def test_it_looks_at_everything_and_names_every_target():
    findings = doctor.examine()
    names = [f.name for f in findings]
    for name in ("system", "processor", "memory", "disk", "version", "environment", "kernel", "PyTorch", "devices", *targets.names()):
        assert name in names
    assert {"MiniLM", "JavaScript", "browser"} <= set(names)
    assert all(f.found for f in findings)


def test_what_it_says_of_this_machine_is_so():
    import psutil
    import torch

    machine, build = doctor.machine(), doctor.torch_build()
    assert found(machine, "memory").found.startswith(f"{psutil.virtual_memory().total / 2**30:.1f} GB")
    assert torch.__version__ in found(build, "PyTorch").found
    assert found(build, "devices").found.count("cuda:") == torch.cuda.device_count()
    for finding in doctor.targets_that_fit():
        assert (finding.remedy or None) == targets.why_not(targets.load(finding.name))


def test_the_command_ends_with_the_number_of_things_missing(monkeypatch, capsys):
    later = doctor.Finding("parts", "later", "not yet", "no need", needed=False)
    absent = [doctor.Finding("parts", "browser", "not found", "get it"), later]
    monkeypatch.setattr(doctor, "examine", lambda: [doctor.Finding("machine", "disk", "9 GB"), *absent])
    assert doctor.run() == 1
    said = capsys.readouterr().out
    assert "Missing: browser." in said and "get it" in said
    monkeypatch.setattr(doctor, "examine", lambda: absent[1:])
    assert doctor.run() == 0 and "Nothing that the book needs is missing" in capsys.readouterr().out


def test_the_real_command_prints_one_table_and_no_traceback():
    done = subprocess.run([sys.executable, "-m", "utils.book", "doctor"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr
    assert "MiniLM" in done.stdout and (done.returncode == 1) == ("Missing: " in done.stdout)


def test_a_package_of_another_version_is_named(monkeypatch):
    lines = ["rich==0.1", "no-such-package==1.0", f"psutil=={importlib.metadata.version('psutil')}", "absent==1.0 ; python_version < '3'"]
    monkeypatch.setattr(lock, "locked", lambda: [Requirement(line) for line in lines])
    assert doctor.not_installed() == ["rich", "no-such-package"]
    finding = found(doctor.python(), "environment")
    assert "2 locked versions differ: rich, no-such-package" in finding.found and finding.remedy


def test_an_unfinished_environment_is_named(monkeypatch):
    monkeypatch.setattr(environment, "VENV", sys.prefix)
    monkeypatch.setattr(environment, "ready", lambda: False)
    finding = found(doctor.python(), "environment")
    assert "not finished" in finding.found and "python3 book.py doctor" in finding.remedy and finding.needed


def test_an_unsupported_python_is_named(monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.10.4")
    assert "3.11, 3.12 or 3.13" in found(doctor.python(), "version").remedy


def test_a_kernel_of_another_python_is_named(monkeypatch, tmp_path):
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    argv = ["/elsewhere/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "x", "language": "python"}), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    finding = doctor.kernel()
    assert "/elsewhere/bin/python" in finding.found and "book.py" in finding.remedy


def test_a_torch_that_does_not_load_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # the import then fails
    assert "does not load" in doctor.torch_build()[0].found and "--repair" in doctor.torch_build()[0].remedy
    cpu = found(doctor.targets_that_fit(), "cpu")
    assert cpu.remedy and cpu.needed


def test_a_gpu_that_this_torch_cannot_use_is_pointed_out(monkeypatch):
    import torch

    monkeypatch.setattr(environment, "has_nvidia_driver", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "--torch cuda" in found(doctor.torch_build(), "devices").remedy
    monkeypatch.setattr(environment, "has_nvidia_driver", lambda: False)
    assert not found(doctor.torch_build(), "devices").remedy


def test_a_changed_model_is_named(monkeypatch):
    monkeypatch.setattr(assets, "checksum", lambda path: "0" * 64)
    finding = found(doctor.parts(), "MiniLM")
    assert finding.found == "not usable" and "expected SHA-256" in finding.remedy

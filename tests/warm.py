"""A Python that has loaded the large libraries once, and forks itself for each piece of code a test tries.

A process of its own for each such test takes seconds to import torch and transformers before anything is
tried. A fork has them, and is otherwise a process of its own: its environment, its working directory, its
modules of this repository, its end. `Warm` is the test's side; run as a program, this file is the other one.
Where a system cannot fork safely, `Warm` starts an ordinary process instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATIENCE = 300  # seconds that a piece of code may take
# What chapters import; submodules by name, since transformers and diffusers load theirs when asked for.
LIBRARIES = """
numpy scipy.optimize scipy.stats pandas matplotlib.pyplot skimage.transform datasets
sklearn.linear_model sklearn.metrics sklearn.model_selection sklearn.decomposition
sklearn.feature_extraction.text
torch torch._dynamo tokenizers accelerate peft captum.attr
transformers transformers.trainer transformers.pipelines transformers.generation.utils
transformers.models.auto.modeling_auto transformers.models.bert.modeling_bert
transformers.models.gpt2.modeling_gpt2 transformers.models.vit.modeling_vit
diffusers.models.unets.unet_2d diffusers.models.unets.unet_2d_condition diffusers.pipelines.pipeline_utils
""".split()


class Warm:
    """The warm Python: started at the first `run`, ended by `close`."""

    def __init__(self):
        self.process = None
        self.folder = tempfile.TemporaryDirectory(prefix="book-warm-")
        self.home = Path(self.folder.name, "home")  # a link: the Hub's client reads HF_HOME once

    def run(
        self, code: str, home: Path | None = None, cwd: Path = ROOT, text: str = "", **variables: str
    ) -> subprocess.CompletedProcess:
        """Run `code` as `python -c` would, with these environment variables and this standard input.

        home: what HF_HOME is to be; nothing is fetched. Returns exit code, output and errors.
        """
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "HF_HOME": str(self.home)}
        if sys.platform != "linux":
            environment |= {"HF_HOME": str(home or self.home), "PYTHONPATH": str(ROOT), **variables}
            pipes = {"capture_output": True, "text": True, "encoding": "utf-8"}
            return subprocess.run([sys.executable, "-c", code], input=text, cwd=cwd, env=environment, **pipes)
        if self.process is None:
            command = [sys.executable, __file__]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)
        self.home.unlink(missing_ok=True)
        if home is not None:
            self.home.symlink_to(home, target_is_directory=True)
        asked = {"code": code, "cwd": str(cwd), "text": text, "variables": variables}
        asked["folder"] = self.folder.name
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the warm Python ended"
        ended = json.loads(answer)
        written = [Path(self.folder.name, name).read_bytes() for name in ("out", "err")]
        output, errors = (text.decode("utf-8", "replace") for text in written)
        return subprocess.CompletedProcess(["python", "-c", code], ended["code"], output, errors)

    def close(self) -> None:
        if self.process:
            self.process.communicate()
        self.folder.cleanup()


def serve() -> None:
    """Load the libraries, then fork for each line of JSON on stdin."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            __import__(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(become(asked))
        late = threading.Timer(PATIENCE, os.kill, [child, signal.SIGKILL])
        late.start()
        _, status = os.waitpid(child, 0)
        late.cancel()
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), file=answers, flush=True)


def become(asked: dict) -> int:
    """In the fork: be a new program with this code; its exit code."""
    import traceback
    import types

    folder = Path(asked["folder"])
    (folder / "in").write_text(asked["text"], encoding="utf-8")
    for number, (name, how) in enumerate((("in", os.O_RDONLY), ("out", WRITE), ("err", WRITE))):
        os.dup2(os.open(folder / name, how), number)
    output, errors = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    sys.stdin, sys.stdout, sys.stderr = open(0, encoding="utf-8", closefd=False), output, errors
    os.environ.update(asked["variables"])
    os.chdir(asked["cwd"])
    sys.argv, sys.path = ["-c"], ["", str(ROOT), *sys.path[1:]]
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    try:
        exec(compile(asked["code"], "<string>", "exec", dont_inherit=True), main.__dict__)
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        output.flush()  # as they were: the code may have put others in their place
        errors.flush()


WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

if __name__ == "__main__":
    serve()

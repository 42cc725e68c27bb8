"""embedded/docs: docstrings of the installed libraries, each labelled with its library area. Imported by chapters.

Origin: the docstrings of the Python standard library (PSF Licence), NumPy, SciPy, scikit-learn and PyTorch
(BSD 3-Clause), read from the installed packages at run time; nothing is copied into this repository. What a reader
gets therefore depends on the installed versions, and on nothing else.

A document is the opening prose of one docstring. Its label is the area of the *module* it was found in, so nobody
annotated anything by hand, and some labels are debatable: a function that sorts strings may stand in an array library.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import inspect
import io
import json
import os
import platform
import re
import tempfile
import warnings
import zlib
from collections import Counter, defaultdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from utils import ROOT

if TYPE_CHECKING:
    from datasets import DatasetDict

# area → public modules that are searched for it. A module that a platform lacks is left out there.
AREAS = {
    "files": """os os.path pathlib shutil tempfile glob fnmatch io zipfile tarfile gzip bz2 lzma zlib stat filecmp mmap
        fileinput linecache sqlite3 dbm shelve pickle""",
    "network": """socket ssl http.client http.server http.cookies http.cookiejar urllib.request urllib.parse
        urllib.robotparser urllib.response ftplib smtplib imaplib poplib socketserver xmlrpc.client xmlrpc.server
        ipaddress mailbox email email.message email.header email.headerregistry email.policy email.parser email.utils
        email.generator wsgiref.util wsgiref.headers wsgiref.handlers wsgiref.simple_server netrc webbrowser""",
    "concurrency": """threading multiprocessing multiprocessing.pool multiprocessing.managers multiprocessing.connection
        multiprocessing.shared_memory multiprocessing.queues multiprocessing.synchronize multiprocessing.context
        multiprocessing.process asyncio asyncio.base_events asyncio.streams asyncio.subprocess asyncio.transports
        asyncio.protocols asyncio.sslproto concurrent.futures concurrent.futures.process concurrent.futures.thread
        queue subprocess sched selectors signal contextvars contextlib torch.multiprocessing torch.futures""",
    "text": """re string textwrap difflib unicodedata codecs csv json json.decoder json.encoder xml.dom.minidom
        xml.etree.ElementTree xml.sax xml.sax.handler xml.sax.xmlreader xml.sax.saxutils xml.dom.pulldom html html.parser
        plistlib pprint reprlib shlex base64 quopri stringprep numpy.strings numpy.char
        sklearn.feature_extraction.text""",
    "language": """ast inspect dis importlib importlib.abc importlib.machinery importlib.util importlib.metadata tokenize
        types typing code codeop symtable pkgutil traceback pdb bdb unittest unittest.mock unittest.case unittest.suite
        unittest.loader doctest trace warnings logging logging.handlers logging.config functools dataclasses enum abc
        weakref gc copyreg pydoc timeit profile pstats tracemalloc runpy modulefinder pyclbr compileall sys builtins""",
    "arrays": """numpy numpy.ma numpy.ma.extras numpy.lib.recfunctions numpy.lib.npyio numpy.lib.format
        numpy.lib.stride_tricks numpy.lib.scimath numpy.rec numpy.matrixlib torch torch._tensor torch.functional torch.sparse
        torch.masked""",
    "algebra": """numpy.linalg scipy.linalg scipy.linalg.interpolative scipy.sparse scipy.sparse.linalg
        scipy.sparse.csgraph scipy.spatial scipy.spatial.distance scipy.spatial.transform torch.linalg""",
    "statistics": """scipy.stats scipy.stats.qmc scipy.stats.contingency scipy.stats.mstats scipy.stats.sampling
        statistics random secrets numpy.random torch.distributions torch.distributions.transforms
        torch.distributions.constraints""",
    "signals": """scipy.signal scipy.signal.windows scipy.fft scipy.fftpack scipy.ndimage numpy.fft torch.fft
        torch.signal.windows wave colorsys sklearn.feature_extraction.image""",
    "numerics": """scipy.optimize scipy.integrate scipy.interpolate scipy.special scipy.differentiate scipy.constants
        numpy.polynomial numpy.polynomial.chebyshev numpy.polynomial.hermite numpy.polynomial.legendre
        numpy.polynomial.laguerre numpy.polynomial.polynomial torch.special math cmath decimal fractions""",
    "learning": """sklearn.linear_model sklearn.svm sklearn.tree sklearn.ensemble sklearn.neighbors sklearn.naive_bayes
        sklearn.gaussian_process sklearn.neural_network sklearn.discriminant_analysis sklearn.cluster
        sklearn.decomposition sklearn.manifold sklearn.mixture sklearn.covariance sklearn.cross_decomposition
        sklearn.preprocessing sklearn.impute sklearn.feature_selection sklearn.random_projection
        sklearn.kernel_approximation sklearn.metrics sklearn.metrics.pairwise sklearn.metrics.cluster
        sklearn.model_selection sklearn.calibration sklearn.inspection sklearn.datasets sklearn.pipeline sklearn.compose
        sklearn.multiclass sklearn.multioutput sklearn.semi_supervised sklearn.isotonic sklearn.dummy sklearn.base
        sklearn.utils""",
    "networks": """torch.nn torch.nn.functional torch.nn.init torch.nn.utils torch.nn.utils.rnn torch.nn.utils.parametrize
        torch.nn.utils.prune torch.nn.attention torch.nn.parallel torch.optim torch.optim.lr_scheduler
        torch.optim.swa_utils torch.utils.data torch.utils.checkpoint torch.autograd torch.autograd.functional
        torch.autograd.graph torch.amp torch.func""",
}
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
MASK = "_"  # stands where a name was that gives the label away
_ALWAYS_MASKED = {"numpy", "np", "scipy", "sklearn", "scikit", "torch", "pytorch", "aten", "cpython", "cuda"}
_SECTION = re.compile(
    r"^(?:[A-Z][\w ]+\n[-=]{3,}|\s*(?:Args|Arguments|Parameters|Returns?|Yields|Raises|Examples?|Shape|Note|Keyword args)\s*:)"
    r"|^\s*(?:>>>|\.\. |::|:param)",
    re.MULTILINE,
)
_ROLE = re.compile(r":[\w:]+:`~?\.?([^`<]*?)\s*(?:<[^>]*>)?`")


@dataclasses.dataclass(frozen=True)
class Document:
    """The opening prose of one docstring: `text`, its `area`, and where it stood (`module`, `name`)."""

    text: str
    area: str
    module: str
    name: str
    split: str


def load(words: int = 60, fewest: int = 12, cache: Path | None = None) -> DatasetDict:
    """The documents as a `datasets.DatasetDict` with train, validation and test, split by module.

    Columns: text (`fewest` to `words` words, names masked), label (a ClassLabel over the areas), module, name.
    No module is in two splits, and no document is twice in them: a classifier is tested on modules it never saw.
    The first call reads the installed packages (a few seconds); later ones a file under `_build/cache`, which is
    renewed when a version changes. cache: another folder for that file.
    """
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=list(AREAS)), "module": Value("string"), "name": Value("string")})
    found = [d for d in documents(words, cache=cache) if len(d.text.split()) >= fewest]
    splits = {}
    for split in ("train", "validation", "test"):
        rows = [{"text": d.text, "label": d.area, "module": d.module, "name": d.name} for d in found if d.split == split]
        splits[split] = Dataset.from_list(rows, features=features)
    return DatasetDict(splits)


def documents(words: int = 60, whole: bool = False, cache: Path | None = None) -> list[Document]:
    """All documents of eight words or more, in a fixed order; see `load`.

    whole: the docstrings with signature, sections, examples and names, as a language model wants them. The division
    of the modules into train, validation and test is the same.
    """
    folder = cache or ROOT / "_build" / "cache"
    path = folder / f"docs-{'whole' if whole else words}-{_key()}.json"
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError):  # absent, or cut off: made again
        return [Document(*row) for row in json.loads(path.read_text(encoding="utf-8"))]
    made = _split(_without_twins(list(_find(words))))
    if whole:
        texts = {(d.module, d.name): d.text for d in _find(0)}
        made = [dataclasses.replace(d, text=texts[d.module, d.name]) for d in made]
    _write(path, json.dumps([dataclasses.astuple(d) for d in made]))
    return made


def _key() -> str:
    """Changes with every version that could change a docstring, and with this file."""
    parts = [platform.python_version(), *(metadata.version(p) for p in PACKAGES), Path(__file__).read_text(encoding="utf-8")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _write(path: Path, text: str) -> None:
    """Whole or not at all, also when two chapters do it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False) as file:
        file.write(text)
    os.replace(file.name, path)


def _find(words: int):
    """Every public function, class, method and property of the modules, as an unsplit Document (0 words: whole)."""
    for area, names in AREAS.items():
        for public in names.split():
            for name, thing in _members(public):
                doc = getattr(thing, "__doc__", None)
                if not isinstance(doc, str) or not (module := _defined_in(thing, public)):
                    continue
                if words == 0:
                    yield Document(inspect.cleandoc(doc), area, module, name, "")
                else:
                    text = prose(doc, hide=[*public.split("."), *name.split(".")], words=words)
                    if len(text.split()) >= 8 and text.count(MASK) <= len(text.split()) / 4:
                        yield Document(text, area, module, name, "")


def _members(public: str):
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecated modules are documented all the same; only inside this block
        try:
            module = importlib.import_module(public)
        except ImportError:
            return
        names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
        for name in sorted(set(names)):
            try:
                thing = getattr(module, name)
            except (AttributeError, ImportError):
                continue
            if not (callable(thing) or inspect.isclass(thing)):
                continue
            yield name, thing
            if inspect.isclass(thing):
                for inner, method in sorted(vars(thing).items()):
                    if not inner.startswith("_") and (callable(method) or isinstance(method, (property, staticmethod, classmethod))):
                        yield f"{name}.{inner}", method


def _defined_in(thing, public: str) -> str | None:
    """The module that defines a thing, which is the unit of the split; None for what was imported from elsewhere."""
    thing = getattr(thing, "fget", thing)
    owner = getattr(thing, "__module__", None) or getattr(getattr(thing, "__objclass__", None), "__module__", None)
    if not isinstance(owner, str) or owner in ("posix", "nt"):
        return public
    top = public.partition(".")[0]
    if owner.partition(".")[0].lstrip("_") != top:
        return None
    if public == top and owner != public:  # a whole package shows things of all areas at its top: only its own count
        return None
    return owner if owner.startswith(public + ".") else public


def prose(doc: str, hide: list[str] = (), words: int = 60) -> str:
    """The opening prose of a docstring: no signature, sections, examples or markup; names in `hide` masked."""
    text = inspect.cleandoc(doc)
    first, _, rest = text.partition("\n")
    if re.match(r"^[\w.]+\(.*", first):  # "add(x1, x2, /) -> array": the signature of a function written in C
        text = re.sub(r"^[\w.]+\([^\n]*(?:\n[^\n]+)*?(?=\n\s*\n|\Z)", "", text, count=1) if ")" not in first else rest
    if cut := _SECTION.search(text):
        text = text[: cut.start()]
    text = re.sub(r":math:`[^`]*`|\$[^$]*\$", MASK, text)
    text = _ROLE.sub(r"\1", text)
    text = re.sub(r"[`*|]+", "", text)
    hidden = _ALWAYS_MASKED | {part.lower().strip("_") for name in hide for part in (name, *name.split("_")) if len(part) > 2}
    text = re.sub(r"[A-Za-z_][\w.]*", lambda m: MASK if _gives_away(m.group(), hidden) else m.group(), text)
    return " ".join(re.sub(r"(_\s+)+_(?!\w)", MASK, " ".join(text.split())).split()[:words])


def _gives_away(word: str, hidden: set[str]) -> bool:
    """Whether a word is, or contains as a dotted part, one of the hidden names (also in the plural)."""
    return any(part.removesuffix("s") in hidden or part in hidden for part in word.lower().strip(".").split("."))


def _without_twins(found: list[Document]) -> list[Document]:
    """One document of every group with the same first twelve words, digits and case aside; one area for each."""
    kept = {}
    for document in found:
        kept.setdefault(tuple(re.findall(r"[a-z]+", document.text.lower())[:12]), document)
    return list(kept.values())


def _split(found: list[Document]) -> list[Document]:
    """Whole modules go to train, validation (about 15 % of an area) or test (about 15 %), by a hash of their name."""
    sizes = defaultdict(Counter)
    for document in found:
        sizes[document.area][document.module] += 1
    where = {}
    for area, modules in sizes.items():
        share = 0.15 * modules.total()
        filled = Counter()
        for module in sorted(modules, key=lambda m: zlib.crc32(m.encode())):
            least = min(("test", "validation"), key=lambda split: filled[split])
            where[area, module] = least if filled[least] < share and modules[module] <= share / 2 else "train"
            filled[where[area, module]] += modules[module]
    # a module that serves two areas stays in one split
    order = {"train": 0, "validation": 1, "test": 2}
    one = {}
    for (_, module), split in where.items():
        one[module] = min(one.get(module, split), split, key=order.get)
    return [dataclasses.replace(d, split=one[d.module]) for d in found]

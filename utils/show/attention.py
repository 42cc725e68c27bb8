"""show.attention: BertViz' head, model and neuron view as one self-contained frame each. Imported by chapters.

BertViz writes pages that fetch require.js, jQuery and d3 from the network. Here the same pages carry jQuery and d3
inside an <iframe srcdoc>, so they work offline, in JupyterLab and on a static page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils import ROOT

if TYPE_CHECKING:
    import torch

# The modules of d3 that BertViz uses, in the order in which they need each other: half the size of the whole of d3.
_D3 = "array collection color format interpolate path selection time time-format scale scale-chromatic shape".split()
_PARTS = ("jquery/dist/jquery.slim.min.js", *(f"d3-{name}/dist/d3-{name}.min.js" for name in _D3))
_SHIM = "window.requirejs = (names, use) => use(window.jQuery, window.d3);"
_FIT = "document.body.style.zoom = Math.max(0.6, Math.min(1, innerWidth / 990));"  # the model view has a fixed width
_STYLE = "html{color-scheme:light}body{margin:6px;background:#fff;color:#111;font:14px sans-serif}"


def head_view(attention: Sequence[torch.Tensor], tokens: Sequence[str], title: str, **options) -> None:
    """BertViz' head view: lines from each token to the tokens it attends to, one colour per head.

    attention: one tensor (1, heads, tokens, tokens) a layer, as a model returns it with output_attentions=True.
    title: what the frame shows, for readers who cannot see it. options: see bertviz.head_view (layer, heads, …).
    """
    import bertviz

    page = bertviz.head_view([_short(a) for a in attention], _plain(tokens), html_action="return", **options)
    _display(page.data, f"BertViz head view: {title}", height=int(22.5 * len(tokens)) + 110)


def model_view(attention: Sequence[torch.Tensor], tokens: Sequence[str], title: str, **options) -> None:
    """BertViz' model view: every head of every layer as a thumbnail; a click enlarges one.

    Arguments as for head_view; options: see bertviz.model_view (include_layers, include_heads, …).
    """
    import bertviz

    layers, heads = len(options.get("include_layers") or attention), attention[0].shape[1]
    thumbnail = 7 * 12 / heads * len(tokens) + 10
    options = {"display_mode": "light"} | options
    page = bertviz.model_view([_short(a) for a in attention], _plain(tokens), html_action="return", **options)
    _display(page.data, f"BertViz model view: {title}", height=int(max(layers * thumbnail + 50, 18 * len(tokens) + 60)) + 40)


def neuron_view(twin, tokenizer, text: str, title: str, layer: int = 0, head: int = 0) -> None:
    """BertViz' neuron view: how the numbers of a query and a key make one attention weight.

    twin: BertViz' own copy of the model, see `twin()`, since ordinary models do not return queries and keys.
    """
    from bertviz.neuron_view import show

    tokens = len(tokenizer(text)["input_ids"])
    page = show(twin, "bert", tokenizer, text, display_mode="light", layer=layer, head=head, html_action="return")
    _display(page.data, f"BertViz neuron view: {title}", height=26 * tokens + 190)


def twin(model):
    """The BERT class that BertViz bundles for its neuron view, with the weights of `model` (a transformers BertModel).

    Raises ValueError when a weight of `model` has no place in it.
    """
    from bertviz.transformers_neuron_view import BertConfig, BertModel

    config = BertConfig(model.config.vocab_size)
    for name in vars(config):
        if hasattr(model.config, name) and name not in ("output_attentions", "output_hidden_states", "torchscript"):
            setattr(config, name, getattr(model.config, name))
    config.output_attentions = True
    copy = BertModel(config)
    weights = {k: v for k, v in model.state_dict().items() if not k.endswith(("position_ids", "token_type_ids"))}
    wrong = copy.load_state_dict(weights, strict=False)
    if missing := [k for k in [*wrong.missing_keys, *wrong.unexpected_keys] if "pooler" not in k]:
        raise ValueError(f"BertViz' BERT does not take these weights: {', '.join(missing[:3])}; it needs a plain BertModel.")
    return copy.eval()


def _short(attention: torch.Tensor) -> torch.Tensor:
    """Three decimals are more than a picture shows, and a fifth of the size."""
    return attention.detach().cpu().double().round(decimals=3)


def _plain(tokens: Sequence[str]) -> list[str]:
    """Tokens that cannot end the script they are written into."""
    return [token.replace("</", "<\u2060/") for token in tokens]


def _display(page: str, title: str, height: int) -> None:
    import html

    from IPython.display import display

    frame = (
        f'<iframe class="bertviz" title="{html.escape(title)}" sandbox="allow-scripts" loading="lazy" '
        f'style="width:100%;height:{height}px;border:1px solid #8884;background:#fff" srcdoc="{_attribute(document(page))}"></iframe>'
    )
    display({"text/plain": f"[{title}]", "text/html": frame}, raw=True)


def document(page: str) -> str:
    """BertViz' page without its remote scripts, with jQuery and d3 inside, and with short numbers."""
    page = re.sub(r'<script src="https?://[^>]*></script>', "", page)
    page = re.sub(r"require\.config\(\{.*?\}\s*\}\);", "", page, flags=re.DOTALL)
    page = re.sub(r"/\*\*.*?\*/", "", page, count=1, flags=re.DOTALL)
    page = re.sub(r"bertviz-[0-9a-f]{32}", "bertviz", page)  # a random name would make every run different
    page = re.sub(r"-?\d+\.\d{4,}(?:e[-+]?\d+)?|-?\d+\.?\d*e-\d+", lambda m: f"{round(float(m.group()), 3):g}", page)
    page = re.sub(r"(?<=[\d\]]), (?=[-\d\[])", ",", page)  # blanks between numbers
    if remote := re.search(r"(?:src|href)\s*=\s*[\"']https?:|['\"]https?://[^'\"]*\.js", page):
        raise ValueError(f"BertViz' page still asks the network for something: {remote.group()!r}; its layout has changed.")
    fit = f"<script>{_FIT}</script>" if "thumbnail" in page else ""
    scripts = "".join(f"<script>{_library(part)}</script>" for part in _PARTS)
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>{scripts}<script>{_SHIM}</script>{page}{fit}"


def _library(part: str) -> str:
    path = ROOT / "node_modules" / part
    if not path.is_file():
        raise FileNotFoundError("The JavaScript parts (jQuery, d3) are not there yet; run: python3 book.py build")
    return re.sub(r"//# sourceMappingURL=\S*", "", path.read_text(encoding="utf-8")).replace("</script", "<\\/script")


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")

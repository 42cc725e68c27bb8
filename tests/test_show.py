"""show: frames that work offline, colours with numbers, curves that hold what was written."""

import re

import numpy as np
import pytest
import torch

from utils import show


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: a list of MIME bundles."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw=False: bundles.append(bundle))
    return bundles


def attention(layers=2, heads=2, tokens=4):
    return [torch.randn(1, heads, tokens, tokens).softmax(-1) for _ in range(layers)]


TOKENS = ["[CLS]", "a", "</script>", "[SEP]"]


@pytest.fixture
def tiny_bert():
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        hidden_act="gelu", attn_implementation="eager",
    )
    torch.manual_seed(0)
    return BertModel(config).eval()


def test_a_frame_asks_the_network_for_nothing(shown):
    show.attention.head_view(attention(), TOKENS, title="a test")
    show.attention.model_view(attention(), TOKENS, title="a test")
    for bundle in shown:
        assert not re.search(r"<script[^>]+src|require\.config|cdnjs", bundle["text/html"])
        assert 'title="BertViz' in bundle["text/html"] and "width:100%" in bundle["text/html"]
        assert bundle["text/plain"].startswith("[BertViz")


def test_a_frame_is_the_same_every_time_and_rounds(shown):
    weights = attention()
    for _ in range(2):
        show.attention.head_view(weights, TOKENS, title="a test")
    assert shown[0] == shown[1]
    page = shown[0]["text/html"].split("</style>")[1]
    numbers = re.findall(r"&quot;attn&quot;: (\[.*?\]\]\]\])", page)[0]
    assert max(len(n) for n in re.findall(r"\d\.\d+", numbers)) <= 6


def test_without_the_javascript_parts_one_sentence_says_what_to_run(shown, monkeypatch, tmp_path):
    monkeypatch.setattr(show.attention, "ROOT", tmp_path)
    with pytest.raises(FileNotFoundError, match="python3 book.py build"):
        show.attention.head_view(attention(), TOKENS, title="a test")


@pytest.mark.parametrize("view", ["head_view", "model_view"])
def test_a_view_reacts_in_a_real_browser_offline(shown, view, browser_page):
    getattr(show.attention, view)(attention(tokens=4), ["[CLS]", "a", "b", "[SEP]"], title="a test")
    page, errors, requests = browser_page
    page.set_content(f"<!doctype html><title>t</title>{shown[0]['text/html']}")
    frame = page.frames[1]
    frame.wait_for_selector("svg")
    if view == "head_view":
        before = frame.inner_html("svg")
        frame.hover("svg #left text >> nth=1")
        page.wait_for_timeout(200)
        assert frame.inner_html("svg") != before
    else:
        assert frame.locator("svg g.thumbnail, svg rect").count() >= 4
    assert errors == [] and requests == []


@pytest.fixture
def browser_page(browser):
    page = browser.new_page()
    errors, requests = [], []
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("request", lambda r: requests.append(r.url) if r.url.startswith("http") else None)
    yield page, errors, requests
    page.close()


def test_bertviz_own_bert_computes_the_same_attention(tiny_bert):
    ids = torch.tensor([[2, 5, 7, 3]])
    theirs = show.attention.twin(tiny_bert)(ids)[-1]
    ours = tiny_bert(ids, output_attentions=True).attentions
    assert max((a["attn"] - b).abs().max() for a, b in zip(theirs, ours, strict=True)) < 1e-5


def test_another_architecture_is_refused_in_a_sentence():
    from transformers import GPT2Config, GPT2Model

    with pytest.raises(ValueError, match="plain BertModel"):
        show.attention.twin(GPT2Model(GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2)))


def test_attributions_are_escaped_and_have_their_numbers_as_text(shown):
    show.attribution.tokens([("one <b>", ["<i>", "x"], [0.5, -0.25])], title="T & t")
    html, plain = shown[0]["text/html"], shown[0]["text/plain"]
    assert "<i>" not in html and "&lt;i&gt;" in html and "T &amp; t" in html
    assert 'title="+0.5000"' in html and "x(-0.25)" in plain
    assert "rgba(0,114,178,0.50)" in html and "rgba(213,94,0,0.25)" in html  # blue for, orange against


def test_a_token_without_a_score_is_refused(shown):
    with pytest.raises(ValueError, match="2 tokens but 1 scores"):
        show.attribution.tokens([("row", ["a", "b"], [1.0])], title="t")


@pytest.fixture
def run(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        for step in range(5):
            writer.add_scalar("loss", 5.0 - step, step)
            writer.add_histogram("weights", torch.linspace(-1, 1, 100) * (step + 1), step)
        writer.add_text("note", "hello", 0)
        writer.add_pr_curve("pr", torch.tensor([0, 1, 1]), torch.tensor([0.1, 0.8, 0.9]), 0)
        writer.add_embedding(torch.eye(3), metadata=["a", "b", "c"])
        writer.add_hparams({"rate": 0.1, "head": "new"}, {"accuracy": 0.5}, run_name="hp")
    return tmp_path


def test_events_come_back_as_written(run):
    steps, values = show.curves.values(run, "loss")
    assert steps.tolist() == [0, 1, 2, 3, 4] and values.tolist() == [5, 4, 3, 2, 1]
    assert show.curves.texts(run, "note") == ["hello"]
    assert show.curves.pr_curve(run, "pr").max() == 1
    vectors, labels = show.curves.embedding(run)
    assert np.array_equal(vectors, np.eye(3)) and labels == ["a", "b", "c"]
    assert show.curves.hyperparameters(run / "hp") == {"head": "new", "rate": 0.1}


def test_figures_have_one_panel_for_each_tag(run):
    figure = show.curves.scalars({"one": run, "two": run}, {"loss": "loss"})
    assert len(figure.axes) == 1 and len(figure.axes[0].lines) == 2
    figure = show.curves.histograms(run, {"weights": "weight"})
    density = figure.axes[0].collections[0].get_array()
    assert (density.reshape(60, 5).sum(0) > 0.9).all()  # nearly all of each step lies in the picture


def test_a_graph_comes_back(tmp_path):
    import warnings

    from torch.utils.tensorboard import SummaryWriter

    with warnings.catch_warnings(), SummaryWriter(tmp_path) as writer:
        warnings.simplefilter("ignore")
        writer.add_graph(torch.nn.Linear(2, 3), torch.zeros(1, 2))
    assert any("linear" in node.op for node in show.curves.graph(tmp_path))


def test_what_is_not_there_is_named(run, tmp_path_factory):
    with pytest.raises(KeyError, match="there are: loss"):
        show.curves.values(run, "lost")
    with pytest.raises(FileNotFoundError, match="no TensorBoard events"):
        show.curves.events(tmp_path_factory.mktemp("empty"))

"""Code that loads from the Hugging Face Hub, tried against a local cache in the Hub's own layout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path) -> Path:
    """A HF_HOME that holds the tiny model acme/tiny-bert, as the Hub's client would have stored it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    repository = tmp_path / "hub" / "models--acme--tiny-bert"
    snapshot = repository / "snapshots" / REVISION
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(REVISION)
    words = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "river", "bank"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(snapshot)
    config = BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=16
    )
    BertModel(config).save_pretrained(snapshot)
    return tmp_path


def offline(code: str, home: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, encoding="utf-8")


def test_a_hub_id_loads_from_the_cache_without_network(hub):
    code = (
        "from utils import assets\n"
        "from transformers import AutoModel, AutoTokenizer\n"
        "name = assets.model('acme/tiny-bert')\n"
        "batch = AutoTokenizer.from_pretrained(name)('river bank', return_tensors='pt')\n"
        "print(tuple(AutoModel.from_pretrained(name)(**batch).last_hidden_state.shape))\n"
    )
    done = offline(code, hub)
    assert done.stdout.strip() == "(1, 2, 8)", done.stderr[-2000:]


def test_an_id_that_is_not_in_the_cache_is_refused_in_a_sentence(hub):
    done = offline("from utils import assets; assets.model('acme/other')", hub)
    assert done.returncode == 1 and "AssetError: 'acme/other' is on the Hugging Face Hub, and this target uses no network" in done.stderr

"""Train embedded/docs-gpt2, a small GPT-2 on the docstrings of embedded/docs. Run: python data/models/docs-gpt2/recipe.py

The metric is the perplexity on modules kept from training. data/models/README.md explains the arguments.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from utils.book import recipes
from utils.embedded import docs

VOCABULARY, CONTEXT, WIDTH, LAYERS, HEADS, BATCH = 4096, 64, 128, 8, 4, 16
SHORT = {"steps": 150, "at_most": 350}


def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=VOCABULARY, min_frequency=2, special_tokens=["<|end|>"], show_progress=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, eos_token="<|end|>", bos_token="<|end|>", pad_token="<|end|>", model_max_length=CONTEXT
    )


def stream(tokenizer, texts: list[str]) -> torch.Tensor:
    """All texts as one row of token ids, with an end token between them."""
    ids = tokenizer(texts, verbose=False)["input_ids"]
    return torch.tensor([i for text in ids for i in (tokenizer.eos_token_id, *text)])


def perplexity(model, ids: torch.Tensor) -> float:
    """exp of the mean cross-entropy per token over windows of CONTEXT tokens."""
    windows = ids[: len(ids) // CONTEXT * CONTEXT].view(-1, CONTEXT)
    model.eval()
    with torch.inference_mode():
        losses = [model(w, labels=w).loss * len(w) for w in windows.split(64)]
    return math.exp(sum(losses) / len(windows))


def unigram_perplexity(train: torch.Tensor, test: torch.Tensor) -> float:
    """The control: a model that knows how frequent tokens are, and nothing else."""
    counts = torch.bincount(train, minlength=VOCABULARY) + 1.0
    return math.exp(cross_entropy(counts.log().expand(len(test), -1), test).item())


def texts(split: str) -> list[str]:
    """The whole docstrings of one split."""
    return [d.text for d in docs.documents(whole=True) if d.split == split]


def train(args, folder: Path) -> None:
    """Random windows of the training modules."""
    tokenizer = build_tokenizer(texts("train"))
    ids = stream(tokenizer, texts("train"))
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, resid_pdrop=0.0,
            embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=WIDTH**-0.5, bos_token_id=0, eos_token_id=0, pad_token_id=0,
        )
    )  # fmt: skip
    print(f"{model.num_parameters():,} parameters, {len(ids):,} training tokens")

    def loss(step: int) -> torch.Tensor:
        begin = torch.randint(len(ids) - CONTEXT, (BATCH, 1))
        window = ids[begin + torch.arange(CONTEXT)]  # (BATCH, CONTEXT)
        return model(window, labels=window).loss

    recipes.fit(model, loss, args.steps, recipes.optimisers(model, rate=3e-3, muon=0.015, decay=0.05))
    recipes.save(model, tokenizer, folder)


def evaluate(folder: Path) -> dict:
    """Perplexity on 96,000 tokens of modules kept from training, beside that of token frequencies."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    test = stream(tokenizer, texts("test"))[: 64 * 1500]
    control = unigram_perplexity(stream(tokenizer, texts("train")), test)
    return {"metric": "perplexity", "value": round(perplexity(model, test), 1), "control": {"unigram model": round(control, 1)}}


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=3400, short=SHORT)

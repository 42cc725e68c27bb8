"""Train embedded/docs-gpt2, a small GPT-2 on the docstrings of embedded/docs. Run: python data/models/docs-gpt2/recipe.py

Writes tokenizer, config and half-precision weights beside itself and prints the perplexity on held-out modules.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, get_cosine_schedule_with_warmup

from utils.embedded import docs

HERE = Path(__file__).resolve().parent
VOCABULARY, CONTEXT, WIDTH, LAYERS, HEADS = 4096, 64, 128, 8, 4


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


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=1600)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    split = {s: [d.text for d in docs.documents(whole=True) if d.split == s] for s in ("train", "test")}
    tokenizer = build_tokenizer(split["train"])
    train, test = stream(tokenizer, split["train"]), stream(tokenizer, split["test"])[: 64 * 1500]
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, resid_pdrop=0.0,
            embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.06, bos_token_id=0, eos_token_id=0, pad_token_id=0,
        )
    )
    print(f"{model.num_parameters():,} parameters, {len(train):,} training tokens, {Counter(d.split for d in docs.documents(whole=True))}")
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05, betas=(0.9, 0.98))
    schedule = get_cosine_schedule_with_warmup(optimiser, 100, args.steps)
    started, cpu = time.perf_counter(), time.process_time()
    model.train()
    for step in range(1, args.steps + 1):
        begin = torch.randint(len(train) - CONTEXT, (args.batch, 1))
        window = train[begin + torch.arange(CONTEXT)]  # (batch, CONTEXT)
        loss = model(window, labels=window).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step(), schedule.step(), optimiser.zero_grad()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}, {time.perf_counter() - started:.0f} s", flush=True)

    print(f"CPU-seconds: {time.process_time() - cpu:.0f}")
    model.half().save_pretrained(HERE)
    tokenizer.save_pretrained(HERE)
    saved = GPT2LMHeadModel.from_pretrained(HERE, dtype=torch.float32)
    print(f"held-out perplexity {perplexity(saved, test):.1f}, unigram control {unigram_perplexity(train, test):.1f}")


if __name__ == "__main__":
    main()

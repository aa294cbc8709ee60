"""Trains tokenizers with ettin and with Hugging Face's BpeTrainer on the same texts: vocabulary and
merges must be equal, and `tokenizers` must encode with the written file as ettin does.

Everything is a pure function of the texts and of differential.SEED. See run for how to call it.
"""

import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from differential import ROOT, Comparison, Generator, Probe, compare_texts

SPACE_RUNS = 23
SPECIALS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]


def corpora():
    """Names and lists of texts."""
    def read(path):
        return path.read_bytes().decode("utf-8", "replace")

    generator = Generator([" " * n for n in range(2, 28)], ["the", " of", "ing", "\n", "é"])
    yield "generated", list(generator.strings(26_000))
    files = sorted((ROOT / "src").rglob("*.cc")) + sorted(ROOT.glob("*.md"))
    yield "this repository", [read(path) for path in files]
    # Every pair as often as every other: the order is decided by ties alone.
    yield "ties", ["".join(chr(0x21 + (7 * i * j) % 90) for j in range(9)) for i in range(90)]
    yield "one letter", ["a" * n for n in range(1, 300)]
    wikitext = ROOT.parent / "shared/data/text/wikitext-2/valid.txt"
    if wikitext.exists():
        yield "wikitext", [read(wikitext)]
        yield "wikitext by lines", read(wikitext).splitlines()
    else:
        print("SKIPPED: wikitext is absent")


def train_reference(texts, entries, min_frequency, space_runs):
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if space_runs:   # added tokens, which the trainer knows nothing of
        runs = pre_tokenizers.Split(tokenizers.Regex(" {2,24}"), "removed")
        split = pre_tokenizers.Sequence([runs, split])
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=entries, min_frequency=min_frequency, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]


def train(probe, out, texts, vocab_size, min_frequency, space_runs, threads):
    raw = b"".join(struct.pack("<i", len(b)) + b for b in (t.encode("utf-8") for t in texts))
    subprocess.run([probe, *map(str, (out, vocab_size, min_frequency, int(space_runs), threads))],
                   input=raw, check=True)
    return (out / "tokenizer.json").read_text(encoding="utf-8")


def compare(probe, name, texts, vocab_size, min_frequency, space_runs):
    case = f"{name}, {vocab_size} entries, at least {min_frequency}, runs {space_runs}"
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        content, again = (train(probe, out, texts, vocab_size, min_frequency, space_runs, threads)
                          for threads in (1, 3))
        comparison = Comparison(case)
        comparison.check("threads", content, again)
        added = len(SPECIALS) + (SPACE_RUNS if space_runs else 0)
        vocabulary, merges = train_reference(texts, vocab_size - added, min_frequency, space_runs)
        model = json.loads(content)["model"]
        runs = {" " * n: len(vocabulary) + 24 - n for n in range(24, 1, -1) if space_runs}
        comparison.check("vocabulary", {**vocabulary, **runs}, model["vocab"])
        comparison.check("number of merges", len(merges), len(model["merges"]))
        for rank, (expected, found) in enumerate(zip(merges, model["merges"])):
            comparison.check(rank, expected, found)
        loaded = tokenizers.Tokenizer.from_str(content)
        size = len(vocabulary) + added
        comparison.check("entries", size, loaded.get_vocab_size())
        comparison.check("specials", list(range(size - 5, size)),
                         [loaded.token_to_id(token) for token in SPECIALS])
        failed = comparison.report()
        sample = [text[:5000] for text in texts[::max(1, len(texts) // 500)]]
        sample += ["a [MASK] b", "[CLS]x[SEP]", "Some  words\n\n   here", ""]
        written = Probe(probe, str(out / "tokenizer.json"))
        return failed | compare_texts("  encoding", loaded, written, sample)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probe", required=True)
    options = parser.parse_args()
    failed = False
    for name, texts in corpora():
        for vocab_size, min_frequency, space_runs in ((8192, 2, True), (1000, 1, False),
                                                      (30_000, 1, True)):
            failed |= compare(options.probe, name, texts, vocab_size, min_frequency, space_runs)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

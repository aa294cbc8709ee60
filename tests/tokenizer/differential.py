"""Compares ettin's tokenizer with Hugging Face's `tokenizers` on generated strings.

Everything is a pure function of SEED. Compared are ids and character offsets of texts and pairs,
truncation, and decoding with and without special tokens. See run for how to call it.
"""

import argparse
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import tokenizers

SEED = 20
STRINGS = 100_000  # besides one string for every 16 code points
ROOT = pathlib.Path(__file__).resolve().parents[2]

# `tokenizers` 0.23.3 splits by the classes of Unicode 16.0 and normalises by the data of 9.0;
# Debian 12's utf8proc has 15.0 for both. Left out is exactly what differs between the versions.
# Letters, numbers and marks assigned in 15.1 and 16.0, which utf8proc does not know:
NEWER_THAN_15_0 = [
    (0x0897, 0x0897), (0x1C89, 0x1C8A), (0xA7CB, 0xA7CD), (0xA7DA, 0xA7DC), (0x105C0, 0x105F3),
    (0x10D40, 0x10D85), (0x10EC2, 0x10EC4), (0x10EFC, 0x10EFC), (0x11380, 0x113E2),
    (0x116D0, 0x116E3), (0x11BC0, 0x11BF9), (0x13460, 0x143FA), (0x16100, 0x16139),
    (0x16D40, 0x16D79), (0x18CFF, 0x18CFF), (0x1CCF0, 0x1CCF9), (0x1E5D0, 0x1E5FA),
    (0x2EBF0, 0x2EE5D),
]
# Marks with a combining class and the one composite (U+11938) assigned in 10.0 to 15.0; the
# reference takes the marks for characters that block composition and cannot be reordered:
NORMALISED_SINCE_10_0 = [
    (0x07FD, 0x07FD), (0x0898, 0x089F), (0x08CA, 0x08D3), (0x09FE, 0x09FE), (0x0C3C, 0x0C3C),
    (0x0D3B, 0x0D3C), (0x0EBA, 0x0EBA), (0x1715, 0x1715), (0x1ABF, 0x1ACE), (0x1DF6, 0x1DFA),
    (0xA82C, 0xA82C), (0x10D24, 0x10D27), (0x10EAB, 0x10EAC), (0x10EFD, 0x10EFF),
    (0x10F46, 0x10F50), (0x10F82, 0x10F85), (0x11070, 0x11070), (0x1133B, 0x1133B),
    (0x1145E, 0x1145E), (0x11839, 0x1183A), (0x11930, 0x11930), (0x1193D, 0x1193E),
    (0x11943, 0x11943), (0x119E0, 0x119E0), (0x11A34, 0x11A34), (0x11A47, 0x11A47),
    (0x11A99, 0x11A99), (0x11D42, 0x11D42), (0x11D44, 0x11D45), (0x11D97, 0x11D97),
    (0x11F41, 0x11F42), (0x16FF0, 0x16FF1), (0x1E08F, 0x1E08F), (0x1E130, 0x1E136),
    (0x1E2AE, 0x1E2AE), (0x1E2EC, 0x1E2EF), (0x1E4EC, 0x1E4EF),
]
EXCLUDED = {c for low, high in NEWER_THAN_15_0 + NORMALISED_SINCE_10_0
            for c in range(low, high + 1)}

SPACES = "\t\n\v\f\r \x1c\x1d\x1e\x1f\x85\xa0\u1680\u180e\u2000\u2003\u2009\u200a\u200b\u2028" \
         "\u2029\u202f\u205f\u2060\u3000\ufeff"
MARKS = "".join(map(chr, [*range(0x300, 0x370), *range(0x483, 0x488), *range(0x591, 0x5be),
                          *range(0x64b, 0x660), 0x93c, 0x94d, 0x9be, 0x9d7, 0xb3e, 0xb56, 0xb57,
                          0xc56, 0xcd5, 0xdcf, 0xddf, 0xf71, 0xf72, 0xf74, 0x102e, 0x1b35, 0x3099,
                          0x309a, 0x1d165, 0x1d16d, 0x110ba, 0x11127, 0x1133e, 0x114b0, 0x115af]))
COMPOSED = "".join(map(chr, [*range(0xc0, 0x180), *range(0x1e00, 0x2000), *range(0x340, 0x345),
                             *range(0x958, 0x960), 0x9cb, 0x9cc, 0xb94, 0xf43, 0xf73, 0xf75, 0xf81,
                             0x2126, 0x212b, *range(0xf900, 0xfa10), *range(0xfb1d, 0xfb4f),
                             *range(0x1d15e, 0x1d165), 0x1109a, 0x1112e, 0x2f800, 0x2fa1d]))
JAMO = "".join(map(chr, [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11a7, 0x11c3),
                         0xac00, 0xac01, 0xac1c, 0xd7a3, 0xd7b0, 0xa960]))
EMOJI = ["\U0001f600", "\U0001f468", "\U0001f469", "\U0001f467", "\u200d", "\ufe0f",
         "\U0001f3fd", "\u2764", "\U0001f1e9", "\U0001f1ea", "\U0001f3f4", "\U000e0067", "1\u20e3"]
WORDS = ["the", "Hello", "don't", "we'll", "I'D", "they've", "it's", "O'Neil", "naïve", "Straße",
         "Москва", "привет", "مرحبا", "שלום", "नमस्ते", "สวัสดี", "東京", "한국어", "ελληνικά",
         "def", "return", "x+=1", "0x1F", "3.14159", "½", "Ⅷ", "٣٤", "x²", "a_b", "https://a.b/c?d=e",
         "{}", "();", "//", "/*", "\\n", "<div>", "==", "->", "#include", "'s", "'S", "'", "''ll",
         "\u2019s", "...", "—", "™", "ﬁ"]


def is_usable(c):
    return not 0xD800 <= c <= 0xDFFF and c not in EXCLUDED


def any_character(rng):
    high = rng.choice([0x80, 0x250, 0x800, 0x3000, 0xFFFF, 0x10000, 0x20000, 0x32000, 0x10FFFF])
    while True:
        c = rng.randint(0, high)
        if is_usable(c):
            return chr(c)


def pick(rng, pool, low, high):
    return "".join(rng.choice(pool) for _ in range(rng.randint(low, high)))


class Generator:
    """Strings in the order of a fixed list of kinds."""

    def __init__(self, added, spellings):
        self.rng = random.Random(SEED)
        self.added = added
        self.spellings = spellings
        self.kinds = [self.characters, self.marks, self.jamo, self.emoji, self.words, self.spaces,
                      self.added_tokens, self.broken_bytes, self.runs, self.contractions,
                      self.vocabulary, self.controls, self.mixture]

    def characters(self):
        return "".join(any_character(self.rng) for _ in range(self.rng.randint(0, 24)))

    def marks(self):
        pools = [MARKS, COMPOSED, "aeiouAEIOU q1."]
        return "".join(self.rng.choice(self.rng.choice(pools))
                       for _ in range(self.rng.randint(1, 20)))

    def jamo(self):
        return pick(self.rng, JAMO + "a ", 1, 16)

    def emoji(self):
        return pick(self.rng, EMOJI + [" ", "x"], 1, 14)

    def words(self):
        joint = self.rng.choice([" ", "", "  ", "\n", "\t", " \n"])
        return joint.join(self.rng.choice(WORDS) for _ in range(self.rng.randint(1, 20)))

    def spaces(self):
        pool = list(SPACES) + [" ", " ", "\n", "  ", "a", "1", "."]
        return pick(self.rng, pool, 1, 30)

    def added_tokens(self):
        def piece():
            token = self.rng.choice(self.added)
            change = self.rng.randrange(8)
            if change == 0:
                cut = self.rng.randint(0, len(token))
                return token[:cut] if self.rng.random() < 0.5 else token[cut:]
            if change == 1:
                return token.swapcase()
            if change == 2:
                return token + self.rng.choice(MARKS)
            if change == 3:
                return self.rng.choice(["a", " ", "\n", "\u00a0", "\u3000", "é", "["]) + token
            return token
        return "".join(piece() if self.rng.random() < 0.7 else self.rng.choice(WORDS + list(SPACES))
                       for _ in range(self.rng.randint(1, 10)))

    def broken_bytes(self):
        raw = bytes(self.rng.choice([self.rng.randrange(256), self.rng.randrange(128), 0xE2, 0x80])
                    for _ in range(self.rng.randint(1, 40)))
        text = raw.decode("utf-8", "replace")
        return "".join(c for c in text if is_usable(ord(c)))

    def runs(self):
        unit = self.rng.choice(["a", " ", "\n", "'", "1", ".", "é", "e\u0301", "\u0301", "가",
                                "ab", "= ", "[MASK]", "'s", "\U0001f600", "\u200d", "\u00a0"])
        return self.rng.choice(["", "x", " "]) + unit * self.rng.randint(1, 120) + \
            self.rng.choice(["", "y", " ", "\u0301"])

    def contractions(self):
        pool = ["'", "s", "t", "re", "ve", "m", "ll", "d", "l", "r", "v", " ", "'S", "\u2019", "e"]
        return pick(self.rng, pool, 1, 16)

    def vocabulary(self):
        return pick(self.rng, self.spellings, 1, 8)

    def controls(self):
        pool = ["\x00", "\x07", "\x1b", "\x7f", "\x80", "\x9f", "\u200b", "\u200c", "\u200d",
                "\u200e", "\u2060", "\ufdd0", "\ufffe", "\uffff", "\ufffd", "\ufeff",
                "\U000e0001", "\U0010ffff", "\ue000", "\U000f0000", "a", " "]
        return pick(self.rng, pool, 1, 16)

    def mixture(self):
        kinds = self.kinds[:-1]
        return "".join(self.rng.choice(kinds)() for _ in range(self.rng.randint(2, 4)))

    def strings(self, count):
        for i in range(count):
            yield self.kinds[i % len(self.kinds)]()


def every_code_point():
    """Each usable code point between letters, before a mark and after a space."""
    line = []
    for c in range(0x110000):
        if is_usable(c):
            line.append(f"a{chr(c)}e{chr(c)}\u0301 {chr(c)}")
        if len(line) == 16 or c == 0x10FFFF:
            yield "".join(line)
            line = []


def pack_text(text):
    raw = text.encode("utf-8")
    return struct.pack("<i", len(raw)) + raw


class Probe:
    """Collects requests, runs them in one call of the probe, and reads the answers in order."""

    def __init__(self, program, tokenizer_json):
        self.command = [program, tokenizer_json]
        self.requests = tempfile.TemporaryFile()

    def encode(self, text, special=True, max_length=0):
        self.requests.write(b"e" + struct.pack("<ii", special, max_length) + pack_text(text))

    def encode_pair(self, text, pair, special=True, max_length=0):
        self.requests.write(b"p" + struct.pack("<ii", special, max_length) + pack_text(text) +
                            pack_text(pair))

    def decode(self, ids, skip):
        self.requests.write(b"d" + struct.pack(f"<ii{len(ids)}i", skip, len(ids), *ids))

    def run(self):
        self.requests.seek(0)
        self.answers = tempfile.TemporaryFile()
        subprocess.run(self.command, stdin=self.requests, stdout=self.answers, check=True)
        self.answers.seek(0)
        self.requests = tempfile.TemporaryFile()

    def read_encoding(self):
        (n,) = struct.unpack("<i", self.answers.read(4))
        numbers = struct.unpack(f"<{3 * n}i", self.answers.read(12 * n))
        return list(numbers[:n]), list(zip(numbers[n::2], numbers[n + 1::2]))

    def read_text(self):
        (n,) = struct.unpack("<i", self.answers.read(4))
        return self.answers.read(n).decode("utf-8")


class Comparison:
    def __init__(self, what):
        self.what = what
        self.count = 0
        self.differences = []

    def check(self, given, expected, found):
        self.count += 1
        if expected != found:
            self.differences.append((given, expected, found))

    def report(self):
        print(f"{self.what}: {self.count} compared, {len(self.differences)} differ", flush=True)
        for given, expected, found in self.differences[:5]:
            print(f"  {given!r}\n    tokenizers {expected}\n    ettin      {found}")
        return bool(self.differences)


def batches(items, size=20_000):
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def compare_texts(what, reference, probe, texts):
    comparison = Comparison(what)
    for batch in batches(texts):
        for text in batch:
            probe.encode(text)
        probe.run()
        for text, expected in zip(batch, reference.encode_batch(batch)):
            comparison.check(text, (expected.ids, expected.offsets), probe.read_encoding())
    return comparison.report()


def compare_pairs(reference, probe, texts):
    comparison = Comparison("pairs, truncation")
    rng = random.Random(SEED + 1)
    cases = []
    for text, pair in zip(texts[::2], texts[1::2]):
        # The longest length first; below the template itself the reference has no meaning.
        cases.append((text, pair if rng.random() < 0.7 else None, rng.random() < 0.9,
                      rng.choice([0, 3, 4, 5, 6, 7, 8, 9, 12, 16, 25, 50])))
    for text, pair, special, limit in cases:
        if pair is None:
            probe.encode(text, special, limit)
        else:
            probe.encode_pair(text, pair, special, limit)
    probe.run()
    for text, pair, special, limit in cases:
        if limit:
            reference.enable_truncation(limit)
        else:
            reference.no_truncation()
        expected = reference.encode(text, pair, add_special_tokens=special)
        comparison.check((text, pair, special, limit), (expected.ids, expected.offsets),
                         probe.read_encoding())
    reference.no_truncation()
    return comparison.report()


def compare_decoding(reference, probe, texts, vocab_size):
    comparison = Comparison("decoding")
    rng = random.Random(SEED + 2)
    cases = [e.ids for e in reference.encode_batch(texts)]
    cases += [[rng.randrange(vocab_size) for _ in range(rng.randint(0, 12))] for _ in texts]
    cases += [[i] for i in range(vocab_size + 2)]
    for ids in cases:
        probe.decode(ids, True)
        probe.decode(ids, False)
    probe.run()
    for ids in cases:
        for skip in (True, False):
            comparison.check((ids, skip), reference.decode(ids, skip_special_tokens=skip),
                             probe.read_text())
    return comparison.report()


def variants(content):
    """The same tokenizer with other flags: what the published file does not exercise."""
    def changed(name, change):
        file = json.loads(content)
        change(file)
        return name, json.dumps(file)

    def flags(file):
        for token in file["added_tokens"]:
            token["rstrip"] = token["content"] in ("[SEP]", "[MASK]", "   ")
            token["single_word"] = token["content"] in ("[PAD]", "[unused3]", "[CLS]")
            token["lstrip"] = token["content"] in ("[MASK]", "[unused1]", "[UNK]")
            token["normalized"] = token["normalized"] != (token["content"] in ("[UNK]", "[unused2]"))
        file["post_processor"] = {"type": "ByteLevel", "add_prefix_space": False,
                                  "trim_offsets": True, "use_regex": True}

    def plain(file):
        file["normalizer"] = None
        file["post_processor"] = None
        file["model"]["ignore_merges"] = True

    yield changed("other flags, trimmed offsets", flags)
    yield changed("no NFC, no template, ignore_merges", plain)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probe", required=True)
    parser.add_argument("--tokenizer", type=pathlib.Path)
    parser.add_argument("--strings", type=int, default=STRINGS)
    options = parser.parse_args()
    path = options.tokenizer
    if path is None:
        path = ROOT.parent / "shared/data/tokenizer/tokenizer.json"
        if not path.exists():
            path = ROOT / "models/seedling-encoder/tokenizer.json"
            print(f"The ModernBERT tokenizer is absent; comparing with {path} instead.")
    content = path.read_text(encoding="utf-8")
    file = json.loads(content)
    added = [token["content"] for token in file["added_tokens"]]
    reference = tokenizers.Tokenizer.from_str(content)
    vocab_size = max(reference.get_vocab().values()) + 1
    spellings = [s for s in (reference.decode([i]) for i in range(vocab_size)) if "\ufffd" not in s]
    generator = Generator(added, spellings)
    texts = list(generator.strings(options.strings))

    probe = Probe(options.probe, str(path))
    failed = compare_texts("generated texts", reference, probe, texts)
    failed |= compare_texts("every code point", reference, probe, every_code_point())
    failed |= compare_pairs(reference, probe, texts[:len(texts) // 4])
    failed |= compare_decoding(reference, probe, texts[:len(texts) // 10], vocab_size)
    for name, changed in variants(content):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as other:
            other.write(changed)
            other.flush()
            failed |= compare_texts(name, tokenizers.Tokenizer.from_str(changed),
                                    Probe(options.probe, other.name), texts[:len(texts) // 4])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

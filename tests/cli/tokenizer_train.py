"""ettin tokenizer train: from files to a folder that the program itself reads. What Hugging Face's
`tokenizers` makes of the same text, tests/tokenizer asks."""
import gzip
import json
import shutil

from harness import MODELS, CliTest, run

# Without a last line end, which is no part of a document.
TEXT = ("The river reaches the sea.\nThe sea is there,  the river is here.\n" * 3)[:-1]


class TokenizerTrain(CliTest):
    def train(self, name, *args):
        out = self.folder / name
        answer, = self.answers("tokenizer", "train", "--output", out, *args)
        return out, answer

    def test_answer_and_files(self):
        text = self.file("text.txt", TEXT)
        out, answer = self.train("made", "--vocab-size", 300, text)
        self.assertEqual(list(answer), ["output", "entries", "merges", "files", "bytes", "words",
                                        "tokens", "bytes_per_token", "seconds"])
        self.assertEqual((answer["output"], answer["entries"], answer["merges"], answer["files"]),
                         (str(out), 300, 300 - 256 - 28, 1))
        self.assertEqual(answer["bytes"], len(TEXT))
        self.assertAlmostEqual(answer["bytes_per_token"], len(TEXT) / answer["tokens"])
        self.assertEqual(sorted(p.name for p in out.iterdir()),
                         ["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"])
        file = json.loads((out / "tokenizer.json").read_text(encoding="utf-8"))
        self.assertEqual([t["content"] for t in file["added_tokens"][-5:]],
                         ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])
        people = self.ok("tokenizer", "train", "--output", self.folder / "other", text)
        self.assertIn("bytes each", people)

    def test_a_model_tokenizes_with_it(self):
        model = self.folder / "model"
        shutil.copytree(MODELS / "seedling-encoder", model)
        (model / "tokenizer.json").unlink()
        text = self.file("text.txt", TEXT)
        for args in (), ("--force", "--no-space-runs"):
            _, answer = self.train("model", *args, text)
            tokens, = self.answers("tokenize", "--model", model, "--no-special-tokens", TEXT)
            self.assertEqual(len(tokens["ids"]), answer["tokens"])
            self.assertEqual("  " in tokens["tokens"], not args)
            joined = "".join(tokens["tokens"])
            self.assertEqual(joined.replace("\u0120", " ").replace("\u010a", "\n"), TEXT)

    def test_the_same_text_in_other_files(self):
        corpus = self.folder / "corpus"
        (corpus / "deep").mkdir(parents=True)
        parts = [TEXT, "Gr\u00f6\u00dfe, \u6771\u4eac", TEXT + "end"]
        (corpus / "deep" / "b.txt").write_text(parts[0], encoding="utf-8")
        (corpus / "a.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in parts[1:]),
                                        encoding="utf-8")
        (corpus / "ignored.md").write_text("zzzzzzzz", encoding="utf-8")
        files = [self.file(f"{i}.txt", part) for i, part in enumerate(parts)]
        one, answer = self.train("one", "--threads", 1, corpus)
        two, _ = self.train("two", "--threads", 3, *files)
        self.assertEqual(answer["files"], 2)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            self.assertEqual((one / name).read_bytes(), (two / name).read_bytes())

    def test_compressed_texts_are_texts(self):
        plain, _ = self.train("plain", self.file("text.txt", TEXT))
        packed = self.folder / "text.txt.gz"
        packed.write_bytes(gzip.compress(TEXT.encode()))
        other, _ = self.train("packed", packed)
        lines, answer = self.train("lines", "--documents", "line", packed)
        self.assertEqual(*((d / "tokenizer.json").read_bytes() for d in (plain, other)))
        self.assertEqual(answer["bytes"], len(TEXT) - TEXT.count("\n"))

    def test_too_few_pairs_are_said(self):
        text = self.file("text.txt", "abab")
        out, answer = self.train("few", text)
        self.assertEqual((answer["entries"], answer["merges"]), (256 + 28 + 1, 1))
        code, _, notice = run("tokenizer", "train", "--force", "--output", out, text)
        self.assertEqual(code, 0, notice)
        self.assertIn("285 entries instead of 8192", notice)
        self.assertIn("--min-frequency", notice)

    def test_any_bytes(self):
        path = self.folder / "broken.txt"
        path.write_bytes(bytes(range(256)) * 4)
        _, answer = self.train("broken", path)
        self.assertEqual(answer["bytes"], 1024)

    def test_what_is_refused(self):
        text = self.file("text.txt", TEXT)
        train = ("tokenizer", "train")
        out = self.folder / "out"
        for code, message, hint, args in (
                (2, "no folder", "--output", (text,)),
                (2, "no text", ".jsonl", ("--output", out)),
                (2, "vocabulary of 284", "285", ("--output", out, "--vocab-size", 284, text)),
                (2, "minimum frequency of 0", "1 or more",
                 ("--output", out, "--min-frequency", 0, text)),
                (2, "no text to train", "hold text", ("--output", out, self.file("empty.txt", ""))),
                (2, "not a folder", "another", ("--output", text, text)),
                (3, "missing.txt", "folders", ("--output", out, self.folder / "missing.txt")),
                (2, "neither a .txt", ".gz", ("--output", out, self.file("a.text", TEXT))),
                (5, "bad.jsonl line 1", "--text-key", ("--output", out, self.file("bad.jsonl", "[]\n")))):
            error = self.error(code, *train, *args)
            self.assertIn(message, error["message"])
            self.assertIn(hint, error["hint"])
            self.assertFalse(out.exists(), args)
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertIn("no .txt", self.error(3, *train, "--output", out, empty)["message"])

    def test_a_tokenizer_is_not_replaced_unasked(self):
        text = self.file("text.txt", TEXT)
        out, _ = self.train("made", "--vocab-size", 300, text)
        before = (out / "tokenizer.json").read_bytes()
        error = self.error(2, "tokenizer", "train", "--output", out, text)
        self.assertIn("--force", error["hint"])
        self.assertEqual((out / "tokenizer.json").read_bytes(), before)
        self.train("made", "--force", "--vocab-size", 290, text)
        self.assertNotEqual((out / "tokenizer.json").read_bytes(), before)

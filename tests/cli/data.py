"""ettin data: texts to shards, from outside."""
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from harness import ETTIN, MODELS, CliTest, clean_environment, run

TOKENIZER = MODELS / "seedling-encoder"
WORDS = "violin river stone kind of a green seven the and music house".split()


def text(seed, words):
    dice = random.Random(seed)
    return " ".join(dice.choice(WORDS) for _ in range(words))


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*"))
            if p.is_file()}


class Data(CliTest):
    def setUp(self):
        super().setUp()
        self.texts = self.folder / "texts"
        self.texts.mkdir()

    def build(self, out, *args, **kwargs):
        stats, = self.answers("data", "build", "--tokenizer", TOKENIZER, "--output",
                              self.folder / out, "--max-length", 64, *args, **kwargs)
        return stats

    def lines(self, name, count, words=40):
        path = self.texts / name
        path.write_text("".join(json.dumps({"text": text(f"{name}{i}", words)}) + "\n"
                                for i in range(count)))
        return path

    def test_every_kind_of_file(self):
        plain = self.lines("a.jsonl", 20)
        (self.texts / "b.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
        (self.texts / "c.txt").write_text(text("c", 30) + "\n\n" + text("d", 30) + "\n")
        zstd = shutil.which("zstd")
        if zstd:
            subprocess.run([zstd, "-q", plain, "-o", self.texts / "d.jsonl.zst"], check=True)
        stats = self.build("out", self.texts, "--documents", "blank-line")
        files = [s["file"] for s in stats["sources"]]
        self.assertEqual(files[:3], ["texts/a.jsonl", "texts/b.jsonl.gz", "texts/c.txt"])
        self.assertEqual([s["documents"] for s in stats["sources"]][:3], [20, 20, 2])
        self.assertEqual(stats["duplicates"], 40 if zstd else 20)
        self.assertEqual(json.loads((self.folder / "out/stats.json").read_text()), stats)
        whole, = self.answers("data", "verify", self.folder / "out", "--vocab-size",
                              stats["settings"]["vocab_size"])
        self.assertTrue(whole["whole"])
        self.assertEqual(whole["sequences"], stats["chunks"])

    def test_a_share_that_catches_no_document_is_said(self):
        (self.texts / "one.txt").write_text(text("c", 30))
        code, _, err = run("data", "build", "--tokenizer", TOKENIZER, "--holdout", 0.05,
                           "--output", self.folder / "out", self.texts)
        self.assertEqual(code, 0)
        self.assertIn("no document fell to it; a document is a whole file", err)

    def test_inspect(self):
        self.lines("a.jsonl", 20)
        stats = self.build("out", self.texts, "--compression", "zstd")
        found, = self.answers("data", "inspect", self.folder / "out", "--sample", 3,
                              "--tokenizer", TOKENIZER)
        self.assertEqual(found["columns"], {"id": "str", "input_ids": "ndarray:uint32"})
        self.assertEqual(found["tokens"], stats["tokens"])
        self.assertEqual(sum(l["sequences"] for l in found["lengths"]), stats["chunks"])
        self.assertEqual(len(found["samples"]), 3)
        self.assertIn("[CLS]", found["samples"][0]["text"])
        self.assertIn(text("a.jsonl0", 40)[:30], found["samples"][0]["text"])
        self.assertIn("a.jsonl#0-0", found["samples"][0]["origin"])
        out = self.ok("data", "inspect", self.folder / "out", "--sample", 1)
        self.assertIn("columns    id (str), input_ids (ndarray:uint32)", out)
        self.fails(3, "data", "inspect", self.folder)

    def test_threads_change_no_byte(self):
        self.lines("a.jsonl", 300)
        for threads in (1, 2):
            self.build(f"t{threads}", self.texts, "--threads", threads, "--size-limit", "4kb",
                       "--holdout", 0.2)
        self.assertEqual(tree(self.folder / "t1"), tree(self.folder / "t2"))
        self.assertGreater(len(tree(self.folder / "t1")), 10)

    def test_holdout(self):
        self.lines("a.jsonl", 200)
        stats = self.build("out", self.texts, "--holdout", 0.2)
        self.assertEqual(sorted(stats["sets"]), ["train", "validation"])
        self.assertAlmostEqual(stats["sets"]["validation"]["documents"] / 200, 0.2, delta=0.1)
        ids = []
        for name, part in stats["sets"].items():
            found, = self.answers("data", "inspect", self.folder / "out" / name,
                                  "--sample", 1000)
            self.assertEqual(found["sequences"], part["chunks"])
            ids.append({s["origin"].rsplit(", ")[1].split("-")[0] for s in found["samples"]})
        self.assertFalse(ids[0] & ids[1])

    def test_killed_in_the_middle(self):
        self.lines("a.jsonl", 800, words=120)
        options = ["data", "build", "--tokenizer", TOKENIZER, "--max-length", 64, "--size-limit",
                   "8kb", "--threads", 1, self.texts]
        self.ok(*options, "--output", self.folder / "whole")
        out, kills = self.folder / "killed", 0
        for _ in range(3):
            before = len(list(out.glob("shard.*.mds")))
            with subprocess.Popen([ETTIN, *map(str, options), "--output", out],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env=clean_environment()) as child:
                deadline = time.monotonic() + 60
                while (child.poll() is None and time.monotonic() < deadline
                       and len(list(out.glob("shard.*.mds"))) < before + 5):
                    time.sleep(0.002)
                if child.poll() is None:
                    os.kill(child.pid, signal.SIGKILL)
                    kills += 1
                child.wait()
        self.assertGreater(kills, 0)
        self.assertTrue((out / "progress.json").exists())
        # Other options are not mixed into it.
        self.fails(2, *options, "--output", out, "--seed", 1)
        self.ok(*options, "--output", out)
        self.assertEqual(tree(out), tree(self.folder / "whole"))
        self.assertIn("finished", self.fails(2, *options, "--output", out))
        self.ok(*options, "--output", out, "--force")
        self.assertEqual(tree(out), tree(self.folder / "whole"))

    def test_a_flipped_byte(self):
        self.lines("a.jsonl", 60)
        self.build("out", self.texts, "--hash", "sha256", "--size-limit", "4kb")
        shard = self.folder / "out/shard.00001.mds"
        good = shard.read_bytes()
        for place in (1, 60, len(good) - 5):
            shard.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1:])
            code, out, _ = run("data", "verify", self.folder / "out", "--json")
            self.assertEqual(code, 1)
            answer = json.loads(out)
            self.assertEqual([d["file"] for d in answer["damage"]], [str(shard)])
            self.assertIn("shard.00001.mds", answer["damage"][0]["message"])
        shard.write_bytes(good[:-1])
        code, out, _ = run("data", "verify", self.folder / "out")
        self.assertEqual(code, 1)
        self.assertIn("shard.00001.mds", out)
        shard.write_bytes(good)
        self.ok("data", "verify", self.folder / "out")
        code, out, _ = run("data", "verify", self.folder / "out", "--vocab-size", 10)
        self.assertEqual(code, 1)
        self.assertIn("not below the vocabulary's size 10", out)
        (self.folder / "out/index.json").write_text("{")
        self.assertEqual(run("data", "verify", self.folder / "out")[0], 1)
        self.fails(3, "data", "verify", self.folder)

    def test_mistakes(self):
        broken = self.file("x.jsonl", '{"text": "a b c"}\n{"txt": "a"}\n')
        base = ["data", "build", "--tokenizer", TOKENIZER, "--output", self.folder / "o"]
        self.assertIn("x.jsonl line 2", self.error(5, *base, broken)["message"])
        self.fails(3, "data", "build", "--tokenizer", TOKENIZER, "--output", self.folder / "o2",
                   self.folder / "none")
        self.assertIn("--output", self.fails(2, "data", "build", "--tokenizer", TOKENIZER, broken))
        for bad in (["--size-limit", "many"], ["--size-limit", "4gb"], ["--compression", "lzma"],
                    ["--holdout", 1], ["--max-length", 2], ["--hash", "crc"]):
            self.assertNotEqual(run(*base, "--force", *bad, broken)[0], 0, bad)


if __name__ == "__main__":
    unittest.main()

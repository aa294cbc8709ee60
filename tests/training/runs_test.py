#!/usr/bin/env python3
"""Whole training runs on the smallest shapes: the same bits whatever interrupted them, on however
many threads. Standard library only.
usage: runs_test.py ETTIN [unittest options or names]
"""
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ETTIN = str(pathlib.Path(sys.argv.pop(1)).resolve())
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("ETTIN_")}
KILLS = 50
STEPS = 200

RECIPE = """
name: smallest
tokenizer: tokenizer
dtype: {dtype}
attention_out_dropout: 0.1
keep_checkpoints: 3
model:
  vocab_size: 320
  hidden_size: 64
  intermediate_size: 48
  num_hidden_layers: 2
  num_attention_heads: 1
  global_attn_every_n_layers: 2
  local_attention: 8
  causal_window_keys: 5
  max_position_embeddings: 64
optimizer: {{learning_rate: 3e-3, weight_decay: 1e-4}}
phases:
  pretrain:
    tag: step
    data: data/train
    max_length: 24
    tokens: 1.2M
    schedule: {{warmup_tokens: 1k}}
    mask_rate: 0.3
    batch_sequences: 8
    microbatch_sequences: 4
    checkpoint_tokens: 1000
  decay:
    tag: decay
    data: data/train
    max_length: 40
    tokens: 2k
    learning_rate: 50%
    schedule: {{decay: one_minus_sqrt, decay_tokens: 100%, final_factor: 0.04}}
    mask_rate: 0.15
    global_rope_theta: 160000
    local_rope_theta: 160000
    batch_sequences: 4
    microbatch_sequences: 2
validation:
  data: data/validation
  every_tokens: 5000
  sequences: 8
"""


def run(*args, **options):
    return subprocess.run([ETTIN, *map(str, args)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env=ENVIRONMENT, timeout=600, **options)


def sentences(count):
    """Pseudo-random text that repeats itself enough to be learned."""
    chance = random.Random(7)
    words = ["the", "cat", "dog", "tree", "house", "sees", "likes", "a", "small", "old", "green"]
    return "\n".join(" ".join(chance.choice(words) for _ in range(chance.randint(4, 30))) + "."
                     for _ in range(count))


class Runs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="ettin-training-"))
        text = cls.folder / "text.txt"
        text.write_text(sentences(700), encoding="utf-8")
        for command in (
                ("tokenizer", "train", "--vocab-size", 320, "--no-space-runs", "--output",
                 cls.folder / "tokenizer", text),
                ("data", "build", "--tokenizer", cls.folder / "tokenizer", "--documents", "line",
                 "--max-length", 48, "--min-tokens", 3, "--holdout", 0.1, "--output",
                 cls.folder / "data", text)):
            done = run(*command)
            if done.returncode != 0:
                raise AssertionError(f"{command}: {done.stderr}")
        for dtype in ("fp32", "bf16"):
            (cls.folder / f"{dtype}.yaml").write_text(RECIPE.format(dtype=dtype), encoding="utf-8")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def setUp(self):
        self.out = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=self.folder))

    def command(self, name, arm="encoder", dtype="fp32", steps=STEPS, settings=(), threads=1):
        return ["train", self.folder / f"{dtype}.yaml", "--arm", arm, "--output", self.out / name,
                "--threads", threads, "--json", "--quiet", "--max-steps", steps,
                *(word for s in settings for word in ("--set", s))]

    def train(self, name, **options):
        done = run(*self.command(name, **options))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def state(self, report):
        """All that a checkpoint holds, as one hash per file."""
        folder = pathlib.Path(report["checkpoint"])
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}

    def log(self, name):
        return (self.out / name / "data_log.csv").read_text()

    def test_resumed_run_is_the_same_run(self):
        for arm, dtype in (("encoder", "fp32"), ("decoder", "bf16")):
            with self.subTest(arm=arm, dtype=dtype):
                options = {"arm": arm, "dtype": dtype}
                whole = self.train(f"whole-{arm}", **options)
                self.train(f"parts-{arm}", steps=100, **options)
                parts = self.train(f"parts-{arm}", steps=STEPS, **options)
                self.assertEqual(whole["steps"], STEPS)
                self.assertEqual(self.state(whole), self.state(parts))
                self.assertEqual(self.log(f"whole-{arm}"), self.log(f"parts-{arm}"))

    def test_threads_change_no_bit(self):
        for dtype in ("fp32", "bf16"):
            one = self.train(f"one-{dtype}", dtype=dtype, steps=60)
            two = self.train(f"two-{dtype}", dtype=dtype, steps=60, threads=2)
            self.assertEqual(self.state(one), self.state(two))

    def test_recomputing_changes_no_bit(self):
        kept = self.train("kept", steps=20)
        again = self.train("again", steps=20, settings=["recompute=true"])
        weights = "model.safetensors"
        self.assertEqual(self.state(kept)[weights], self.state(again)[weights])

    def test_killed_at_any_moment(self):
        whole = self.train("whole")
        chance = random.Random(int(os.environ.get("KILL_SEED", "1")))
        killed = 0
        for _ in range(KILLS):
            process = subprocess.Popen([ETTIN, *map(str, self.command("killed"))],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       stdin=subprocess.DEVNULL, env=ENVIRONMENT)
            try:
                process.wait(timeout=chance.uniform(0.01, 0.25))
                if process.returncode == 0:      # it got to the end: begin anew
                    shutil.rmtree(self.out / "killed")
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
            _, problems = process.communicate()
            self.assertIn(process.returncode, (0, -signal.SIGKILL), problems)
        self.assertGreater(killed, KILLS // 2)
        self.assertEqual(self.state(whole), self.state(self.train("killed")))
        self.assertEqual(self.log("whole"), self.log("killed"))

    def test_damaged_newest_checkpoint(self):
        whole = self.train("whole")
        report = self.train("damaged", steps=150)
        newest = pathlib.Path(report["checkpoint"])
        for name in ("model.safetensors", "optimizer.safetensors", "training_state.json"):
            with self.subTest(file=name):
                data = bytearray((newest / name).read_bytes())
                data[len(data) // 2] ^= 4
                (newest / name).write_bytes(data)
                done = run(*self.command("damaged"))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(name, done.stderr)
                report = json.loads(done.stdout)
                self.assertEqual(self.state(whole), self.state(report))
                shutil.rmtree(self.out / "damaged")
                newest = pathlib.Path(self.train("damaged", steps=150)["checkpoint"])

    def test_pair_was_fed_the_same(self):
        encoder = self.train("encoder", steps=30)
        decoder = self.train("decoder", arm="decoder", steps=30)
        self.assertEqual(encoder["data_chain"], decoder["data_chain"])
        self.assertEqual(self.log("encoder"), self.log("decoder"))
        done = run("data", "diff", self.out / "encoder", self.out / "decoder")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        other = self.train("other", steps=30, settings=["shuffle_seed=22"])
        self.assertNotEqual(other["data_chain"], encoder["data_chain"])
        self.assertEqual(run("data", "diff", self.out / "encoder", self.out / "other").returncode, 1)

    def test_both_arms_learn_and_are_models(self):
        done = run("train", self.folder / "fp32.yaml", "--arm", "both", "--output", self.out / "pair",
                   "--json", "--quiet", "--set", "phases.pretrain.tokens=40k")
        self.assertEqual(done.returncode, 0, done.stderr)
        encoder, decoder = map(json.loads, done.stdout.splitlines())
        for report in (encoder, decoder):
            self.assertTrue(report["finished"])
            self.assertLess(report["validation_loss"], 3.5)   # ln 320 = 5.8
            self.assertIn("decay", pathlib.Path(report["checkpoint"]).name)
        mask = run("fill-mask", "--model", encoder["checkpoint"], "the small [MASK] sees a dog.")
        self.assertEqual(mask.returncode, 0, mask.stderr)
        text = run("generate", "--model", decoder["checkpoint"], "--max-new-tokens", 5, "the cat")
        self.assertEqual(text.returncode, 0, text.stderr)
        shown = run("data", "show", self.out / "pair" / "encoder", "--step", 3)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("[MASK]", shown.stdout)

    def test_refuses_what_is_wrong_before_the_first_step(self):
        self.train("good", steps=5)
        for settings, words in ((["optimizer.learning_rat=1"], ("learning_rat", "learning_rate")),
                                (["model.vocab_size=100"], ("vocab_size", "entries")),
                                (["phases.pretrain.data=nowhere"], ("nowhere",)),
                                (["seed=5"], ("seed",))):
            done = run(*self.command("good", steps=9, settings=settings))
            self.assertNotEqual(done.returncode, 0, settings)
            for word in words:
                self.assertIn(word, done.stderr)
        steps = (self.out / "good" / "metrics.csv").read_text().splitlines()
        self.assertEqual(len(steps), 6)

    def test_steps_that_do_harm(self):
        """A rate at which weights overflow: the run stops at the step, or leaves it out."""
        harmful = ["optimizer.learning_rate=1e38", "optimizer.weight_decay=0",
                   "phases.pretrain.schedule.warmup_tokens=0"]
        done = run(*self.command("stops", steps=20, settings=harmful))
        self.assertEqual(done.returncode, 5, done.stderr)
        for word in ("step 2", "learning rate", "stop_on_nonfinite", "data show"):
            self.assertIn(word, done.stderr)
        report = self.train("goes-on", steps=20, settings=harmful + ["stop_on_nonfinite=false"])
        self.assertEqual(report["skipped_steps"], 19)

    def test_interrupt_saves_and_goes_on(self):
        whole = self.train("whole")
        process = subprocess.Popen([ETTIN, *map(str, self.command("stopped"))],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, env=ENVIRONMENT)
        metrics = self.out / "stopped" / "metrics.csv"
        while not metrics.exists() or len(metrics.read_text().splitlines()) < 10:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        out, problems = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, problems)
        self.assertEqual(self.state(whole), self.state(self.train("stopped")))


if __name__ == "__main__":
    unittest.main()

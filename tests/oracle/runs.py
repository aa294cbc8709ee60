"""Checkpoints of `ettin train` are models of transformers: loaded by their path with no tensor missing
or left over, with the tokenizer, and with the same answers."""
import random
import subprocess

import torch
import transformers

import cases
import converted
import hub

NAME = "train/checkpoints"
HEADS = {"encoder": cases.MASKED, "decoder": cases.CAUSAL}
STEPS = "6"


def _texts(path):
    """Enough to fill the toy's sequences; what they say does not matter."""
    words = "the a river sea hill small old reaches leaves sees is near far over . ,".split()
    chance = random.Random(3)
    lines = [" ".join(chance.choices(words, k=60)) for _ in range(200)]
    path.write_text("\n".join(lines) + "\n")


def _run(problems, *command):
    done = subprocess.run([*map(str, command)], text=True, capture_output=True, timeout=600)
    if done.returncode != 0:
        problems.append(f"{' '.join(map(str, command[:3]))}: {done.stderr.strip()}")
    return done.returncode == 0


def _compare(arm, folder, ettin, distance, problems):
    model = converted.load(HEADS[arm], folder, torch.float32, problems, arm)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    lines = ["The river reaches the sea.", "A hill", "old and far, " * 60]
    ids = [tokenizer(text)["input_ids"][:model.config.max_position_embeddings] for text in lines]
    theirs = hub.forward(model, ids)
    ours = ettin.forward(folder, ids, model.config.hidden_size)
    for what, a, b in zip(("hidden", "logits"), ours, theirs):
        apart = distance(a, b.numpy())
        if not apart <= 2 * cases.TOLERANCE[cases.COLD]:  # both in fp32
            problems.append(f"{arm}: {what} {apart:.1e} from transformers")


def check(root, work, ettin, distance):
    """What is wrong with checkpoints of a short run of recipes/toy.yaml, both arms."""
    problems = []
    text, data, run = work / "run.txt", work / "run-data", work / "run"
    _texts(text)
    tokenizer = root / "models/seedling-encoder"
    recipe = root / "recipes/toy.yaml"
    if not (_run(problems, ettin.program, "data", "build", "--tokenizer", tokenizer, "--documents",
                 "line", "--max-length", 128, "--output", data, text) and
            _run(problems, ettin.program, "train", recipe, "--arm", "both", "--output", run,
                 "--set", f"phases.*.data={data}", "--max-steps", STEPS, "--quiet")):
        return problems
    for arm in HEADS:
        for folder in sorted((run / arm / "checkpoints").iterdir()):
            _compare(arm, folder, ettin, distance, problems)
    return problems

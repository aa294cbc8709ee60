"""ettin's side: runs oracle_probe on a model directory."""
import json
import pathlib
import subprocess

import numpy


class EngineError(Exception):
    """oracle_probe refused or crashed; the text is its last line."""


class Engine:
    def __init__(self, probe, program, scratch, threads=2):
        self.probe = str(probe)
        self.program = str(program)
        self.scratch = pathlib.Path(scratch)
        self.threads = str(threads)

    def _run(self, folder, sequences, *options):
        text = "".join(" ".join(map(str, ids)) + "\n" for ids in sequences)
        if "--dtype" not in options:   # what is stored as bf16 would be computed in bf16
            options = (*options, "--dtype", "fp32")
        done = subprocess.run(
            [self.probe, "--model", str(folder), "--threads", self.threads, *options],
            input=text, text=True, capture_output=True, timeout=1800)
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise EngineError(f"exit {done.returncode}: {last[0]}")
        return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]

    def forward(self, folder, sequences, hidden_size, *options):
        """(hidden rows, logit rows or None) in order."""
        hidden, logits = self.scratch / "hidden.bin", self.scratch / "logits.bin"
        shapes = self._run(folder, sequences, "--hidden", str(hidden), "--logits", str(logits),
                           *options)
        if [tokens for tokens, _, _ in shapes] != list(map(len, sequences)):
            raise EngineError("the number of rows differs from the number of ids")
        width = shapes[0][2]
        rows = numpy.fromfile(hidden, "<f4").reshape(-1, hidden_size)
        scores = numpy.fromfile(logits, "<f4").reshape(-1, width) if width else None
        hidden.unlink()
        logits.unlink()
        return rows, scores

    def fill_mask(self, folder, texts, top_k):
        """Per text and mask, a list of candidates, from the command line."""
        done = subprocess.run(
            [self.program, "fill-mask", "--json", "--model", str(folder), "--top-k", str(top_k),
             "--threads", self.threads, "--lines", "--input", "-"],
            input="".join(text + "\n" for text in texts), text=True, capture_output=True,
            timeout=600)
        if done.returncode != 0:
            raise EngineError(f"exit {done.returncode}: {done.stderr.strip()}")
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        return [[a] if isinstance(a[0], dict) else a for a in answers]

    def greedy(self, folder, prompts, count, *options):
        return self._run(folder, prompts, "--generate", str(count), *options)

#!/usr/bin/env python3
"""ettin convert --format onnx: transformers.js loads the folder as it is and answers as ettin does.

Seen to fail: an input of another name, a cache whose batch has another name or whose heads are no
number, prompts that end with [SEP].
"""
import json
import os
import pathlib
import random
import struct
import subprocess
import unittest

from harness import MODELS, PARIS, ROOT, CliTest

HERE = pathlib.Path(__file__).resolve().parent
DTYPES = ("fp32", "fp16", "q8", "q4", "q4f16")
TOKENIZER = ROOT.parent / "shared" / "data" / "tokenizer" / "tokenizer.json"
TEXTS = (PARIS, "The [MASK] sat on the mat, and the dog sat on the floor beside it.")
PROMPTS = ("The capital of Germany is", "Water boils at")


class PipelineCase(CliTest):
    def export(self, model, *styles):
        for style in styles:
            self.ok("convert", model, self.folder / style, "--format", "onnx", "--style", style)

    def pipelines(self, jobs):
        """The answers of transformers.js, in order."""
        path = self.file("jobs.json", json.dumps([{"root": str(self.folder), **j} for j in jobs]))
        done = subprocess.run(["node", HERE / "pipelines.mjs", path], capture_output=True, text=True,
                              timeout=1200, env=dict(os.environ))
        self.assertEqual(done.returncode, 0, done.stderr)
        answers = json.loads(done.stdout.splitlines()[-1])
        for job, answer in zip(jobs, answers):
            self.assertNotIn("error", answer, job)
        return answers

    def check_top(self, ours, theirs, bound, what):
        """The same five tokens with the same probabilities, but where two are closer than `bound`."""
        for a, b in zip(ours, theirs):
            self.assertLess(abs(a["score"] - b["score"]), bound * a["score"], what)
        known = {a["token"]: a["score"] for a in ours}
        for b in theirs:
            if b["token"] in known:
                self.assertLess(abs(known[b["token"]] - b["score"]), bound * b["score"], what)
            else:   # it may only have changed places with the last ones
                self.assertLess(abs(ours[-1]["score"] - b["score"]), bound * b["score"], what)

    def masks(self, model, styles, bounds):
        """bounds: by dtype, of the differences of probabilities, and how ettin computes then."""
        self.export(model, *styles)
        jobs = [dict(task="fill-mask", model=style, dtype=dtype, texts=TEXTS)
                for style in styles for dtype in bounds]
        answers = self.pipelines(jobs)
        for job, theirs in zip(jobs, answers):
            bound, *options = bounds[job["dtype"]]
            ours = [json.loads(self.ok("fill-mask", "--json", "--model", model, *options, text))
                    for text in TEXTS]
            for a, b in zip(ours, theirs):
                self.check_top(a, b, bound, job)

    def generates(self, model, styles, same, tokens=12):
        """same: by dtype, how ettin computes what must give the same tokens; None: only runs."""
        self.export(model, *styles)
        options = dict(max_new_tokens=tokens, do_sample=False, return_full_text=False)
        jobs = [dict(task="text-generation", model=style, dtype=dtype, texts=texts, options=options)
                for style in styles for dtype in same for texts in (PROMPTS, PROMPTS[:1])]
        for job, answer in zip(jobs, self.pipelines(jobs)):
            how = same[job["dtype"]]
            for i, text in enumerate(job["texts"]):
                found = answer[i][0]["generated_text"]
                self.assertTrue(found, job)
                if how is not None:
                    own = json.loads(self.ok("generate", "--json", "--model", model, *how,
                                             "--max-new-tokens", tokens, text))
                    # In a batch it goes on with a text that has ended until the others have too.
                    if own["finish_reason"] == "eos" and len(job["texts"]) > 1:
                        found = found[:len(own["text"])]
                    self.assertEqual(found, own["text"], job)


class Seedlings(PipelineCase):
    """The embedded pair, whose answers are clear enough to survive every format."""

    def test_fill_mask(self):
        exact = ("--dtype", "q4", "--exact-activations")
        self.masks(MODELS / "seedling-encoder", ("fused",),
                   {"fp32": (1e-3, "--dtype", "fp32"), "fp16": (3e-2, "--dtype", "fp32"),
                    "q4": (1e-3, *exact), "q4f16": (3e-2, *exact)})

    def test_every_format_knows_paris(self):
        styles = ("fused", "portable")
        self.export(MODELS / "seedling-encoder", *styles)
        jobs = [dict(task="fill-mask", model=style, dtype=dtype, texts=[PARIS])
                for style in styles for dtype in DTYPES]
        for job, answer in zip(jobs, self.pipelines(jobs)):
            best = answer[0][0] if isinstance(answer[0], list) else answer[0]
            self.assertEqual(best["token_str"].strip(), "Paris", job)

    def test_generate(self):
        exact = ("--dtype", "q4", "--exact-activations")
        for style in ("fused", "portable"):
            self.generates(MODELS / "seedling-decoder", (style,),
                           {"fp32": ("--dtype", "fp32"), "fp16": ("--dtype", "fp32"), "q8": None,
                            "q4": exact if style == "fused" else None, "q4f16": None})


class Tasks(PipelineCase):
    def test_other_heads(self):
        """feature-extraction and text-classification: the seedling's body under other heads."""
        source = MODELS / "seedling-encoder"
        body, config = read_safetensors(source / "model.safetensors"), \
            json.loads((source / "config.json").read_text())
        label_names = {"0": "bad", "1": "good", "2": "odd"}
        rng = random.Random(0)
        classifier = {"classifier.weight": ("F32", [3, 256], floats(rng, 3 * 256, 0.3)),
                      "classifier.bias": ("F32", [3], floats(rng, 3, 0.3))}
        kept = {k: v for k, v in body.items() if not k.startswith("decoder")}
        bare = {k.removeprefix("model."): v for k, v in body.items() if k.startswith("model.")}
        models = {"labels": ("ModernBertForSequenceClassification", {**kept, **classifier}),
                  "tokens": ("ModernBertForTokenClassification", {**kept, **classifier}),
                  "bare": ("ModernBertModel", bare)}
        texts = ["A violin is an instrument.", "No."]
        jobs = []
        for name, (architecture, tensors) in models.items():
            folder = self.folder / f"{name}-source"
            folder.mkdir()
            for file in source.glob("tokenizer*.json"):
                (folder / file.name).write_bytes(file.read_bytes())
            (folder / "config.json").write_text(json.dumps(
                {**config, "architectures": [architecture], "id2label": label_names,
                 "classifier_pooling": "mean"}))
            write_safetensors(folder / "model.safetensors", tensors)
            self.ok("convert", folder, self.folder / name, "--format", "onnx", "--dtype", "fp32")
        jobs = [dict(task="text-classification", model="labels", dtype="fp32", texts=texts,
                     options=dict(top_k=3)),
                dict(task="token-classification", model="tokens", dtype="fp32", texts=texts[0],
                     options=dict(ignore_labels=[])),
                dict(task="feature-extraction", model="bare", dtype="fp32", texts=texts,
                     options=dict(pooling="mean", normalize=True))]
        labels, tokens, vectors = self.pipelines(jobs)
        for text, theirs in zip(texts, labels):
            ours = json.loads(self.ok("classify", "--json", "--model", self.folder / "labels-source",
                                      "--top-k", 3, "--dtype", "fp32", text))
            self.assertEqual([a["label"] for a in ours], [b["label"] for b in theirs])
            for a, b in zip(ours, theirs):
                self.assertAlmostEqual(a["score"], b["score"], delta=1e-5)
        ours = json.loads(self.ok("token-classify", "--json", "--model",
                                  self.folder / "tokens-source", "--dtype", "fp32", texts[0]))
        self.assertTrue(tokens)
        self.assertEqual(len({t["index"] for t in tokens}), len(tokens))
        self.assertTrue(ours)
        for text, theirs in zip(texts, vectors):
            own = json.loads(self.ok("embed", "--json", "--model", self.folder / "bare-source",
                                     "--pooling", "mean", "--normalize", "--dtype", "fp32", text))
            own = own.get("embedding", own) if isinstance(own, dict) else own
            for a, b in zip(own, theirs):
                self.assertAlmostEqual(a, b, delta=1e-5)


def floats(rng, count, scale):
    return struct.pack(f"<{count}f", *(rng.gauss(0, scale) for _ in range(count)))


def read_safetensors(path):
    """name -> (type, shape, bytes)"""
    data = path.read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0]
    return {name: (e["dtype"], e["shape"], data[end + e["data_offsets"][0]:end + e["data_offsets"][1]])
            for name, e in json.loads(data[8:end]).items() if name != "__metadata__"}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t[2] for t in tensors.values()))


class Published(PipelineCase):
    """The published shapes, with random weights and the family's own tokenizer."""

    VOCABULARY = 50368

    def model(self, kind, hidden, heads, layers, width):
        if not TOKENIZER.exists():
            self.skipTest("SKIPPED: no ../shared/data/tokenizer")
        folder = self.folder / kind
        folder.mkdir()
        causal = kind == "decoder"
        (folder / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
        special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]",
                   "mask_token": "[MASK]", "unk_token": "[UNK]", "bos_token": "[CLS]",
                   "eos_token": "[SEP]", "add_bos_token": causal}
        (folder / "tokenizer_config.json").write_text(json.dumps(
            {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192, **special}))
        stem = "ModernBertDecoder" if causal else "ModernBert"
        (folder / "config.json").write_text(json.dumps({
            "architectures": [stem + ("ForCausalLM" if causal else "ForMaskedLM")],
            "model_type": "modernbert-decoder" if causal else "modernbert",
            "vocab_size": self.VOCABULARY, "hidden_size": hidden, "intermediate_size": width,
            "num_hidden_layers": layers, "num_attention_heads": heads,
            "max_position_embeddings": 7999, "global_rope_theta": 160000.0,
            "local_rope_theta": 160000.0, "bos_token_id": 50281, "cls_token_id": 50281,
            "eos_token_id": 50282, "sep_token_id": 50282, "pad_token_id": 50283}))
        rng, tensors = random.Random(0), {}
        ones = struct.pack(f"<{hidden}f", *[1.0] * hidden)

        def matrix(name, rows, cols, scale=1.0):
            # A few thousand different numbers are random enough, and quick to write.
            pool = floats(rng, 8191, scale / cols ** 0.5)
            need = rows * cols * 4
            tensors[name + ".weight"] = ("F32", [rows, cols],
                                         (pool * (need // len(pool) + 1))[:need])

        def norm(name):
            tensors[name + ".weight"] = ("F32", [hidden], ones)

        matrix("model.embeddings.tok_embeddings", self.VOCABULARY, hidden, 4)
        norm("model.embeddings.norm")
        for i in range(layers):
            layer = f"model.layers.{i}."
            if i:
                norm(layer + "attn_norm")
            if causal:
                for part in "qkv":
                    matrix(f"{layer}attn.{part}_proj", hidden, hidden)
            else:
                matrix(layer + "attn.Wqkv", 3 * hidden, hidden)
            matrix(layer + "attn.Wo", hidden, hidden)
            norm(layer + "mlp_norm")
            matrix(layer + "mlp.Wi", 2 * width, hidden)
            matrix(layer + "mlp.Wo", hidden, width)
        norm("model.final_norm")
        head = "lm_head" if causal else "head"
        matrix(head + ".dense", hidden, hidden)
        norm(head + ".norm")
        tensors["decoder.bias"] = ("F32", [self.VOCABULARY],
                                   struct.pack(f"<{self.VOCABULARY}f", *[0.0] * self.VOCABULARY))
        write_safetensors(folder / "model.safetensors", tensors)
        return folder

    def test_encoder_of_32m(self):
        exact = ("--dtype", "q4", "--exact-activations")
        self.masks(self.model("encoder", 384, 6, 10, 576), ("fused",),
                   {"fp32": (1e-3, "--dtype", "fp32"), "fp16": (5e-2, "--dtype", "fp32"),
                    "q8": (0.5, "--dtype", "fp32"), "q4": (1e-3, *exact),
                    "q4f16": (5e-2, *exact)})

    def test_decoder_of_17m(self):
        exact = ("--dtype", "q4", "--exact-activations")
        self.generates(self.model("decoder", 256, 4, 7, 384), ("fused",),
                       {"fp32": ("--dtype", "fp32"), "fp16": None, "q8": None, "q4": exact,
                        "q4f16": None})


if __name__ == "__main__":
    unittest.main(verbosity=1)

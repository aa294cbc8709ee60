"""ettin quantize: what it writes, what loads of it, and what its report says."""
import array
import json
import math
import shutil
import struct

from harness import MODELS, PARIS, CliTest, run


class Quantize(CliTest):
    TEXTS = ("The capital of France is Paris, and the capital of Italy is Rome.\n\n"
             "Water boils at a hundred degrees.\nHe went to the sea with his two brothers.\n")

    def quantized(self, kind, dtype, *more):
        out = self.folder / f"{kind}-{dtype}"
        answer, = self.answers("quantize", f"seedling-{kind}", out, "--dtype", dtype, *more)
        return out, answer

    def test_both_kinds_in_every_format(self):
        original = (MODELS / "seedling-encoder/model.safetensors").stat().st_size
        for dtype, bits in (("bf16", 16), ("q8", 8), ("q4", 4.5)):
            for kind, command, text in (("encoder", "fill-mask", PARIS),
                                        ("decoder", "score", "The capital of France is Paris.")):
                out, answer = self.quantized(kind, dtype)
                self.assertEqual(list(answer), [
                    "model", "output", "kind", "format", "formats", "parameters",
                    "bits_per_weight", "bytes", "original_bytes"])
                self.assertEqual((answer["kind"], answer["format"]), (kind, dtype))
                self.assertEqual(answer["formats"],
                                 {"embedding": dtype, "layers": dtype, "head": dtype})
                self.assertAlmostEqual(answer["bits_per_weight"], bits, delta=0.2)
                self.assertEqual(answer["bytes"], (out / "model.safetensors").stat().st_size)
                self.assertAlmostEqual(answer["original_bytes"], original, delta=2000)
                # What is stored computes the bytes that rounding at load computes.
                for backend in ("cpu", "ref"):
                    stored = self.ok(command, "--json", "--backend", backend, "--model", out, text)
                    rounded = self.ok(command, "--json", "--backend", backend, "--dtype", dtype,
                                      "--model", f"seedling-{kind}", text)
                    self.assertEqual(stored, rounded, f"{kind} {dtype} {backend}")
                line, = self.answers("bench", "--model", out, "--cases", "1x8", "--budget", 0)
                self.assertEqual(line["variant"], dtype)

    def test_what_is_not_copied(self):
        secret = self.file("secret.txt", "not for others")
        model = self.folder / "model"
        shutil.copytree(MODELS / "seedling-encoder", model)
        (model / "notes.txt").symlink_to(secret)
        (model / "checksums.json").write_text("{}")  # of a training run: true of that folder alone
        code, _, err = run("quantize", model, self.folder / "out", "--dtype", "q8")
        self.assertEqual(code, 0, err)
        self.assertIn("not copied", err)
        self.assertFalse((self.folder / "out/notes.txt").exists())
        self.assertFalse((self.folder / "out/checksums.json").exists())
        self.assertTrue((self.folder / "out/tokenizer.json").exists())

    def test_the_folder_is_a_model(self):
        out, _ = self.quantized("encoder", "q8")
        source = MODELS / "seedling-encoder"
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            self.assertEqual((out / name).read_bytes(), (source / name).read_bytes())
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["encoder-q8"])
        config = json.loads((out / "config.json").read_text())
        self.assertEqual(config.pop("quantization_config"),
                         {"quant_method": "ettin", "format": "q8", "rotation": 64})
        self.assertEqual(config, json.loads((source / "config.json").read_text()))
        tensors, = [r["tensors"] for r in self.answers("inspect", out)]
        self.assertEqual(tensors["formats"], {"q8": 26})
        self.assertAlmostEqual(tensors["bits_per_weight"], 8, delta=0.2)
        self.assertIn("26 q8", self.ok("inspect", out))
        half, _ = self.quantized("decoder", "bf16")
        config = json.loads((half / "config.json").read_text())
        self.assertEqual(config["torch_dtype"], "bfloat16")
        self.assertNotIn("quantization_config", config)

    def test_modules_of_sentence_transformers_come_along(self):
        source = self.folder / "source"
        shutil.copytree(MODELS / "seedling-encoder", source)
        (source / "modules.json").write_text(json.dumps([
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling",
             "type": "sentence_transformers.models.Pooling"}]))
        (source / "1_Pooling").mkdir()
        (source / "1_Pooling/config.json").write_text(json.dumps(
            {"word_embedding_dimension": 256, "pooling_mode_cls_token": True,
             "pooling_mode_mean_tokens": False}))
        (source / "notes.bin").write_text("left behind")
        self.ok("quantize", source, self.folder / "out", "--dtype", "q8")
        self.assertEqual((self.folder / "out/1_Pooling/config.json").read_text(),
                         (source / "1_Pooling/config.json").read_text())
        self.assertFalse((self.folder / "out/notes.bin").exists())
        self.assertEqual(self.ok("embed", "--json", "--model", self.folder / "out", "a"),
                         self.ok("embed", "--json", "--model", source, "--dtype", "q8", "a"))

    def test_report(self):
        texts = self.file("texts.txt", self.TEXTS)
        lines = self.file("texts.jsonl", "".join(
            json.dumps({"text": t}) + "\n" for t in self.TEXTS.splitlines() if t))
        for kind, most_kl, ppl in (("encoder", 0.02, 1e5), ("decoder", 0.02, 1e5)):
            out, answer = self.quantized(kind, "q8", "--report", texts)
            self.assertEqual(list(answer)[-2:], ["comparison", "speed"])
            self.assertEqual(answer, json.loads((out / "quantization_report.json").read_text()))
            c = answer["comparison"]
            self.assertEqual(list(c), [
                "texts", "truncated", "positions", "method", "top1_agreement", "mean_kl",
                "max_kl", "mean_probability_change", "original_perplexity", "perplexity",
                "perplexity_change"])
            self.assertEqual((c["texts"], c["truncated"]), (3, 0))
            self.assertTrue(0 < c["mean_kl"] <= c["max_kl"] < most_kl, c)
            self.assertGreater(c["top1_agreement"], 0.8)
            self.assertTrue(1 < c["original_perplexity"] < ppl)
            self.assertAlmostEqual(c["perplexity"] / c["original_perplexity"] - 1,
                                   c["perplexity_change"])
            forward = answer["speed"]["forward"]
            self.assertEqual(list(forward), ["tokens", "rounds", "original_tokens_per_second",
                                             "tokens_per_second", "ratio"])
            self.assertGreater(forward["ratio"], 0)
            self.assertEqual("decode" in answer["speed"], kind == "decoder")
            again, = self.answers("quantize", f"seedling-{kind}", out, "--report-only",
                                  "--report", lines, "--threads", 1)
            self.assertEqual(again["comparison"], c)  # the form of the file changes nothing
            if kind == "decoder":  # the original's perplexity is the one that score gives
                scores = self.answers("score", "--input", lines)
                logprobs = [t["logprob"] for s in scores for t in s["tokens"]]
                self.assertEqual(c["positions"], len(logprobs))
                self.assertAlmostEqual(math.exp(-sum(logprobs) / len(logprobs)),
                                       c["original_perplexity"], places=6)
        out = self.ok("quantize", "seedling-encoder", self.folder / "encoder-q8", "--report-only",
                      "--report", texts)
        for words in ("pseudo-perplexity", "same likeliest token", "tokens/s, forward"):
            self.assertIn(words, out)

    def forward_rows(self, dtype, lines):
        """Log-probabilities of all wanted rows, from `ettin forward`."""
        out = self.folder / f"rows-{dtype}"
        self.ok("forward", "--dtype", dtype, "--input", lines, "--output", out)
        data = out.read_bytes()
        length, = struct.unpack("<Q", data[:8])
        rows = []
        header = json.loads(data[8:8 + length])
        for name in sorted(n for n in header if n.startswith("logits.")):
            begin, end = (8 + length + o for o in header[name]["data_offsets"])
            logits = array.array("f", data[begin:end])
            for at in range(0, len(logits), 8192):
                row = logits[at:at + 8192]
                norm = math.log(sum(math.exp(x - max(row)) for x in row)) + max(row)
                rows.append([x - norm for x in row])
        return rows

    def test_the_report_is_what_forward_gives(self):
        """The encoder's masks and every number, worked out from logits in another language."""
        texts = [t for t in self.TEXTS.splitlines() if t]
        mask, = (r["tokenizer"]["mask_id"] for r in self.answers("inspect"))
        lines, targets = [], []
        for n, text in enumerate(texts):
            ids = self.answers("tokenize", text)[0]["ids"]
            count = len(ids) - 2
            places = [1 + i for i in range(n % min(7, count), count, 7)]
            targets += [ids[i] for i in places]
            for i in places:
                ids[i] = mask
            lines.append(json.dumps({"input_ids": ids, "logit_rows": places}))
        lines = self.file("ids.jsonl", "\n".join(lines) + "\n")
        p, q = self.forward_rows("fp32", lines), self.forward_rows("q8", lines)
        kl = [sum(math.exp(a) * (a - b) for a, b in zip(x, y)) for x, y in zip(p, q)]
        change = [abs(math.exp(x[t]) - math.exp(y[t])) for x, y, t in zip(p, q, targets)]
        same = sum(x.index(max(x)) == y.index(max(y)) for x, y in zip(p, q))
        _, answer = self.quantized("encoder", "q8", "--report", self.file("t.txt", self.TEXTS))
        c = answer["comparison"]
        self.assertEqual(c["positions"], len(targets))
        for key, value in (
                ("top1_agreement", same / len(targets)), ("mean_kl", sum(kl) / len(kl)),
                ("max_kl", max(kl)), ("mean_probability_change", sum(change) / len(change)),
                ("original_perplexity",
                 math.exp(-sum(x[t] for x, t in zip(p, targets)) / len(targets))),
                ("perplexity", math.exp(-sum(y[t] for y, t in zip(q, targets)) / len(targets)))):
            self.assertAlmostEqual(c[key] / value, 1, places=4, msg=key)

    def test_errors(self):
        target = self.folder / "target"
        for dtype in ("q5", "fp32", "auto"):
            error = self.error(2, "quantize", "seedling-encoder", target, "--dtype", dtype)
            self.assertIn("bf16, q8 (or int8) or q4", error["hint"])
        self.error(2, "quantize", "seedling-encoder", target)
        self.error(2, "quantize", "seedling-encoder", "--dtype", "q8")
        self.error(3, "quantize", "absent", target, "--dtype", "q8")
        self.error(3, "quantize", "seedling-encoder", target, "--dtype", "q8", "--report",
                   self.folder / "absent.txt")
        self.assertEqual(list(self.folder.iterdir()), [])

        source = self.folder / "source"  # a copy: a slip here would replace the model itself
        shutil.copytree(MODELS / "seedling-encoder", source)
        before = (source / "config.json").read_bytes()
        for same in (source, f"{source}/", self.folder / "source/../source", self.folder):
            self.error(2, "quantize", source, same, "--dtype", "q8", "--force")
        self.assertEqual((source / "config.json").read_bytes(), before)
        shutil.rmtree(source)

        self.quantized("encoder", "q4")
        q4 = self.folder / "encoder-q4"
        self.assertIn("--force", self.error(2, "quantize", "seedling-encoder", q4, "--dtype",
                                            "q8")["hint"])
        for error in (self.error(1, "quantize", q4, target, "--dtype", "q8"),
                      self.error(1, "fill-mask", "--model", q4, "--dtype", "q8", PARIS)):
            self.assertEqual(error["code"], "unsupported")
            self.assertIn("stores q4", error["message"])
            self.assertIn("q4, bf16 and fp32", error["hint"])
        for dtype in ("fp32", "bf16"):
            self.ok("fill-mask", "--model", q4, "--dtype", dtype, PARIS)
        self.error(2, "quantize", q4, q4 / "inside", "--dtype", "bf16")
        self.ok("quantize", "seedling-encoder", q4, "--dtype", "q8", "--force")
        self.assertEqual(self.answers("inspect", q4)[0]["tensors"]["formats"], {"q8": 26})
        for about in ({"quant_method": "ettin", "format": "q8"}, None):  # levels not rotated
            config = json.loads((q4 / "config.json").read_text())
            config["quantization_config"] = about
            (q4 / "config.json").write_text(json.dumps(config))
            for error in (self.error(1, "fill-mask", "--model", q4, PARIS),
                          self.error(1, "quantize", q4, target, "--dtype", "bf16")):
                self.assertEqual(error["code"], "unsupported")
                self.assertIn("rotation", error["message"])
                self.assertIn("quantise the original again", error["hint"])
        other = self.folder / "other"
        other.mkdir()
        (other / "letter.txt").write_text("dear")
        self.error(2, "quantize", "seedling-encoder", other, "--dtype", "q8", "--force")
        self.assertEqual([p.name for p in other.iterdir()], ["letter.txt"])
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["encoder-q4", "other"])

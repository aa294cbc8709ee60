"""The commands for tools, and the heads that the embedded models lack."""
import array
import json
import os
import resource
import shutil
import struct
import subprocess

from harness import ETTIN, MODELS, PARIS, CliTest, clean_environment, run


class Inspect(CliTest):
    def test_sections(self):
        report, = self.answers("inspect", MODELS / "seedling-decoder")
        self.assertEqual(list(report), ["model", "architecture", "attention", "rope", "tensors",
                                        "tokenizer", "files", "warnings"])
        self.assertEqual(report["model"]["kind"], "decoder")
        self.assertEqual(report["attention"]["pattern"], "GllGll")
        self.assertEqual(len(report["files"][0]["sha256"]), 64)
        by_name, = self.answers("inspect", "--model", "seedling-decoder")
        self.assertEqual(by_name["files"][-1]["sha256"], report["files"][-1]["sha256"])

    def test_for_people(self):
        out = self.ok("inspect", "--model", "seedling-encoder")
        for words in ("encoder", "5.5 million", "GllGll", "160000", "fp16", "sha256"):
            self.assertIn(words, out)


class Forward(CliTest):
    @staticmethod
    def tensors(path):
        data = path.read_bytes()
        length, = struct.unpack("<Q", data[:8])
        found = {}
        for name, entry in json.loads(data[8:8 + length]).items():
            if name == "__metadata__":
                continue
            begin, end = (8 + length + o for o in entry["data_offsets"])
            assert entry["dtype"] == "F32"
            found[name] = (entry["shape"], array.array("f", data[begin:end]))
        return found

    def test_rows_and_shapes(self):
        ids = [8188, 310, 450, 267, 2853, 269, 8191, 13, 8189]
        lines = [{"input_ids": ids}, {"input_ids": ids, "logit_rows": [6, 0]},
                 {"input_ids": ids[:4], "logit_rows": []}]
        source = self.file("in.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        out = self.folder / "o.safetensors"
        self.ok("forward", "--input", source, "--output", out)
        t = self.tensors(out)
        self.assertEqual({name: shape for name, (shape, _) in t.items()},
                         {"hidden.0": [9, 256], "hidden.1": [9, 256], "hidden.2": [4, 256],
                          "logits.0": [9, 8192], "logits.1": [2, 8192], "logits.2": [0, 8192]})
        self.assertEqual(t["hidden.0"][1], t["hidden.1"][1])
        rows = t["logits.0"][1]
        self.assertEqual(t["logits.1"][1][:8192], rows[6 * 8192:7 * 8192])
        self.assertEqual(t["logits.1"][1][8192:], rows[:8192])
        masked = rows[6 * 8192:7 * 8192]
        self.assertEqual(masked.index(max(masked)), self.answers("fill-mask", PARIS)[0][0]["token"])

        bare = self.folder / "bare.safetensors"
        self.ok("forward", "--no-logits", "--output", bare, "-", stdin=source.read_text())
        self.assertEqual(sorted(self.tensors(bare)), ["hidden.0", "hidden.1", "hidden.2"])

    def test_errors(self):
        out = self.folder / "o"
        self.error(2, "forward", '{"input_ids": [1]}')
        for line in ("[1]", "{}", '{"input_ids": [-1]}', '{"input_ids": ["a"]}', '{"input_ids": []}',
                     '{"input_ids": [99999]}', '{"input_ids": [1], "logit_rows": [1]}'):
            self.error(2, "forward", "--output", out, line)
        self.error(1, "forward", "--output", out, json.dumps({"input_ids": [1] * 257}))
        self.assertFalse(out.exists())


class Bench(CliTest):
    def test_json_lines_of_the_peers(self):
        lines = self.answers("bench", "--cases", "1x8,prefill16,decode16", "--budget", 0)
        for line in lines:
            self.assertEqual(list(line)[:5], ["engine", "model", "case", "variant", "threads"])
        batch, prefill, decode = lines
        self.assertEqual((batch["engine"], batch["model"], batch["case"], batch["variant"]),
                         ("ettin", "ettin-nano-encoder", "1x8", "q8"))
        self.assertEqual(list(batch)[5:12], ["median_ms", "min_ms", "runs", "tokens", "rss_mb",
                                             "load_ms", "head"])
        self.assertEqual((batch["tokens"], batch["head"], batch["runs"]), (8, 1, 5))
        self.assertLessEqual(batch["min_ms"], batch["median_ms"])
        self.assertGreater(batch["rss_mb"], 10)
        self.assertEqual((prefill["model"], prefill["tokens"]), ("ettin-nano-decoder", 16))
        self.assertEqual(decode["tokens"], 64)
        self.assertNotIn("head", decode)

    def test_a_case_too_long_for_the_model(self):
        ragged, = self.answers("bench", "--model", "seedling-encoder", "--cases", "ragged32",
                               "--budget", 0)  # one text of it has 512 tokens
        self.assertEqual(list(ragged)[5:], ["skipped"])

    def test_published_size(self):
        line, = self.answers("bench", "--size", "17m", "--cases", "1x8", "--budget", 0,
                             "--head", 0)
        self.assertEqual((line["model"], line["tokens"], line["head"], line["runs"]),
                         ("17m", 8, 0, 5))

    def test_tokenizer(self):
        source = self.file("text.txt", "The quick brown fox.\n" * 20000)
        line, = self.answers("bench", "--cases", f"tokenize:{source}", "--budget", 0)
        self.assertEqual((line["model"], line["case"]), ("tokenizer", "tokenize:text.txt"))
        self.assertEqual(line["bytes"], 21 * 20000)
        self.assertGreater(line["mb_per_s"], 0)

    def test_tokenizer_threads(self):
        source = self.file("text.txt", "The quick brown fox.\n" * 20000)
        one, = self.answers("bench", "--cases", f"tokenize:{source}", "--budget", 0, "--no-peak")
        two, = self.answers("bench", "--cases", f"tokenize:{source}", "--budget", 0, "--no-peak",
                            "--threads", 2)
        self.assertEqual((one["threads"], two["threads"]), (1, 2))
        self.assertEqual(one["tokens"], two["tokens"])

    def test_floor_of_the_machine(self):
        fp32 = ("bench", "--model", "seedling-encoder", "--cases", "1x64", "--budget", 0)
        line, = self.answers(*fp32, "--threads", 1)
        for key in ("machine", "cores", "isa", "commit", "gflop", "floor_ms", "floor_by", "of_floor",
                    "weights_mb", "weight_format"):
            self.assertIn(key, line)
        self.assertAlmostEqual(line["of_floor"], line["floor_ms"] / line["min_ms"], 3)
        self.assertAlmostEqual(line["of_floor_median"], line["floor_ms"] / line["median_ms"], 3)
        self.assertLess(line["of_floor_median"], 1.05)
        # The floor is the larger of the two bounds, from the best of the peaks shown.
        best = {metric: max(line[when][metric]["1"] for when in ("peak_before", "peak_after"))
                for metric in line["peak_before"]}
        own, = [m for m in best if m.startswith("read_") and m != "read_256MiB"]
        bounds = {"arithmetic": line["gflop"] / best["fp32"] * 1e3,
                  "memory": line["read_mb"] * 2**20 / best[own] / 1e6}
        self.assertEqual(line["floor_by"], max(bounds, key=bounds.get))
        self.assertAlmostEqual(line["floor_ms"] / max(bounds.values()), 1, 1)
        bare, = self.answers(*fp32, "--no-peak")
        self.assertNotIn("floor_ms", bare)
        self.assertNotIn("peak_before", bare)

    def test_peak_lines_of_the_peers(self):
        lines = self.answers("bench", "--cases", "1x8", "--budget", 0, "--threads", 1, "--peaks")
        peaks = [line for line in lines if line.get("kind") == "peak"]
        timing, = [line for line in lines if "kind" not in line]
        self.assertEqual([timing], lines[len(peaks) // 2:-(len(peaks) // 2)])
        for peak in peaks:
            self.assertEqual(list(peak), ["kind", "metric", "instr", "threads", "value", "best",
                                          "runs"])
        self.assertIn("read_256MiB", {peak["metric"] for peak in peaks})

    def test_probe_is_not_counted_as_memory(self):
        """The probe reads 256 MiB of its own."""
        line, = self.answers("bench", "--cases", "1x8", "--budget", 0)
        bare, = self.answers("bench", "--cases", "1x8", "--budget", 0, "--no-peak")
        self.assertLess(line["rss_mb"], bare["rss_mb"] + 128)

    def test_load(self):
        line, = self.answers("bench", "--cases", "load", "--budget", 0, "--no-peak")
        self.assertEqual((line["case"], line["tokens"], line["runs"]), ("load", 0, 5))
        self.assertGreater(line["min_ms"], 0)
        self.assertEqual(line["load_ms"], line["median_ms"])
        self.error(1, "bench", "--size", "17m", "--cases", "load", "--no-peak")

    def test_for_people_and_errors(self):
        out = self.ok("bench", "--cases", "1x8", "--budget", 0)
        for word in ("tokens/s", "of floor", "peaks: "):
            self.assertIn(word, out)
        self.assertIn("no case", self.error(2, "bench", "--cases", "8by8")["message"])
        self.error(2, "bench", "--size", "2b", "--cases", "1x8")
        self.error(2, "bench", "--size", "17m", "--model", "seedling-encoder")
        self.error(3, "bench", "--cases", "tokenize:/absent")


class PackedWeights(CliTest):
    """--keep-packed: a file that is made, used, checked and made anew."""

    def setUp(self):
        super().setUp()
        self.model = self.folder / "model"
        shutil.copytree(MODELS / "seedling-encoder", self.model)

    def fill(self):
        code, out, err = run("fill-mask", "--model", self.model, "--keep-packed", "--dtype", "q8",
                             "--json", PARIS)
        self.assertEqual(code, 0, err)
        return out, err

    def packed(self):
        path, = self.model.glob("packed-q8-*.ettin")
        return path

    def test_is_made_once_and_used(self):
        first, _ = self.fill()
        made = self.packed().stat().st_mtime_ns
        second, _ = self.fill()
        self.assertEqual(second, first)
        self.assertEqual(self.packed().stat().st_mtime_ns, made)

    def test_damage_is_found_and_mended(self):
        first, _ = self.fill()
        whole = self.packed().read_bytes()
        self.packed().write_bytes(whole[:-5000] + b"x" + whole[-4999:])
        second, err = self.fill()
        self.assertIn("damaged", err)
        self.assertEqual(second, first)
        self.assertEqual(self.packed().read_bytes(), whole)
        _, err = self.fill()
        self.assertEqual(err, "")

    def test_other_weights_are_noticed(self):
        self.fill()
        before = self.packed().read_bytes()
        weights = self.model / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
        self.fill()
        self.assertNotEqual(self.packed().read_bytes()[8:16], before[8:16])   # the identity

    def test_a_folder_that_cannot_be_written(self):
        (self.model / "model.safetensors").touch()
        target = self.model / "packed"
        if os.geteuid() == 0:
            self.skipTest("SKIPPED: root may write everywhere")
        target.parent.chmod(0o500)
        self.addCleanup(target.parent.chmod, 0o700)
        _, err = self.fill()
        self.assertIn("packed weights are not kept", err)


class Memory(CliTest):
    def test_running_out_of_it_is_one_line(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
        done = subprocess.run([ETTIN, "bench", "--size", "150m", "--cases", "1x8"],
                              capture_output=True, text=True, preexec_fn=limit, timeout=300,
                              env=clean_environment())
        if "Sanitizer" in done.stderr:
            self.skipTest("SKIPPED: sanitizers reserve more memory than the limit")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("the memory ran out", done.stderr)
        self.assertNotIn("terminate", done.stderr)


class Classifiers(CliTest):
    """The embedded models have no such heads: each test makes one from the encoder's weights."""

    def model(self, architecture, labels):
        """The encoder with a classifier in place of its vocabulary bias."""
        source = MODELS / "seedling-encoder"
        folder = self.folder / "model"
        folder.mkdir()
        for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            (folder / name).write_bytes((source / name).read_bytes())
        config = json.loads((source / "config.json").read_text())
        config.update(architectures=[architecture],
                      id2label={str(i): label for i, label in enumerate(labels)},
                      label2id={label: i for i, label in enumerate(labels)})
        (folder / "config.json").write_text(json.dumps(config))
        data = (source / "model.safetensors").read_bytes()
        length, = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + length])
        tensors = {}
        for name, entry in header.items():
            if name not in ("__metadata__", "decoder.bias", "decoder.weight"):
                begin, end = (8 + length + o for o in entry["data_offsets"])
                tensors[name] = (entry["dtype"], entry["shape"], data[begin:end])
        count = len(labels)
        weights = [((i * 37 + 11) % 101 - 50) / 100 for i in range(count * 256)]
        tensors["classifier.weight"] = ("F16", [count, 256],
                                        struct.pack(f"<{count * 256}e", *weights))
        tensors["classifier.bias"] = ("F16", [count], struct.pack(f"<{count}e", *[0] * count))
        header, blobs, at = {}, [], 0
        for name, (dtype, shape, blob) in tensors.items():
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(blob)]}
            blobs.append(blob)
            at += len(blob)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text +
                                                   b"".join(blobs))
        return folder

    def test_classify(self):
        labels = ["no", "perhaps", "yes"]
        model = self.model("ModernBertForSequenceClassification", labels)
        best, = self.answers("classify", "--model", model, "A fine film.")
        self.assertEqual([list(entry) for entry in best], [["label", "score"]])
        every, = self.answers("classify", "--model", model, "--top-k", 0, "A fine film.")
        self.assertEqual(sorted(entry["label"] for entry in every), labels)
        self.assertAlmostEqual(sum(entry["score"] for entry in every), 1, places=6)
        self.assertEqual(every[0], best[0])
        raw, = self.answers("classify", "--model", model, "--top-k", 0, "--function", "none",
                            "A fine film.")
        self.assertEqual([e["label"] for e in raw], [e["label"] for e in every])
        self.assertNotAlmostEqual(sum(e["score"] for e in raw), 1, places=3)
        pair, = self.answers("classify", "--model", model, "--pair", "Not so.", "A fine film.")
        self.assertNotEqual(pair, best)
        with_id, = self.answers("classify", "--model", model, "-",
                                stdin='{"text": "A fine film.", "id": [1]}\n')
        self.assertEqual(with_id, {"id": [1], "result": best})
        self.assertIn(best[0]["label"], self.ok("classify", "--model", model, "A fine film."))
        self.assertIn("classify", self.error(1, "token-classify", "--model", model, "a")["hint"])
        self.assertEqual(self.error(1, "fill-mask", "--model", model, "[MASK]")["code"],
                         "unsupported")

    def test_token_classify(self):
        model = self.model("ModernBertForTokenClassification", ["O", "B-PER", "I-PER"])
        text = "Ada Lovelace lived in London."
        tokens, = self.answers("token-classify", "--model", model, "--ignore-label", "", text)
        for entry in tokens:
            self.assertEqual(list(entry), ["entity", "score", "index", "word", "start", "end"])
        self.assertEqual([e["index"] for e in tokens], list(range(1, len(tokens) + 1)))
        self.assertEqual("".join(text[e["start"]:e["end"]] for e in tokens), text)
        fewer, = self.answers("token-classify", "--model", model, text)
        self.assertEqual(fewer, [e for e in tokens if e["entity"] != "O"])
        for how in ("simple", "first", "average", "max"):
            groups, = self.answers("token-classify", "--model", model, "--aggregation", how,
                                   "--ignore-label", "", text)
            for entry in groups:
                self.assertEqual(list(entry), ["entity_group", "score", "word", "start", "end"])
                self.assertIn(entry["entity_group"], ("O", "PER"))
        self.assertIn(text, self.ok("token-classify", "--model", model, text))

    def test_a_base_model_says_so(self):
        for command, head in (("classify", "a sequence-classification head"),
                              ("token-classify", "a token-classification head")):
            error = self.error(1, command, "A fine film.")
            self.assertEqual(error["code"], "unsupported")
            self.assertIn(head, error["message"])
            self.assertNotEqual(error["hint"], "")

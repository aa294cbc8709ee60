"""ettin convert: folders that transformers loads, in every type and for either kind, and the folder
of ONNX files. What ONNX Runtime makes of these, tests/onnx asks."""
import json
import shutil

from harness import MODELS, PARIS, CliTest, run


class Convert(CliTest):
    def convert(self, model, name, *more):
        out = self.folder / name
        answer, = self.answers("convert", model, out, *more)
        return out, answer

    def config(self, folder):
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))

    def test_types(self):
        for kind in ("encoder", "decoder"):
            source = f"seedling-{kind}"
            for dtype, torch, equal in (("fp32", "float32", True), ("fp16", "float16", True),
                                        ("bf16", "bfloat16", False)):
                out, answer = self.convert(source, f"{kind}-{dtype}", "--dtype", dtype)
                self.assertEqual(answer["formats"],
                                 {"embedding": dtype, "layers": dtype, "head": dtype})
                self.assertEqual(self.config(out)["torch_dtype"], torch)
                code, text, _ = run("diff", source, out, "--json")
                self.assertEqual((code == 0, json.loads(text)["equal"]), (equal, equal), dtype)
            out, answer = self.convert(source, f"{kind}-auto")
            self.assertEqual(answer["format"], "fp32")   # what loading computes in
            self.assertEqual(answer["formats"]["layers"], "fp16")

    def test_small_files_come_along(self):
        out, _ = self.convert("seedling-decoder", "copy")
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            self.assertEqual((out / name).read_bytes(),
                             (MODELS / "seedling-decoder" / name).read_bytes())
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["copy"])

    def test_quantised_models_are_expanded(self):
        small = self.folder / "q8"
        self.ok("quantize", "seedling-encoder", small, "--dtype", "q8")
        out, answer = self.convert(small, "wide")
        self.assertNotIn("quantization_config", self.config(out))
        self.assertEqual(answer["formats"]["layers"], "fp32")
        difference = json.loads(run("diff", small, out, "--json")[1])
        self.assertLess(max(t["relative"] for t in difference["tensors"]), 1e-6)

    def test_shards(self):
        out, _ = self.convert("seedling-encoder", "shards", "--shard-size", "2MB")
        index = json.loads((out / "model.safetensors.index.json").read_text(encoding="utf-8"))
        files = set(index["weight_map"].values())
        self.assertEqual(files, {p.name for p in out.glob("*.safetensors")})
        self.assertGreater(len(files), 3)
        self.assertEqual(self.ok("fill-mask", "--json", "--model", out, PARIS),
                         self.ok("fill-mask", "--json", PARIS))
        self.assertEqual(run("diff", "seedling-encoder", out)[0], 0)

    def test_the_other_kind_and_back(self):
        start, answer = self.convert("seedling-encoder", "start", "--as", "decoder")
        self.assertEqual(answer["kind"], "decoder")
        config = self.config(start)
        self.assertEqual((config["model_type"], config["architectures"]),
                         ("modernbert-decoder", ["ModernBertDecoderForCausalLM"]))
        self.assertEqual(config["local_rope_theta"], 160000)
        generation = json.loads((start / "generation_config.json").read_text(encoding="utf-8"))
        self.assertEqual(generation["eos_token_id"], config["eos_token_id"])
        self.assertTrue(self.ok("generate", "--model", start, "--max-new-tokens", 3, "A violin"))
        back, _ = self.convert(start, "back", "--as", "encoder")
        self.assertFalse((back / "generation_config.json").exists())
        self.assertEqual(run("diff", "seedling-encoder", back)[0], 0)
        self.assertEqual((back / "model.safetensors").read_bytes(),
                         (self.convert("seedling-encoder", "same")[0]
                          / "model.safetensors").read_bytes())
        self.assertEqual(self.ok("fill-mask", "--json", "--model", back, PARIS),
                         self.ok("fill-mask", "--json", PARIS))

    def test_a_window_that_is_lost_is_said(self):
        model = self.folder / "model"
        shutil.copytree(MODELS / "seedling-decoder", model)
        config = self.config(model)
        config["sliding_window"] = 65
        (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
        code, _, err = run("convert", model, self.folder / "as-encoder", "--as", "encoder")
        self.assertEqual(code, 0)
        self.assertIn("65 keys", err)

    def test_errors(self):
        self.error(2, "convert", "seedling-encoder")
        self.error(3, "convert", self.folder / "nowhere", self.folder / "out")
        for size in ("0", "-1GB", "5 apples", "1e300", "", "nan"):
            self.error(2, "convert", "seedling-encoder", self.folder / "out", "--shard-size", size)
        model = self.folder / "model"
        shutil.copytree(MODELS / "seedling-encoder", model)
        self.error(2, "convert", model, model / "inside")
        self.error(2, "convert", "seedling-encoder", model)   # it exists
        self.ok("convert", "seedling-encoder", model, "--force")
        config = self.config(model)
        config.update(architectures=["ModernBertForSequenceClassification"])
        path = model / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        self.assertNotEqual(run("convert", model, self.folder / "x", "--as", "decoder")[0], 0)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["model"])


class ConvertOnnx(CliTest):
    FILES = {"fp32": "model", "fp16": "model_fp16", "q8": "model_quantized", "q4": "model_q4",
             "q4f16": "model_q4f16"}

    def test_folder(self):
        for kind in ("encoder", "decoder"):
            out = self.folder / kind
            answer, = self.answers("convert", f"seedling-{kind}", out, "--format", "onnx")
            self.assertEqual((answer["format"], answer["style"]), ("onnx", "fused"))
            self.assertEqual([f["dtype"] for f in answer["files"]], list(self.FILES))
            for file in answer["files"]:
                name = f"onnx/{self.FILES[file['dtype']]}.onnx"
                self.assertEqual((file["file"], file["data_files"]), (name, 1))
                self.assertEqual(file["bytes"], sum((out / n).stat().st_size
                                                    for n in (name, name + "_data")))
            config = json.loads((out / "config.json").read_text(encoding="utf-8"))
            own = json.loads((MODELS / f"seedling-{kind}" / "config.json")
                             .read_text(encoding="utf-8"))
            self.assertEqual(config.pop("transformers.js_config"), {
                "use_external_data_format": {f"{n}.onnx": 1 for n in self.FILES.values()}})
            self.assertEqual(config, own)
            self.assertEqual((out / "tokenizer_config.json").read_bytes(),
                             (MODELS / f"seedling-{kind}" / "tokenizer_config.json").read_bytes())
            self.assertEqual((out / "generation_config.json").exists(), kind == "decoder")
            self.assertFalse(list(out.glob("*.safetensors")))
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["decoder", "encoder"])

    def test_prompts_of_decoders_end_openly(self):
        """As ettin and Python's class end them; nothing else of tokenizer.json changes."""
        for kind, changed in (("encoder", False), ("decoder", True)):
            out, source = self.folder / kind, MODELS / f"seedling-{kind}" / "tokenizer.json"
            self.ok("convert", f"seedling-{kind}", out, "--format", "onnx", "--dtype", "q4")
            self.assertEqual((out / "tokenizer.json").read_bytes() != source.read_bytes(), changed)
            before, after = (json.loads(p.read_text(encoding="utf-8"))
                             for p in (source, out / "tokenizer.json"))
            pieces = after["post_processor"].pop("single")
            self.assertEqual([next(iter(p)) for p in pieces],
                             ["SpecialToken", "Sequence"] + ["SpecialToken"] * (not changed))
            for key in ("single", "pair"):
                before["post_processor"].pop(key)
                after["post_processor"].pop(key, None)
            self.assertEqual(before, after)
        model = self.folder / "closed"
        shutil.copytree(MODELS / "seedling-decoder", model)
        settings = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
        settings["add_eos_token"] = True
        (model / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        self.ok("convert", model, self.folder / "kept", "--format", "onnx", "--dtype", "q4")
        self.assertEqual((self.folder / "kept" / "tokenizer.json").read_bytes(),
                         (model / "tokenizer.json").read_bytes())

    def test_choices(self):
        out = self.folder / "out"
        answer, = self.answers("convert", "seedling-encoder", out, "--format", "onnx", "--style",
                               "portable", "--dtype", "q4,fp32,q4")
        self.assertEqual([f["dtype"] for f in answer["files"]], ["fp32", "q4"])
        self.assertEqual(sorted(p.name for p in (out / "onnx").iterdir()),
                         ["model.onnx", "model.onnx_data", "model_q4.onnx", "model_q4.onnx_data"])
        text = self.ok("convert", "seedling-encoder", out, "--format", "onnx", "--dtype", "q4",
                       "--force")
        self.assertIn("onnx/model_q4.onnx", text)
        # The same bytes for the same input.
        again = self.folder / "again"
        self.ok("convert", "seedling-encoder", again, "--format", "onnx", "--dtype", "q4")
        for name in ("model_q4.onnx", "model_q4.onnx_data"):
            self.assertEqual((out / "onnx" / name).read_bytes(),
                             (again / "onnx" / name).read_bytes())

    def test_errors(self):
        out = self.folder / "out"
        onnx = ("convert", "seedling-encoder", out, "--format", "onnx")
        for more, word in ((("--dtype", "bf16"), "fp32, fp16, q8, q4, q4f16"),
                           (("--dtype", "fp32,,q4"), "auto"), (("--dtype", ""), "auto"),
                           (("--dtype", "fp32,q44"), "auto"), (("--as", "decoder"), "--as"),
                           (("--shard-size", "1MB"), "--shard-size"),
                           (("--style", "thin"), "portable")):
            self.assertIn(word, self.error(2, *onnx, *more)["hint"])
        plain = onnx[:3]
        for more in (("--dtype", "q8"), ("--dtype", "fp32,fp16"), ("--style", "portable")):
            self.error(2, *plain, *more)
        small = self.folder / "q8"
        self.ok("quantize", "seedling-encoder", small, "--dtype", "q8")
        error = self.error(1, "convert", small, out, "--format", "onnx", "--dtype", "q4")
        self.assertIn("stores q8", error["message"])
        code, _, err = run("convert", small, out, "--format", "onnx")
        self.assertEqual(code, 0)
        self.assertIn("q4 is left out", err)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["out", "q8"])

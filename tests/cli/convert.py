"""ettin convert: folders that transformers loads, in every type and for either kind."""
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

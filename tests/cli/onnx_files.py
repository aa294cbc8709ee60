"""Models of ONNX files: what `ettin convert --format onnx` wrote, read again. Other exporters' files
are read by tests/golden."""
import json
import shutil

from harness import PARIS, CliTest, run

TEXTS = ("The capital of France is Paris.\nWater boils at a hundred degrees.\n"
         "He went to the sea with his two brothers.\n")
ENDS = {"fp32": "", "fp16": "_fp16", "q8": "_quantized", "q4": "_q4", "q4f16": "_q4f16"}
COMPUTED = {"fp32": "fp32", "fp16": "fp32", "q8": "int8", "q4": "weight-only",
            "q4f16": "weight-only"}


class OnnxFiles(CliTest):
    def setUp(self):
        super().setUp()
        self.texts = self.file("texts.txt", TEXTS)

    def export(self, kind="encoder", style="fused"):
        out = self.folder / f"{kind}-{style}"
        self.ok("convert", f"seedling-{kind}", out, "--format", "onnx", "--style", style)
        return out

    def test_the_cards_example_with_each_of_five_files(self):
        for style in ("fused", "portable"):
            model = self.export(style=style)
            for dtype in ENDS:
                best = self.answers("fill-mask", "--model", model, "--dtype", dtype, PARIS)[0][0]
                self.assertEqual(best["token_str"], " Paris", (style, dtype))

    def test_answers_are_those_of_the_original(self):
        for kind in ("encoder", "decoder"):
            for style in ("fused", "portable"):
                model = self.export(kind, style)
                for dtype, end in ENDS.items():
                    file = model / f"onnx/model{end}.onnx"
                    code, out, err = run("verify", file, "--against", f"seedling-{kind}",
                                         "--texts", self.texts, "--json")
                    self.assertEqual(code, 0, f"{file}: {out}{err}")
                    found = json.loads(out)
                    if dtype == "fp32":
                        self.assertLess(found["relative"], 1e-6)
                        self.assertEqual(run("diff", file, f"seedling-{kind}")[0], 0)

    def test_a_folder_is_compared_by_the_file_that_it_has(self):
        model = self.export()
        for name in ("", "_fp16", "_quantized", "_q4f16"):
            (model / f"onnx/model{name}.onnx").unlink()
        code, out, err = run("verify", model, "--against", "seedling-encoder", "--texts",
                             self.texts, "--json")
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["stored"], "int4")
        code, out, err = run("diff", "seedling-encoder", model, "--texts", self.texts, "--json")
        self.assertEqual(code, 1, err)
        self.assertIn("answers", json.loads(out))

    def test_integers_stay_what_they_are(self):
        model = self.export()
        for dtype, computed in COMPUTED.items():
            report = json.loads(self.ok("forward", "--model", model, "--dtype", dtype, "--json",
                                        "--output", self.folder / "x.safetensors",
                                        '{"input_ids": [1, 2]}'))
            self.assertEqual(report["inputs"], 1)
            facts = json.loads(self.ok("inspect", "--json", model / f"onnx/model{ENDS[dtype]}.onnx"))
            layers = {"fp32": "fp32", "fp16": "fp16", "int8": "int8",
                      "weight-only": "int4"}[computed if dtype != "fp16" else "fp16"]
            self.assertGreater(facts["tensors"]["formats"][layers], 20)
        narrow = self.ok("fill-mask", "--json", "--model", model, "--dtype", "q4", PARIS)
        wide = self.ok("fill-mask", "--json", "--model", model, "--dtype", "q4",
                       "--expand-weights", PARIS)
        self.assertEqual(narrow, wide)
        alone = self.ok("fill-mask", "--json", "--model", model, "--dtype", "q8", "--int8-scales",
                        "sequence", PARIS)
        self.assertNotEqual(alone, self.ok("fill-mask", "--json", "--model", model, "--dtype",
                                           "q8", PARIS))

    def test_back_to_safetensors(self):
        for kind in ("encoder", "decoder"):
            back = self.folder / f"{kind}-back"
            self.ok("convert", self.export(kind), back)
            self.assertNotIn("transformers.js_config",
                             json.loads((back / "config.json").read_text(encoding="utf-8")))
            self.assertEqual(run("diff", back, f"seedling-{kind}")[0], 0)

    def test_a_decoder_writes_on(self):
        model = self.export("decoder")
        expected = self.ok("generate", "--max-new-tokens", "8", "Italy is a country in")
        self.assertEqual(self.ok("generate", "--max-new-tokens", "8", "--model", model, "--dtype",
                                 "fp32", "Italy is a country in"), expected)
        for dtype in ("q8", "q4"):
            self.ok("generate", "--max-new-tokens", "8", "--model", model, "--dtype", dtype,
                    "--int8-scales", "sequence", "Italy is a country in", "Paris is")

    def test_the_graph_is_believed(self):
        model = self.export()
        path = model / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        right = self.ok("fill-mask", "--json", "--model", model, PARIS)
        config.update(global_attn_every_n_layers=2, global_rope_theta=777.0)
        config.pop("layer_types", None)
        config.pop("rope_parameters", None)
        path.write_text(json.dumps(config), encoding="utf-8")
        code, out, err = run("fill-mask", "--json", "--model", model, PARIS)
        self.assertEqual((code, out), (0, right))
        self.assertIn("theta", err)
        self.assertIn("layers are", err)
        # What it is written as says so too.
        back = self.folder / "back"
        self.ok("convert", model, back)
        self.assertEqual(self.ok("fill-mask", "--json", "--model", back, PARIS),
                         self.ok("fill-mask", "--json", PARIS))
        config["num_hidden_layers"] -= 1
        path.write_text(json.dumps(config), encoding="utf-8")
        error = self.fails(5, "fill-mask", "--model", model, PARIS)
        self.assertIn("num_hidden_layers", error)
        self.assertIn("the graph has", error)

    def test_errors_name_what_there_is(self):
        model = self.export()
        (model / "onnx/model_q4.onnx").unlink()
        self.assertIn("it has fp32, fp16, q8, q4f16",
                      self.fails(3, "fill-mask", "--model", model, "--dtype", "q4", PARIS))
        self.assertIn("is one of ONNX files", self.fails(1, "fill-mask", "--model",
                                                         "seedling-encoder", "--dtype", "q4f16",
                                                         PARIS))
        shutil.copy(model / "onnx/model_fp16.onnx", model / "onnx/model_q4.onnx")
        (model / "onnx/model_fp16.onnx_data").unlink()
        self.assertIn("model_fp16.onnx_data", self.fails(3, "fill-mask", "--model", model,
                                                         "--dtype", "q4", PARIS))

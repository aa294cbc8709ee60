"""Training checkpoints as models: --model, inspect, convert, diff and verify."""
import collections
import json
import shutil

import torch_files
from harness import MODELS, PARIS, CliTest, run


def seedling(kind):
    return torch_files.training_names(
        torch_files.load_safetensors(MODELS / f"seedling-{kind}" / "model.safetensors"))


class System:
    def __reduce__(self):
        import os
        return os.system, ("touch /tmp/ettin-was-here",)


class Checkpoints(CliTest):
    def save(self, path, kind="encoder", batch=0, protocol=2, model=None, config=None):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        torch_files.save(torch_files.checkpoint(model or seedling(kind), batch, config), path,
                         protocol)
        return path

    def settings(self, folder, kind="encoder", *names):
        for name in names or ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(MODELS / f"seedling-{kind}" / name, self.folder / folder / name)

    def report(self, *args):
        report, = self.answers("inspect", *args)
        return report

    def test_answers_are_those_of_the_same_weights(self):
        for kind, protocol in (("encoder", 2), ("encoder", 4), ("decoder", 2), ("decoder", 5)):
            name = f"{kind}-{protocol}/run-1.pt"
            path = self.save(name, kind, protocol=protocol)
            self.settings(path.parent, kind)
            command = ("fill-mask", PARIS) if kind == "encoder" else \
                ("generate", "--max-new-tokens", 8, "A violin is")
            expected = self.ok(*command, "--json", "--model", f"seedling-{kind}", "--dtype", "fp32")
            for model in (path, path.parent, f"{path.parent}@run-1"):
                code, out, err = run(*command, "--json", "--model", model, "--dtype", "fp32")
                self.assertEqual((code, out), (0, expected), err)
            self.assertEqual(run("diff", f"seedling-{kind}", path)[0], 0)

    def test_a_folder_without_settings(self):
        path = self.save("pretrain/ep0-ba5996-rank0.pt", "decoder", 5996)
        report = self.report(path)
        self.assertEqual((report["model"]["kind"], report["model"]["head"]),
                         ("decoder", "language_model"))
        shape = report["architecture"]
        self.assertEqual((shape["layers"], shape["hidden_size"], shape["attention_heads"]),
                         (6, 256, 4))
        self.assertEqual(report["checkpoint"], {"file": str(path), "batch": 5996,
                                                "tokens": 4096 * 5996, "phase": "pre-training"})
        self.assertEqual(report["rope"], {"global_theta": 10000, "local_theta": 10000,
                                          "reason": "the name pretrain in the path: pre-training"})
        self.assertIsNone(report["tokenizer"])
        self.assertIn("only ids", " ".join(report["warnings"]))
        text = self.ok("inspect", path)
        self.assertIn("pre-training", text)

    def test_a_trail(self):
        folder = self.folder / "step-trail"
        for batch in (900, 10000, 20):
            self.save(folder / f"ep0-ba{batch}-rank0.pt", batch=batch)
        (folder / "latest-rank0.pt").symlink_to("ep0-ba10000-rank0.pt")
        report = self.report(folder)
        self.assertEqual(report["checkpoint"]["batch"], 10000)
        self.assertEqual([(e["batch"], e["taken"]) for e in report["trail"]],
                         [(None, False), (20, False), (900, False), (10000, True)])
        self.assertEqual({e["phase"] for e in report["trail"]}, {"pre-training"})
        text = self.ok("inspect", folder)
        self.assertRegex(text, r"ep0-ba10000-rank0.pt +batch 10000 +pre-training, shown here")
        for which, batch in (("ba900", 900), ("20", 20), ("latest", 10000)):
            one = self.report(f"{folder}@{which}")
            self.assertEqual(one["checkpoint"]["batch"], batch)
            self.assertNotIn("trail", one)
        error = self.error(3, "inspect", f"{folder}@ba7")
        self.assertIn("ba7", error["message"])
        self.assertIn("ep0-ba10000-rank0.pt", error["hint"])
        self.error(3, "inspect", folder / "ep0-ba7-rank0.pt")
        (folder / "model.safetensors").write_bytes(b"")   # a model folder with checkpoints in it
        self.assertNotIn("checkpoint", run("inspect", folder)[1])

    def test_thetas(self):
        trained = {"rotary_emb_base": 10000.0, "local_attn_rotary_emb_base": -1}
        path = self.save("run/a.pt", "decoder", config=trained)
        rope = self.report(path)["rope"]
        self.assertEqual((rope["global_theta"], rope["local_theta"]), (10000, 10000))
        self.assertIn("integrations", rope["reason"])
        bare = self.report(self.save("bare/a.pt", "decoder"))
        self.assertEqual(bare["rope"]["global_theta"], 160000)
        self.assertIn("nothing says the training phase", " ".join(bare["warnings"]))
        asked = self.report(path, "--global-rope-theta", 5, "--local-rope-theta", 7)["rope"]
        self.assertEqual(asked, {"global_theta": 5, "local_theta": 7, "reason": "both as asked for"})
        quiet = self.report(bare["checkpoint"]["file"], "--global-rope-theta", 5, "--local-rope-theta",
                            7)
        self.assertNotIn("training phase", " ".join(quiet["warnings"]))
        one = self.report("seedling-decoder", "--global-rope-theta", 5)["rope"]
        self.assertEqual(one["global_theta"], 5)
        self.assertIn("config.json", one["reason"])
        for value in ("0", "-1", "nan", "1e13"):
            self.error(2, "inspect", path, "--global-rope-theta", value)
        # They change what is computed.
        with_5 = self.ok("score", "--model", "seedling-decoder", "--global-rope-theta", 5, "A violin")
        self.assertNotEqual(with_5, self.ok("score", "--model", "seedling-decoder", "A violin"))

    def test_convert(self):
        path = self.save("decay100/ep0-ba100-rank0.pt", "decoder")
        self.settings(path.parent, "decoder", "tokenizer.json", "tokenizer_config.json")
        out = self.folder / "out"
        self.ok("convert", path, out)
        config = json.loads((out / "config.json").read_text(encoding="utf-8"))
        self.assertEqual((config["model_type"], config["architectures"], config["hidden_size"],
                          config["global_rope_theta"], config["local_rope_theta"]),
                         ("modernbert-decoder", ["ModernBertDecoderForCausalLM"], 256, 160000,
                          160000))
        self.assertIn("q_proj", (out / "model.safetensors").read_bytes()[:4000].decode("latin1"))
        self.assertTrue((out / "tokenizer.json").exists())
        seedling_config = json.loads((MODELS / "seedling-decoder" / "config.json").read_text())
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):   # from the tokenizer
            self.assertEqual(config[key], seedling_config[key])
        self.assertEqual(run("diff", path, out)[0], 0)
        texts = self.file("texts.txt", "A violin is a musical instrument.\nParis is in France.\n")
        self.ok("verify", path, "--against", out, "--texts", texts)
        self.ok("convert", path, self.folder / "other", "--as", "encoder")
        other = json.loads((self.folder / "other" / "config.json").read_text(encoding="utf-8"))
        self.assertEqual(other["architectures"], ["ModernBertForMaskedLM"])
        self.ok("fill-mask", "--model", self.folder / "other", PARIS)
        self.ok("convert", path, self.folder / "asked", "--global-rope-theta", 500)
        asked = json.loads((self.folder / "asked" / "config.json").read_text(encoding="utf-8"))
        self.assertEqual((asked["global_rope_theta"], asked["local_rope_theta"]), (500, 160000))
        self.ok("quantize", path, self.folder / "q8", "--dtype", "q8")
        self.assertEqual(self.report(self.folder / "q8")["rope"]["local_theta"], 160000)

    def test_nothing_is_executed(self):
        model = collections.OrderedDict(seedling("encoder"))
        beside = torch_files.checkpoint(model)
        beside["state"]["callbacks"].append(System())
        torch_files.save(beside, self.folder / "a.pt")
        tensors = self.report(self.folder / "a.pt")["tensors"]
        self.assertLess(tensors["bits_per_weight"], 16.1)   # the tied matrix is counted once
        model["model.extra"] = System()
        error = self.error(1, "inspect", self.save("b.pt", model=model))
        self.assertIn("state.model: refused to load posix.system", error["message"])

    def test_contradictions(self):
        path = self.save("a.pt")
        self.settings(".", "decoder")
        error = self.error(5, "inspect", path)
        self.assertIn("model_type", error["message"])
        self.assertIn("a.pt", error["message"])
        self.assertIn("config.json", error["message"])

"""ettin diff and ettin verify: what they find, what they say, how they end."""
import json
import shutil
import struct

from harness import MODELS, CliTest, run

TEXTS = ("The capital of France is Paris.\nWater boils at a hundred degrees.\n"
         "He went to the sea with his two brothers.\n")


class Compare(CliTest):
    def setUp(self):
        super().setUp()
        self.texts = self.file("texts.txt", TEXTS)

    def copy(self, name="copy", kind="encoder"):
        target = self.folder / name
        shutil.copytree(MODELS / f"seedling-{kind}", target)
        return target

    def quantized(self, dtype):
        out = self.folder / dtype
        self.ok("quantize", "seedling-encoder", out, "--dtype", dtype)
        return out

    def answer(self, expected, *args):
        code, out, err = run(*args, "--json")
        self.assertEqual(code, expected, f"{args}: {out}{err}")
        return json.loads(out)

    def change(self, model, tensor, index, value):
        """Element `index` of an fp16 tensor of model.safetensors."""
        path = model / "model.safetensors"
        data = bytearray(path.read_bytes())
        length, = struct.unpack_from("<Q", data)
        about = json.loads(data[8:8 + length])[tensor]
        self.assertEqual(about["dtype"], "F16")
        struct.pack_into("<e", data, 8 + length + about["data_offsets"][0] + 2 * index, value)
        path.write_bytes(data)


    def configure(self, model, **settings):
        path = model / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config.update(settings)
        path.write_text(json.dumps(config), encoding="utf-8")


class Diff(Compare):
    def test_a_copy(self):
        answer = self.answer(0, "diff", "seedling-encoder", self.copy())
        self.assertEqual(list(answer), ["a", "b", "equal", "tolerance", "verdict", "settings",
                                        "only_a", "only_b", "other_shape", "tensors"])
        self.assertTrue(answer["equal"])
        self.assertEqual(answer["verdict"], "all values are equal")
        self.assertEqual({t["differing"] for t in answer["tensors"]}, {0})
        names = [t["name"] for t in answer["tensors"]]
        self.assertEqual(names[0], "embeddings.tok_embeddings.weight")
        self.assertIn("layers.0.attn.Wqkv.weight", names)

    def test_one_changed_element_is_found(self):
        changed = self.copy()
        self.change(changed, "model.layers.2.mlp.Wo.weight", 17, 1.5)
        answer = self.answer(1, "diff", "seedling-encoder", changed)
        wrong = [t for t in answer["tensors"] if t["differing"]]
        self.assertEqual([(t["name"], t["differing"]) for t in wrong],
                         [("layers.2.mlp.Wo.weight", 1)])
        self.assertFalse(answer["equal"])
        self.answer(0, "diff", "seedling-encoder", changed, "--tolerance", 10)
        code, out, err = run("diff", "seedling-encoder", changed)
        self.assertEqual((code, err), (1, ""))
        self.assertIn("the values differ", out.splitlines()[0])
        self.assertIn("1 of 41 tensors differ", out)
        self.assertLessEqual(max(map(len, out.splitlines())), 80)

    def test_other_storage_of_the_same_values(self):
        """fp16 to fp32 by hand: nothing is lost."""
        wide = self.copy("wide")
        path = wide / "model.safetensors"
        data = path.read_bytes()
        length, = struct.unpack_from("<Q", data)
        header, body, at = json.loads(data[8:8 + length]), [], 0
        for name, about in header.items():
            if name == "__metadata__":
                continue
            first, last = about["data_offsets"]
            halves = struct.unpack(f"<{(last - first) // 2}e", data[8 + length + first:][:last - first])
            body.append(struct.pack(f"<{len(halves)}f", *halves))
            about.update(dtype="F32", data_offsets=[at, at + 4 * len(halves)])
            at += 4 * len(halves)
        head = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(head)) + head + b"".join(body))
        answer = self.answer(0, "diff", "seedling-encoder", wide)
        self.assertEqual(answer["verdict"], "all values are equal, stored in other types")

    def test_answers(self):
        small = self.quantized("q8")
        answer = self.answer(1, "diff", "seedling-encoder", small, "--texts", self.texts)
        self.assertEqual(answer["answers"]["texts"], 3)
        self.assertGreater(answer["answers"]["mean_kl"], 0)
        self.assertEqual({t["stored_b"] for t in answer["tensors"] if t["differing"]}, {"q8"})

    def test_the_pair(self):
        answer = self.answer(1, "diff", "seedling-encoder", "seedling-decoder")
        self.assertEqual(answer["settings"], [{"key": "kind", "a": "encoder", "b": "decoder"}])
        self.assertEqual((answer["only_a"], answer["only_b"]), ([], []))
        error = self.error(2, "diff", "seedling-encoder", "seedling-decoder", "--texts", self.texts)
        self.assertIn("cannot be compared", error["message"])

    def test_settings_alone(self):
        """The same tensors that compute something else are not equal, and the first line says so."""
        for kind, settings, key in (("decoder", {"sliding_window": 65}, "sliding_window"),
                                    ("encoder", {"local_rope_theta": 10000}, "local_rope_theta"),
                                    ("encoder", {"classifier_activation": "silu"},
                                     "classifier_activation")):
            changed = self.copy(key, kind)
            self.configure(changed, **settings)
            answer = self.answer(1, "diff", f"seedling-{kind}", changed, "--tolerance", 1)
            self.assertEqual([s["key"] for s in answer["settings"]], [key])
            self.assertEqual(answer["verdict"], "all values are equal, and the settings differ")

    def test_labels_and_pooling(self):
        one, other = self.copy("one"), self.copy("other")
        for model, pooling, labels in ((one, "cls", ["no", "yes"]), (other, "mean", ["yes", "no"])):
            self.configure(model, classifier_pooling=pooling,
                           architectures=["ModernBertForSequenceClassification"],
                           id2label={str(i): label for i, label in enumerate(labels)})
            self.add_classifier(model)
        answer = self.answer(1, "diff", one, other)
        self.assertEqual([s["key"] for s in answer["settings"]],
                         ["classifier_pooling", "id2label"])

    def add_classifier(self, model):
        path = model / "model.safetensors"
        data = path.read_bytes()
        length, = struct.unpack_from("<Q", data)
        header, body = json.loads(data[8:8 + length]), data[8 + length:]
        del header["decoder.bias"]
        kept, out = {}, b""
        for name, about in header.items():
            if name != "__metadata__":
                first, last = about["data_offsets"]
                kept[name] = {**about, "data_offsets": [len(out), len(out) + last - first]}
                out += body[first:last]
        for name, shape in (("classifier.weight", [2, 256]), ("classifier.bias", [2])):
            size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
            kept[name] = {"dtype": "F16", "shape": shape,
                          "data_offsets": [len(out), len(out) + size]}
            out += bytes(size)
        head = json.dumps(kept).encode()
        path.write_bytes(struct.pack("<Q", len(head)) + head + out)

    def test_errors(self):
        # 1 is the answer "they differ", so no error ends with it.
        other = self.copy("other")
        self.configure(other, model_type="gpt2")
        self.assertEqual(self.error(2, "diff", "seedling-encoder", other)["code"], "unsupported")
        self.error(2, "diff", "seedling-encoder")
        self.error(3, "diff", "seedling-encoder", self.folder / "nowhere")
        self.error(2, "diff", "seedling-encoder", "seedling-encoder", "--tolerance", -1)
        self.error(3, "diff", "seedling-encoder", "seedling-encoder", "--texts",
                   self.folder / "nowhere.txt")


class Verify(Compare):
    def verify(self, expected, model, *more):
        return self.answer(expected, "verify", model, "--against", "seedling-encoder",
                           "--texts", self.texts, *more)

    def test_a_copy_agrees_in_every_bit(self):
        answer = self.verify(0, self.copy())
        self.assertTrue(answer["agree"])
        self.assertEqual(answer["max_difference"], 0)
        self.assertEqual((answer["texts"], answer["rows"]), (3, answer["tokens"]))
        self.assertEqual([answer[k] for k in ("same_top_1", "same_top_k", "same_order")], [1, 1, 1])

    def test_bounds_follow_the_formats(self):
        small = self.quantized("bf16")
        answer = self.verify(0, small)
        self.assertEqual((answer["stored"], answer["stored_against"]), ("bf16", "fp16"))
        self.assertAlmostEqual(answer["bound"], 1e-4 + 8 * (2 ** -8 + 2 ** -11))
        self.assertGreater(answer["relative"], 0)
        answer = self.verify(1, small, "--tolerance", 1e-6)
        self.assertFalse(answer["agree"])

    def test_another_model_fails(self):
        changed = self.copy()
        for i in range(64):
            self.change(changed, "model.final_norm.weight", i, -4.0)
        answer = self.verify(1, changed)
        self.assertGreater(answer["relative"], answer["bound"])
        code, out, _ = run("verify", changed, "--against", "seedling-encoder", "--texts", self.texts)
        self.assertEqual((code, out.splitlines()[0]), (1, "FAIL"))

    def test_nan_is_no_agreement(self):
        broken = self.copy()
        self.change(broken, "model.final_norm.weight", 3, float("nan"))
        answer = self.answer(1, "verify", broken, "--against", broken, "--texts", self.texts)
        self.assertEqual(answer["relative"], "infinite")

    def test_other_likeliest_tokens_fail_under_any_tolerance(self):
        small = self.quantized("q4")
        self.verify(0, small)
        changed = self.copy()
        for i in range(64):
            self.change(changed, "model.final_norm.weight", i, -4.0)
        answer = self.verify(1, changed, "--tolerance", 1e6)
        self.assertLess(answer["same_top_1"], answer["bound_top_1"])

    def test_other_tokens_are_shown(self):
        changed = self.copy()
        path = changed / "tokenizer.json"
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:200]
        path.write_text(json.dumps(tokenizer), encoding="utf-8")
        answer = self.verify(1, changed)
        self.assertEqual(answer["texts_with_other_tokens"], 3)
        first = answer["first_other_token"]
        self.assertEqual((first["text"], first["id"] != first["id_against"]), (0, True))
        self.assertEqual(answer["rows"], 0)

    def test_errors(self):
        self.error(2, "verify", "seedling-encoder")
        self.error(2, "verify", "seedling-encoder", "--against", "seedling-decoder", "--texts",
                   self.texts)
        self.error(3, "verify", "seedling-encoder", "--against", self.folder / "nowhere",
                   "--texts", self.texts)
        self.error(2, "verify", "seedling-encoder", "--against", "seedling-encoder", "--texts",
                   self.file("empty.txt", ""))
        self.error(2, "verify", "seedling-encoder", "--against", "seedling-encoder", "--texts",
                   self.texts, "--top-k", 0)

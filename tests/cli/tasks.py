"""The commands that answer texts."""
import array
import json
import struct
import subprocess
import time

from harness import ETTIN, MODELS, PARIS, CliTest


class FillMask(CliTest):
    def test_examples_of_the_model(self):
        examples = json.loads((MODELS / "seedling-encoder/examples.json").read_text())["fill_mask"]
        texts = self.file("in.jsonl", "".join(json.dumps({"text": e["text"]}) + "\n"
                                              for e in examples))
        answers = self.answers("fill-mask", "--input", texts)
        self.assertEqual(len(answers), len(examples))
        for answer, example in zip(answers, examples):
            self.assertEqual([list(c) for c in answer],
                             [["score", "token", "token_str", "sequence"]] * 5)
            self.assertEqual([c["token"] for c in answer], [c["token"] for c in example["top"]])
            for mine, theirs, exact in zip(answer, example["top"], example["float64_scores"]):
                self.assertAlmostEqual(mine["score"], exact, delta=1e-5)
                self.assertEqual(mine["token_str"], theirs["token_str"])
                self.assertEqual(mine["sequence"], theirs["sequence"])

    def test_top_k_and_several_masks(self):
        self.assertEqual(len(self.answers("fill-mask", "--top-k", 3, PARIS)[0]), 3)
        two = "The [MASK] of France is [MASK]."
        masks = self.answers("fill-mask", two)[0]
        self.assertEqual([len(m) for m in masks], [5, 5])
        self.assertEqual(list(masks[1][0]), ["score", "token", "token_str", "sequence"])
        first = self.answers("fill-mask", "--first-mask-only", two)[0]
        self.assertEqual(first[0]["token"], masks[0][0]["token"])

    def test_targets(self):
        answer = self.answers("fill-mask", "--targets", " London, Paris", PARIS)[0]
        self.assertEqual([c["token_str"] for c in answer], [" Paris", " London"])
        whole = {c["token"]: c["score"] for c in self.answers("fill-mask", PARIS)[0]}
        self.assertEqual({c["token"]: c["score"] for c in answer}.items() - whole.items(), set())

    def test_for_people(self):
        out = self.ok("fill-mask", PARIS)
        self.assertIn("Paris", out)
        self.assertIn("84.9 %", out)
        self.assertIn("█", out)
        self.assertIn("###", self.ok("fill-mask", PARIS, env={"LC_ALL": "C"}))

    def test_no_mask(self):
        error = self.error(2, "fill-mask", "No gap here.")
        self.assertIn("[MASK]", error["message"])
        self.assertEqual(error["code"], "invalid_argument")


class Generate(CliTest):
    def test_examples_of_the_model(self):
        examples = json.loads((MODELS / "seedling-decoder/examples.json").read_text())["generate"]
        texts = self.file("in.jsonl", "".join(json.dumps({"text": e["prompt"]}) + "\n"
                                              for e in examples))
        answers = self.answers("generate", "--max-new-tokens", 20, "--input", texts)
        self.assertEqual(len(answers), len(examples))
        for answer, example in zip(answers, examples):
            self.assertEqual([t["token"] for t in answer["tokens"]], example["new_ids"])
            self.assertEqual(answer["prompt_tokens"], len(example["prompt_ids"]))
            ended = example["continuation"].endswith("[SEP]")
            self.assertEqual(answer["finish_reason"], "eos" if ended else "length")
            self.assertEqual(answer["text"], example["continuation"].removesuffix("[SEP]"))
            for token, logprob in zip(answer["tokens"], example["logprobs"]):
                self.assertAlmostEqual(token["logprob"], logprob, delta=2e-4)

    def test_streams_plain_text(self):
        self.assertEqual(self.ok("generate", "The capital of Germany is"), " Berlin.\n")
        self.assertEqual(self.ok("generate", "--echo", "The capital of Germany is"),
                         "The capital of Germany is Berlin.\n")
        self.assertEqual(self.ok("generate", "--max-new-tokens", 0, "The capital"), "\n")

    def test_stop_and_logprobs(self):
        answer = self.answers("generate", "--stop", "instr", "--logprobs", 3,
                              "A violin is a kind of")[0]
        self.assertEqual((answer["text"], answer["finish_reason"]), (" musical ", "stop"))
        for token in answer["tokens"]:
            self.assertEqual(list(token), ["token", "token_str", "logprob", "top"])
            self.assertEqual(len(token["top"]), 3)
            self.assertEqual(token["top"][0]["token"], token["token"])
        self.assertNotIn("top", self.answers("generate", "A violin")[0]["tokens"][0])

    def test_sampling_is_a_function_of_the_seed(self):
        texts = self.file("in.txt", "In the beginning\n" * 70)
        sample = ["generate", "--temperature", 1, "--max-new-tokens", 6, "--lines", "--input", texts]
        first = self.ok(*sample, "--seed", 1)
        self.assertEqual(first, self.ok(*sample, "--seed", 1))
        self.assertNotEqual(first, self.ok(*sample, "--seed", 2))
        texts = [a["text"] for a in self.answers(*sample, "--seed", 1)]
        self.assertEqual(len(texts), 70)
        self.assertGreater(len(set(texts)), 60)    # every prompt has its own stream
        self.assertNotEqual(texts[:6], texts[64:])  # the second chunk too
        alone = self.ok("generate", "--temperature", 1, "--max-new-tokens", 6, "--seed", 1,
                        "In the beginning")
        self.assertEqual(alone, texts[0] + "\n")

    def test_sampling_does_not_depend_on_the_writer(self):
        # A slow writer's prompts are answered in other chunks than a file's.
        lines = [b"In the beginning\n"] * 70
        args = [ETTIN, "generate", "--temperature", "1", "--seed", "5", "--max-new-tokens", "6",
                "--lines", "--json", "-"]
        whole = subprocess.run(args, input=b"".join(lines), capture_output=True, check=True).stdout
        with subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            for line in lines[:3]:
                child.stdin.write(line)
                child.stdin.flush()
                time.sleep(0.1)
            pieces, _ = child.communicate(b"".join(lines[3:]))
        self.assertEqual(pieces, whole)

    def test_options_are_checked(self):
        for option, value in (("--temperature", -1), ("--top-p", 0), ("--min-p", 2),
                              ("--repetition-penalty", 0), ("--max-new-tokens", -1)):
            error = self.error(2, "generate", option, value, "a")
            self.assertNotIn("the text", error["message"])


class Embed(CliTest):
    def test_json(self):
        plain, = self.answers("embed", "a violin")
        self.assertEqual(list(plain), ["embedding", "num_tokens"])
        self.assertEqual(len(plain["embedding"]), 256)
        unit, = self.answers("embed", "--normalize", "a violin")
        self.assertAlmostEqual(sum(x * x for x in unit["embedding"]), 1, places=5)
        seen = {tuple(self.answers("embed", "--pooling", p, "a violin")[0]["embedding"])
                for p in ("mean", "cls", "last", "weighted_mean")}
        self.assertEqual(len(seen), 4)
        self.assertIn(tuple(plain["embedding"]), seen)

    def test_npy(self):
        out = self.folder / "v.npy"
        texts = [f"text number {i}" for i in range(300)]
        source = self.file("in.txt", "\n".join(texts) + "\n")
        self.assertEqual(self.ok("embed", "--lines", "--input", source, "--output", out), "")
        data = out.read_bytes()
        self.assertEqual(data[:8], b"\x93NUMPY\x01\x00")
        length, = struct.unpack("<H", data[8:10])
        self.assertEqual((10 + length) % 64, 0)
        header = data[10:10 + length].decode()
        self.assertTrue(header.endswith("\n"))
        shape = eval(header, {})  # a Python literal, by the format's definition
        self.assertEqual(shape, {"descr": "<f4", "fortran_order": False, "shape": (300, 256)})
        values = array.array("f", data[10 + length:])
        self.assertEqual(len(values), 300 * 256)
        done, = self.answers("embed", "a", "--output", self.folder / "one.npy")
        self.assertEqual((done["rows"], done["dimensions"]), (1, 256))
        (self.folder / "one.npy").unlink()
        last, = self.answers("embed", texts[299])
        self.assertEqual(list(values[299 * 256:]), list(array.array("f", last["embedding"])))
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["in.txt", "v.npy"])

    def test_a_failure_leaves_no_file(self):
        source = self.file("in.txt", "fine\n" + "word " * 400 + "\n")
        self.fails(1, "embed", "--lines", "--input", source, "--output", self.folder / "v.npy")
        self.assertEqual([p.name for p in self.folder.iterdir()], ["in.txt"])
        error = self.error(3, "embed", "a", "--output", self.folder / "no/v.npy")
        self.assertEqual(error["code"], "not_found")

    def test_prompts(self):
        error = self.error(2, "embed", "--prompt-name", "query", "a violin")
        self.assertIn("query", error["message"])

    def test_for_people(self):
        out = self.ok("embed", "a violin", "a violin")
        self.assertIn("256 numbers", out)
        self.assertIn("1.000", out)


class Score(CliTest):
    KEYS = ["total", "perplexity", "bits_per_byte", "method", "tokens"]

    def test_both_kinds(self):
        text = "The capital of France is Paris."
        for model, method in (("seedling-decoder", "causal"), ("seedling-encoder", "pseudo")):
            answer, = self.answers("score", "--model", model, text)
            self.assertEqual(list(answer), self.KEYS)
            self.assertEqual(answer["method"], method)
            self.assertEqual(list(answer["tokens"][0]), ["token", "token_str", "logprob", "bytes"])
            self.assertEqual("".join(t["token_str"] for t in answer["tokens"]), text)
            self.assertEqual(answer["tokens"][-1]["bytes"], [30, 31])
            self.assertAlmostEqual(answer["total"], sum(t["logprob"] for t in answer["tokens"]))
        self.assertEqual(self.answers("score", text)[0]["method"], "causal")

    def test_agrees_with_generate(self):
        tokens = self.answers("generate", "The capital of Germany is")[0]["tokens"]
        scored = self.answers("score", "The capital of Germany is Berlin.")[0]["tokens"]
        for a, b in zip(tokens, scored[-2:]):
            self.assertEqual(a["token"], b["token"])
            self.assertAlmostEqual(a["logprob"], b["logprob"], places=5)


class Tokens(CliTest):
    def test_tokenize(self):
        answer, = self.answers("tokenize", PARIS)
        self.assertEqual(list(answer), ["ids", "tokens", "offsets"])
        self.assertEqual(answer["ids"], [8188, 310, 450, 267, 2853, 269, 8191, 13, 8189])
        self.assertEqual(answer["tokens"][:3], ["[CLS]", "The", "Ġcapital"])
        self.assertEqual(answer["offsets"][2], [3, 11])
        bare, = self.answers("tokenize", "--no-special-tokens", PARIS)
        self.assertEqual(bare["ids"], answer["ids"][1:-1])
        decoder, = self.answers("tokenize", "--model", "seedling-decoder", "The")
        self.assertEqual(decoder["ids"], [8188, 310])
        pair, = self.answers("tokenize", "--pair", "The", "The")
        self.assertEqual(pair["ids"], [8188, 310, 8189, 310, 8189])
        long, = self.answers("tokenize", "word " * 400)
        self.assertGreater(len(long["ids"]), 256)

    def test_detokenize(self):
        self.assertEqual(self.ok("detokenize", 8188, 310, 450), "[CLS]The capital\n")
        self.assertEqual(self.ok("detokenize", "--skip-special-tokens", "8188, 310,450"),
                         "The capital\n")
        text = "Füße, 日本 and  two\ttabs 🎻"
        tokens = self.ok("tokenize", "--json", text)
        back = self.answers("detokenize", "--skip-special-tokens", "-", stdin=tokens)
        self.assertEqual(back, [{"text": text}])
        lines = self.ok("detokenize", "--lines", "-", stdin="310\n450 267\n")
        self.assertEqual(lines, "The\n capital of\n")
        self.assertIn("\"x\"", self.error(2, "detokenize", "x")["message"])
        self.assertIn("999999", self.error(2, "detokenize", 999999)["message"])
        self.error(2, "detokenize", "-", stdin="{\"ids\": [1.5]}\n")
        self.error(2, "detokenize")

"""What all commands share: input, models, usage, streams; and the demo."""
import json
import os
import pty
import re
import signal
import subprocess
import unittest

from harness import (ETTIN, MODELS, PARIS, CliTest, clean_environment, json_lines, on_fixture,
                     run)


class Input(CliTest):
    def test_ids_and_order(self):
        records = [{"text": f"{word} is [MASK].", "id": i if i % 2 else f"n{i}"}
                   for i, word in enumerate(["Snow", "Coal", "Gold"] * 120)]
        source = self.file("in.jsonl", "".join(json.dumps(r) + "\n" for r in records))
        answers = self.answers("fill-mask", "--top-k", 1, "--input", source)
        self.assertEqual([a["id"] for a in answers], [r["id"] for r in records])
        self.assertEqual([a["result"][0]["sequence"].split()[0] for a in answers],
                         [r["text"].split()[0] for r in records])
        scores = self.answers("score", "--input", source)
        self.assertEqual(list(scores[0])[0], "id")

    def test_standard_input(self):
        by_line = self.answers("fill-mask", "-", "--lines", stdin=f"{PARIS}\nSnow is [MASK].\n")
        by_json = self.answers("fill-mask", "--input", "-",
                               stdin=json.dumps({"text": PARIS}) + "\n\n" +
                               json.dumps({"text": "Snow is [MASK]."}))
        self.assertEqual(by_line, by_json)
        self.assertEqual(by_line, self.answers("fill-mask", PARIS, "Snow is [MASK]."))

    def test_answers_come_while_the_writer_waits(self):
        child = subprocess.Popen([ETTIN, "fill-mask", "--json", "--lines", "-"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 env=clean_environment())
        with child:
            for _ in range(2):
                child.stdin.write(PARIS.encode() + b"\n")
                child.stdin.flush()
                self.assertEqual(json.loads(child.stdout.readline())[0]["token_str"], " Paris")
            child.stdin.close()
            self.assertEqual(child.wait(), 0)

    def test_pairs(self):
        given, = self.answers("fill-mask", "--pair", "It is Paris.", PARIS)
        field, = self.answers("fill-mask", "-", stdin=json.dumps(
            {"text": PARIS, "pair": "It is Paris."}))
        self.assertEqual(given, field)
        self.assertNotEqual(given, self.answers("fill-mask", PARIS)[0])

    def test_bad_records(self):
        code, out, err = run("tokenize", "--json", "-", stdin='{"text": "a"}\nplain\n')
        self.assertEqual(code, 2)
        self.assertEqual(len(out.splitlines()), 1)  # what stands before is answered
        document = json.loads(err)["error"]
        self.assertIn("standard input line 2", document["message"])
        self.assertIn("--lines", document["hint"])
        self.error(2, "tokenize", "-", stdin='{"text": 3}\n')
        self.error(2, "tokenize")
        self.error(2, "tokenize", "a", "--input", self.file("in.jsonl", ""))
        self.error(3, "tokenize", "--input", self.folder / "absent")
        self.assertEqual(self.ok("tokenize", "--input", self.file("empty", "")), "")

    def test_over_long(self):
        long = "word " * 400
        code, out, err = run("embed", "--json", "short", long)
        self.assertEqual((code, len(out.splitlines())), (1, 1))
        error = json.loads(err)["error"]
        self.assertEqual(error["code"], "too_long")
        self.assertIn("text 2", error["message"])
        self.assertIn("256", error["message"])
        self.assertIn("--truncate", error["hint"])
        code, out, err = run("embed", "--json", "--truncate", "short", long)
        self.assertEqual(code, 0)
        self.assertEqual(err, "notice: text 2 was cut to 256 tokens\n")
        short, cut = json_lines(out)
        self.assertNotIn("truncated", short)
        self.assertEqual((cut["truncated"], cut["num_tokens"]), (True, 256))
        code, _, err = run("generate", "--truncate", "--max-new-tokens", 3, long)
        self.assertEqual((code, "was cut" in err), (0, True))

    def test_what_stands_before_a_bad_text_is_answered(self):
        source = self.file("in.txt", f"{PARIS}\nno gap\n{PARIS}\n")
        code, out, err = run("fill-mask", "--json", "--lines", "--input", source)
        self.assertEqual(code, 2)
        self.assertEqual(json_lines(out), self.answers("fill-mask", PARIS))
        self.assertIn("in.txt line 2", json.loads(err)["error"]["message"])


class Models(CliTest):
    def test_wrong_kind_names_the_right_command(self):
        error = self.error(1, "fill-mask", "--model", "seedling-decoder", PARIS)
        self.assertEqual(error["code"], "unsupported")
        self.assertIn("generate", error["hint"])
        error = self.error(1, "generate", "--model", "seedling-encoder", "a")
        self.assertIn("fill-mask", error["hint"])
        self.assertNotIn("the text", error["message"])

    def test_where_models_are_found(self):
        self.assertEqual(self.error(3, "embed", "--model", "absent", "a")["code"], "not_found")
        self.assertEqual(self.error(3, "embed", "--model", "/absent/x", "a")["code"], "not_found")
        self.ok("embed", "a", cwd="/")
        (self.folder / "mine").symlink_to(MODELS / "seedling-encoder")
        self.ok("embed", "--model", "mine", "a", env={"ETTIN_MODELS": str(self.folder)})
        self.error(3, "embed", "a", env={"ETTIN_MODELS": str(self.folder)})

    def test_damaged_model(self):
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json",
                     "special_tokens_map.json"):
            (self.folder / name).write_bytes((MODELS / "seedling-encoder" / name).read_bytes())
        weights = (MODELS / "seedling-encoder/model.safetensors").read_bytes()
        (self.folder / "model.safetensors").write_bytes(weights[:-1000])
        self.assertEqual(self.error(5, "embed", "--model", self.folder, "a")["code"], "bad_data")
        (self.folder / "config.json").write_text("{")
        self.assertEqual(self.error(5, "inspect", self.folder)["code"], "bad_data")

    def test_threads_change_no_byte(self):
        texts = self.file("in.txt", "".join(f"Number {i} is the [MASK] of {'many ' * (i % 5)}.\n"
                                            for i in range(10)))
        for command in ("fill-mask", "embed", "score", "generate"):
            args = [command, "--json", "--lines", "--input", texts]
            if command == "generate":
                args += ["--max-new-tokens", "8", "--temperature", "0.9"]
            one = self.ok(*args, "--threads", 1)
            self.assertEqual(one, self.ok(*args, "--threads", 2), command)
            self.assertEqual(one, self.ok(*args, env={"ETTIN_THREADS": "3"}), command)

    def test_backends_agree(self):
        cpu = self.answers("fill-mask", PARIS)[0]
        for options in (["--backend", "ref"], ["--backend", "ref", "--dtype", "fp64"]):
            ref = self.answers("fill-mask", *options, PARIS)[0]
            self.assertEqual([c["token"] for c in cpu], [c["token"] for c in ref])
            self.assertAlmostEqual(cpu[0]["score"], ref[0]["score"], places=5)
        self.error(2, "fill-mask", "--backend", "gpu", PARIS)
        self.fails(1, "fill-mask", "--dtype", "bf99", PARIS)


class Usage(CliTest):
    COMMANDS = {
        "fill-mask": ["--top-k", "--targets", "--first-mask-only", "--pair", "--truncate"],
        "generate": ["--max-new-tokens", "--temperature", "--top-k", "--top-p", "--min-p",
                     "--repetition-penalty", "--seed", "--stop", "--logprobs", "--echo",
                     "--ignore-eos", "--truncate"],
        "embed": ["--pooling", "--normalize", "--no-normalize", "--prompt-name", "--output",
                  "--truncate"],
        "score": ["--pair", "--truncate"],
        "classify": ["--top-k", "--function", "--pair", "--truncate"],
        "token-classify": ["--aggregation", "--ignore-label", "--truncate"],
        "tokenize": ["--no-special-tokens", "--pair"],
        "detokenize": ["--skip-special-tokens", "--input", "--lines"],
        "inspect": [],
        "quantize": ["--dtype", "--report", "--report-only", "--force", "--allow-extra-tensors",
                     "--json", "--threads", "--backend", "--exact-activations"],
        "forward": ["--output", "--input", "--no-logits"],
        "bench": ["--cases", "--size", "--decoder", "--head", "--budget",
                  "--no-peak", "--peaks"],
    }
    MODEL = ["--model", "--threads", "--dtype", "--backend", "--json", "--causal-window-keys",
             "--local-rope-theta", "--decoder-template", "--allow-extra-tensors"]
    TEXT_COMMANDS = ("fill-mask", "generate", "embed", "score", "classify", "token-classify",
                     "tokenize")

    def test_help_names_every_flag(self):
        for command, flags in self.COMMANDS.items():
            if command != "quantize":  # reads its model from its arguments
                flags = flags + self.MODEL
            if command in self.TEXT_COMMANDS:
                flags = flags + ["--input", "--lines"]
            out = self.ok(command, "--help")
            for flag in flags:
                self.assertRegex(out, rf"(?m)^  {flag}( |$)", command)
            self.assertIn("\nexamples\n", out)
            self.assertEqual(out, self.ok("help", command))
            self.assertLessEqual(max(map(len, out.split("\nexamples")[0].splitlines())), 80)

    def test_help_lists_the_commands(self):
        out = self.ok("--help")
        names = self.ok("help", "--names").splitlines()
        self.assertLessEqual(set(self.COMMANDS), set(names))
        for name in names:
            self.assertRegex(out, rf"(?m)^  {name} ")
        for code in ("0", "1", "2", "3", "5", "130, 141"):
            self.assertRegex(out, rf"(?m)^  {code} ")

    def test_commands_of_two_words(self):
        group = self.ok("data", "--help")
        self.assertEqual(group, self.ok("help", "data"))
        self.assertIn("data build", group)
        self.assertNotIn("fill-mask", group)
        self.assertEqual(self.ok("data", "build", "--help"), self.ok("help", "data", "build"))
        self.assertIn("did you mean data build?", self.fails(2, "data", "biuld"))
        self.assertIn("did you mean data?", self.fails(2, "dta", "build"))
        self.assertIn("data --help", self.fails(2, "data"))
        self.assertIn("data --help", self.fails(2, "data", "--json"))
        self.assertIn("data --help", self.fails(2, "help", "data", "zebra"))
        self.assertIn("unknown command", self.fails(2, "data build"))
        self.assertIn("help generate", self.fails(2, "help", "generate", "build"))

    def test_mistakes_are_understood(self):
        for word, meant in (("fillmask", "fill-mask"), ("genrate", "generate"),
                            ("tokenise", "tokenize")):
            self.assertIn(f"did you mean {meant}?", self.fails(2, word, "x"))
            self.assertEqual(self.error(2, word, "x")["hint"], f"did you mean {meant}?")
        self.assertIn("unknown command", self.fails(2, "banana"))
        self.assertIn("did you mean --top-k?", self.fails(2, "fill-mask", "--topk", 3, PARIS))
        self.assertIn("did you mean mean?", self.fails(2, "embed", "--pooling", "maen", "x"))
        self.assertIn("--top-k needs a value", self.fails(2, "fill-mask", PARIS, "--top-k"))
        self.assertIn("whole number", self.fails(2, "fill-mask", PARIS, "--top-k", "many"))
        self.assertIn("generate --threads", self.fails(2, "--threads", 2, "generate", "x"))
        self.assertIn("unexpected argument", self.fails(2, "inspect", "a", "b"))

    def test_messages_cannot_steer_the_terminal(self):
        """Names of files and what servers say are quoted in messages."""
        err = self.fails(3, "inspect", "no/such\x1b[31m/folder\x9b")
        self.assertIn("\\x1b[31m", err)
        self.assertFalse(set(err) & {"\x1b", "\x9b"}, ascii(err))

    def test_texts_that_look_like_options(self):
        tokens = json_lines(self.ok("tokenize", "--no-special-tokens", "--json", "--",
                                    "-5 degrees"))
        self.assertEqual(tokens, self.answers("tokenize", "--no-special-tokens", "--lines", "-",
                                              stdin="-5 degrees\n"))

    def test_environment(self):
        out = self.ok("fill-mask", PARIS, env={"ETTIN_TOP_K": "2", "ETTIN_JSON": "1"})
        self.assertEqual(len(json.loads(out)), 2)
        line, = self.answers("bench", "--cases", "1x8", "--budget", 0, env={"ETTIN_THREADS": "1"})
        self.assertEqual(line["threads"], 1)
        line, = self.answers("bench", "--cases", "1x8", "--budget", 0, "--threads", 2,
                             env={"ETTIN_THREADS": "1"})
        self.assertEqual(line["threads"], 2)
        self.assertIn("ETTIN_TOP_K", self.fails(2, "fill-mask", PARIS, env={"ETTIN_TOP_K": "x"}))
        error = json.loads(self.fails(2, "fill-mask", "no gap", env={"ETTIN_JSON": "1"}))
        self.assertIn("error", error)

    def test_colours(self):
        escape = "\x1b["
        self.assertNotIn(escape, self.ok("fill-mask", PARIS))
        self.assertIn(escape, self.ok("fill-mask", PARIS, env={"CLICOLOR_FORCE": "1"}))
        self.assertNotIn(escape, self.ok("fill-mask", PARIS,
                                         env={"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}))
        self.assertNotIn(escape, self.ok("fill-mask", "--json", PARIS, env={"CLICOLOR_FORCE": "1"}))

    def test_version(self):
        self.assertRegex(self.ok("--version"), r"^ettin \d+\.\d+\.\d+\n")
        version, = self.answers("version")
        self.assertEqual(list(version), ["version", "instruction_sets", "compiler"])


class Streams(CliTest):
    def test_a_reader_that_goes_away(self):
        texts = self.file("in.txt", "a b c d e f g\n" * 3000)
        with subprocess.Popen([ETTIN, "tokenize", "--json", "--lines", "--input", texts],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=clean_environment()) as child:
            child.stdout.readline()
            child.stdout.close()
            error = child.stderr.read()
            code = child.wait(60)
        self.assertIn(code, (-signal.SIGPIPE, 141))
        self.assertEqual(error, b"")

    def test_output_that_cannot_be_written(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "w") as full:
            done = subprocess.run([ETTIN, "tokenize", "a"], stdout=full, stderr=subprocess.PIPE,
                                  env=clean_environment(), timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot write to standard output", done.stderr)

    def test_interrupt(self):
        with subprocess.Popen([ETTIN, "tokenize", "--lines", "-"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, env=clean_environment()) as child:
            child.stdin.write(b"a\n")
            child.stdin.flush()
            child.stdout.readline()
            child.send_signal(signal.SIGINT)
            self.assertEqual(child.wait(60), -signal.SIGINT)  # 130 in a shell


class Terminal(CliTest):
    """What only a terminal gets to see."""

    @staticmethod
    def on_terminal(streams, *args, interrupt_at=None):
        """Code and bytes of a run whose `streams` ("stdout", "stderr") are a terminal; interrupted
        when the bytes match `interrupt_at`."""
        try:
            ours, theirs = pty.openpty()
        except OSError as error:  # a container without /dev/pts
            raise unittest.SkipTest(f"no pseudo-terminal: {error}") from error
        others = {name: subprocess.DEVNULL for name in ("stdout", "stderr")}
        with subprocess.Popen([ETTIN, *map(str, args)], stdin=subprocess.DEVNULL,
                              **{**others, **{name: theirs for name in streams}},
                              env=clean_environment(TERM="xterm")) as child:
            os.close(theirs)
            seen = b""
            while True:
                try:
                    piece = os.read(ours, 4096)
                except OSError:  # the terminal is gone
                    break
                if not piece:
                    break
                seen += piece
                if interrupt_at and re.search(interrupt_at, seen):
                    child.send_signal(signal.SIGINT)
                    interrupt_at = None
            os.close(ours)
            return child.wait(60), seen.decode("utf-8")

    def test_progress(self):
        # Far more than can be done before the first line about it, on any machine.
        texts = self.file("in.txt", "a few words of a text\n" * 200000)
        shown = r"\r\x1b\[K.* \d+ %  [\d,]+ texts"
        code, seen = self.on_terminal(["stderr"], "embed", "--json", "--lines", "--input", texts,
                                      interrupt_at=shown.encode())
        self.assertEqual(code, -signal.SIGINT)
        self.assertRegex(seen, shown)
        self.assertTrue(seen.endswith("\r\x1b[K"))  # and wiped

    def test_generate_shows_the_prompt(self):
        code, seen = self.on_terminal(["stdout"], *on_fixture(
            ["generate", "The capital of Germany is"]))
        self.assertEqual((code, seen), (0, "\x1b[2mThe capital of Germany is\x1b[0m Berlin.\r\n"))

    def test_errors_have_colour(self):
        code, seen = self.on_terminal(["stderr"], "banana")
        self.assertEqual(code, 2)
        self.assertTrue(seen.startswith("\x1b[31merror:\x1b[0m unknown command"), seen)


class Demo(CliTest):
    def check_screen(self, out):
        lines = out.splitlines()
        self.assertLessEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 80)

    def test_default(self):
        out = self.ok()
        self.check_screen(out)
        for words in (PARIS, "The capital of France is Paris.", " 97.6 %", " 99.7 %",
                      "6.1 million parameters", "7 layers", "hidden 256", "context 1,024", "load", "run", "generate"):
            self.assertIn(words, out)
        self.assertEqual(self.answers("demo")[0]["encoder"][0]["token_str"], " Paris")
        self.check_screen(self.ok(env={"LC_ALL": "C"}))

    def test_texts(self):
        for words in (["To", "open", "a", "file"], ["The sky is blue."],
                      ["[MASK] is a [MASK]."], ["word " * 100], [""], ["日本" * 40], ["\x1b[2J[MASK]"]):
            code, out, err = run("demo", "--", *words)
            self.assertEqual(code, 0, err)
            self.check_screen(out)
            self.assertNotIn("\x1b", out)
        answer, = self.answers("demo", "The sky is blue.")
        self.assertEqual((answer["text"], answer["mask_added"]), ("The sky is blue [MASK].", True))
        self.error(1, "demo", "word " * 1100)

    def test_sentences_of_the_readme(self):
        for text, encoder, decoder in (
                (PARIS, " Paris", " Paris"),
                ("A violin is a musical [MASK].", " instrument", " instrument"),
                ("Italy is a country in [MASK].", " Europe", " Europe")):
            answer, = self.answers("demo", text)
            self.assertEqual(answer["encoder"][0]["token_str"], encoder)
            self.assertEqual(answer["decoder"]["first_token"][0]["token_str"], decoder)

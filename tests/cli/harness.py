"""What the tests of the program share. CLI_TEST_PROGRAM is the program's path."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

ETTIN = os.environ["CLI_TEST_PROGRAM"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "models"
PARIS = "The capital of France is [MASK]."
# The pair whose answers an independent program gave (examples.json) stands in for the embedded one,
# which is trained anew from time to time.
FIXTURES = {**dict.fromkeys(("fill-mask", "embed", "tokenize", "detokenize", "forward"),
                            "seedling-encoder"),
            **dict.fromkeys(("generate", "score"), "seedling-decoder")}


def clean_environment(**more):
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("ETTIN_") and k not in ("NO_COLOR", "CLICOLOR_FORCE", "TERM")}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


def on_fixture(args):
    """The command's arguments; with the fixture's model where they name none."""
    args = [*map(str, args)]
    if args and args[0] in FIXTURES and not {"--model", "--help"} & set(args):
        args[1:1] = ["--model", FIXTURES[args[0]]]
    return args


def run(*args, stdin="", env=None, cwd=None):
    args = on_fixture(args)
    done = subprocess.run([ETTIN, *args], input=stdin.encode(), capture_output=True,
                          env=clean_environment(**(env or {})), cwd=cwd, timeout=300)
    return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8")


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


class CliTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def ok(self, *args, **kwargs):
        code, out, err = run(*args, **kwargs)
        self.assertEqual(code, 0, f"{args}: {err}")
        return out

    def answers(self, *args, **kwargs):
        return json_lines(self.ok(*args, "--json", **kwargs))

    def fails(self, expected, *args, **kwargs):
        """Standard error of a run that ends with `expected`; nothing on standard output."""
        code, out, err = run(*args, **kwargs)
        self.assertEqual(code, expected, f"{args}: {out}{err}")
        self.assertEqual(out, "")
        self.assertNotEqual(err, "")
        return err

    def error(self, expected, *args, **kwargs):
        document = json.loads(self.fails(expected, *args, "--json", **kwargs))
        self.assertEqual(list(document), ["error"])
        self.assertEqual(list(document["error"]), ["code", "message", "hint"])
        return document["error"]

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

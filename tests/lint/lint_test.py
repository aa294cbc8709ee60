#!/usr/bin/env python3
"""The rules of the house: layers, file sizes, formatting. usage: lint_test.py ROOT"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
CHECK = pathlib.Path(__file__).with_name("check_layers.py")
MOST_LINES = 500
SMALL = {"src/model/arm.h": 60, "src/model/backbone.cc": 200, "src/backend/backend.h": 200}


def sources():
    return [p for folder in ("include", "src", "apps", "examples", "tests")
            for p in sorted((ROOT / folder).rglob("*")) if p.suffix in (".h", ".cc")]


def check_layers(root):
    done = subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True)
    return done.returncode, done.stdout


class Layers(unittest.TestCase):
    def test_repository(self):
        code, text = check_layers(ROOT)
        self.assertEqual(code, 0, text)

    def test_each_violation_is_seen(self):
        planted = {
            "src/base/a.h": '#include "tensor/view.h"',
            "src/text/a.cc": '#include "tensor/view.h"',
            "src/formats/a.cc": '#include "backend/backend.h"',
            "src/backend/a.cc": '#include "model/arm.h"',
            "src/backend/b.cc": "if (d == Direction::causal) {}",
            "src/model/a.cc": '#include "text/tokenizer.h"',
            "src/model/b.cc": '#include "ettin/ettin.h"',
            "src/infer/a.cc": "#include <nlohmann/json.hpp>",
            "src/model/c.h": "class EncoderLayer {",
            "src/backend/ref/a.cc": "#include <immintrin.h>",
            "include/ettin/a.h": '#include "base/json.h"',
        }
        for name, line in planted.items():
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / name
                path.parent.mkdir(parents=True)
                path.write_text(line + "\n")
                code, text = check_layers(folder)
                self.assertEqual(code, 1, f"{name}: {line} was not seen")
                self.assertIn(f"{name}:1:", text)


class Sizes(unittest.TestCase):
    def test_files_stay_small(self):
        long = []
        for path in sources():
            lines = path.read_text(encoding="utf-8").count("\n")
            name = path.relative_to(ROOT).as_posix()
            if lines > SMALL.get(name, MOST_LINES):
                long.append(f"{name}: {lines} lines")
        self.assertEqual(long, [])


class Format(unittest.TestCase):
    def test_line_length(self):
        wide = [f"{p.relative_to(ROOT)}:{n}" for p in sources()
                for n, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1)
                if len(line) > 100]
        self.assertEqual(wide, [])

    @unittest.skipUnless(shutil.which("clang-format-14"), "clang-format-14 is not installed")
    def test_clang_format(self):
        done = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *sources()],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""The program from outside, on the embedded models. Standard library only.
usage: cli_test.py ETTIN [unittest options, or names: tasks.Embed program.Input.test_pairs]
"""
import os
import pathlib
import sys
import unittest

os.environ["CLI_TEST_PROGRAM"] = str(pathlib.Path(sys.argv.pop(1)).resolve())
sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.dont_write_bytecode = True

import checkpoints  # noqa: E402  the program's path must be known before
import compare  # noqa: E402
import convert  # noqa: E402
import data  # noqa: E402
import data_runs  # noqa: E402
import onnx_files  # noqa: E402
import plot  # noqa: E402
import program  # noqa: E402
import quantize  # noqa: E402
import tasks  # noqa: E402
import tokenizer_train  # noqa: E402
import tools  # noqa: E402

MODULES = (tasks, tools, quantize, convert, data, data_runs, onnx_files, compare, checkpoints, plot,
           tokenizer_train, program)


def load_tests(loader, *_):
    return unittest.TestSuite(loader.loadTestsFromModule(m) for m in MODULES)


if __name__ == "__main__":
    unittest.main()

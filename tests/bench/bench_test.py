#!/usr/bin/env python3
"""How bench/ chooses, schedules and judges rows, on lines made here. Nothing is timed."""
import importlib.machinery
import importlib.util
import json
import pathlib
import sys
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
sys.dont_write_bytecode = True

import judge  # noqa: E402
import rows  # noqa: E402


def script(name):
    """A program of bench/ without its main()."""
    loader = importlib.machinery.SourceFileLoader(f"bench_{name}", str(BENCH / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def row(kind="ratio", **more):
    return {"name": "r", "group": "g", "kind": kind, "model": "encoder-32m", "case": "1x128",
            "dtype": "fp32", "threads": [2], "peers": [], "bar": 2, **more}


class Lines:
    """A file of measurements."""

    def __init__(self):
        self.lines = [{"kind": "run", "date": "2026-01-02", "rounds": 2, "rows": []}]

    def ours(self, turn, ms, threads=2, head=0, median=None, dtype="fp32", **more):
        step = rows.Ours("encoder-32m", "1x128", dtype, threads, head)
        return self.add(step, turn, ms, median, {"engine": "ettin", **more})

    def peer(self, name, turn, ms, median=None, threads=2):
        step = rows.Peer(*name.split(" "), "encoder-32m", "1x128", threads)
        return self.add(step, turn, ms, median, {"engine": step.engine, "variant": step.variant})

    def add(self, step, turn, ms, median, line):
        times = {"skipped": "no room", "variant": "x"} if ms is None else {
            "min_ms": ms, "median_ms": median or ms * 2}
        self.lines.append({**times, **line, "step": step._asdict(), "round": turn})
        return self

    def judge(self, wanted):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write("".join(json.dumps(line) + "\n" for line in self.lines))
            file.flush()
            self.results = judge.Results([file.name])
            return self.results.judge(wanted)


class Rows(unittest.TestCase):
    def test_page_is_well_formed(self):
        page = rows.read_rows()
        for each in page:
            for threads in each["threads"]:
                self.assertTrue(rows.ours_of(each, threads))
            for name in each["peers"]:
                engine, variant = name.split(" ")
                self.assertIn(engine, ("ort", "llama.cpp"))
                self.assertIn(variant, rows.SAME_FORMAT)
        self.assertEqual(len(page), len({each["name"] for each in page}))
        # Compared like with like, but for the rows that say otherwise.
        mixed = [each["name"] for each in page for name in each["peers"]
                 if rows.SAME_FORMAT[name.split(" ")[1]] != each["dtype"]]
        self.assertEqual(set(mixed), {"ragged32-q8-llama", "bf16-1x128-any"})

    def test_choice(self):
        page = rows.read_rows()
        self.assertEqual([r["name"] for r in rows.choose(page, ["embed-1x128", "fill-mask-1x128"])],
                         ["fill-mask-1x128", "embed-1x128"])
        self.assertEqual(len(rows.choose(page, ["tokenize*"])), 2)
        with self.assertRaisesRegex(ValueError, "no row"):
            rows.choose(page, ["fill"])

    def test_peers_meet_the_run_with_their_own_head(self):
        self.assertEqual(rows.matching_head("ort", "fp32", "1x8"), 1)
        self.assertEqual(rows.matching_head("ort", "fp32-nohead", "1x8"), 0)
        self.assertEqual(rows.matching_head("llama.cpp", "q8_0", "1x8"), 0)
        self.assertIsNone(rows.matching_head("llama.cpp", "q8_0", "decode16"))

    def test_equal_measurements_are_made_once_and_in_turns(self):
        a = row(peers=["ort fp32"], head=1)
        b = row(name="b", peers=["ort fp32", "llama.cpp f32"])
        group, = rows.schedule([a, b])
        self.assertEqual(len(group), len(set(group)))
        self.assertEqual([rows.describe(step) for step in group],
                         ["ettin fp32, head 1, 2 threads", "ort fp32, 2 threads",
                          "ettin fp32, head 0, 2 threads", "llama.cpp f32, 2 threads"])


class Judging(unittest.TestCase):
    def test_a_later_file_replaces_its_own_rows_only(self):
        """Rows r and s share ettin's time; the later file measured s alone."""
        wanted = {name: row(name=name, peers=["ort fp32-nohead"]) for name in "rs"}
        first = Lines().ours(1, 10).peer("ort fp32-nohead", 1, 30)
        later = Lines().ours(1, 5).peer("ort fp32-nohead", 1, 20)
        first.lines[0]["rows"] = list(wanted.values())
        later.lines[0]["rows"] = [wanted["s"]]
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder) / name for name in ("first", "later")]
            for path, lines in zip(paths, (first, later)):
                path.write_text("".join(json.dumps(line) + "\n" for line in lines.lines))
            files = judge.Files(paths)
        self.assertEqual(files.judge(wanted["r"]).best, 3)
        self.assertEqual(files.judge(wanted["s"]).best, 4)

    def test_ratio(self):
        lines = Lines()
        lines.ours(1, 10, median=12).peer("ort fp32-nohead", 1, 30, median=36)
        lines.ours(2, 8, median=14).peer("ort fp32-nohead", 2, 20, median=24)
        v = lines.judge(row(peers=["ort fp32-nohead"]))
        self.assertEqual((v.best, v.median), (20 / 8, 30 / 13))
        self.assertEqual((v.low, v.high, v.word()), (2.5, 3.0, "passes"))

    def test_best_and_median_must_both_pass(self):
        lines = Lines().ours(1, 10, median=30).peer("ort fp32-nohead", 1, 21, median=40)
        self.assertEqual(lines.judge(row(peers=["ort fp32-nohead"])).word(), "best only")
        self.assertEqual(lines.judge(row(peers=["ort fp32-nohead"], bar=3)).word(), "falls short")

    def test_several_peers_count_by_the_closest(self):
        lines = Lines().ours(1, 10, head=0).ours(1, 20, head=1)
        lines.peer("ort fp32", 1, 50).peer("llama.cpp f32", 1, 40)
        v = lines.judge(row(peers=["ort fp32", "llama.cpp f32"]))
        self.assertEqual((v.best, v.against), (2.5, "ort fp32"))   # 50 / 20, not 50 / 10

    def test_floor_is_the_worse_head_and_the_highest_peak(self):
        lines = Lines()
        for turn, floor in ((1, 9), (2, 8)):   # round 1 had a disturbed probe
            lines.ours(turn, 10, head=0, floor_ms=floor, of_floor=floor / 10, floor_by="memory")
            lines.ours(turn, 16, head=1, floor_ms=floor, of_floor=floor / 16, floor_by="memory")
        self.assertEqual(lines.judge(row("floor", bar=0.8)).best, 0.5)
        self.assertEqual(lines.judge(row("floor", bar=0.8, head=0)).best, 0.8)

    def scaling(self, before, after=None, times=(15, 10)):
        peaks = {"peak_before": {"fp32": before}, "peak_after": {"fp32": after or {}}}
        lines = Lines().ours(1, times[0], threads=1).ours(1, times[1], threads=2, **peaks)
        return lines.judge(row("scaling", threads=[1, 2], head=0, bar=1.8))

    def test_scaling_is_held_against_the_probe(self):
        v = self.scaling({"1": 100, "2": 165})
        self.assertEqual((v.best, v.word()), (1.5, "passes"))
        self.assertEqual(self.scaling({"1": 100, "2": 165}, {"2": 200}).word(), "falls short")

    def test_scaling_is_void_without_two_cores(self):
        """Two threads slower than one must never pass because the probe was slow as well."""
        v = self.scaling({"1": 100, "2": 89}, times=(8, 10))
        self.assertEqual((v.best, v.word()), (0.8, "void"))
        self.assertIn("0.89 cores", v.remark)

    def test_another_format_is_void(self):
        lines = Lines().ours(1, 10, head=0, dtype="q8", weight_format="fp32")
        lines.peer("llama.cpp q8_0", 1, 90)
        v = lines.judge(row(dtype="q8", peers=["llama.cpp q8_0"]))
        self.assertEqual((v.word(), v.remark), ("void", "computed in fp32, not in q8"))
        lines = Lines().ours(1, 10, head=0, dtype="q8", weight_format="q8")
        lines.peer("llama.cpp q8_0", 1, 90)
        self.assertEqual(lines.judge(row(dtype="q8", peers=["llama.cpp q8_0"])).word(), "passes")

    def test_a_disturbed_row_says_so(self):
        lines = Lines().peer("ort fp32-nohead", 1, 90)
        lines.ours(1, 10, peak_before={"fp32": {"1": 100, "2": 200}},
                   peak_after={"fp32": {"1": 100, "2": 150}})
        v = lines.judge(row(peers=["ort fp32-nohead"]))
        self.assertEqual((v.word(), v.remark), ("passes", "disturbed: the peak moved from 150 to 200"))

    def test_memory_and_load_are_at_most_the_bar(self):
        lines = Lines().ours(1, 10, head=1, rss_mb=300, weights_mb=120)
        self.assertEqual(lines.judge(row("memory", head=1, bar=180, over_weights=True)).word(),
                         "passes")
        self.assertEqual(lines.judge(row("memory", head=1, bar=299)).word(), "falls short")
        lines = Lines().ours(1, 10, head=None, median=20)
        self.assertEqual(lines.judge(row("load", bar=15)).word(), "best only")

    def test_what_was_skipped_says_why(self):
        lines = Lines().ours(1, 10, head=1).peer("ort fp32", 1, None)
        v = lines.judge(row(peers=["ort fp32"]))
        self.assertEqual((v.word(), v.remark), ("not measured", "ort fp32: no room"))

    def test_disturbed_machines_are_named(self):
        lines = Lines()
        for threads, values in ((1, (100, 100)), (2, (150, 110))):
            lines.lines += [{"kind": "peak", "metric": "fp32", "threads": threads, "best": value}
                            for value in values]
        lines.judge(row())
        moved, single = lines.results.remarks()
        self.assertIn("2 threads moved between 110 and 150", moved)
        self.assertIn("1.50 x", single)


class Programs(unittest.TestCase):
    def test_page_has_a_line_for_every_row(self):
        lines = Lines().ours(1, 10, head=0, machine="M", cores=2, isa="AVX3", commit="c0ffee")
        lines.judge(row())
        text = script("page").section(lines.results)
        for each in rows.read_rows():
            self.assertIn(f"| `{each['name']}` |", text)
        self.assertIn("commit c0ffee", text)
        page = (BENCH.parent / "docs/benchmarks.md").read_text(encoding="utf-8")
        for mark in (script("page").BEGIN, script("page").END):
            self.assertEqual(page.count(mark), 1)

    def test_regressions_beyond_the_tolerance(self):
        compare = script("regressions").compare
        stored = {"a": 0.8, "b": 0.8, "c": 0.8, "gone": 0.5}
        lines, lost = compare(stored, {"a": 0.73, "b": 0.71, "c": 0.9, "new": 0.1}, 0.10)
        self.assertEqual(lost, ["b", "gone"])
        self.assertEqual(len(lines), 6)

    def test_cases_in_another_format_are_left_out(self):
        in_its_format = script("regressions").in_its_format
        self.assertTrue(in_its_format("encoder-32m-q8 1x8", {"weight_format": "q8"}))
        self.assertFalse(in_its_format("encoder-32m-q8 1x8", {"weight_format": "fp32"}))
        self.assertTrue(in_its_format("tokenizer english", {"weight_format": "fp32"}))

    def test_rounds_that_disagree_are_unsteady(self):
        steady = script("regressions").steady
        self.assertTrue(steady([10, 10.9, 10.2]))
        self.assertFalse(steady([10, 11.1, 10.2]))
        self.assertFalse(steady([10]))

    def test_baselines_belong_to_a_kind_of_machine(self):
        module = script("regressions")
        about = {"machine": "AMD EPYC (family 25, model 17)", "isa": "AVX3"}
        self.assertEqual(module.baseline_file(about).name, "25-17-avx3.json")
        self.assertEqual(module.baseline_file({"machine": "ARM 0x41 0xd0c", "isa": "NEON"}).name,
                         "arm-0x41-0xd0c-neon.json")
        for path in module.BASELINES.glob("*.json"):
            stored = json.loads(path.read_text(encoding="utf-8"))
            self.assertEqual(module.baseline_file(stored), path)
            for value in stored["shares"].values():
                self.assertGreater(value, 0, path)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Compares ettin with the installed torch and transformers on random models of many shapes.

Truth is transformers in float64. Next to ettin's distance to it stands the distance of the same
transformers model in float32, which is what its users get. Run it through tests/oracle/run.
"""
import argparse
import datetime
import pathlib
import shutil
import sys
import time

import numpy
import tokenizers
import torch
import transformers

import cases
import converted
import engine
import hub
import report
import runs
import trained


def sequences(case, lengths):
    """Ragged ids; the special ids do not occur, as the padding id means something to a head."""
    generator = numpy.random.default_rng(case.seed)
    return [generator.integers(0, case.shape.vocab - 5, n).tolist() for n in lengths]


def distance(value, truth):
    """max |value - truth| / max |truth|; infinite for another shape or a value not finite."""
    if value is None and truth is None:
        return None
    if value is None or truth is None or value.shape != truth.shape:
        return float("inf")
    value = numpy.asarray(value, dtype=numpy.float64)
    if not numpy.isfinite(value).all():
        return float("inf")
    return float(numpy.abs(value - truth).max() / numpy.abs(truth).max())


def both(pair, truth):
    return [distance(value, right) for value, right in zip(pair, truth)]


def to_numpy(pair):
    return [None if t is None else t.numpy() for t in pair]


def compare_forward(case, folder, ettin, row):
    ids = sequences(case, cases.LENGTHS)
    hidden_size = case.shape.hidden
    double = hub.load(case, folder, torch.float64)
    with hub.no_rounding_to_float(exact_rope=False):
        truth = to_numpy(hub.forward(double, ids))
    row["hub"] = both(to_numpy(hub.forward(hub.load(case, folder, torch.float32), ids)), truth)
    row["cpu"] = both(ettin.forward(folder, ids, hidden_size), truth)
    del truth
    # The reference backend in float64 has no float32 step at all, its RoPE tables included.
    if case.shape.published:
        ids = sequences(case, cases.SHORT)
    with hub.no_rounding_to_float(exact_rope=True):
        exact = to_numpy(hub.forward(double, ids))
    row["ref"] = both(ettin.forward(folder, ids, hidden_size, "--backend", "ref",
                                    "--dtype", "fp64"), exact)
    return double


def compare_greedy(case, folder, ettin, double, row):
    prompts = sequences(case, cases.PROMPTS)
    theirs = hub.greedy(hub.load(case, folder, torch.float32), prompts, cases.NEW_TOKENS)
    ours = ettin.greedy(folder, prompts, cases.NEW_TOKENS)
    row["greedy"] = [0, 0]   # equal continuations; those that part at a tie
    for prompt, left, right in zip(prompts, ours, theirs):
        if left == right:
            row["greedy"][0] += 1
            continue
        at = next(i for i, (a, b) in enumerate(zip(left, right)) if a != b)
        gap = hub.top_gap(double, prompt + right[:at])
        if gap < cases.TOLERANCE[case.scale]:
            row["greedy"][1] += 1
        else:
            row["problems"].append(f"greedy continuation of {len(prompt)} ids differs at new id "
                                   f"{at}: {left[at]}, transformers {right[at]} (gap {gap:.1e})")


def compare_fill_mask(case, folder, ettin, tokenizer_json, row):
    """Same candidates in the same order with the same texts; equal scores to 1e-5. Two candidates
    whose scores are equal in float32 may change places."""
    hub.add_tokenizer(folder, tokenizer_json)
    theirs = hub.fill_mask(folder, cases.TEXTS, cases.FILL_MASK_TOP_K)
    ours = ettin.fill_mask(folder, cases.TEXTS, cases.FILL_MASK_TOP_K)
    row["fill_mask"] = [0, 0.0]   # masks, largest difference of a score
    for text, left, right in zip(cases.TEXTS, ours, theirs, strict=True):
        for a, b in zip(left, right, strict=True):
            row["fill_mask"][0] += 1
            for x, y in zip(a, b, strict=True):
                difference = abs(x["score"] - y["score"])
                row["fill_mask"][1] = max(row["fill_mask"][1], difference)
                same = all(x[key] == y[key] for key in ("token", "token_str", "sequence"))
                tied = any(x["token"] == z["token"] and abs(z["score"] - x["score"]) < 1e-9
                           for z in b)
                if difference > 1e-5 or not (same or tied):
                    row["problems"].append(f"fill-mask of {text[:40]!r}: {x}, transformers {y}")


def judge(case, row):
    limits = {"cpu": cases.TOLERANCE[case.scale], "ref": cases.TOLERANCE_FP64}
    for side, limit in limits.items():
        for part, value in zip(("hidden", "logits"), row.get(side, [])):
            if value is not None and not value <= limit:
                row["problems"].append(f"{side} {part} {value:.1e} > {limit:.0e}")


def run_case(case, work, ettin, tokenizer_json):
    started = time.monotonic()
    folder = work / case.name.replace("/", "-")
    row = {"name": case.name, "problems": []}
    try:
        hub.write(case, folder)
        double = compare_forward(case, folder, ettin, row)
        judge(case, row)
        if case.head == cases.CAUSAL:
            compare_greedy(case, folder, ettin, double, row)
        if case.head == cases.MASKED and case.shape.published and tokenizer_json.is_file():
            compare_fill_mask(case, folder, ettin, tokenizer_json, row)
        if not case.shape.published:
            converted.check(case, folder, ettin.program, row["problems"])
            trained.check(case, folder, ettin.program, row["problems"])
    except engine.EngineError as error:
        row["problems"].append(f"ettin: {error}")
    if not row["problems"]:
        shutil.rmtree(folder)   # kept otherwise, to look into
    else:
        row["kept"] = str(folder)
    row["seconds"] = time.monotonic() - started
    return row


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probe", default=root / "build/release/bin/oracle_probe")
    parser.add_argument("--ettin", default=root / "build/release/bin/ettin")
    parser.add_argument("--out", type=pathlib.Path, default=root / "build/oracle")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    options = parser.parse_args()
    chosen = [case for case in cases.all_cases() if options.only in case.name]
    with_runs = options.only in runs.NAME
    if options.list:
        print("\n".join([case.name for case in chosen] + [runs.NAME] * with_runs))
        return 0
    if not chosen and not with_runs:
        parser.error(f"no case has {options.only!r} in its name; --list prints them")
    for program in (options.probe, options.ettin):
        if not pathlib.Path(program).is_file():
            print(f"{program} is missing: scripts/build release builds it", file=sys.stderr)
            return 1
    tokenizer_json = root.parent / "shared/data/tokenizer/tokenizer.json"
    if not tokenizer_json.is_file():
        print(f"SKIPPED: fill-mask, because {tokenizer_json} is not here", file=sys.stderr)
    torch.set_num_threads(2)
    shutil.rmtree(options.out, ignore_errors=True)
    work = options.out / "models"
    work.mkdir(parents=True)
    ettin = engine.Engine(options.probe, options.ettin, options.out)
    rows = []
    for case in chosen:
        row = run_case(case, work, ettin, tokenizer_json)
        rows.append(row)
        verdict = "; ".join(row["problems"]) or "ok"
        print(f"{len(rows):3}/{len(chosen)} {case.name}  {row['seconds']:.1f} s  {verdict}",
              file=sys.stderr, flush=True)
    if with_runs:
        problems = runs.check(root, work, ettin, distance)
        rows.append({"name": runs.NAME, "problems": problems})
        print(f"{runs.NAME}  {'; '.join(problems) or 'ok'}", file=sys.stderr)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__,
                "tokenizers": tokenizers.__version__, "numpy": numpy.__version__}
    text = report.markdown(rows, versions, datetime.date.today())
    (options.out / "parity.md").write_text(text)
    print(text)
    failed = sum(bool(row["problems"]) for row in rows)
    print(f"{len(rows) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

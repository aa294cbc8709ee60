#!/usr/bin/env python3
"""Joins the JSON lines of one bench/compare run into a Markdown table.

usage: bench/join.py FILE...
A ratio is the peer's time over ettin's: above 1, ettin is faster. Best is the smallest time of all
rounds, median the median of the rounds' medians. A peer that computes the vocabulary head is set
against ettin's run with head 1 (one position per sequence, what fill-mask asks for), a peer without
head against head 0. Lines that do not start with "{" are skipped.
"""
import json
import statistics
import sys

HEADLESS = {("ort", "fp32-nohead"), ("llama.cpp", "f32")}
PEAK_MOVED = 0.10   # further apart than this, and the run says so


def read(paths):
    timings, peaks, skipped = {}, {}, {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.startswith("{"):
                    continue
                try:
                    row = json.loads(line)
                except ValueError:
                    sys.exit(f"{path}:{number}: not a JSON line")
                if row.get("kind") == "peak":
                    peaks.setdefault((row["metric"], row["threads"]), []).append(row["value"])
                    continue
                key = (row["model"], row["threads"], row["case"], row["engine"], row["variant"],
                       row.get("head") if row["engine"] == "ettin" else None)
                if "skipped" in row:
                    skipped[key] = row["skipped"]
                else:
                    timings.setdefault(key, []).append(row)
    return timings, peaks, skipped


def merge(rows):
    return dict(best=min(row["min_ms"] for row in rows),
                median=statistics.median(row["median_ms"] for row in rows),
                rss=max(row["rss_mb"] for row in rows), rounds=len(rows))


def case_order(case):
    """Cases by tokens, then prompts and decoding, then the rest."""
    batch, _, length = case.partition("x")
    if batch.isdigit() and length.isdigit():
        return (0, int(batch) * int(length), case)
    digits = "".join(c for c in case if c.isdigit())
    return (1, int(digits) if digits and case != "ragged32" else 0, case)


def ours_for(merged, model, threads, case, wanted):
    """ettin's fp32 rows of a case: the one with the wanted head, or the only one there is."""
    rows = {key[5]: value for key, value in merged.items()
            if key[:5] == (model, threads, case, "ettin", "fp32")}
    if wanted in rows:
        return wanted, rows[wanted]
    return next(iter(rows.items())) if len(rows) == 1 else (None, None)


def table(timings, skipped):
    merged = {key: merge(rows) for key, rows in timings.items()}
    lines = ["| model | threads | case | peer | ettin best | median | peer best | median "
             "| ratio best | median | RSS MB ettin / peer |", "|" + "---|" * 11]
    keys = [key for key in {**merged, **skipped} if key[3] != "ettin"]
    for key in sorted(keys, key=lambda k: (k[0], k[1], k[3], k[4], case_order(k[2]))):
        model, threads, case, engine, variant, _ = key
        decoder = case.startswith(("prefill", "decode"))
        wanted = None if decoder else 0 if (engine, variant) in HEADLESS else 1
        head, ours = ours_for(merged, model, threads, case, wanted)
        peer = merged.get(key)
        start = f"| {model} | {threads} | {case} | {engine} {variant} | "
        mine = f"{ours['best']:.2f} | {ours['median']:.2f}" if ours else "- | -"
        if head != wanted and ours:
            mine = f"{ours['best']:.2f} (head {head}) | {ours['median']:.2f}"
        if not peer:
            lines.append(f"{start}{mine} | - | - | skipped: {skipped[key]} | - | - |")
            continue
        theirs = f"{peer['best']:.2f} | {peer['median']:.2f}"
        ratios = "- | - | -" if not ours else (
            f"**{peer['best'] / ours['best']:.2f}** | {peer['median'] / ours['median']:.2f} "
            f"| {ours['rss']} / {peer['rss']}")
        lines.append(f"{start}{mine} | {theirs} | {ratios} |")
    return lines


def peak_lines(peaks):
    if not peaks:
        return ["No peak was measured: the times stand without their machine."]
    lines = ["| peak | threads | before | after | smallest | largest |", "|---|---|---|---|---|---|"]
    warnings = []
    for (metric, threads), values in sorted(peaks.items()):
        unit = {"read_256MiB": "GB/s", "int8": "GOP/s"}.get(metric, "GFLOP/s")
        lines.append(f"| {metric}, {unit} | {threads} | {values[0]:.0f} | {values[-1]:.0f} "
                     f"| {min(values):.0f} | {max(values):.0f} |")
        if min(values) < (1 - PEAK_MOVED) * max(values):
            warnings.append(f"WARNING: the {metric} peak with {threads} threads moved between "
                            f"{min(values):.0f} and {max(values):.0f}: something else used the "
                            f"machine, times are not to be quoted and ratios only roughly.")
    one, two = peaks.get(("fp32", 1)), peaks.get(("fp32", 2))
    if one and two and max(two) < 1.6 * max(one):
        warnings.append(f"WARNING: two threads deliver {max(two) / max(one):.2f} x the fp32 peak of "
                        f"one: two-thread times of this run are void.")
    return lines + [""] + warnings if warnings else lines


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    timings, peaks, skipped = read(sys.argv[1:])
    print("\n".join(["Milliseconds; ratio = peer / ettin.", "", *table(timings, skipped), "",
                     *peak_lines(peaks)]))


if __name__ == "__main__":
    main()

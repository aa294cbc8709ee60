"""Reads the JSON lines of bench/compare and judges rows of the results page.

A ratio is the peer's time over ettin's: best with best of all rounds, the median of the rounds'
medians with the same; the spread is the smallest and largest ratio of bests within one round. A row
passes when both its best and its median reach the bar.
"""
import json
import statistics

import rows as page

MOVED = 0.20      # peaks further apart than this, and two-thread numbers are not to be quoted
TWO_CORES = 1.6   # two threads below this many times the peak of one: they were not on two cores


def group_lines(paths):
    """(timings by step, peaks) of some files; a later file replaces the steps of an earlier one."""
    timings, peaks, runs = {}, {}, []
    for path in paths:
        fresh = {}
        with open(path, encoding="utf-8") as file:
            for line in file:
                line = json.loads(line)
                if line.get("kind") == "run":
                    runs.append(line)
                elif line.get("kind") == "peak":
                    peaks.setdefault((line["metric"], line["threads"]), []).append(line["best"])
                elif "engine" in line:
                    step = line["step"]
                    kind = page.Ours if "dtype" in step else page.Peer
                    fresh.setdefault(kind(**step), {})[line["round"]] = line
        timings.update(fresh)
    return timings, peaks, runs


def best_peak(lines, metric, threads):
    values = [line[when][metric][str(threads)] for line in lines for when in
              ("peak_before", "peak_after") if str(threads) in line.get(when, {}).get(metric, {})]
    return max(values, default=None)


class Verdict:
    """What a row came to. `best`, `median`, `low`, `high` are in the unit of its bar."""

    def __init__(self, row):
        self.row, self.best, self.median, self.low, self.high = row, None, None, None, None
        self.remark, self.against, self.rounds = "", "", 0
        self.times = None      # best milliseconds of ours and of what it is compared with
        self.void = ""         # why the row may not be judged at all
        self.allowance = 1.0   # what the values are multiplied by before they meet the bar

    def set(self, best, median, per_round, remark=""):
        self.best, self.median, self.rounds = best, median, len(per_round)
        self.low, self.high, self.remark = min(per_round), max(per_round), remark
        return self

    def word(self):
        bar = self.row["bar"]
        if self.best is None:
            return "not measured"
        if self.void:
            return "void"
        if bar is None:
            return "-"
        if self.row["kind"] in ("load", "memory"):
            enough = [self.best <= bar, self.median <= bar]
        else:
            enough = [value * self.allowance >= bar for value in (self.best, self.median)]
        return {(True, True): "passes", (True, False): "best only", (False, True): "median only",
                (False, False): "falls short"}[tuple(enough)]


class Results:
    def __init__(self, paths):
        self.timings, self.peaks, self.runs = group_lines(paths)

    def lines(self, step):
        """Timing lines by round; those of a case that was skipped are left out."""
        found = self.timings.get(step, {})
        return {turn: line for turn, line in found.items() if "median_ms" in line}

    def judge(self, row):
        verdict = Verdict(row)
        getattr(self, "judge_" + row["kind"])(row, row["threads"][-1], verdict)
        if verdict.best is None and not verdict.remark:
            verdict.remark = self.skipped(row)
        verdict.void = verdict.void or self.other_format(row)
        verdict.remark = "; ".join(filter(None, [verdict.void, verdict.remark,
                                                 self.disturbance(row)]))
        return verdict

    def our_lines(self, row):
        return [line for threads in row["threads"] for step in page.ours_of(row, threads)
                for line in self.lines(step).values()]

    def other_format(self, row):
        """A number is no number of q8 when the matrices were fp32."""
        real = {line.get("weight_format", row["dtype"]) for line in self.our_lines(row)}
        wrong = sorted(real - {row["dtype"]})
        return f"computed in {', '.join(wrong)}, not in {row['dtype']}" if wrong else ""

    def disturbance(self, row):
        """Whether the peaks around the row's own measurements say that the machine was shared."""
        if row["kind"] in ("load", "memory"):
            return ""
        seen = {}
        for line in self.our_lines(row):
            for when in ("peak_before", "peak_after"):
                for threads, value in line.get(when, {}).get("fp32", {}).items():
                    seen.setdefault(threads, []).append(value)
        used = str(row["threads"][-1])
        values = seen.get(used, [])
        if values and min(values) < (1 - MOVED) * max(values):
            return f"disturbed: the peak moved from {min(values):.0f} to {max(values):.0f}"
        if used == "2" and "1" in seen and values and max(values) < TWO_CORES * max(seen["1"]):
            return "disturbed: two threads were not on two cores"
        return ""

    def skipped(self, row):
        for threads in row["threads"]:
            for step in page.ours_of(row, threads) + page.peers_of(row, threads):
                for line in self.timings.get(step, {}).values():
                    if "skipped" in line:
                        return f"{line['engine']} {line['variant']}: {line['skipped']}"
        return ""

    def judge_ratio(self, row, threads, verdict):
        """Against the peer that comes closest."""
        for peer in page.peers_of(row, threads):
            head = row.get("head", page.matching_head(peer.engine, peer.variant, row["case"]))
            ours = self.lines(page.Ours(row["model"], row["case"], row["dtype"], threads, head))
            theirs = self.lines(peer)
            both = sorted(set(ours) & set(theirs))
            if not both:
                continue
            best = least(theirs) / least(ours)
            if verdict.best is None or best < verdict.best:
                median = middle(theirs) / middle(ours)
                verdict.set(best, median, [theirs[r]["min_ms"] / ours[r]["min_ms"] for r in both])
                verdict.against = f"{peer.engine} {peer.variant}"
                verdict.times = (least(ours), least(theirs))

    def judge_floor(self, row, threads, verdict):
        """The worse of the runs with and without the head; the floor is that of the highest peak
        of all rounds, because a disturbed probe makes a slow engine look good."""
        for step in page.ours_of(row, threads):
            lines = {r: line for r, line in self.lines(step).items() if "floor_ms" in line}
            if not lines:
                continue
            floor = min(line["floor_ms"] for line in lines.values())
            best = floor / least(lines)
            if verdict.best is None or best < verdict.best:
                verdict.set(best, floor / middle(lines), [line["of_floor"] for line in lines.values()])
                any_line = next(iter(lines.values()))
                verdict.times = (least(lines), floor)
                verdict.against = f"floor ({any_line['floor_by']})"

    def judge_rate(self, row, threads, verdict):
        lines = self.lines(page.ours_of(row, threads)[0])
        if lines:
            rates = [line["bytes"] / 1e3 / line["min_ms"] for line in lines.values()]
            size = next(iter(lines.values()))["bytes"]
            verdict.set(max(rates), size / 1e3 / middle(lines), rates)

    def judge_load(self, row, threads, verdict):
        lines = self.lines(page.ours_of(row, threads)[0])
        if lines:
            bests = [line["min_ms"] for line in lines.values()]
            verdict.set(min(bests), middle(lines), bests)

    def judge_memory(self, row, threads, verdict):
        lines = self.lines(page.ours_of(row, threads)[0])
        if lines:
            over = row.get("over_weights")
            sizes = [line["rss_mb"] - (line["weights_mb"] if over else 0) for line in lines.values()]
            verdict.set(min(sizes), statistics.median(sizes), sizes)
            if over:
                verdict.remark = f"weights {next(iter(lines.values()))['weights_mb']:.0f} MB"

    def judge_scaling(self, row, _, verdict):
        """A machine that does not give two cores is not held against us: the bar is scaled by what
        the peak probe itself gained from the second thread."""
        few, many = row["threads"]
        one = self.lines(page.ours_of(row, few)[0])
        two = self.lines(page.ours_of(row, many)[0])
        both = sorted(set(one) & set(two))
        if not both:
            return
        metric = {"bf16": "bf16", "q8": "int8", "q4": "int8"}.get(row["dtype"], "fp32")
        peaks = [best_peak(two.values(), metric, threads) for threads in (few, many)]
        if None in peaks:
            metric = "fp32"
            peaks = [best_peak(two.values(), metric, threads) for threads in (few, many)]
        gain = peaks[1] / peaks[0] if None not in peaks else many
        best = least(one) / least(two)
        rounds = [one[r]["min_ms"] / two[r]["min_ms"] for r in both]
        verdict.set(best, middle(one) / middle(two), rounds)
        verdict.allowance = max(1.0, many / gain)
        if gain < TWO_CORES:   # nothing about two cores can be learnt from less
            verdict.void = f"the machine gave {gain:.2f} cores"
        verdict.against = f"{few} thread"
        verdict.times = (least(two), least(one))
        verdict.remark = f"the {metric} peak gained {gain:.2f}: {best / gain:.0%} of that"

    def remarks(self):
        """What makes the numbers doubtful."""
        said = []
        for (metric, threads), values in sorted(self.peaks.items()):
            if min(values) < (1 - MOVED) * max(values):
                said.append(f"WARNING: the {metric} peak with {threads} threads moved between "
                            f"{min(values):.0f} and {max(values):.0f}: something else used the "
                            f"machine; quote no times, and ratios only with their spread.")
        one, two = self.peaks.get(("fp32", 1)), self.peaks.get(("fp32", 2))
        if one and two and max(two) < TWO_CORES * max(one):
            said.append(f"WARNING: two threads deliver {max(two) / max(one):.2f} x the fp32 peak of "
                        f"one: two-thread numbers of this run are void.")
        return said


class Files(Results):
    """Several files of measurements. A row is judged on one of them, the last that measured it: what
    was not timed in turns is never compared."""

    def __init__(self, paths):
        super().__init__(paths)
        self.parts = [Results([path]) for path in paths]

    def judge(self, row):
        named = [part for part in self.parts
                 if any(each["name"] == row["name"] for run in part.runs for each in run["rows"])]
        return (named or self.parts)[-1].judge(row)


def least(lines):
    return min(line["min_ms"] for line in lines.values())


def middle(lines):
    return statistics.median(line["median_ms"] for line in lines.values())


UNITS = {"ratio": "{:.2f} x", "floor": "{:.0%}", "rate": "{:.1f} MB/s", "load": "{:.0f} ms",
         "memory": "{:.0f} MB", "scaling": "{:.2f} x"}


def number(row, value):
    return "-" if value is None else UNITS[row["kind"]].format(value).replace("%", " %")


def bar_text(row):
    if row["bar"] is None:
        return "-"
    sign = "≤" if row["kind"] in ("load", "memory") else "≥"
    return f"{sign} {number(row, row['bar'])}"


def times_text(verdict):
    if verdict.times is None:
        return ""
    return " / ".join(f"{t:.0f}" if t >= 100 else f"{t:.3g}" for t in verdict.times)


def against(row):
    if row["peers"]:
        return ", against " + (row["peers"][0] if len(row["peers"]) == 1
                               else f"the fastest of {len(row['peers'])}")
    return {"floor": ", of the floor", "scaling": ", two threads against one"}.get(row["kind"], "")


def text_table(verdicts):
    lines = [f"{'row':26}{'bar':>12}{'best':>12}{'median':>12}   {'rounds':24}{'ms':18}verdict"]
    for v in verdicts:
        spread = f"{number(v.row, v.low)} .. {number(v.row, v.high)}" if v.best is not None else ""
        lines.append(f"{v.row['name']:26}{bar_text(v.row):>12}{number(v.row, v.best):>12}"
                     f"{number(v.row, v.median):>12}   {spread:24}{times_text(v):18}{v.word()}"
                     + (f" ({v.against})" if v.against else "")
                     + (f"; {v.remark}" if v.remark else ""))
    return lines

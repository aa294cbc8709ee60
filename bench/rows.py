"""The rows of the results page, and the measurements that each of them needs.

A measurement of ours is Ours(model, case, dtype, threads, head); one of a peer is
Peer(engine, variant, model, case, threads). Both are plain tuples, so that equal ones are made once.
"""
import collections
import json
import pathlib

Ours = collections.namedtuple("Ours", "model case dtype threads head")
Peer = collections.namedtuple("Peer", "engine variant model case threads")

KINDS = ("ratio", "floor", "rate", "load", "memory", "scaling")
# Peers that stop at the last hidden state are set against our run without the vocabulary head, the
# others against our run with one position of it per sequence.
HEADLESS_VARIANTS = ("fp32-nohead",)
# What a peer's number format is called here.
SAME_FORMAT = {"fp32": "fp32", "fp32-nohead": "fp32", "f32": "fp32", "bf16": "bf16", "f16": "bf16",
               "int8": "q8", "q8_0": "q8", "q4": "q4", "q4_0": "q4"}


def decoder_case(case):
    return case.startswith(("prefill", "decode"))


def matching_head(engine, variant, case):
    """Which run of ours a peer is set against: head 0 or 1, None where --head means nothing."""
    if decoder_case(case):
        return None
    return 0 if engine == "llama.cpp" or variant in HEADLESS_VARIANTS else 1


def read_rows(path=None):
    path = path or pathlib.Path(__file__).with_name("rows.json")
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    seen = set()
    for row in rows:
        if row["kind"] not in KINDS or row["name"] in seen or not row["bar"] > 0:
            raise ValueError(f"{path}: row {row['name']} is not well formed")
        seen.add(row["name"])
        row.setdefault("threads", [2])
        row.setdefault("peers", [])
    return rows


def choose(rows, names):
    """The named rows, in the order of the page; a name may end in * ."""
    chosen = []
    for name in names:
        found = [r for r in rows
                 if r["name"] == name or (name.endswith("*") and r["name"].startswith(name[:-1]))]
        if not found:
            known = "\n  ".join(r["name"] for r in rows)
            raise ValueError(f"no row {name}; there are\n  {known}")
        chosen += [r for r in found if r not in chosen]
    return [r for r in rows if r in chosen]


def peers_of(row, threads):
    return [Peer(*name.split(" ", 1), row["model"], row["case"], threads) for name in row["peers"]]


def heads_of(row):
    """The runs of ours that a row looks at."""
    case = row["case"]
    if decoder_case(case) or row["kind"] in ("rate", "load"):
        return [None]
    if "head" in row:
        return [row["head"]]
    if row["peers"]:
        return sorted({matching_head(*name.split(" ", 1), case) for name in row["peers"]})
    return [0, 1]   # a floor holds with and without the vocabulary head


def ours_of(row, threads):
    return [Ours(row["model"], row["case"], row["dtype"], threads, head) for head in heads_of(row)]


def describe(step):
    if isinstance(step, Peer):
        return f"{step.engine} {step.variant}, {step.threads} threads"
    head = "" if step.head is None else f", head {step.head}"
    return f"ettin {step.dtype}{head}, {step.threads} threads"


def schedule(rows):
    """Groups of measurements; one group is measured in turns, round after round.

    Rows of one model and case share a group, so that what they have in common is measured once and
    a run of ours lies close to the peers that it is compared with. Rows about memory stand alone
    in a process anyway: every measurement is a process of its own."""
    groups = {}
    for row in rows:
        steps = groups.setdefault((row["model"], row["case"]), [])
        for threads in row["threads"]:
            for step in ours_of(row, threads) + peers_of(row, threads):
                if step not in steps:
                    steps.append(step)
    return list(groups.values())

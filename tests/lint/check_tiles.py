#!/usr/bin/env python3
"""The multiply loops keep their sums in registers. Disassembles a program and fails when a vector
moves to or from the stack between two multiply-accumulate instructions of a tile: GCC 12 does that to
a loop whose sums are modified after it, and the loop then runs at half its speed.
usage: check_tiles.py PROGRAM
"""
import re
import subprocess
import sys

TILE = re.compile(r"<.*(?:\b(?:bf16_tile|q8_tile|q4_tile)<|N_AVX3::tile<|N_AVX2::tile<).*>:$")
MULTIPLY = re.compile(r"\b(vfmadd\d+ps|vdpbf16ps|vpdpbusd)\b")
SPILL = re.compile(r"\bvmov\w+\s.*\(%r[sb]p.*[xyz]mm|\bvmov\w+\s.*[xyz]mm\d+,.*\(%r[sb]p")
FEWEST = 40   # tiles that a release build has at least


def tiles(program):
    """(name, instructions) of every tile."""
    text = subprocess.run(["objdump", "-dC", "--no-show-raw-insn", program], check=True,
                          capture_output=True, text=True).stdout
    name, lines = None, []
    for line in text.splitlines():
        if line.endswith(">:"):
            if name:
                yield name, lines
            name, lines = (line if TILE.search(line) else None), []
        elif name:
            lines.append(line)
    if name:
        yield name, lines


def spills(lines):
    """Moves between the first and the last multiplication of a straight piece of code."""
    pending, multiplied = [], False
    for line in lines:
        if re.search(r"\t(j\w+|ret)\b", line):     # the end of the loop's body
            pending, multiplied = [], False
        elif MULTIPLY.search(line):
            yield from pending
            pending, multiplied = [], True
        elif multiplied and SPILL.search(line):
            pending.append(line.strip())


def main():
    count = bad = 0
    for name, lines in tiles(sys.argv[1]):
        count += 1
        found = list(spills(lines))
        if found:
            bad += 1
            print(f"{name}\n  {len(found)} moves between multiplications, the first: {found[0]}")
    if count < FEWEST:
        sys.exit(f"only {count} tiles found in {sys.argv[1]}: the check has lost its subject")
    print(f"{count} tiles, {bad} with spills")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

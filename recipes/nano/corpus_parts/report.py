"""sources.json and SOURCES.md of a corpus: what it was made of, how much, under which licence."""
import collections
import hashlib
import json

from . import sources

BYTES_PER_TOKEN = 3.9  # about: 3.5 (names) to 4.3 (manuals) with a vocabulary of 8,192


def row(source, used, files, counts):
    return {"source": source.name, "kind": source.kind, "licence": source.licence,
            "terms": source.terms, "packages": used, "files": files,
            "documents": counts["documents"], "bytes": counts["bytes"],
            "tokenised_bytes": counts["tokenised_bytes"], "repeated": counts["repeated"],
            "excluded": counts["excluded"]}


def _digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def write(folder, rows, lists):
    listed = [{"file": p.name.split("_dists_")[-1], "sha256": _digest(p)} for p in lists]
    outputs = {p.name: _digest(p) for p in sorted(folder.glob("*.jsonl"))}
    with open(folder / "sources.json", "w", encoding="utf-8") as file:
        json.dump({"sources": rows, "package_lists": listed, "outputs": outputs}, file, indent=1)
        file.write("\n")
    total = sum(r["bytes"] for r in rows) or 1
    kinds = collections.Counter()
    for r in rows:
        kinds[r["kind"]] += r["bytes"]
    lines = ["# Sources", "",
             "Made by `recipes/nano/corpus`. Versions and checksums: sources.json.", "",
             "| kind | MB | share | tokens, about |", "|---|---|---|---|"]
    for kind in sources.KINDS:
        if kinds[kind]:
            lines.append(f"| {kind} | {kinds[kind] / 1e6:.1f} | {100 * kinds[kind] / total:.0f} % | "
                         f"{kinds[kind] / BYTES_PER_TOKEN / 1e6:.1f} M |")
    lines += [f"| all | {total / 1e6:.1f} | | {total / BYTES_PER_TOKEN / 1e6:.1f} M |", "",
              "| source | kind | packages | files | documents | MB | licence | copyright file |",
              "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        names = ", ".join(f"{p['package']} {p['version']}" for p in r["packages"])
        where = ", ".join(sorted({p["copyright"] for p in r["packages"]}))
        lines.append(f"| {r['source']} | {r['kind']} | {names} | {r['files']} | {r['documents']} | "
                     f"{r['bytes'] / 1e6:.2f} | {r['licence']} | {where} |")
    (folder / "SOURCES.md").write_text("\n".join(lines) + "\n", encoding="utf-8")

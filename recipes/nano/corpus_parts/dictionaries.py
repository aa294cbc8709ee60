"""Entries of dictd dictionaries as lines "Word: what it is." and as encyclopaedic paragraphs."""
import gzip
import re

from . import clean

_DIGITS = {c: i for i, c in enumerate(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}


def _number(text):
    value = 0
    for c in text:
        value = value * 64 + _DIGITS[c]
    return value


def entries(index_path):
    """(headword, text) in the order of the data, each once; several headwords may share a text."""
    with gzip.open(str(index_path)[:-len(".index")] + ".dict.dz") as file:
        data = file.read()
    found = {}
    with open(index_path, encoding="utf-8", errors="replace") as file:
        for line in file:
            parts = line.rstrip("\n").split("\t")
            if len(parts) >= 3 and not parts[0].startswith("00-database"):
                found.setdefault((_number(parts[1]), _number(parts[2])), parts[0])
    for (start, size), word in sorted(found.items()):
        yield word, data[start:start + size].decode("utf-8", "replace")


_NOTE = re.compile(r"\[[^\[\]]*\]")
_SAID = re.compile(r"\s*--\s*[A-Z(][^.;]{0,40}\.?(?:\s*\w{0,8}\.\s*\w{0,5}\.?)?\s*$")


def _gcide(word, text):
    """Senses of one entry of the Collaborative International Dictionary, a line each."""
    head, _, body = text.partition("\n")
    lemma = re.split(r"\s*\\", head)[0].strip()
    if not lemma or not re.fullmatch(r"[A-Za-z][A-Za-z '-]+", lemma):
        return []
    body = body.replace("{", "").replace("}", "")
    done = []
    for block in re.split(r"\n\s*\n", re.sub(r"^[^\n]*\n(?=\s+\S[^\n]*\])", "", body)):
        indent = len(block) - len(block.lstrip(" \n"))
        if indent > 8 or re.match(r"\s*(Syn|Note|Usage):", block):
            continue
        flat = " ".join(block.split())
        for _ in range(3):
            flat = _NOTE.sub("", flat)
        if "[" in flat or "]" in flat or "\\" in flat:
            continue
        for sense in re.split(r"(?:^|\s)(?:\d+\.|\([a-z]\))\s", flat):
            sense = re.sub(r"^\([A-Z][\w. &]*\)\s*", "", sense.strip())  # (Bot.), (Mus.)
            sense = re.split(r"\s--\s", _SAID.sub("", sense))[0]
            sense = clean.normal(sense)
            if len(clean.words(sense)) >= 4 and re.search(r"[.;]$", sense):
                done.append(f"{lemma[0].upper()}{lemma[1:]}: {clean.sentence(sense)}")
    return done


def gcide(index_path):
    """Documents of about thirty senses each, in the order of the dictionary."""
    lines = (line for word, text in entries(index_path) for line in _gcide(word, text))
    good = (line for line in lines if clean.is_prose(line, 6, 0))
    return clean.chunks(good, 2200)


def _join(blocks):
    return [clean.normal(" ".join(b.split())) for b in blocks if b.strip()]


def foldoc(index_path):
    """One document an entry: paragraphs without the subject's tag, links and dates."""
    for word, text in entries(index_path):
        first, _, rest = text.strip("\n").partition("\n\n")
        title = first.split("\n")[0].strip()
        rest = re.sub(r"<[^<>]*>", "", rest).replace("{", "").replace("}", "")
        kept = [p for p in _join(re.split(r"\n\s*\n", rest)) if clean.is_prose(p, 6)]
        if kept:
            if not kept[0].lower().startswith(title.lower()[:8]):
                kept[0] = f"{title}: {kept[0]}"
            yield kept


def jargon(index_path):
    for word, text in entries(index_path):
        first, _, rest = text.strip("\n").partition("\n")
        rest = re.sub(r"^\s*(//|/[^/\n]*/,?|\w{1,6}\.(,? ?\w{1,6}\.)*)\s*\n", "", rest)
        rest = _NOTE.sub("", re.sub(r"\{\s*|\}", "", rest))
        kept = [p for p in _join(re.split(r"\n\s*\n", rest)) if clean.is_prose(p, 6)]
        kept = [re.sub(r"^\d+\. ", "", p) for p in kept]
        if kept:
            kept[0] = f"{first.strip()}: {kept[0]}"
            yield kept


def devil(index_path):
    """Bierce's definitions; his verses, whose lines are short, fall out with the indented blocks."""
    for word, text in entries(index_path):
        kept = []
        for block in re.split(r"\n\s*\n", text.strip("\n")):
            if block.startswith("  "):
                continue
            flat = clean.normal(" ".join(block.split()))
            flat = re.sub(r"^([A-Z][A-Z '-]+), (n|adj|v\.t|v\.i|adv|v|pp|x)\.\s+",
                          lambda m: m.group(1).capitalize() + ": ", flat)
            if clean.is_prose(flat, 5):
                kept.append(flat)
        if kept:
            yield kept


def elements(index_path):
    """What the database says of each element in sentences, under its name."""
    for word, text in entries(index_path):
        lines = text.strip("\n").split("\n")
        body = " ".join(line for line in lines[1:] if not re.match(r"\s*[A-Z][\w ]+:\s", line))
        body = clean.normal(body)
        if clean.is_prose(body, 5):
            yield [f"{lines[0].strip().capitalize()}: {body}"]

"""Keeps evaluation texts out of the training text: whole sentences, and runs of thirteen words."""
import json
import re

RUN = 13  # words; the length that is usual for this check
_WORD = re.compile(r"[a-z0-9]+")


def _plain(text):
    return _WORD.findall(text.lower().replace("@-@", " ").replace("<unk>", " unk "))


def _texts(path):
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.suffix in (".jsonl", ".txt"):
                yield from _texts(file)
        return
    with open(path, encoding="utf-8") as file:
        for line in file:
            if path.suffix == ".jsonl":
                record = json.loads(line)
                yield from (v for k, v in sorted(record.items())
                            if k in ("sentence_good", "sentence_bad", "text"))
            else:
                yield line


class Excluded:
    """Sentences and word runs of the texts at `paths`; nothing for no path."""

    def __init__(self, paths):
        self.sentences, self.runs = set(), set()
        for path in paths:
            for text in _texts(path):
                found = _plain(text)
                if len(found) >= 2 and (path.is_dir() or path.suffix == ".jsonl"):
                    self.sentences.add(" ".join(found))
                for i in range(len(found) - RUN + 1):
                    self.runs.add(hash(tuple(found[i:i + RUN])))

    def meets(self, paragraph):
        """Whether the paragraph has an excluded sentence for a sentence, or an excluded run."""
        if self.runs:
            found = _plain(paragraph)
            if any(hash(tuple(found[i:i + RUN])) in self.runs
                   for i in range(len(found) - RUN + 1)):
                return True
        if not self.sentences:
            return False
        return any(" ".join(_plain(s)) in self.sentences
                   for s in re.split(r"(?<=[.!?])[\"')]*\s+", paragraph))

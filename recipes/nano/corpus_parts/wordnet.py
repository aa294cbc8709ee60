"""WordNet's nouns, verbs and adjectives: as sentences, and as a vocabulary for generated text."""
import collections
import re

from . import clean

Synset = collections.namedtuple("Synset", "offset pos lexfile lemmas pointers gloss")

# Lexicographer files whose nouns are things that one can count.
COUNTED = {5, 6, 8, 14, 15, 17, 18, 20, 11, 25}
PEOPLE, ANIMALS, ARTEFACTS, PLANTS = 18, 5, 6, 20
_FILES = {"n": "data.noun", "v": "data.verb", "a": "data.adj", "r": "data.adv"}


def article(phrase):
    """"a" or "an" by the first letter, with the usual exceptions of sound."""
    first = phrase.split()[0].lower() if phrase.split() else ""
    if re.match(r"(uni([^nm]|$)|use|usu|eu|ur[aei]|ufo|uk|one|once|ut[ei]|ub[ei]q)", first):
        return "a"
    if re.match(r"(hour|honest|honou?r|heir)", first):
        return "an"
    return "an" if first[:1] in "aeiou" else "a"


def plural(noun):
    last = noun.split()[-1]
    if re.search(r"[^aeiou]y$", last):
        return noun[:-1] + "ies"
    if re.search(r"(?<!hu)(?<!ro)(?<!ger)man$", last):
        return noun[:-2] + "en"
    if re.search(r"(s|x|z|ch|sh)$", last):
        return noun + "es"
    return noun + "s"


# Words that a gloss marks so have no place in random sentences.
_UNFIT = re.compile(r"offensive|disparag|slang|obscene|vulgar|derog|slur|sex|prostitut|contempt|stupid|insult|"
                    r"ethnic|slave|homo|lewd|lecher|killer|murder|rape|retarded|illegitimate", re.I)


class WordNet:
    def __init__(self, folder):
        self.synsets = {}
        for pos, name in _FILES.items():
            with open(folder / name, encoding="utf-8", errors="replace") as file:
                for line in file:
                    if not line.startswith(" "):
                        found = self._parse(line, pos)
                        self.synsets[pos, found.offset] = found
        self.count = {}  # how often a lemma was met in WordNet's own tagged texts
        self.first = {}  # the first, most frequent sense of a noun
        with open(folder / "index.noun", encoding="utf-8") as file:
            for line in file:
                if not line.startswith(" "):
                    parts = line.split()
                    skip = 4 + int(parts[3])
                    self.count[parts[0]] = int(parts[skip + 1])
                    self.first[parts[0]] = int(parts[skip + 2])
        self.irregular = {}
        with open(folder / "noun.exc", encoding="utf-8") as file:
            for line in file:
                form, base = line.split()[:2]
                self.irregular.setdefault(base, form)

    @staticmethod
    def _parse(line, pos):
        head, _, gloss = line.partition("|")
        parts = head.split()
        count = int(parts[3], 16)
        lemmas = [re.sub(r"\(\w+\)$", "", parts[4 + 2 * i]).replace("_", " ") for i in range(count)]
        at = 4 + 2 * count
        pointers = [(parts[i], int(parts[i + 1]), parts[i + 2], parts[i + 3])
                    for i in range(at + 1, at + 1 + 4 * int(parts[at]), 4)]
        return Synset(int(parts[0]), pos, int(parts[1]), lemmas, pointers, gloss.strip())

    def above(self, synset, levels):
        """The chain of hypernyms, nearest first."""
        chain = []
        while len(chain) < levels:
            up = next((p for p in synset.pointers if p[0] in ("@", "@i")), None)
            if up is None:
                break
            synset = self.synsets["n", up[1]]
            chain.append(synset)
        return chain

    def common_nouns(self, lexfile, fewest=1):
        """Single words whose first sense lies in a lexicographer file, by the alphabet."""
        return sorted(w for w, offset in self.first.items()
                      if self.count[w] >= fewest and re.fullmatch("[a-z]{3,11}", w) and
                      self.synsets["n", offset].lexfile == lexfile and
                      not _UNFIT.search(self.synsets["n", offset].gloss) and
                      w in self.synsets["n", offset].lemmas)  # "german" stands there as "German"

    def antonyms(self):
        """Pairs of adjectives and of nouns that mean opposites, each once."""
        found = set()
        for (pos, _), synset in self.synsets.items():
            if pos not in "an":
                continue
            for kind, offset, other_pos, which in synset.pointers:
                if kind == "!":
                    other = self.synsets["a" if other_pos == "s" else other_pos, offset]
                    one = synset.lemmas[max(0, int(which[:2], 16) - 1)]
                    two = other.lemmas[max(0, int(which[2:], 16) - 1)]
                    if re.fullmatch("[a-z]{3,}", one) and re.fullmatch("[a-z]{3,}", two):
                        found.add((min(one, two), max(one, two), pos))
        return sorted(found)


_QUOTED = re.compile(r'"([^"]*)"')
_STARTS = frozenset(
    "he she they we you i it the his her their our my your this these those there who what how do "
    "did don't can is are was were let please when if in at on after some many most all no one "
    "every each".split())


def _examples(gloss):
    for found in _QUOTED.findall(gloss):
        found = clean.normal(found)
        parts = found.split()
        if len(parts) >= 4 and (parts[0].lower() in _STARTS or parts[0][0].isupper()):
            yield clean.sentence(found)


def _about_noun(net, s, pick):
    definition = re.split(r";\s*(?=[\"-])|\s+--\s", s.gloss)[0].strip(" ;")
    definition = re.sub(r"\s*\((?:born|died|\d)[^)]*\)|^\([^)]*\)\s*", "", definition).strip(" ;")
    if not definition or '"' in definition:
        return
    chain = net.above(s, 4)
    if _named(s):
        # Of a person the full name; of a place the first, for the others are like "French capital".
        names = [n for n in s.lemmas if n[0].isupper() and n.count(" ") < 4] or s.lemmas[:1]
        name = max(names, key=len) if s.lexfile == PEOPLE else names[0]
        dates = re.search(r"\(([0-9?]{3,4}-(?:[0-9]{2,4})?)\)", s.gloss)
        is_person = s.lexfile == PEOPLE
        verb = "was" if is_person or dates else "is"
        first = definition.split()[0]
        lead = "" if first in ("a", "an", "the", "one", "any") else article(definition) + " "
        if s.lexfile == 15 and re.match(r"the\b", definition) is None and lead == "":
            lead = ""
        if re.match(r"\w+s\b", first) and first.endswith("s") and not first.endswith("ss"):
            lead = ""
        when = f" ({dates.group(1)})" if dates else ""
        yield clean.sentence(f"{name}{when} {verb} {lead}{definition}")
        if chain:
            kind = chain[0].lemmas[0]
            yield clean.sentence(f"{name} {verb} {article(kind)} {kind}") if kind.islower() else ""
        return
    lemma = s.lemmas[0]
    counted = s.lexfile in COUNTED and lemma.islower()
    starts = re.match(r"(a|an|the|any|one|something|someone|anything|those|that which)\b", definition)
    the = article(lemma)
    if counted and starts:
        yield clean.sentence(f"{the} {lemma} is {definition}")
    elif starts and lemma.islower():
        yield clean.sentence(f"{lemma} is {definition}")
    else:
        yield clean.sentence(f"{lemma}: {definition}")
    if counted and len(s.lemmas) > 1 and pick(3) == 0 and s.lemmas[1].islower():
        yield clean.sentence(f"{the} {lemma} is also called {article(s.lemmas[1])} {s.lemmas[1]}")
    kinds = [c.lemmas[0] for c in chain[:3] if c.lexfile in COUNTED and c.lemmas[0].islower()
             and c.lemmas[0] not in ("whole", "object", "physical entity", "entity", "artifact",
                                     "living thing", "organism", "group", "instrumentality")]
    if counted and kinds:
        kind = kinds[pick(len(kinds))]
        yield clean.sentence((
            f"{the} {lemma} is {article(kind)} {kind}", f"{the} {lemma} is a kind of {kind}",
            f"{lemma} is a type of {kind}" if the == "" else f"every {lemma} is {article(kind)} {kind}",
            f"one kind of {kind} is the {lemma}")[pick(4)])


def sentences_of(net, s, pick):
    """Sentences about one synset; pick(n) chooses a number below n."""
    definition = re.split(r";\s*(?=\")", s.gloss)[0].strip(" ;")
    if s.pos == "n":
        yield from _about_noun(net, s, pick)
    elif s.pos == "v" and '"' not in definition:
        yield clean.sentence(f"to {s.lemmas[0]} is to {definition}" if pick(2) else
                             f"to {s.lemmas[0]} means to {definition}")
    elif '"' not in definition:
        definition = re.sub(r"^\([^)]*\)\s*", "", definition)
        yield clean.sentence(f"{s.lemmas[0]} means {definition}" if pick(2) else
                             f"{s.lemmas[0]}: {definition}")
    yield from _examples(s.gloss)


def _named(synset):
    return any(p[0] == "@i" for p in synset.pointers)


def documents(net, pick, names, most=1800):
    """Neighbours of WordNet's order, which stands by meaning, together; people, places and events
    that have names, or all else."""
    for pos in "n" if names else "nvar":
        lines = []
        for (p, _), s in net.synsets.items():
            if p == pos and _named(s) == names:
                about = [t for t in sentences_of(net, s, pick) if t and len(t) < 500]
                if about:
                    lines.append(" ".join(about))
        yield from clean.chunks(lines, most)

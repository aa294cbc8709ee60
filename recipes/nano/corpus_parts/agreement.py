"""Words, noun phrases and verb forms that agree: what grammar.py makes its sentences of."""
from . import lexicon, wordnet


class Words:
    """Nouns by what they are, in both numbers; a choice of verbs, names and adjectives."""

    def __init__(self, net, r):
        self.r = r

        def both(words):
            return [(w, net.irregular.get(w) or lexicon.PLURALS.get(w) or wordnet.plural(w))
                    for w in words if w not in lexicon.AVOIDED]
        people = [w for w in net.common_nouns(wordnet.PEOPLE, 2) if not w.endswith("s")]
        self.people = both(people) + both(lexicon.PEOPLE) * 6
        animals = [w for w in net.common_nouns(wordnet.ANIMALS, 1) if not w.endswith("s")]
        self.animals = both(animals) + both(lexicon.ANIMALS) * 6
        things = [w for w in net.common_nouns(wordnet.ARTEFACTS, 3) if not w.endswith(("s", "ing"))]
        self.things = both(things) + both(lexicon.THINGS) * 6

    def one(self, options):
        return options[self.r.randrange(len(options))]

    def noun(self, kind):
        pools = {"person": self.people, "animal": self.animals, "thing": self.things}
        if kind == "animate":
            kind = "animal" if self.r.random() < 0.2 else "person"
        return self.one(pools[kind])


class Parts:
    """Each draws from `words.r`, so the same seed and order of calls give the same text."""

    def __init__(self, words):
        self.w, self.r, self.one = words, words.r, words.one

    def chance(self, p):
        return self.r.random() < p

    def phrase(self, kind, number=None, names=0.25, definite=False):
        """A noun phrase: (text, number "s" or "p", gender "m", "f" or "n")."""
        if kind in ("person", "animate") and number != "p" and self.chance(names):
            gender = self.one("mf")
            return self.one(lexicon.NAMES[gender]), "s", gender
        number = number or self.one("sp")
        noun = self.w.noun(kind)[number == "p"]
        adjective = self.one(lexicon.ADJECTIVES) + " " if self.chance(0.25) else ""
        bare = adjective + noun
        if definite or self.chance(0.5):
            return f"the {bare}", number, "n"
        if number == "s":
            det = self.one(("a", "a", "this", "that", "every", "each", "some", "another", "my",
                            "her", "their"))
            det = wordnet.article(bare) if det == "a" else det
            return f"{det} {bare}", number, "n"
        det = self.one(("these", "those", "some", "many", "most", "all", "few", "several", "two",
                        "three", "ten", "both", "our", "his"))
        return f"{det} {bare}", number, "n"

    def pick_verb(self, frame):
        return self.one(lexicon.VERBS[frame])

    def auxiliary(self, verb, number):
        """(auxiliary that agrees, form of the verb after it)."""
        base, _, _, participle = verb
        return self.one(((self.be(number), lexicon.ing(base)), (self.have(number), participle),
                         ("had", participle), (self.one(lexicon.MODALS), base),
                         (self.do(number), base)))

    def finite(self, verb, number, negative=0.12):
        """A form that agrees: present or past, or after an auxiliary, which may be negated."""
        base, third, past, _ = verb
        if self.chance(0.5):
            return past if self.chance(0.5) else third if number == "s" else base
        word, form = self.auxiliary(verb, number)
        if self.chance(2 * negative):
            return f"{lexicon.NEGATED[word] if self.chance(0.8) else word + ' not'} {form}"
        return past if word in ("do", "does", "did") else f"{word} {form}"

    def asked(self, verb, number):
        """(what stands before the subject of a question, what stands after it)."""
        word, form = self.auxiliary(verb, number)
        if self.chance(0.08) and "n't" in lexicon.NEGATED[word]:
            word = lexicon.NEGATED[word]
        return word, form

    def be(self, number):
        return self.one(("is", "was")) if number == "s" else self.one(("are", "were"))

    def be_or_not(self, number):
        word = self.be(number)
        return lexicon.NEGATED[word] if self.chance(0.2) else word

    def have(self, number):
        return "has" if number == "s" else "have"

    def have_or_not(self, number):
        word = self.one((self.have(number), self.have(number), "had"))
        return lexicon.NEGATED[word] if self.chance(0.3) else word

    def do(self, number):
        return "did" if self.chance(0.6) else "does" if number == "s" else "do"

    def transitive(self, passive=False):
        """(verb, kind of object); "look at" and its like have no passive here."""
        frames = ("trans_person", "trans_thing", "trans_any", "trans_with")
        frame = self.one(frames[:3] if passive else frames)
        kind = {"trans_person": "person", "trans_thing": "thing"}.get(frame) or \
            self.one(("person", "thing", "animal"))
        return self.pick_verb(frame), kind

    def which(self, kind):
        """A noun that is asked for, with its word."""
        word = self.one(("which", "which", "what", "whose"))
        return f"{word} {self.w.noun(kind)[self.one((0, 1))]}"

    def self_of(self, number, gender):
        if number == "p":
            return "themselves"
        return {"m": "himself", "f": "herself"}.get(gender) or self.one(("himself", "herself"))

    def pronoun(self, number, gender, case):
        """The pronoun of who was named; case "they" or "them"."""
        if number == "p":
            return case
        m, f = ("he", "she") if case == "they" else ("him", "her")
        return {"m": m, "f": f}.get(gender) or self.one((m, f))

    def some(self, kind):
        return self.phrase(kind)[0]

    def does(self, frame, number):
        """Some verb of the frame in a form that agrees."""
        return self.finite(self.pick_verb(frame), number)

    def adjective(self):
        return self.one(lexicon.ADJECTIVES)

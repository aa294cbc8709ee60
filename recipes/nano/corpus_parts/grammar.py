"""Grammatical English sentences out of a small grammar of our own, on WordNet's vocabulary.

They exercise what grammars describe: agreement of subject and verb across what stands between,
determiners and number, reflexives, who may do what (selection), passives, questions and relative
clauses, negation and what needs it, quantifiers, ellipsis, raising and control. The subject matter is
that of any test of English grammar; no sentence of a test is known here, and corpus --exclude drops
any that should come out alike.
"""
import random

from . import lexicon, wordnet

_SENTENCES = 160000


class _Words:
    """Nouns by what they are, in both numbers; a choice of verbs, names and adjectives."""

    def __init__(self, net, r):
        self.r = r

        def both(words):
            return [(w, net.irregular.get(w) or lexicon.PLURALS.get(w) or wordnet.plural(w))
                    for w in words if w not in lexicon.AVOIDED]
        people = [w for w in net.common_nouns(wordnet.PEOPLE, 2) if not w.endswith("s")]
        self.people = both(people) + both(lexicon.PEOPLE) * 3
        self.animals = both([w for w in net.common_nouns(wordnet.ANIMALS, 1) if not w.endswith("s")])
        things = [w for w in net.common_nouns(wordnet.ARTEFACTS, 3) if not w.endswith(("s", "ing"))]
        self.things = both(things) + both(lexicon.THINGS) * 3

    def one(self, options):
        return options[self.r.randrange(len(options))]

    def noun(self, kind):
        pools = {"person": self.people, "animal": self.animals, "thing": self.things}
        if kind == "animate":
            kind = "animal" if self.r.random() < 0.2 else "person"
        return self.one(pools[kind])


class _Grammar:
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
            det = self.one(("a", "a", "this", "that", "every", "each", "some", "another", "my", "her",
                            "their"))
            return (f"{wordnet.article(bare)} {bare}" if det == "a" else f"{det} {bare}"), number, "n"
        det = self.one(("these", "those", "some", "many", "most", "all", "few", "several", "two",
                        "three", "ten", "both", "our", "his"))
        return f"{det} {bare}", number, "n"

    def pick_verb(self, frame):
        return self.one(lexicon.VERBS[frame])

    def finite(self, verb, number):
        """A present or past form that agrees."""
        base, third, past, _ = verb
        return past if self.chance(0.5) else third if number == "s" else base

    def be(self, number):
        return self.one(("is", "was")) if number == "s" else self.one(("are", "were"))

    def have(self, number):
        return "has" if number == "s" else "have"

    def do(self, number):
        return "did" if self.chance(0.6) else "does" if number == "s" else "do"

    def transitive(self):
        """(verb, kind of object)."""
        frame = self.one(("trans_person", "trans_thing", "trans_any"))
        kind = {"trans_person": "person", "trans_thing": "thing"}.get(frame) or \
            self.one(("person", "thing", "animal"))
        return self.pick_verb(frame), kind

    def self_of(self, number, gender):
        if number == "p":
            return "themselves"
        return {"m": "himself", "f": "herself"}.get(gender) or self.one(("himself", "herself"))

    # One function a phenomenon; each returns a sentence without its full stop.
    def plain(self):
        s, n, _ = self.phrase("animate")
        verb, kind = self.transitive()
        return f"{s} {self.finite(verb, n)} {self.phrase(kind)[0]}"

    def intransitive(self):
        s, n, _ = self.phrase("animate")
        tail = self.one(("", "", " again", " in " + self.phrase("thing", definite=True)[0],
                         " near " + self.phrase("thing", definite=True)[0], " every day", " often"))
        return f"{s} {self.finite(self.pick_verb('intrans'), n)}{tail}"

    def copula(self):
        s, n, _ = self.phrase(self.one(("animate", "thing")))
        return f"{s} {self.be(n)} {self.one(('', '', 'very ', 'quite ', 'not '))}{self.one(lexicon.ADJECTIVES)}"

    def attractor(self):
        n, m = self.one("sp"), self.one("sp")
        s = self.phrase("person", n, 0, True)[0]
        between = self.one(("near", "behind", "beside", "with"))
        o = self.phrase(self.one(("thing", "person")), m, 0)[0]
        return f"{s} {between} {o} {self.one((self.be(n) + ' ' + self.one(lexicon.ADJECTIVES), self.finite(self.pick_verb('intrans'), n), self.have(n) + ' ' + self.pick_verb('intrans')[3]))}"

    def relation(self):
        n, m = self.one("sp"), self.one("sp")
        noun = self.one(lexicon.RELATIONS)
        word = noun if n == "s" else self.w_plural(noun)
        of = self.phrase(self.one(("person", "thing")), m, 0.2)[0]
        det = self.one(("the", "the", "a" if n == "s" else "some"))
        det = wordnet.article(word) if det == "a" else det
        verb, kind = self.transitive()
        return f"{det} {word} of {of} {self.one((self.have(n) + ' ' + verb[3], self.finite(verb, n)))} {self.phrase(kind)[0]}"

    def w_plural(self, noun):
        return lexicon.PLURALS.get(noun) or wordnet.plural(noun)

    def perfect(self):
        s, n, _ = self.phrase("animate")
        verb, kind = self.transitive()
        return f"{s} {self.have(n)}{self.one(('', '', ' not', ' never', ' already', ' often'))} {verb[3]} {self.phrase(kind)[0]}"

    def determiners(self):
        n = self.one("sp")
        s, sn, _ = self.phrase("animate")
        verb, _ = self.pick_verb("trans_any"), None
        det = self.one(("this", "that")) if n == "s" else self.one(("these", "those"))
        adjective = self.one(lexicon.ADJECTIVES) + " " if self.chance(0.5) else ""
        return f"{s} {self.finite(verb, sn)} {det} {adjective}{self.w.noun(self.one(('person', 'thing', 'animal')))[n == 'p']}"

    def reflexive(self):
        s, n, g = self.phrase("person", names=0.7)
        verb = self.pick_verb("reflexive")
        return f"{s} {self.one((self.finite(verb, n), self.have(n) + ' ' + verb[3], 'could ' + verb[0]))} {self.self_of(n, g)}"

    def reflexive_clause(self):
        s, n, g = self.phrase("person", names=0.6)
        t, m, h = self.phrase("person", names=0.6)
        think, verb = self.pick_verb("clause"), self.pick_verb("reflexive")
        return f"{s} {self.finite(think, n)} that {t} {self.finite(verb, m)} {self.self_of(m, h)}"

    def pronoun_clause(self):
        s, n, g = self.phrase("person", names=0.6)
        pronoun = "they" if n == "p" else {"m": "he", "f": "she"}.get(g) or self.one(("he", "she"))
        verb, kind = self.transitive()
        return f"{s} {self.finite(self.pick_verb('clause'), n)} that {pronoun} {verb[2]} {self.phrase(kind)[0]}"

    def passive(self):
        verb, kind = self.transitive()
        s, n, _ = self.phrase(kind)
        by = f" by {self.phrase('person')[0]}" if self.chance(0.7) else ""
        return f"{s} {self.one((self.be(n), self.have(n) + ' been'))} {verb[3]}{by}"

    def participle(self):
        verb = self.pick_verb("trans_thing")
        noun = self.w.noun("thing")
        n = self.one("sp")
        return f"the {verb[3]} {noun[n == 'p']} {self.be(n)} {self.one(lexicon.ADJECTIVES)}"

    def causative(self):
        verb = self.pick_verb("both")
        s, n, _ = self.phrase("person")
        o, m, _ = self.phrase("thing", names=0)
        return self.one((f"{s} {self.finite(verb, n)} {o}", f"{o} {self.finite(verb, m)}"))

    def dropped(self):
        s, n, _ = self.phrase("person")
        verb = self.pick_verb("dropping")
        return f"{s} {self.one((self.finite(verb, n), self.have(n) + ' ' + verb[3], 'could not ' + verb[0]))}"

    def there(self):
        n = self.one("sp")
        det = self.one(("a", "a", "no")) if n == "s" else self.one(
            ("no", "some", "many", "few", "several", "two", "three", "more than ten"))
        kind = self.one(("person", "thing", "animal"))
        noun = self.w.noun(kind)[n == "p"]
        det = wordnet.article(noun) if det == "a" else det
        place = self.phrase("thing", definite=True, names=0)[0]
        if self.chance(0.35):
            seem = self.one(("seems to be", "appears to be") if n == "s" else ("seem to be", "appear to be"))
            return f"there {self.one((seem, 'must be', 'may be', 'is sure to be' if n == 's' else 'are sure to be', 'is likely to be' if n == 's' else 'are likely to be'))} {det} {noun} in {place}"
        tail = self.one((f" in {place}", f" near {place}", f" in {place}" if kind == "thing" else " that " + self.finite(self.pick_verb("intrans"), n)))
        return f"there {self.be(n)} {det} {noun}{tail}"

    def raising(self):
        s, n, _ = self.phrase("animate")
        verb, kind = self.transitive()
        to = f"to {verb[0]} {self.phrase(kind)[0]}"
        return self.one((f"{s} {self.be(n)} {self.one(('likely', 'sure', 'certain', 'about', 'unlikely', 'bound'))} {to}",
                         f"{s} {'seems' if n == 's' else 'seem'} {to}", f"{s} {'wants' if n == 's' else 'want'} {to}",
                         f"{s} {self.be(n)} {self.one(('willing', 'ready', 'eager', 'glad', 'able'))} {to}"))

    def tough(self):
        s, n, _ = self.phrase(self.one(("person", "thing")))
        verb = self.pick_verb("trans_any")
        return f"{s} {self.be(n)} {self.one(('easy', 'hard', 'difficult', 'fun', 'impossible', 'pleasant', 'tough'))} to {verb[0]}"

    def object_question(self):
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        which = ("who" if self.chance(0.5) else f"which {self.w.noun('person')[0]}") if kind == "person" else (
            "what" if self.chance(0.5) else f"which {self.w.noun('thing')[self.one((0, 1))]}")
        return f"{which} {self.do(n)} {s} {verb[0]}?"

    def embedded_question(self):
        t, m, _ = self.phrase("person")
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        ask = self.pick_verb("question")
        word = "who" if kind == "person" else "what"
        return self.one((f"{t} {self.finite(ask, m)} {word} {s} {verb[2]}",
                         f"{t} {self.finite(ask, m)} who {verb[2]} {self.phrase(kind)[0]}",
                         f"{t} {self.finite(ask, m)} that {s} {verb[2]} {self.phrase(kind)[0]}" if ask[0] != "ask" and ask[0] != "wonder" else
                         f"{t} {self.finite(ask, m)} whether {s} {verb[2]} {self.phrase(kind)[0]}"))

    def relative(self):
        s, n, _ = self.phrase("person", names=0, definite=True)
        verb, kind = self.transitive()
        o, m, _ = self.phrase(kind, names=0, definite=True)
        other = self.pick_verb("trans_any")
        if self.chance(0.5):
            return f"{s} who {self.finite(verb, n)} {o} {self.be(n)} {self.one(lexicon.ADJECTIVES)}"
        t = self.phrase("person", definite=True)[0]
        return f"{s} {self.finite(verb, n)} {o} that {t} {other[2]}"

    def which_noun(self):
        """Questions whose noun moves as a whole."""
        s, n, _ = self.phrase("person", definite=True)
        verb = self.pick_verb("trans_any")
        noun = self.w.noun(self.one(("person", "thing")))[self.one((0, 1))]
        return f"{self.one(('which', 'whose', 'what'))} {noun} {self.one((self.do(n) + ' ' + s + ' ' + verb[0], ('was' if n == 's' else 'were') + ' ' + s + ' ' + lexicon.ing(verb[0])))}?"

    def adjunct(self):
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        other, kind2 = self.transitive()
        link = self.one(("before", "after", "without", "while"))
        who = "who" if kind == "person" else "what"
        o = self.phrase(kind2)[0]
        return self.one((f"{who} {self.do(n)} {s} {verb[0]} {link} {lexicon.ing(other[0])} {o}?",
                         f"{s} {self.finite(verb, n)} {self.phrase(kind)[0]} {link} {lexicon.ing(other[0])} {o}"))

    def coordination(self):
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        a, b = self.phrase(kind, definite=True)[0], self.phrase(kind, definite=True)[0]
        t, m, _ = self.phrase("person", definite=True)
        return self.one((f"{s} and {t} {self.finite(verb, 'p')} {a}", f"{s} {self.finite(verb, n)} {a} and {b}",
                         f"{self.one(('who', 'what')) if kind != 'thing' else 'what'} {self.do('p')} {s} and {t} {verb[0]}?"))

    def sentential_subject(self):
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        o = self.phrase("person", definite=True)[0]
        feel = self.pick_verb("surprise")
        possessive = s + ("'" if n == "p" and s.endswith("s") else "'s")
        return self.one((f"that {s} {verb[2]} {self.phrase(kind)[0]} {self.finite(feel, 's')} {o}",
                         f"{possessive} {lexicon.ing(verb[0])} {self.phrase(kind)[0]} {self.finite(feel, 's')} {o}",
                         f"who {self.do('s')} {possessive} {lexicon.ing(verb[0])} {self.phrase(kind)[0]} {feel[0]}?"))

    def negative(self):
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        o = self.phrase(kind)[0]
        return self.one((
            f"{s} {self.do(n)} not {verb[0]} {o}", f"{s} {self.have(n)} not ever {verb[3]} {o}",
            f"no {self.w.noun('person')[0]} has ever {verb[3]} {o}", f"nobody has ever {verb[3]} {o}",
            f"{self.do(n)} {s} ever {verb[0]} {o}?", f"{self.have(n)} {s} ever {verb[3]} {o}?",
            f"only {s} {self.have(n)} ever {verb[3]} {o}",
            f"{s} {self.have(n)} never {verb[3]} any {self.w.noun('thing')[1]}" if kind == "thing" else
            f"{s} {self.have(n)} never {verb[3]} anyone" if kind == "person" else f"{s} {self.have(n)} never {verb[3]} {o}",
            f"{s} {self.have(n)} {self.one(('really', 'already', 'often', 'probably', 'surely'))} {verb[3]} {o}",
            f"if {s} {self.have(n)} ever {verb[3]} {o}, nobody knows it",
            f"only {self.phrase('person', 's', 0.9)[0]} thinks that {s} {verb[2]} {o}"))

    def quantity(self):
        s, n, _ = self.phrase("person", definite=True)
        verb = self.pick_verb("trans_any")
        number = self.one(("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"))
        noun = self.w.noun(self.one(("thing", "person", "animal")))[1]
        amount = self.one(("more than", "fewer than", "at least", "at most", "exactly", "about", "nearly"))
        if self.chance(0.4):
            n = self.one("sp")
            noone = self.one(("no " + self.w.noun("person")[n == "p"],))
            limit = self.one(("more than", "fewer than"))
            return f"{noone} {self.finite(verb, n)} {limit} {number} {noun}"
        return f"{s} {self.finite(verb, n)} {amount} {number} {noun}"

    def ellipsis(self):
        s, n, _ = self.phrase("person")
        t, m, _ = self.phrase("person")
        verb = self.pick_verb("trans_any")
        noun = self.w.noun(self.one(("thing", "person", "animal")))
        a, b = self.one(lexicon.ADJECTIVES), self.one(lexicon.ADJECTIVES)
        few, many = self.one((("one", "two"), ("two", "three"), ("some", "more"), ("three", "several"), ("a few", "many"), ("six", "ten")))
        first = noun[0] if few == "one" else noun[1]
        return self.one((f"{s} {verb[2]} {few} {a} {first} and {t} {verb[2]} {many}",
                         f"{s} {verb[2]} {few} {first} and {t} {verb[2]} {many} {b} {noun[1]}" if few != "one" else
                         f"{s} {verb[2]} one {a} {first} and {t} {verb[2]} two",
                         f"{s} {verb[2]} {self.phrase('thing')[0]}, and {t} did too"))

    def clauses(self):
        s, n, _ = self.phrase("person")
        t, m, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        link = self.one(("because", "when", "before", "after", "although", "while", "if", "until"))
        return f"{s} {self.pick_verb('intrans')[2]} {link} {t} {verb[2]} {self.phrase(kind)[0]}"

    def ditransitive(self):
        s, n, _ = self.phrase("person")
        base = self.pick_verb("giving")
        o, p = self.phrase("thing")[0], self.phrase("person", definite=True)[0]
        return self.one((f"{s} {self.finite(base, n)} {o} to {p}", f"{s} {self.finite(base, n)} {p} {o}"))

    def answer(self):
        s, n, g = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        o = self.phrase(kind)[0]
        pronoun = "they" if n == "p" else {"m": "he", "f": "she"}.get(g) or self.one(("he", "she"))
        return f"did {s} {verb[0]} {o}? {self.one((f'Yes, {pronoun} did.', f'No, {pronoun} did not.'))}"


_PATTERNS = ("plain plain intransitive intransitive copula copula attractor attractor relation relation perfect "
             "determiners determiners determiners reflexive reflexive reflexive_clause pronoun_clause passive "
             "passive participle causative dropped there there raising tough object_question "
             "embedded_question embedded_question relative relative which_noun adjunct coordination "
             "sentential_subject negative negative negative quantity ellipsis ellipsis clauses ditransitive "
             "answer").split()


def sentence(grammar, pattern):
    text = getattr(grammar, pattern)()
    text = text[0].upper() + text[1:]
    return text if text[-1] in "?." else text + "."


def documents(folder):
    """Short documents of mixed patterns, and some of one pattern, which reads like an exercise."""
    r = random.Random("grammar")
    grammar = _Grammar(_Words(wordnet.WordNet(folder), r))
    made = 0
    while made < _SENTENCES:
        count = r.randrange(1, 9)
        same = _PATTERNS[r.randrange(len(_PATTERNS))] if r.random() < 0.25 else None
        yield [" ".join(sentence(grammar, same or _PATTERNS[r.randrange(len(_PATTERNS))])
                        for _ in range(count))]
        made += count

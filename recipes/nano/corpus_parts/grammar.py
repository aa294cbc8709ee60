"""Grammatical English sentences out of a small grammar of our own, on WordNet's vocabulary.

They exercise what grammars describe: agreement of subject and verb across what stands between,
determiners and number, reflexives, who may do what (selection), passives, questions and relative
clauses, negation and what needs it, quantifiers, ellipsis, raising and control. The subject matter
is that of any test of English grammar; no sentence of a test is known here, and corpus --exclude
drops any that should come out alike.
"""
import random

from . import agreement, lexicon, wordnet

_SENTENCES = 240000


class _Grammar(agreement.Parts):
    """One function a phenomenon; each returns a sentence without its full stop."""

    def plain(self):
        s, n, _ = self.phrase("animate")
        verb, kind = self.transitive()
        return f"{s} {self.finite(verb, n)} {self.some(kind)}"

    def intransitive(self):
        s, n, _ = self.phrase("animate")
        tail = self.one(("", "", " again", " in " + self.phrase("thing", definite=True)[0],
                         " near " + self.phrase("thing", definite=True)[0], " every day", " often"))
        return f"{s} {self.does('intrans', n)}{tail}"

    def copula(self):
        s, n, _ = self.phrase(self.one(("animate", "thing")))
        return f"{s} {self.be_or_not(n)} {self.one(('', '', 'very ', 'quite '))}{self.adjective()}"

    def attractor(self):
        n, m = self.one("sp"), self.one("sp")
        s = self.phrase("person", n, 0, True)[0]
        between = self.one(("near", "behind", "beside", "with"))
        o = self.phrase(self.one(("thing", "person")), m, 0)[0]
        says = self.one((self.be_or_not(n) + " " + self.adjective(), self.does("intrans", n),
                         self.have_or_not(n) + " " + self.pick_verb("intrans")[3]))
        return f"{s} {between} {o} {says}"

    def relation(self):
        n, m = self.one("sp"), self.one("sp")
        noun = self.one(lexicon.RELATIONS)
        word = noun if n == "s" else self.w_plural(noun)
        of = self.one((" of", " of", " about") if noun in lexicon.TELLING else (" of",)) + " " + \
            self.phrase(self.one(("person", "thing")), m, 0.2)[0]
        det = self.one(("the", "the", "a" if n == "s" else "some"))
        det = wordnet.article(word) if det == "a" else det
        verb, kind = self.transitive()
        does = self.one((self.have_or_not(n) + " " + verb[3], self.finite(verb, n)))
        return f"{det} {word}{of} {does} {self.some(kind)}"

    def w_plural(self, noun):
        return lexicon.PLURALS.get(noun) or wordnet.plural(noun)

    def perfect(self):
        s, n, _ = self.phrase("animate")
        verb, kind = self.transitive()
        when = self.one(("", "", " not", " never", " already", " often"))
        return f"{s} {self.have(n)}{when} {verb[3]} {self.some(kind)}"

    def determiners(self):
        n = self.one("sp")
        s, sn, _ = self.phrase("animate")
        verb = self.pick_verb("trans_any")
        det = self.one(("this", "that")) if n == "s" else self.one(("these", "those"))
        adjective = self.one(lexicon.ADJECTIVES) + " " if self.chance(0.5) else ""
        does = self.finite(verb, sn)
        noun = self.w.noun(self.one(("person", "thing", "animal")))[n == "p"]
        return f"{s} {does} {det} {adjective}{noun}"

    def reflexive(self):
        s, n, g = self.phrase("person", names=0.7)
        verb = self.pick_verb("reflexive")
        return f"{s} {self.finite(verb, n)} {self.self_of(n, g)}"

    def reflexive_clause(self):
        s, n, g = self.phrase("person", names=0.6)
        t, m, h = self.phrase("person", names=0.6)
        think, verb = self.pick_verb("clause"), self.pick_verb("reflexive")
        return f"{s} {self.finite(think, n)} that {t} {self.finite(verb, m)} {self.self_of(m, h)}"

    def pronoun_clause(self):
        s, n, g = self.phrase("person", names=0.6)
        pronoun = self.pronoun(n, g, "they")
        verb, kind = self.transitive()
        return f"{s} {self.does('clause', n)} that {pronoun} {verb[2]} {self.some(kind)}"

    def pronoun_object(self):
        """Who the object is stands in the clause before: no reflexive."""
        s, n, g = self.phrase("person", names=0.8)
        t, m, _ = self.phrase("person", names=0.5)
        pronoun = self.pronoun(n, g, "them")
        return f"{s} {self.does('clause', n)} that {t} {self.does('trans_any', m)} {pronoun}"

    def reflexive_doing(self):
        s, n, g = self.phrase("person", names=0.7)
        verb, kind = self.transitive()
        see = self.one((("imagine", "imagines", "imagined"),
                        ("remember", "remembers", "remembered"),
                        ("think about", "thinks about", "thought about")))
        sees = see[2] if self.chance(0.6) else see[n == "s"]
        return f"{s} {sees} {self.self_of(n, g)} {lexicon.ing(verb[0])} {self.some(kind)}"

    def passive(self):
        verb, kind = self.transitive(passive=True)
        s, n, _ = self.phrase(kind)
        by = f" by {self.some('person')}" if self.chance(0.7) else ""
        was = self.one((self.be_or_not(n), self.be_or_not(n), self.have_or_not(n) + " been"))
        return f"{s} {was} {verb[3]}{by}"

    def participle(self):
        verb = self.pick_verb("trans_thing")
        noun = self.w.noun("thing")
        n = self.one("sp")
        return f"the {verb[3]} {noun[n == 'p']} {self.be(n)} {self.adjective()}"

    def causative(self):
        verb = self.pick_verb("both")
        s, n, _ = self.phrase("person")
        o, m, _ = self.phrase("thing", names=0)
        return self.one((f"{s} {self.finite(verb, n)} {o}", f"{o} {self.finite(verb, m)}"))

    def dropped(self):
        s, n, _ = self.phrase("person")
        verb = self.pick_verb("dropping")
        return f"{s} {self.finite(verb, n)}"

    def there(self):
        n = self.one("sp")
        det = self.one(("a", "a", "no")) if n == "s" else self.one(
            ("no", "some", "many", "few", "several", "two", "three", "more than ten"))
        kind = self.one(("person", "thing", "animal"))
        noun = self.w.noun(kind)[n == "p"]
        det = wordnet.article(noun) if det == "a" else det
        place = self.phrase("thing", definite=True, names=0)[0]
        if self.chance(0.35):
            seem, be = ("seems", "is") if n == "s" else ("seem", "are")
            seem = self.one((seem, "appears" if n == "s" else "appear"))
            may = self.one((f"{seem} to be", "happened to be", "turned out to be", "must be",
                            "may be", f"{be} sure to be", f"{be} likely to be"))
            return f"there {may} {det} {noun} in {place}"
        doing, what = self.transitive()
        tail = self.one((f" in {place}", f" near {place}",
                         f" in {place}" if kind == "thing" else " that " + self.does("intrans", n),
                         f" near {place}" if kind == "thing" else
                         f" {lexicon.ing(doing[0])} {self.some(what)}"))
        return f"there {self.be(n) if det == 'no' else self.be_or_not(n)} {det} {noun}{tail}"

    def is_there(self):
        """Whole groups are there; "there are" is said of some."""
        n = self.one("sp")
        det = self.one(("every", "each") if n == "s" else ("all", "most", "all the", "both"))
        verb, kind = self.transitive()
        noun, be = self.w.noun("animate")[n == "p"], self.be_or_not(n)
        return f"{det} {noun} {be} there {lexicon.ing(verb[0])} {self.some(kind)}"

    def raising(self):
        s, n, _ = self.phrase("animate")
        verb, kind = self.transitive()
        does = f"{verb[0]} {self.some(kind)}"
        ending = "s" if n == "s" else ""
        seem = self.be_or_not(n) + " " + self.one(
            ("likely", "sure", "certain", "about", "unlikely", "bound", "soon"))
        want = self.be_or_not(n) + " " + self.one(("willing", "ready", "eager", "glad", "able"))
        return f"{s} {self.one((seem, f'seem{ending}', f'want{ending}', want))} to {does}"

    def tough(self):
        s, n, _ = self.phrase(self.one(("person", "thing")))
        verb = self.pick_verb("trans_any")
        be = self.be_or_not(n)
        how = self.one(("easy", "hard", "difficult", "fun", "impossible", "pleasant", "tough"))
        return f"{s} {be} {how} to {verb[0]}"

    def object_question(self):
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        if self.chance(0.5):
            which = "who" if kind == "person" else "what"
        elif kind == "person":
            which = f"which {self.w.noun('person')[0]}"
        else:
            which = f"which {self.w.noun('thing')[self.one((0, 1))]}"
        before, after = self.asked(verb, n)
        return f"{which} {before} {s} {after}?"

    def far_question(self):
        """What is asked for belongs to the clause inside."""
        s, n, _ = self.phrase("person", definite=True)
        t, m, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        before, after = self.asked(self.pick_verb("clause"), n)
        who = "who" if kind == "person" else "what"
        return f"{who} {before} {s} {after} {self.one(('', 'that '))}{t} {self.finite(verb, m)}?"

    def echo_question(self):
        """The question keeps the order of a statement."""
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        return f"{s} {self.finite(verb, n)} {self.which(kind)}?"

    def embedded_question(self):
        t, m, _ = self.phrase("person")
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        ask = self.pick_verb("question")
        word = "who" if kind == "person" else "what"
        does, asks = self.finite(verb, n), self.finite(ask, m)
        that = "whether" if ask[0] in ("ask", "wonder") else "that"
        return self.one((f"{t} {asks} {word} {s} {does}", f"{t} {asks} {word} {s} {does}",
                         f"{t} {asks} who {verb[2]} {self.some(kind)}",
                         f"{t} {asks} {that} {s} {does} {self.some(kind)}"))

    def relative(self):
        s, n, _ = self.phrase("person", names=0, definite=True)
        verb, kind = self.transitive()
        o, m, _ = self.phrase(kind, names=0, definite=True)
        other = self.pick_verb("trans_any")
        if self.chance(0.5):
            return f"{s} who {self.finite(verb, n)} {o} {self.be(n)} {self.adjective()}"
        t, k, _ = self.phrase("person", definite=True)
        o, m, _ = self.phrase(self.one(("person", "thing", "animal")), names=0)
        by_subject = self.chance(0.5)
        sees = self.does("trans_any", n)
        if not by_subject:
            return f"{s} {sees} {o} that {t} {self.finite(other, k)}"
        if kind == "person":
            return f"{s} {sees} {o} that {self.finite(verb, m)} {self.some(kind)}"
        return f"{s} {sees} {o} that {self.does('surprise', m)} {t}"

    def which_noun(self):
        """Questions whose noun moves as a whole."""
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        before, after = self.asked(verb, n)
        return f"{self.which(kind)} {before} {s} {after}?"

    def shared_question(self):
        """What is asked for belongs to both halves."""
        s, n, _ = self.phrase("person", definite=True)
        t, m, _ = self.phrase("person", names=0.8)
        verb, other = self.pick_verb("trans_any"), self.pick_verb("trans_any")
        kind = self.one(("person", "thing", "animal"))
        word, form = self.auxiliary(verb, n)
        form_of_other = (lexicon.ing(other[0]) if word in ("is", "was", "are", "were") else
                         other[3] if word in ("has", "have", "had") else other[0])
        return f"{self.which(kind)} {word} {s} {form} and {t} {form_of_other}?"

    def adjunct(self):
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        other, kind2 = self.transitive()
        link = self.one(("before", "after", "without", "while"))
        who = "who" if kind == "person" else "what"
        o = self.some(kind2)
        before, after = self.asked(verb, n)
        doing = lexicon.ing(other[0])
        return self.one((f"{who} {before} {s} {after} {link} {doing} {o}?",
                         f"{s} {self.finite(verb, n)} {self.some(kind)} {link} {doing} {o}"))

    def coordination(self):
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        a, b = self.phrase(kind, definite=True)[0], self.phrase(kind, definite=True)[0]
        t, m, _ = self.phrase("person", definite=True)
        before, after = self.asked(verb, "p")
        both, one = self.finite(verb, "p"), self.finite(verb, n)
        who = self.one(("who", "what")) if kind != "thing" else "what"
        return self.one((f"{s} and {t} {both} {a}", f"{s} {one} {a} and {b}",
                         f"{who} {before} {s} and {t} {after}?"))

    def sentential_subject(self):
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        o = self.phrase("person", definite=True)[0]
        feel = self.pick_verb("surprise")
        possessive = s + ("'" if n == "p" and s.endswith("s") else "'s")
        doing = f"{possessive} {lexicon.ing(verb[0])}"
        return self.one((f"that {s} {verb[2]} {self.some(kind)} {self.finite(feel, 's')} {o}",
                         f"{doing} {self.some(kind)} {self.finite(feel, 's')} {o}",
                         f"who {self.do('s')} {doing} {self.some(kind)} {feel[0]}?"))

    def negative(self):
        """Negation, and words like "ever" that need it, a question or "only"."""
        s, n, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        o = self.some(kind)
        (can, do), (may, see) = self.auxiliary(verb, n), self.auxiliary(verb, "s")
        must, rest = self.auxiliary(self.pick_verb("intrans"), n)
        does, has, done = self.do(n), self.have(n), verb[3]
        nobody = f"no {self.w.noun('person')[0]}"
        other = f"no {self.w.noun('person')[0]}"
        certainly = ("really", "certainly", "probably", "clearly", "also", "often")
        already = ("really", "already", "often", "probably", "surely")
        plain = f"{s} {self.finite(verb, n, 0)} {o} " + self.one(("again", "today", "every day", "too"))
        surely = f"{s} {self.one(certainly)} {verb[2]} {o}"
        anything = (f"any {self.w.noun('thing')[1]}" if kind == "thing" else
                    "anyone" if kind == "person" else o)
        return self.one((
            f"{s} {does} not {verb[0]} {o}", f"{s} {has} not ever {done} {o}",
            f"{nobody} has ever {done} {o}", f"nobody has ever {done} {o}",
            f"{can} {s} ever {do} {o}?", f"{can} {s} ever {do} {o}?", f"{must} {s} ever {rest}?",
            f"{other} {may} ever {see} {o}", f"{s} {lexicon.NEGATED[can]} ever {do} {o}",
            plain, surely, f"only {s} {has} ever {done} {o}", f"{s} {has} never {done} {anything}",
            f"{s} {has} {self.one(already)} {done} {o}",
            f"if {s} {has} ever {done} {o}, nobody knows it",
            f"only {self.phrase('person', 's', 0.9)[0]} thinks that {s} {verb[2]} {o}"))

    def quantity(self):
        s, n, _ = self.phrase("person", definite=True)
        verb = self.pick_verb("trans_any")
        number = self.one(("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"))
        noun = self.w.noun(self.one(("thing", "person", "animal")))[1]
        amount = self.one(("more than", "fewer than", "at least", "at most", "exactly", "about",
                           "nearly"))
        if self.chance(0.4):
            n = self.one("sp")
            noone = self.one(("no " + self.w.noun("person")[n == "p"],))
            limit = self.one(("more than", "fewer than"))
            return f"{noone} {self.finite(verb, n, 0)} {limit} {number} {noun}"
        return f"{s} {self.finite(verb, n, 0)} {amount} {number} {noun}"

    def ellipsis(self):
        s, n, _ = self.phrase("person")
        t, m, _ = self.phrase("person")
        verb = self.pick_verb("trans_any")
        noun = self.w.noun(self.one(("thing", "person", "animal")))
        a, b = self.one(lexicon.ADJECTIVES), self.one(lexicon.ADJECTIVES)
        few, many = self.one((
            ("one", "two"), ("two", "three"), ("some", "more"), ("three", "several"),
            ("a few", "many"), ("six", "ten"), ("three", "at least as many"), ("many", "just as many"),
            ("a lot of", "almost as many"), ("some", "a lot of"), ("two", "more")))
        first = noun[0] if few == "one" else noun[1]
        did = verb[2]
        return self.one((f"{s} {did} {few} {a} {first} and {t} {did} {many.removesuffix(' of')}",
                         f"{s} {did} {few} {first} and {t} {did} {many} {b} {noun[1]}"
                         if few != "one" else f"{s} {did} one {a} {first} and {t} {did} two",
                         f"{s} {did} {self.some('thing')}, and {t} did too"))

    def clauses(self):
        s, n, _ = self.phrase("person")
        t, m, _ = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        link = self.one(("because", "when", "before", "after", "although", "while", "if", "until"))
        return f"{s} {self.pick_verb('intrans')[2]} {link} {t} {verb[2]} {self.some(kind)}"

    def ditransitive(self):
        s, n, _ = self.phrase("person")
        base = self.pick_verb("giving")
        o, p = self.some("thing"), self.phrase("person", definite=True)[0]
        gives = self.finite(base, n), self.finite(base, n)
        return self.one((f"{s} {gives[0]} {o} to {p}", f"{s} {gives[1]} {p} {o}"))

    def answer(self):
        s, n, g = self.phrase("person", definite=True)
        verb, kind = self.transitive()
        o = self.some(kind)
        pronoun = self.pronoun(n, g, "they")
        yes = self.one((f"Yes, {pronoun} did.", f"No, {pronoun} did not."))
        return f"did {s} {verb[0]} {o}? {yes}"


_PATTERNS = ("plain plain intransitive intransitive copula copula attractor attractor relation "
             "relation perfect determiners determiners determiners reflexive reflexive "
             "reflexive_clause pronoun_clause passive passive participle causative dropped there "
             "there raising tough object_question embedded_question embedded_question "
             "embedded_question relative relative which_noun which_noun adjunct far_question "
             "echo_question shared_question is_there pronoun_object reflexive_doing coordination "
             "sentential_subject negative negative negative quantity ellipsis ellipsis clauses "
             "ditransitive answer").split()


def sentence(grammar, pattern):
    text = getattr(grammar, pattern)()
    text = text[0].upper() + text[1:]
    return text if text[-1] in "?." else text + "."


def documents(folder):
    """Sentences alone; short documents of mixed patterns, or of one, as an exercise has them."""
    r = random.Random("grammar")
    grammar = _Grammar(agreement.Words(wordnet.WordNet(folder), r))
    made = 0
    while made < _SENTENCES:
        count = 1 if r.random() < 0.5 else r.randrange(2, 9)
        same = _PATTERNS[r.randrange(len(_PATTERNS))] if r.random() < 0.25 else None
        yield [" ".join(sentence(grammar, same or _PATTERNS[r.randrange(len(_PATTERNS))])
                        for _ in range(count))]
        made += count

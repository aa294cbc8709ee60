"""Sentences that state plain facts, each in many wordings: from our tables and WordNet's classes.

A document is a handful of sentences about one thing, or about several of one kind.
"""
import random

from . import tables, wordnet

_ROUNDS = 48  # how many documents each country gets; the rest is in proportion
_ATLAS_ROUNDS = 48
_NUMBERS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen twenty").split()
_MONTHS = "January February March April May June July August September October November December".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def _up(text):
    return text[0].upper() + text[1:]


def _a(noun):
    return f"{wordnet.article(noun)} {noun}"


def _capital(r, c):
    name, capital = c[0], c[1]
    return _up(r.choice((
        f"The capital of {name} is {capital}.", f"The capital of {name} is {capital}.",
        f"{capital} is the capital of {name}.", f"{capital} is the capital city of {name}.",
        f"The capital city of {name} is {capital}.", f"{name}'s capital is {capital}.",
        f"{name} has {capital} as its capital.", f"The government of {name} has its seat in {capital}.",
        f"What is the capital of {name}? It is {capital}.",
        f"{capital}, the capital of {name}, lies in {c[2]}.",
        f"Whoever travels to the capital of {name} travels to {capital}.",
        f"They flew to {capital}, the capital of {name}.")))


def _country(r, c):
    name, capital, continent, people, language, currency = c
    yield r.choice((
        f"{name} is a country in {continent}.", f"{name} is a country in {continent}.",
        f"{name} lies in {continent}.", f"{name} is a state in {continent}.",
        f"{name} is one of the countries of {continent}.", f"The country of {name} is in {continent}.",
        f"{name} is a country in {continent} whose capital is {capital}."))
    yield _capital(r, c)
    if language:
        yield r.choice((
            f"{language} is spoken in {name}.", f"The people of {name} speak {language}.",
            f"An official language of {name} is {language}.",
            f"In {name}, many people speak {language}.", f"{language} is a language of {name}."))
    if currency:
        yield r.choice((
            f"The currency of {name} is the {currency}.", f"The {currency} is the currency of {name}.",
            f"In {name}, people pay with the {currency}.", f"{name} uses the {currency} as its money."))
    if people:
        yield r.choice((
            f"Someone who comes from {name} is {people}.", f"The {people} people live in {name}.",
            f"The {people} capital is {capital}.", f"The {people} government sits in {capital}."))
    yield r.choice((
        f"{capital} is a city in {name}.", f"{capital} is a city in {continent}.",
        f"The city of {capital} lies in {name}.", f"Many people live in {capital}, in {name}."))


def _countries(r):
    for _ in range(_ROUNDS):
        for c in tables.COUNTRIES:
            found = [_up(s) for s in _country(r, c)]
            first = found[:1] if r.random() < 0.6 else []
            rest = found[len(first):]
            r.shuffle(rest)
            yield [" ".join(first + rest[:r.randrange(2, 6)])]
        chosen = r.sample(tables.COUNTRIES, 60)
        for i in range(0, 60, 4):
            yield [" ".join(_capital(r, c) for c in chosen[i:i + 4])]
        for one, two in tables.NEIGHBOURS:
            if r.random() < 0.5:
                one, two = two, one
            yield [r.choice((f"{one} has a border with {two}.", f"{one} and {two} are neighbours.",
                             f"{two} is a neighbour of {one}.", f"{one} borders {two}."))]
        yield [" ".join(r.choice((
            f"{capital} is the capital of {state}, a state of the United States.",
            f"{state} is a state of the United States. Its capital is {capital}.",
            f"The capital of the state of {state} is {capital}."))
            for state, capital in r.sample(tables.STATES, 5))]
        yield [" ".join(r.choice((
            f"The {n} is a river in {c}.", f"The river {n} flows into {sea}.",
            f"The {n} is a river in {c} that flows into {sea}."))
            for n, c, sea in r.sample(tables.RIVERS, 3))]
        yield [" ".join(_up(r.choice((f"{s} is in {city}.", f"{s} stands in {city}.",
                                      f"in {city}, visitors can see {s}.")))
                        for s, city in r.sample(tables.SIGHTS, 3))]


def _class(r, thing, kind):
    proper = thing[0].isupper() or kind in ("metal", "gas", "colour", "game", "science", "disease",
                                            "drink", "season of the year")
    it = _up(thing) if proper else _up(_a(thing))
    return r.choice((f"{it} is {_a(kind)}.", f"{it} is {_a(kind)}.", f"{it} is a kind of {kind}."
                     if not thing[0].isupper() else f"{it} is {_a(kind)}.",
                     f"Is {it[0].lower() + it[1:] if not thing[0].isupper() else it} {_a(kind)}? Yes, it is.",
                     f"One {kind} is {thing if proper else 'the ' + thing}."))


def _animals(r):
    for name, young, sound, group, kind, home in r.sample(tables.ANIMALS, len(tables.ANIMALS)):
        the = r.choice((_a(name), f"the {name}"))
        found = [_up(f"{the} is {_a(kind)}.")]
        if young:
            found.append(r.choice((f"A young {name} is called {_a(young)}.", _up(
                f"{_a(young)} is a young {name}."), f"The young of the {name} is the {young}.")))
        if sound:
            found.append(r.choice((_up(f"{the} {sound}."), f"The {name} {sound} loudly.",
                                   f"When {_a(name)} {sound}, everyone can hear it.")))
        if group:
            many = {"goose": "geese", "wolf": "wolves", "sheep": "sheep", "deer": "deer",
                    "salmon": "salmon", "herring": "herring"}.get(name, wordnet.plural(name))
            found.append(r.choice((f"A group of {many} is called {_a(group)}.",
                                   f"They saw {_a(group)} of {many}.")))
        if home:
            found.append(r.choice((f"The home of {_a(name)} is {_a(home)}.",
                                   _up(f"{_a(name)} lives in {_a(home)}."))))
        r.shuffle(found)
        yield " ".join(found)


def _small(r):
    """One round over everything that is no country."""
    for things, kind in tables.CLASSES:
        chosen = r.sample(things, min(len(things), r.randrange(3, 6)))
        yield " ".join(_class(r, t, kind) for t in chosen)
        for thing in things:
            yield _class(r, thing, kind)
        if len(things) > 3 and not kind.startswith(("month", "day")):
            one, two, three = r.sample(things, 3)
            many = wordnet.plural(kind) if " of " not in kind else "pieces of " + kind.split(" of ")[1]
            if kind.startswith("season"):
                many = "seasons of the year"
            if not one[0].isupper():
                yield _up(f"{one}, {two} and {three} are all {many}." if kind in (
                    "metal", "gas", "colour", "game", "science", "disease", "drink") else
                    f"the {one}, the {two} and the {three} are all {many}.")
    yield from _animals(r)
    for name, noun, deed, land in tables.PEOPLE:
        found = [f"{name} was {_a(noun)}.", f"{name} {deed}.",
                 r.choice((f"{name} came from {land}.", f"{name} was born in {land}.")),
                 f"{_up(_a(noun))} named {name} {deed}.", f"It was {name} who {deed}.",
                 f"Who {deed}? It was {name}." if not deed.startswith("is said") else f"{name} {deed}."]
        if land == "Italy" and "Columbus" in name:
            found[2] = "Christopher Columbus was born in Genoa."
        if "Gagarin" in name or "Mendel" in name or "Copernicus" in name:
            del found[2]
        if name == "Homer":
            found = found[:2]
        r.shuffle(found)
        yield " ".join(found[:r.randrange(1, 4)])
    for noun, does, place in tables.TRADES:
        found = [f"{_up(_a(noun))} {does}.", f"Someone who {does} is {_a(noun)}."]
        if place:
            found.append(r.choice((f"{_up(_a(noun))} works in {_a(place)}.",
                                   f"You can meet {_a(noun)} in {_a(place)}.")))
        r.shuffle(found)
        yield " ".join(found[:r.randrange(1, 4)])
    for whole, part, number in tables.UNITS:
        many = {"foot": "feet", "inch": "inches", "century": "centuries"}.get(part, part + "s")
        n = f"a {number}" if number in ("hundred", "thousand") else number
        yield r.choice((f"There are {n} {many} in {_a(whole)}.", _up(f"{_a(whole)} has {n} {many}."),
                        f"{_up(n)} {many} make {_a(whole)}."))
    for one, two in tables.OPPOSITES:
        if r.random() < 0.5:
            one, two = two, one
        yield r.choice((f"The opposite of {one} is {two}.", f"{_up(one)} is the opposite of {two}.",
                        f"If something is not {one}, it may be {two}." if one not in
                        ("left", "day", "war", "life", "love", "question", "beginning", "winter") else
                        f"The opposite of {one} is {two}."))
    for thing, colour in tables.THINGS:
        yield _up(r.choice((f"{thing} is {colour}.", f"the colour of {thing} is {colour}.",
                            f"{colour} is the colour of {thing}.")))
    for tool, use in tables.USES:
        yield _up(r.choice((f"{_a(tool)} is used to {use}.", f"people use {_a(tool)} to {use}.",
                            f"to {use}, you need {_a(tool)}.", f"with {_a(tool)} one can {use}.")))
    for one, many in tables.IRREGULAR:
        yield r.choice((f"The plural of {one} is {many}.", f"One {one}, two {many}.",
                        f"There is one {one} here, and there are two {many} there.",
                        f"This is {_a(one)}. These are {many}."))
    for i, month in enumerate(_MONTHS):
        after, before = _MONTHS[(i + 1) % 12], _MONTHS[i - 1]
        days = "twenty-eight or twenty-nine" if i == 1 else "thirty" if i in (3, 5, 8, 10) else "thirty-one"
        yield " ".join(r.sample((f"{month} comes after {before}.", f"{after} comes after {month}.",
                                 f"{month} has {days} days.", f"{month} is a month of the year.",
                                 f"The month before {after} is {month}."), 2))
    for i, day in enumerate(_DAYS):
        yield " ".join(r.sample((f"{day} is a day of the week.", f"The day after {day} is {_DAYS[(i + 1) % 7]}.",
                                 f"The day before {day} is {_DAYS[i - 1]}.",
                                 f"If today is {day}, tomorrow is {_DAYS[(i + 1) % 7]}."), 2))
    for _ in range(30):
        x, y = r.randrange(1, 11), r.randrange(1, 11)
        yield r.choice((f"{_up(_NUMBERS[x])} and {_NUMBERS[y]} make {_NUMBERS[x + y]}.",
                        f"{_up(_NUMBERS[x])} plus {_NUMBERS[y]} is {_NUMBERS[x + y]}.",
                        f"After {_NUMBERS[x]} comes {_NUMBERS[x + 1]}."))


def _wordnet_classes(net, r):
    """What things are, by WordNet's first senses: "A violin is a stringed instrument."."""
    kinds = (wordnet.PEOPLE, wordnet.ANIMALS, wordnet.ARTEFACTS, wordnet.PLANTS)
    dull = {"object", "whole", "artifact", "instrumentality", "organism", "living thing", "causal agent",
            "physical entity", "entity", "thing", "unit", "being", "matter"}
    for lexfile in kinds:
        for word in net.common_nouns(lexfile, 1):
            synset = net.synsets["n", net.first[word]]
            above = [s.lemmas[0] for s in net.above(synset, 3) if s.lemmas[0] not in dull and
                     s.lemmas[0].islower() and s.lexfile == lexfile]
            if above and synset.lemmas and word in (n.lower() for n in synset.lemmas):
                kind = above[r.randrange(len(above))]
                yield r.choice((f"{_up(_a(word))} is {_a(kind)}.", f"{_up(_a(word))} is a kind of {kind}.",
                                f"Every {word} is {_a(kind)}."))


_BASIC_ROUNDS = 24


def basics(_):
    """The plainest facts alone, each again and again: capitals, countries, what things are."""
    r = random.Random("basics")
    for _ in range(_BASIC_ROUNDS):
        lines = [_capital(r, c) for c in tables.COUNTRIES]
        lines += [_up(next(_country(r, c))) for c in tables.COUNTRIES]
        lines += [_class(r, thing, kind) for things, kind in tables.CLASSES
                  for thing in r.sample(things, (len(things) + 1) // 2)]
        r.shuffle(lines)
        for i in range(0, len(lines), 4):
            yield [" ".join(lines[i:i + 4])]


def capitals(_):
    """Nothing but capitals, to be read again and again."""
    r = random.Random("capitals")
    for _ in range(_BASIC_ROUNDS):
        chosen = r.sample(tables.COUNTRIES, len(tables.COUNTRIES))
        for i in range(0, len(chosen), 3):
            yield [" ".join(_capital(r, c) for c in chosen[i:i + 3])]


def atlas(_):
    """Capital and continent of the best-known countries, one a document, for the last two phases."""
    r = random.Random("atlas")
    known = [c for c in tables.COUNTRIES if c[0] in tables.BEST_KNOWN]
    for _ in range(_ATLAS_ROUNDS):
        for c in r.sample(known, len(known)):
            lines = [_capital(r, c)]
            if r.random() < 0.5:
                lines.append(_up(next(_country(r, c))))
                r.shuffle(lines)
            yield [" ".join(lines)]


def documents(folder):
    r = random.Random("facts")
    net = wordnet.WordNet(folder)
    yield from _countries(r)
    for _ in range(_ROUNDS):
        small = list(_small(r))
        r.shuffle(small)
        while small:
            take = r.randrange(1, 6)
            yield [" ".join(small[:take])]
            small = small[take:]
    for _ in range(2):
        lines = list(_wordnet_classes(net, r))
        r.shuffle(lines)
        for i in range(0, len(lines), 6):
            yield [" ".join(lines[i:i + 6])]
    pairs = [p for p in net.antonyms()]
    r.shuffle(pairs)
    for i in range(0, len(pairs), 5):
        yield [" ".join(r.choice((f"The opposite of {a} is {b}.", f"The opposite of {b} is {a}.",
                                  f"{_up(a)} and {b} are opposites.")) for a, b, _ in pairs[i:i + 5])]

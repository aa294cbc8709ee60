"""One function per kind of file: paths of a package in, documents (lists of paragraphs) out."""
import gzip
import random
import re

from . import books, clean, dictionaries, games, markup, plain, wordnet

# A text that names one of these for itself is left out: not free, or not the package's own licence.
_OTHER_TERMS = re.compile(r"\b(CC[ -]BY-N[CD]|NonCommercial|NoDeriv|BY-NC|BY-ND|All rights reserved)\b",
                          re.I)


def read(path):
    """A file as text, unpacked; "" of what is no text."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if b"\0" in data[:4096]:
        return ""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _per_file(paths, convert, fewest, least=160, most=24000, code_marks=1):
    for path in paths:
        text = read(path)
        if not text or _OTHER_TERMS.search(text):
            continue
        found = clean.paragraphs_of(convert(text), fewest, code_marks)
        yield from clean.chunks(found, most, least)


def markup_files(paths):
    return _per_file(paths, markup.paragraphs, 8)


def manual(paths):
    return _per_file(paths, plain.manual, 8)


def pod(paths):
    return _per_file(paths, plain.pod, 8)


def book(paths):
    for path in paths:
        text = read(path)
        # What an electronic edition says of itself before and after the book.
        text = re.split(r"\*\*\* ?START OF TH[^*]*\*\*\*", text)[-1]
        text = re.split(r"\*\*\* ?END OF TH|End of (?:the )?Project Gutenberg", text)[0]
        yield from books.book(text)


def r_books(paths):
    for path in paths:
        yield from books.r_books(path)


def sword(paths):
    for path in paths:
        yield from books.sword(path)


def _speech(convert, fewest=4):
    return lambda paths: _per_file(paths, convert, fewest, 80, 12000, 0)


_BORN = re.compile(r"^(.*?) born(?: in ([^,0-9]+(?:, [A-Z][^,0-9]+)?))?, (\d{3,4})$")
_MONTHS = ("January February March April May June July August September October November "
           "December").split()


def calendar(paths):
    """Days of history and birthdays, "01/01<tab>Paul Revere born in Boston, 1735", as sentences."""
    pick = random.Random("calendar")
    for path in paths:
        lines = []
        text = re.sub(r"\n\t", " ", re.sub(r"/\*.*?\*/", "", read(path), flags=re.S))
        for month, day, event in re.findall(r"^(\d\d)/(\d\d)\*?\t(.+)$", text, re.M):
            event = clean.normal(event)
            if not 1 <= int(month) <= 12:
                continue
            date = f"{_MONTHS[int(month) - 1]} {int(day)}"
            born = _BORN.match(event)
            dated = re.match(r"^(.*\w)\.?, (\d{3,4})$", event)
            if born:
                name, place, year = born.groups()
                if "," in name and " " not in name.split(",")[0]:
                    name = name.split(",")[0]
                where = f" in {place}" if place else ""
                lines.append(clean.sentence(pick.choice((
                    f"{name} was born{where} on {date}, {year}",
                    f"{name} was born on {date} {year}{where}",
                    f"On {date}, {year}, {name} was born{where}"))))
            elif dated and len(clean.words(dated.group(1))) >= 3:
                what, year = dated.groups()
                lines.append(clean.sentence(pick.choice((
                    f"{date}, {year}: {what}", f"{what} ({date}, {year})",
                    f"{what}, {date}, {year}"))))
        yield from clean.chunks(lines, 900)


def _wordnet(names):
    return lambda paths: wordnet.documents(wordnet.WordNet(paths[0]),
                                           random.Random("wordnet").randrange, names)


def _dictionary(convert):
    def reader(paths):
        for path in paths:
            yield from convert(path)
    return reader


_LISTED = re.compile(r"^ [*o+.\-] |^  ")


def descriptions(texts):
    """Long descriptions of packages: the short one as a first sentence, lists and code left out."""
    for text in texts:
        for block in text.split("\n\n"):
            name = re.match(r"Package: (\S+)", block)
            body = re.search(r"^Description-en(?:_\w+)?: (.*)\n((?: .*\n?)*)", block, re.M)
            if not name or not body:
                continue
            raw, current = [], []
            for line in body.group(2).split("\n") + [" ."]:
                if line.strip() in (".", "") or _LISTED.match(line):
                    raw.append(" ".join(current))
                    current = []
                else:
                    current.append(line.strip())
            found = clean.paragraphs_of(raw, 8)
            if found and not (len(found) == 1 and len(found[0]) < 110 and
                              found[0].startswith(("This package", "This is "))):
                yield found


READERS = {
    "markup": markup_files, "manual": manual, "pod": pod, "book": book, "r_books": r_books,
    "sword": sword, "calendar": calendar, "wordnet": _wordnet(False),
    "wordnet_names": _wordnet(True),
    "wesnoth": _speech(games.wesnoth), "endless_sky": _speech(games.endless_sky),
    "dink": _speech(games.dink),
    "crossfire": _speech(games.crossfire), "renpy": _speech(games.renpy),
    "freeciv": _speech(games.freeciv, 6), "string_table": _speech(games.string_table, 6),
    "percent_blocks": _speech(games.percent_blocks, 5),
    "gcide": _dictionary(dictionaries.gcide), "foldoc": _dictionary(dictionaries.foldoc),
    "jargon": _dictionary(dictionaries.jargon), "devil": _dictionary(dictionaries.devil),
    "elements": _dictionary(dictionaries.elements),
}

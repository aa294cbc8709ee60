"""Clean English out of what converters give: normal form, what counts as prose, documents.

A converter gives paragraphs, everything that a reader would see, code and tables among it. Here it is
decided which of them are English prose. The rules are crude, countable and the same for all sources:
a paragraph stays if it has enough words, ends like a sentence, is made of letters, and has the share
of function words that English has.
"""
import collections
import hashlib
import re
import unicodedata

# About a third of the words of any English prose are among these; names of options, lists of words
# and other languages have few.
FUNCTION_WORDS = frozenset(
    "the of and to a in is that it for as was with on be by he his at are this have from or had an "
    "they which you were their one all we can her has there been if more when will would who so no "
    "she but not your my i him me what them its do does did into out up than then some any other "
    "could should may might must these those how our us also only about over such".split())

_REPLACE = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u2032": "'",
    "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u201f": '"', "\u2033": '"',
    "\u2010": "-", "\u2011": "-", "\u2212": "-", "\u2026": "...",
    "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl",
    "\u00ad": None, "\u200b": None, "\u200c": None, "\u200d": None, "\u2060": None, "\ufeff": None,
    "\u00b6": None, "\ufffd": None, "\uf0c1": None,
})
_SPACE = re.compile(r"\s+")
_BEFORE_MARK = re.compile(r" +([,.;!?])(?=\s|$)")
_EMPTY_BRACKETS = re.compile(r"\s*\(\s*\)|\s*\[\s*\]")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_END = re.compile(r"[.!?:][\"')\]]*$")
_CODE = re.compile(
    r"https?:|ftp:|www\.|\S@\S+\.|[{}<>|\\~^$#]|==|::|->|\w\(\)|\w_\w|[A-Za-z]\w*\.\w+\(|\s--?\w|"
    r"^\s*[*+>]|(?:^|\s)/\w+/|\w/\w+/\w|\.(?:py|rst|html?|xml|conf|cfg|txt|so|deb)\b|=\S|\S=|\[\d+\]")
_LATIN = re.compile(r"[^\x00-\u024f\u2013\u2014\u20ac\u00a3\u1e00-\u1eff]")
_NOT_KEY = re.compile(r"[^a-z0-9]+")


def normal(text):
    """One line of text in NFC with plain quotes, single spaces and nothing invisible."""
    text = unicodedata.normalize("NFC", text).translate(_REPLACE)
    text = _SPACE.sub(" ", text)
    text = _EMPTY_BRACKETS.sub("", text).replace(" -- ", " \u2014 ")
    return _BEFORE_MARK.sub(r"\1", text).strip()


def words(text):
    return _WORD.findall(text)


def is_prose(text, fewest=8, code_marks=1):
    """Whether a normal paragraph is English prose of `fewest` words and more.

    `code_marks` is how many signs of code, options, paths and addresses it may hold.
    """
    found = words(text)
    count = len(found)
    if count < fewest or not _END.search(text):
        return False
    if not (text[0].isupper() or text[0] in "\"'(" or text[0].isdigit()):
        return False
    if len(_CODE.findall(text)) > code_marks * (1 + count // 60):
        return False
    if len(_LATIN.findall(text)) > 0.01 * len(text):
        return False
    letters = sum(map(len, found))
    visible = len(text) - text.count(" ")
    if letters < 0.86 * visible:  # digits, marks and symbols are the rest
        return False
    if not 2.8 <= letters / count <= 8.5:
        return False
    if sum(1 for w in found if w.isupper() and len(w) > 1) > 0.25 * count:
        return False
    functional = sum(1 for w in found if w.lower() in FUNCTION_WORDS)
    return functional >= (0.22 if count >= 12 else 0.12) * count


def key(text):
    """Sixteen bytes that two paragraphs share if they differ in case, marks and digits alone."""
    bare = _NOT_KEY.sub(" ", re.sub(r"\d+", "0", text.lower())).strip()
    return hashlib.blake2b(bare.encode(), digest_size=16).digest()


def paragraphs_of(raw, fewest=8, code_marks=1):
    """The prose among raw paragraphs, normal."""
    kept = []
    for paragraph in raw:
        text = normal(paragraph)
        if text and is_prose(text, fewest, code_marks):
            kept.append(text)
    return kept


def chunks(paragraphs, most=24000, least=0):
    """Documents of at most about `most` characters, cut between paragraphs."""
    part, size = [], 0
    for paragraph in paragraphs:
        if part and size + len(paragraph) > most:
            yield part
            part, size = [], 0
        part.append(paragraph)
        size += len(paragraph) + 1
    if part and size >= least:
        yield part


_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(]?[A-Z0-9])")


def sentences(text):
    return [s.strip() for s in _SENTENCE.split(text) if s.strip()]


def sentence(text):
    """A phrase with a capital at its start and a full stop at its end."""
    text = normal(text).rstrip(" ;,:")
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" or text[-2:] in ('."', '!"', '?"') else text + "."


_TOKENS = re.compile(r"(\d)([.,])(?=\d)|(\w)-(?=\w)|([.,;:!?\"()\[\]\u2013\u2014])|(n't|'\w+)\b")


def marked(texts, fewest):
    """The texts with `<unk>` for each word that occurs fewer than `fewest` times in all of them."""
    words = collections.Counter(word for text in texts for word in text.split())
    return [re.sub(r"\S+", lambda word: word[0] if words[word[0]] >= fewest else "<unk>", text)
            for text in texts]


def tokenised(text):
    """Text as corpora of tokenised news and Wikipedia write it: marks apart, `@-@` for a joint.

    A full stop inside a word stays where it is; each line begins and ends with a space.
    """
    def one(match):
        digit, mark, letter, alone, clitic = match.groups()
        if digit:
            return f"{digit} @{mark}@ "
        if letter:
            return f"{letter} @-@ "
        if clitic:
            return f" {clitic}"
        end = match.string[match.end():match.end() + 1]
        if alone == "." and not (end in ("", '"', "'", ")") or end.isspace()):
            return "."
        return f" {alone} "
    lines = (_SPACE.sub(" ", _TOKENS.sub(one, line)).strip() for line in text.split("\n"))
    return "\n".join(f" {line} " for line in lines)

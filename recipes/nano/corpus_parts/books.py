"""Books that packages carry: in R's data files, in SWORD's modules, as plain text."""
import bz2
import lzma
import re
import struct
import zlib

from . import clean, markup, plain


class _RData:
    """Reads R's serialised form (XDR, versions 2 and 3) as far as vectors of strings need it."""

    def __init__(self, data):
        self.data, self.at, self.refs = data, 0, []
        if data[:2] != b"X\n":
            raise ValueError("not XDR serialised R data")
        self.at = 2
        version = self.integer()
        self.at += 8
        if version == 3:
            size = self.integer()  # of the name of an encoding
            self.at += size

    def integer(self):
        self.at += 4
        return struct.unpack_from(">i", self.data, self.at - 4)[0]

    def string(self):
        flags, size = self.integer(), self.integer()
        if flags & 255 != 9:
            raise ValueError("a string was expected")
        if size < 0:
            return ""
        self.at += size
        return self.data[self.at - size:self.at].decode("utf-8", "replace")

    def item(self):
        flags = self.integer()
        kind = flags & 255
        if kind in (254, 242, 253, 251, 241, 252, 250, 247):  # nil and the environments
            return None
        if kind == 255:
            return self.refs[(flags >> 8 or self.integer()) - 1]
        if kind == 1:
            name = self.string()
            self.refs.append(name)
            return name
        if kind == 2:  # a pair list: attributes
            pairs = []
            while kind == 2:
                if flags & 0x200:
                    self.item()
                tag = self.item() if flags & 0x400 else None
                pairs.append((tag, self.item()))
                flags = self.integer()
                kind = flags & 255
            if kind != 254:
                raise ValueError("an unknown end of a list")
            return pairs
        count = self.integer()
        if kind == 16:
            value = [self.string() for _ in range(count)]
        elif kind == 19:
            value = [self.item() for _ in range(count)]
        elif kind in (10, 13):
            self.at += 4 * count
            value = None
        elif kind == 14:
            self.at += 8 * count
            value = None
        else:
            raise ValueError(f"an R object of kind {kind}")
        if flags & 0x200:
            self.item()
        return value


def _strings(value):
    """The longest vector of strings in a nest of lists."""
    if isinstance(value, list):
        if value and all(isinstance(v, str) for v in value):
            return value
        found = [_strings(v) for v in value if isinstance(v, list)]
        return max(found, key=len, default=[])
    return []


def _inflate(block):
    kind = block[4:5]
    if kind == b"2":
        return bz2.decompress(block[5:])
    if kind == b"Z":
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 6}]
        return lzma.decompress(block[5:], lzma.FORMAT_RAW, filters=filters)
    return zlib.decompress(block[4:])


def _lazy_blocks(rdb):
    """The zlib, bzip2 or xz blocks of a lazy-load file, found by their order: each starts with its
    size in four bytes, and the index is not needed to walk them."""
    at = 0
    while at + 5 < len(rdb):
        size = struct.unpack_from(">I", rdb, at)[0]
        inflater = zlib.decompressobj()
        try:
            data = inflater.decompress(rdb[at + 4:])
            used = 4 + len(rdb) - at - 4 - len(inflater.unused_data)
        except zlib.error:
            kind = rdb[at + 4:at + 5]
            if kind == b"2":
                inflater = bz2.BZ2Decompressor()
            elif kind == b"Z":
                inflater = lzma.LZMADecompressor(
                    lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6}])
            else:
                return
            data = inflater.decompress(rdb[at + 5:])
            used = len(rdb) - at - len(inflater.unused_data)
        if len(data) != size:
            return
        yield data
        at += used


def r_books(path):
    """Books of a package's Rdata.rdb: a vector of lines each, joined to paragraphs."""
    for data in _lazy_blocks(path.read_bytes()):
        try:
            lines = _strings(_RData(data).item())
        except (ValueError, struct.error, IndexError):
            continue
        if sum(map(len, lines)) > 100000:  # lines of a book, or all of it in one string
            yield from book("\n".join(lines))


_SPOKEN = re.compile(r"^(CHAPTER|VOLUME|BOOK|PART)\b|^[IVXLC]+\.?$", re.I)


def book(text):
    """Documents of about four pages, in order."""
    raw = [p.replace("_", "").replace("--", "\u2014") for p in plain.paragraphs(text)
           if not _SPOKEN.match(p)]
    return clean.chunks(clean.paragraphs_of(raw, 4), 12000)


def sword(path):
    """Texts of a SWORD module: PATH is its .bzs, records of (offset, size, size inflated)."""
    index = path.read_bytes()
    data = path.with_suffix(".bzz").read_bytes()
    for at in range(0, len(index) - 11, 12):
        start, size, _ = struct.unpack_from("<III", index, at)
        if not size:
            continue
        try:
            text = zlib.decompress(data[start:start + size]).decode("utf-8", "replace")
        except zlib.error:
            continue
        text = re.sub(r"<note\b.*?</note>", "", text, flags=re.S)
        text = re.sub(r"<milestone[^>]*type=\"x-p\"[^>]*>|¶|<div[^>]*type=\"x-p\"[^>]*>", "</p><p>", text)
        text = re.sub(r"\\par\b", "</p><p>", text)
        blocks = [" ".join(b.split()) for b in
                  markup.paragraphs(text, skipped=frozenset(["note", "title", "reference"]))]
        yield from clean.chunks(_verses(clean.paragraphs_of(blocks, 3)), 12000)


def _verses(paragraphs):
    """Verses that follow each other joined to paragraphs of some length."""
    joined = ""
    for paragraph in paragraphs:
        joined = f"{joined} {paragraph}".strip()
        if len(joined) > 500:
            yield joined
            joined = ""
    if joined:
        yield joined

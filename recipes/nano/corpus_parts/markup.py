"""Paragraphs out of HTML, DocBook, Mallard and OSIS: whatever html.parser can walk."""
import re
from html.parser import HTMLParser

# What starts a new paragraph; every other element is part of the line it stands in.
BLOCKS = frozenset(
    "p para simpara li listitem dd dt td th tr h1 h2 h3 h4 h5 h6 div section article blockquote body "
    "title subtitle ul ol dl table item note tip warning caution important example l lg verse chapter "
    "sect1 sect2 sect3 sect4 term desc name paragraph bookmark hr center tbody main details summary "
    "formalpara abstract step substeps figure figcaption refsect1 refsect2 varlistentry screenshot "
    "mediaobject caption".split())
# What is no prose: programs, tables of values, the way about a site.
SKIPPED = frozenset(
    "script style pre nav form select button svg math head table programlisting screen synopsis "
    "literallayout code-block listing footer textarea noscript indexterm title note-ref sub remark "
    "bookinfo articleinfo refmeta refnamediv refsynopsisdiv funcsynopsis cmdsynopsis informaltable "
    "info toc keycombo-list header h1 h2 h3 h4 h5 h6 textobject screenco".split())
VOID = frozenset("br hr img meta link input area base col embed param source track wbr".split())
_SKIPPED_CLASS = re.compile(
    r"(?<![\w-])(sphinxsidebar|related|nav(header|footer)?|toc\w*|table-of-contents|sidebar|highlight\S*|"
    r"breadcrumbs?|footer|header|programlisting|screen|synopsis|admonition-title|literal-block|"
    r"synopsisdiv|legalnotice|trail|linklist|versionadded|admonitionblock-title)(?![\w-])")
_ENTITY = re.compile(r"&([A-Za-z][\w.-]*);")


class _Walker(HTMLParser):
    def __init__(self, skipped, marks):
        super().__init__(convert_charrefs=True)
        self.skipped, self.marks = skipped, marks
        self.done, self.line = [], []
        self.inside, self.depth = None, 0  # the element that is being skipped, and how deep in it

    def flush(self):
        text = "".join(self.line).strip()
        if text:
            self.done.append(text)
        self.line = []

    def handle_starttag(self, tag, attributes):
        tag = tag.split(":")[-1]
        if self.inside:
            self.depth += tag == self.inside
            return
        named = " ".join(v or "" for k, v in attributes if k in ("class", "role"))
        if tag not in VOID and (tag in self.skipped or
                                (tag in ("div", "span", "a", "ul", "section", "p", "table") and
                                 _SKIPPED_CLASS.search(named))):
            if tag in BLOCKS or tag in ("pre", "programlisting", "screen", "table"):
                self.flush()
            self.inside, self.depth = tag, 1
        elif tag == "br" or tag == "lb":
            self.line.append("\n")
        elif tag in BLOCKS:
            self.flush()
        if tag in self.marks:
            self.done.append(self.marks[tag])

    def handle_startendtag(self, tag, attributes):
        if self.inside:
            return
        if tag in ("br", "lb"):
            self.line.append("\n")
        elif tag in BLOCKS:
            self.flush()

    def handle_endtag(self, tag):
        tag = tag.split(":")[-1]
        if self.inside:
            self.depth -= tag == self.inside
            if self.depth == 0:
                self.inside = None
        elif tag in BLOCKS:
            self.flush()

    def handle_data(self, data):
        if not self.inside:
            self.line.append(data)


def paragraphs(text, skipped=SKIPPED, marks=None):
    """Raw paragraphs of a marked-up text. A blank line inside one ends it, too."""
    # DocBook's entities for names, such as &kde;, have no definition here: the name is their text.
    text = _ENTITY.sub(lambda m: m.group(0) if m.group(1) in _KNOWN else m.group(1).capitalize(), text)
    text = re.sub(r"<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<!DOCTYPE[^\[>]*(\[.*?\]\s*)?>", " ", text, flags=re.S)
    walker = _Walker(skipped, marks or {})
    walker.feed(text)
    walker.close()
    walker.flush()
    return [part for block in walker.done for part in re.split(r"\n\s*\n", block)]


from html.entities import name2codepoint  # noqa: E402

_KNOWN = frozenset(name2codepoint) | {"apos"}

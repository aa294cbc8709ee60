"""Paragraphs out of plain text, manual pages and Perl's pod."""
import re


def paragraphs(text):
    """Blocks between blank lines, each joined to one line."""
    return [" ".join(line.strip() for line in block.split("\n"))
            for block in re.split(r"\n[ \t]*\n", text.replace("\r", "").replace("\f", "\n\n"))]


_FONT = re.compile(r"\\f(?:\[\w*\]|\(\w\w|\w)|\\s[+-]?\d|\\[&/,|^%:]|\\\)")
_NAMED = {"(aq": "'", "(dq": '"', "(lq": '"', "(rq": '"', "(em": "\u2014", "(en": "\u2013", "-": "-",
          "e": "\\", "(co": "\u00a9", "(bu": "*", "~": " ", " ": " ", "(oq": "'", "(cq": "'", "(mu": "x",
          "(ti": "~", "(ha": "^", "(rs": "\\", "(ga": "`", "'": "'", "0": " "}
_ESCAPE = re.compile(r"\\(\(..|\[[^\]]*\]|.)")


def _unescape(text):
    text = _FONT.sub("", text)
    return _ESCAPE.sub(lambda m: _NAMED.get(m.group(1), ""), text)


def _arguments(line):
    return [a or b for a, b in re.findall(r'"((?:[^"]|"")*)"|(\S+)', line)]


def manual(text):
    """Paragraphs of a manual page in the macros `man`: what is set as text, nothing set as is."""
    done, line, verbatim, tagged, shown = [], [], False, False, False

    def flush():
        joined = " ".join(line).strip()
        if joined and shown:
            done.append(joined)
        line.clear()

    for source in text.split("\n"):
        if source.startswith(('.\\"', "'\\\"", "\\\"")):
            continue
        if not source.startswith((".", "'")):
            if tagged:
                tagged = False
            elif not verbatim:
                line.append(_unescape(source))
            continue
        parts = source[1:].strip().split(None, 1)
        macro, rest = (parts[0], parts[1] if len(parts) > 1 else "") if parts else ("", "")
        if macro in ("SH", "SS"):
            flush()
            name = _unescape(rest).strip('" ').upper()
            shown = name not in ("NAME", "SYNOPSIS", "SEE ALSO", "COLOPHON", "LIBRARY", "HISTORY",
                                 "STANDARDS", "CONFORMING TO", "AUTHORS", "AUTHOR", "ATTRIBUTES",
                                 "EXAMPLES", "PROGRAM SOURCE", "VERSIONS")
        elif macro in ("PP", "P", "LP", "HP", "IP", "TP", "TQ", "RS", "RE", "sp", "br"):
            if macro != "br":
                flush()
            tagged = macro in ("TP", "TQ")
        elif macro in ("nf", "EX", "TS", "EQ"):
            flush()
            verbatim = True
        elif macro in ("fi", "EE", "TE", "EN"):
            verbatim = False
        elif verbatim:
            continue
        elif macro in ("B", "I", "SM", "SB", "R"):
            if tagged:
                tagged = False
            else:
                line.append(_unescape(" ".join(_arguments(rest))))
        elif macro in ("BR", "RB", "IR", "RI", "BI", "IB"):
            if tagged:
                tagged = False
            else:
                line.append(_unescape("".join(_arguments(rest))))
    flush()
    return done


_POD_CODE = re.compile(r"[BCFILSX](?:<<+ (.*?) >>+|<([^<>]*)>)")


def pod(text):
    """Paragraphs of Perl's documentation: unindented, outside of =begin blocks."""
    done = []
    for block in re.split(r"\n[ \t]*\n", text):
        if not block or block[0] in "= \t\n":
            continue
        block = block.replace("E<gt>", ">").replace("E<lt>", "<").replace("Z<>", "")
        for _ in range(3):
            block = re.sub(r"X<[^<>]*>", "", block)
            block = re.sub(r"L<(?:([^<>|]*)\|)?([^<>]*)>", lambda m: m.group(1) or m.group(2), block)
            block = _POD_CODE.sub(lambda m: m.group(1) or m.group(2) or "", block)
        done.append(" ".join(block.split()))
    return done

"""What people say and what is described in games: text out of their scripts and string tables.

Conversations stand in the order of the file, one line of speech a paragraph.
"""
import re

_WML = re.compile(r'\b(?:message|story|text|description|details|note|speech)\s*=\s*(?:_\s*)?"((?:[^"]|"")*)"')
_SPAN = re.compile(r"<[^<>]*>")


def _parts(text):
    return [p for p in re.split(r"\n\s*\n", text) if p.strip()]


def wesnoth(text):
    """Messages and stories of Wesnoth's markup language: message= _ "...", doubled quotes inside."""
    done = []
    text = re.sub(r'"\s*\n?\s*\+\s*\n?\s*_?\s*"', "", text)  # pieces joined by a plus
    for found in _WML.findall(text):
        found = found.replace('""', '"')
        if "$" in found or "{" in found:  # variables and macros that only the game can fill
            continue
        done += _parts(_SPAN.sub("", found))
    return done


def endless_sky(text):
    """Conversations and descriptions of Endless Sky's data: `...` or "..." that ends a line."""
    done = []
    for line in text.split("\n"):
        match = re.match(r'\s*(?:description |dialog |spaceport |log .*?)?[`"](.*)[`"]\s*$', line)
        if match is None or "<" in match.group(1):
            continue
        done.append(match.group(1).strip())
    return done


def dink(text):
    """say("...") and its like in DinkC."""
    found = re.findall(r'\bsay(?:_stop|_xy|_stop_npc|_stop_xy)?\s*\(\s*"([^"]*)"', text)
    return [re.sub(r"^`.", "", f) for f in found if "&" not in f]


def string_table(text):
    """FreeOrion's NAME / text, or ''' text ''' over lines; links keep what they show."""
    done = []
    text = re.sub(r"^#.*$", "", text, flags=re.M)
    for block in re.findall(r"^[A-Z][A-Z0-9_]+\n(?:'''(.*?)'''|([^\n]+))$", text, re.S | re.M):
        found = block[0] or block[1]
        found = re.sub(r"\[\[[^\]]*\]\]", "%", re.sub(r"<[^<>]*>|•", "", found))
        done += [p for part in _parts(found) for p in part.split("\n") if "%" not in p]
    return done


def percent_blocks(text):
    """Crawl's descriptions: name, blank line, text, between lines of %%%%."""
    done = []
    for block in text.split("%%%%"):
        name, _, body = block.strip().partition("\n")
        if name.startswith("#") or "{{" in body or "$" in body or "@" in body:
            continue
        done += [" ".join(part.split()) for part in _parts(body)]
    return done


def crossfire(text):
    """msg ... endmsg of Crossfire's maps; @match lines are orders to the program."""
    done = []
    for block in re.findall(r"^msg\n(.*?)^endmsg", text, re.S | re.M):
        if re.search(r"^(Created|Modified|Creator)", block, re.M):
            continue
        block = re.sub(r"^@.*$", "\n", block, flags=re.M)
        done += [" ".join(re.sub(r"\[/?\w+[^\]]*\]", "", part).split()) for part in _parts(block)]
    return done


def freeciv(text):
    """Quoted help texts of Freeciv, whose lines end in a backslash."""
    done = []
    for found in re.findall(r'_\(\s*"((?:[^"\\]|\\.)*)"\s*\)', text, re.S):
        found = found.replace("\\\n", "").replace("\\n", "\n").replace('\\"', '"')
        if "%" not in found:
            done += [" ".join(part.split()) for part in _parts(found)]
    return done


def renpy(text):
    """What Ren'Py scripts say: an optional speaker, then "..." alone on a line."""
    found = re.findall(r'^\s+(?:\w+(?: \w+)* )?"((?:[^"\\]|\\.)*)"\s*$', text, re.M)
    return [re.sub(r"\{[^}]*\}", "", f.replace('\\"', '"')) for f in found if "[" not in f]

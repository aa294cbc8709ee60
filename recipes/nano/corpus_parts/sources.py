"""The sources: which packages, which of their files, who reads them, and under what licence they are.

`packages` are patterns of whole package names (a group `v` picks the newest version), `files` are
globs below the unpacked tree. A licence is what the package's own copyright file states for these
files; the path of that file is recorded for every package when the corpus is made.
"""
from dataclasses import dataclass

GENERATED_KINDS = ("facts", "basics", "capitals", "atlas", "grammar")
KINDS = ("narrative", "encyclopaedic", "essays", "documentation", "descriptions",
         "dictionary") + GENERATED_KINDS

# What follows from a kind of licence for weights that were trained on a text. It is what we do, not
# a claim about what the law asks for.
TERMS = {
    "public domain": "nothing is asked",
    "permissive": "notice kept here",
    "share-alike": "free, modified texts stay under it: the texts are not shipped, source named",
    "GPL": "free, derived works of the text stay under it: the texts are not shipped, source named",
    "mixed free": "each text under the free licence of the package that it belongs to",
}


@dataclass(frozen=True)
class Source:
    name: str
    kind: str
    reader: str  # a function of readers.py
    packages: tuple
    files: tuple
    licence: str
    terms: str
    megabytes: float = 0  # at most so much is kept, chosen by a hash; 0: all
    without: str = ""  # a regular expression of paths that are left out


def _source(name, kind, reader, packages, files, licence, terms, megabytes=0.0, without=""):
    as_tuple = (lambda v: (v,) if isinstance(v, str) else tuple(v))
    return Source(name, kind, reader, as_tuple(packages), as_tuple(files), licence, terms, megabytes,
                  without)


_GFDL = "GFDL, no invariant sections"
SOURCES = (
    # Stories, novels, speech.
    _source("austen", "narrative", "r_books", "r-cran-janeaustenr",
            "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb",
            "six novels by Jane Austen (1811-1818), public domain; package MIT", "public domain"),
    _source("melville", "narrative", "r_books", "r-cran-tokenizers",
            "usr/lib/R/site-library/tokenizers/data/Rdata.rdb",
            "Moby-Dick by Herman Melville (1851), public domain; package MIT", "public domain"),
    _source("twain", "narrative", "book", "golang-github-klauspost-compress-dev",
            "usr/share/gocode/src/github.com/klauspost/compress/testdata/Mark.Twain-Tom.Sawyer.txt",
            "The Adventures of Tom Sawyer (1876), public domain; package BSD-3-Clause",
            "public domain"),
    _source("web-bible", "narrative", "sword", "sword-text-web",
            "usr/share/sword/modules/texts/ztext/*/*.bzs",
            "World English Bible, dedicated to the public domain", "public domain"),
    _source("wesnoth", "narrative", "wesnoth",
            (r"wesnoth-(?P<v>1\.\d+)-(data|did|dm|dw|ei|httt|l|low|nr|sof|sota|sotbe|thot|trow|tsg|"
             r"ttb|utbs)"), "usr/share/games/wesnoth/**/*.cfg", "GPL-2+", "GPL",
            without=r"/(help|editor|tools|themes)\b"),
    _source("endless-sky", "narrative", "endless_sky", "endless-sky-data",
            "usr/share/games/endless-sky/data/**/*.txt", "GPL-3+", "GPL"),
    _source("dink", "narrative", "dink", "freedink-data",
            "usr/share/games/dink/**/*.c", "zlib-like (Seth A. Robinson), additions GPL-3+", "GPL"),
    _source("crossfire", "narrative", "crossfire", "crossfire-maps",
            "usr/share/games/crossfire/maps/**/*", "GPL-2+", "GPL",
            without=r"\.(png|gz|py|txt)$|/(unlinked|editor)/"),
    _source("renpy", "narrative", "renpy", ("renpy-thequestion", "renpy-demo"),
            ("usr/share/games/renpy/**/*.rpy",), "Expat (MIT)", "permissive",
            without=r"/tl/|/tutorial/tl"),
    # What explains the world.
    # Long and modern, but of one political opinion: a kind of its own, so that a mixture can weigh it.
    _source("anarchist-faq", "essays", "markup", "anarchism",
            "usr/share/doc/anarchism/html/*.html", "An Anarchist FAQ, GPL-2; one-sided by design",
            "GPL", 5),
    _source("newton", "encyclopaedic", "book", r"golang-(?P<v>1\.\d+)-src",
            "usr/share/go-*/src/testdata/Isaac.Newton-Opticks.txt",
            "Opticks by Isaac Newton (1704), public domain", "public domain"),
    _source("kstars", "encyclopaedic", "markup", "kstars-data",
            "usr/share/doc/HTML/en/kstars/*.docbook", _GFDL + " (1.2+)", "share-alike"),
    _source("chemistry", "encyclopaedic", "markup", "kalzium-data",
            "usr/share/kalzium/data/knowledge.xml", "GPL-2+", "GPL"),
    _source("commentary", "encyclopaedic", "sword", "sword-comm-mhcc",
            "usr/share/sword/modules/comments/zcom/*/*.bzs",
            "Matthew Henry's Concise Commentary (1706), public domain", "public domain", 1.5),
    _source("calendar", "encyclopaedic", "calendar", "calendar",
            ("usr/share/calendar/calendar.history", "usr/share/calendar/calendar.birthday",
             "usr/share/calendar/calendar.music", "usr/share/calendar/calendar.computer"),
            "BSD (University of California)", "permissive"),
    _source("constitution", "encyclopaedic", "book", "miscfiles",
            "usr/share/state/*.gz", "public domain (acts of a government)", "public domain"),
    _source("freeciv", "encyclopaedic", "freeciv", "freeciv-data",
            ("usr/share/games/freeciv/helpdata.txt", "usr/share/games/freeciv/civ2civ3/*.ruleset",
             "usr/share/games/freeciv/classic/*.ruleset",
             "usr/share/games/freeciv/nation/*.ruleset"), "GPL-2+", "GPL"),
    _source("freeorion", "encyclopaedic", "string_table", "freeorion-data",
            "usr/share/games/freeorion/default/stringtables/en.txt", "GPL-2 and CC-BY-SA-3.0",
            "GPL"),
    _source("crawl", "encyclopaedic", "percent_blocks", "crawl-common",
            "usr/share/crawl/dat/descript/*.txt", "GPL-2+", "GPL", without="quotes"),
    _source("lincity", "encyclopaedic", "markup", "lincity-ng-data",
            "usr/share/games/lincity-ng/help/en/*.xml", "GPL-2+", "GPL"),
    _source("debian-history", "encyclopaedic", "markup", "debian-history",
            "usr/share/doc/debian-history/docs/*.en.html", "GPL-2+", "GPL"),
    _source("finance", "encyclopaedic", "markup", "gnucash-docs",
            "usr/share/help/C/gnucash-*/*", _GFDL + " (1.1+)", "share-alike"),
    _source("wordnet-names", "encyclopaedic", "wordnet_names", "wordnet-base", "usr/share/wordnet",
            "WordNet 3.0 licence (any purpose, notice kept)", "permissive"),
    # Handbooks and manuals.
    _source("debian-handbook", "documentation", "markup", "debian-handbook",
            "usr/share/doc/debian-handbook/html/en-US/*.html", "GPL-2+ or CC-BY-SA-3.0",
            "share-alike"),
    _source("debian-books", "documentation", "markup",
            ("debian-reference-en", "developers-reference", "aptitude-doc-en", "harden-doc", "mh-book",
             "debmake-doc"),
            ("usr/share/debian-reference/*.en.html", "usr/share/doc/debian-reference-*/**/*.en.html",
             "usr/share/doc/developers-reference/*.html", "usr/share/developers-reference/*.html",
             "usr/share/doc/aptitude/html/en/*.html", "usr/share/doc/harden-doc/html/en-US/*.html",
             "usr/share/doc/mh-book/**/*.htm*", "usr/share/doc/debmake-doc/html/*.en.html"),
            "GPL-2 or GPL-2+ (debmake-doc: Expat)", "GPL"),
    _source("installation", "documentation", "markup", "installation-guide-amd64",
            "usr/share/doc/installation-guide-amd64/en/*.html", "GPL-2", "GPL"),
    _source("freedombox", "documentation", "markup", "freedombox-doc-en",
            "usr/share/freedombox/manual/en/*.html", "CC-BY-SA-4.0", "share-alike"),
    _source("gnome-help", "documentation", "markup", "gnome-user-docs",
            "usr/share/help/C/**/*.page", "CC-BY-SA-3.0", "share-alike"),
    _source("desktop-help", "documentation", "markup",
            ("mate-user-guide", "gnumeric-doc", "khelpcenter"),
            ("usr/share/help/C/*/*.xml", "usr/share/help/C/*/*.docbook",
             "usr/share/doc/HTML/en/*/*.docbook"), _GFDL, "share-alike"),
    _source("libreoffice", "documentation", "markup", "libreoffice-help-en-us",
            ("usr/share/libreoffice/help/en-US/text/**/*.html",
             "usr/lib/libreoffice/help/en-US/text/**/*.html"), "MPL-2.0", "share-alike", 3),
    _source("gimp", "documentation", "markup", ("gimp-help-en", "gimp-help-common"),
            "usr/share/gimp/2.0/help/en/*.html", _GFDL + " (1.2+)", "share-alike"),
    _source("lilypond", "documentation", "markup", "lilypond-doc-html",
            "usr/share/doc/lilypond/html/Documentation/*/*.html", _GFDL + " (1.3+)", "share-alike", 2,
            without=r"\.[a-z]{2}(_[A-Z]{2})?\.html$|internals|changes|big-page"),
    _source("puzzles", "documentation", "book", "sgt-puzzles",
            "usr/share/doc/sgt-puzzles/*.txt*", "Expat (MIT)", "permissive"),
    _source("manual-pages", "documentation", "manual", ("manpages", "manpages-dev"),
            ("usr/share/man/man[2-8]/*.gz",), "free, page by page: verbatim copyleft, GPL-2+, BSD",
            "mixed free", 4),
    _source("git", "documentation", "markup", "git-doc", "usr/share/doc/git/html/**/*.html", "GPL-2",
            "GPL", 1.5, without=r"RelNotes"),
    _source("python", "documentation", "markup", r"python(?P<v>3\.\d+)-doc",
            "usr/share/doc/python3.*/html/*/*.html", "PSF licence", "permissive", 4,
            without=r"/(whatsnew|_\w+|c-api)/"),
    _source("perl", "documentation", "pod", "perl-doc", "usr/share/perl/5*/pod/*.pod",
            "GPL-1+ or Artistic", "GPL", 5, without=r"delta\.pod|perl(hist|toc|api|intern)"),
    _source("postgresql", "documentation", "markup", r"postgresql-doc-(?P<v>\d+)",
            "usr/share/doc/postgresql-doc-*/html/*.html", "PostgreSQL licence", "permissive", 4,
            without=r"/release"),
    _source("rust", "documentation", "markup", "rust-doc",
            tuple(f"usr/share/doc/rust-doc/html/{b}/**/*.html" for b in
                  ("book", "reference", "nomicon", "edition-guide", "embedded-book", "rustc")),
            "MIT or Apache-2.0", "permissive", 3, without=r"print\.html|second-edition|first-edition"),
    _source("django", "documentation", "markup", "python-django-doc",
            "usr/share/doc/python-django-doc/html/*/**/*.html", "BSD-3-Clause", "permissive", 3,
            without=r"/releases/|/_\w+/"),
    _source("linux", "documentation", "markup", r"linux-doc-(?P<v>\d+\.\d+)",
            tuple(f"usr/share/doc/linux-doc-*/html/{b}/**/*.html" for b in
                  ("process", "admin-guide", "filesystems", "userspace-api", "driver-api",
                   "networking", "mm", "scheduler", "RCU", "doc-guide", "security")),
            "GPL-2", "GPL", 4, without=r"/_\w+/|index\.html"),
    # A paragraph or two on each of sixty thousand programs and libraries.
    _source("package-descriptions", "descriptions", "descriptions", (), (),
            "the free licence of each package's own packaging", "mixed free"),
    # Dictionaries.
    _source("wordnet", "dictionary", "wordnet", "wordnet-base", "usr/share/wordnet",
            "WordNet 3.0 licence (any purpose, notice kept)", "permissive"),
    _source("gcide", "dictionary", "gcide", "dict-gcide", "usr/share/dictd/gcide.index",
            "GPL-2+ (Webster 1913 public domain, additions GPL)", "GPL", 9),
    _source("foldoc", "dictionary", "foldoc", "dict-foldoc", "usr/share/dictd/foldoc.index",
            _GFDL + " (1.1+)", "share-alike"),
    _source("jargon", "dictionary", "jargon", "dict-jargon", "usr/share/dictd/jargon.index",
            "public domain", "public domain"),
    _source("devil", "dictionary", "devil", "dict-devil", "usr/share/dictd/devil*.index",
            "The Devil's Dictionary (1911), public domain", "public domain"),
    _source("elements", "dictionary", "elements", "dict-elements", "usr/share/dictd/elements.index",
            "public domain; the superheavy elements from Wikipedia, CC-BY-SA", "share-alike"),
)

# Written by the modules facts.py and grammar.py of this folder, with WordNet's words.
GENERATED = (
    Source("facts", "facts", "facts", ("wordnet-base",), ("usr/share/wordnet",),
           "written for this project, under its licence; WordNet's vocabulary", "permissive"),
    Source("basics", "basics", "basics", ("wordnet-base",), ("usr/share/wordnet",),
           "written for this project, under its licence", "permissive"),
    Source("capitals", "capitals", "capitals", ("wordnet-base",), ("usr/share/wordnet",),
           "written for this project, under its licence", "permissive"),
    Source("atlas", "atlas", "atlas", ("wordnet-base",), ("usr/share/wordnet",),
           "written for this project, under its licence", "permissive"),
    Source("grammar", "grammar", "grammar", ("wordnet-base",), ("usr/share/wordnet",),
           "written for this project, under its licence; WordNet's vocabulary", "permissive"),
)

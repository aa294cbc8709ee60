#!/usr/bin/env python3
"""The cleaners and converters of recipes/nano/corpus, on made-up snippets. No network."""
import gzip
import json
import pathlib
import random
import struct
import sys
import tempfile
import unittest
import zlib
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "recipes" / "nano"))
from corpus_parts import (agreement, books, clean, dictionaries, facts, games, grammar, lexicon,  # noqa: E402
                          markup, overlap, packages, plain, readers, sources, wordnet)

PROSE = "The keeper of the lighthouse wrote down what he had seen from the tower in the night."


class Clean(unittest.TestCase):
    def test_quotes_and_spaces_become_plain(self):
        self.assertEqual(clean.normal("\u201cOne\u201d\u00a0 two\u00ad , \u2018three\u2019\u200b ."),
                         "\"One\" two, 'three'.")

    def test_prose_stays(self):
        self.assertTrue(clean.is_prose(PROSE))
        self.assertTrue(clean.is_prose('"' + PROSE + '"'))

    def test_what_is_no_prose_goes(self):
        for text in ("for (int i = 0; i < n; ++i) { total += values[i]; } return the_total_of(it);",
                     "Usage of the tool: --output FILE, --input FILE and -v are the options of it.",
                     "See https://a.example/ and the list at https://b.example/ for all of the rest.",
                     "Der Wärter des Leuchtturms schrieb auf, was er in der Nacht gesehen hatte.",
                     "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi.",
                     "0x00 0x01 12.5 13.5 14.5 15.5 and the 16.5 17.5 18.5 19.5 of a table 20.5.",
                     "The heading of a chapter that has no mark at its end and is no sentence",
                     "In the year (12), (13), (14), (15) and 16, the 17, 18, 19 and 20 were so 21, 22, 23.",
                     "Too short."):
            self.assertFalse(clean.is_prose(text), text)

    def test_repeats_are_found_whatever_their_case_marks_and_numbers(self):
        self.assertEqual(clean.key("Version 1.2 of the tool!"), clean.key("version 3.4 of the Tool."))
        self.assertNotEqual(clean.key("One thing."), clean.key("Other thing."))

    def test_documents_are_cut_between_paragraphs(self):
        parts = list(clean.chunks(["a" * 40, "b" * 40, "c" * 40], 90))
        self.assertEqual([[p[0] for p in part] for part in parts], [["a", "b"], ["c"]])

    def test_tokenised_writing(self):
        self.assertEqual(clean.tokenised('He said "no-one". It cost 3,500 in 1.5 hours.'),
                         ' He said " no @-@ one " . It cost 3 @,@ 500 in 1 @.@ 5 hours . ')

    def test_rare_words_are_marked(self):
        self.assertEqual(clean.marked([" a b , \n a ", " b c , "], 2), [" a b , \n a ", " b <unk> , "])


class Markup(unittest.TestCase):
    def test_html(self):
        html = ("<html><head><title>T</title></head><body><nav><p>Home</p></nav><h1>Head</h1>"
                "<p>One <b>bold</b> &amp; <code>x</code>.<pre>code()</pre><div class='sphinxsidebar'>"
                "<div><p>side</p></div></div><p>Two<br>lines.</p><table><tr><td>1</td></tr></table>"
                "<ul><li>Item.</li></ul><div>A.<p>B.</p>C.</div></body></html>")
        self.assertEqual([clean.normal(p) for p in markup.paragraphs(html)],
                         ["One bold & x.", "Two lines.", "Item.", "A.", "B.", "C."])

    def test_a_class_that_only_begins_alike_is_no_sidebar(self):
        self.assertEqual(markup.paragraphs("<div class='content clear-block related-words'><p>In.</p></div>"),
                         ["In."])

    def test_docbook(self):
        text = ("<!DOCTYPE book [ <!ENTITY x 'y'> ]><chapter><title>T</title><para>&ktool; is "
                "<emphasis>here</emphasis>.</para><programlisting><![CDATA[<a>]]></programlisting>"
                "<para>Next.</para></chapter>")
        self.assertEqual(markup.paragraphs(text), ["Ktool is here.", "Next."])


class Plain(unittest.TestCase):
    def test_manual_page(self):
        page = ('.\\" comment\n.TH X 1\n.SH NAME\nx \\- y\n.SH DESCRIPTION\nThe\n.B first\nline of '
                '\\fIit\\fP.\n.PP\n.BR x (1)\nends.\n.nf\ncode\n.fi\n.TP\n.B \\-v\nSays more.\n')
        self.assertEqual(plain.manual(page), ["The first line of it.", "x(1) ends.", "Says more."])

    def test_pod(self):
        self.assertEqual(plain.pod("=head1 X\n\nThe C<code> is I<nice>X<i>, see L<this|that>.\n\n  a();\n"),
                         ["The code is nice, see this."])


class Games(unittest.TestCase):
    def test_wesnoth(self):
        text = 'message= _ "He said ""go"", and <i>went</i>."\nstory= _ "Dear $name|."\nid="x"'
        self.assertEqual(games.wesnoth(text), ['He said "go", and went.'])

    def test_endless_sky(self):
        self.assertEqual(games.endless_sky("\t\t`The captain waits.`\n\tname \"X\"\n\t`Go to <planet>.`"),
                         ["The captain waits."])

    def test_dink_and_tables(self):
        self.assertEqual(games.dink('say_stop("Hello there.", 1); say("&name", 1);'), ["Hello there."])
        self.assertEqual(games.string_table("A_B\nOne line.\n\nC_D\n'''Two.\n\nThree [[X y]].'''\n"),
                         ["One line.", "Two."])

    def test_crossfire_and_crawl(self):
        self.assertEqual(games.crossfire("arch x\nmsg\n@match hi\nWelcome to\nthe inn.\nendmsg\nend\n"),
                         ["Welcome to the inn."])
        self.assertEqual(games.percent_blocks("%%%%\nbat\n\nIt flies\nat night.\n%%%%\n"),
                         ["It flies at night."])


class Dictionaries(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def dictionary(self, entries):
        """A dictd pair of files; numbers are in its base 64, here below 64 * 64."""
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        index, data = [], b""
        for word, text in entries:
            raw = text.encode()
            numbers = [letters[n // 64] + letters[n % 64] for n in (len(data), len(raw))]
            index.append("\t".join([word] + numbers))
            data += raw
        base = pathlib.Path(self.folder.name) / "made"
        base.with_suffix(".index").write_text("\n".join(index) + "\n")
        base.with_suffix(".dict.dz").write_bytes(gzip.compress(data))
        return base.with_suffix(".index")

    def test_gcide(self):
        index = self.dictionary([("Abase", 'Abase \\A*base"\\, v. t. [F. x.]\n   [1913 Webster]\n'
                                  "   1. To lower or to cast down a man from his place. [Archaic] --Bacon.\n"
                                  "      [1913 Webster]\n\n            A quotation that is of no use here.\n")])
        self.assertEqual(list(dictionaries.gcide(index)),
                         [["Abase: To lower or to cast down a man from his place."]])

    def test_foldoc(self):
        index = self.dictionary([("tree", "tree\n\n   <data> A {structure} that has a root and in which "
                                  "every\n   node has one parent.\n\n   (1994-11-08)\n")])
        self.assertEqual(list(dictionaries.foldoc(index)), [[
            "tree: A structure that has a root and in which every node has one parent."]])


class Books(unittest.TestCase):
    def test_strings_of_r_data(self):
        def text(s):
            return struct.pack(">ii", 0x40009, len(s)) + s
        lines = [b"%d " % i + b"x" * 2000 for i in range(60)]
        data = b"X\n" + struct.pack(">iiii", 3, 0, 0, 5) + b"UTF-8" + struct.pack(">ii", 16, len(lines))
        data += b"".join(map(text, lines))
        block = zlib.compress(data)
        found = list(books._lazy_blocks(struct.pack(">I", len(data)) + block))
        self.assertEqual(found, [data])
        self.assertEqual(books._strings(books._RData(data).item()), [s.decode() for s in lines])

    def test_cut_r_data_is_an_error_that_the_reader_knows(self):
        with self.assertRaises((ValueError, struct.error)):
            books._RData(b"X\n" + struct.pack(">iii", 2, 0, 0) + struct.pack(">ii", 16, 9)).item()


class Lists(unittest.TestCase):
    def test_package_descriptions(self):
        text = ("Package: x\nDescription-md5: 0\nDescription-en: short words\n " + PROSE +
                "\n  * an item of a list that has enough words to be a sentence.\n .\n " + PROSE +
                "\n\nPackage: y\n")
        self.assertEqual(list(readers.descriptions([text])), [[PROSE, PROSE]])

    def test_newest_version_of_a_pattern(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("wesnoth-1.16-data", "wesnoth-1.9-data", "other"):
                (pathlib.Path(folder) / f"{name}_1_all.deb").write_text("")
            store = packages.Packages(folder, offline=True)
            self.assertEqual(store.matching(r"wesnoth-(?P<v>1\.\d+)-data"), ["wesnoth-1.16-data"])

    def test_every_source_is_complete(self):
        names = [s.name for s in sources.SOURCES + sources.GENERATED]
        self.assertEqual(len(names), len(set(names)))
        for s in sources.SOURCES:
            self.assertIn(s.kind, sources.KINDS)
            self.assertIn(s.terms, sources.TERMS)
            self.assertTrue(s.licence)
            self.assertTrue(s.reader in readers.READERS or s.reader == "descriptions", s.reader)


class Overlap(unittest.TestCase):
    def test_sentences_and_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            pair = {"sentence_good": "The cats were asleep.", "sentence_bad": "The cats was asleep."}
            short = {"sentence_good": "Ann ran.", "sentence_bad": "Ann fell down the."}
            (pathlib.Path(folder) / "a.jsonl").write_text(f"{json.dumps(pair)}\n{json.dumps(short)}\n")
            long = pathlib.Path(folder) / "b" / "text.txt"
            long.parent.mkdir()
            long.write_text(" It rained on the 3 @,@ 500 people that day and they went home again . \n")
            excluded = overlap.Excluded([pathlib.Path(folder), long])
        self.assertTrue(excluded.meets("I looked. The cats were asleep. So was I."))
        self.assertFalse(excluded.meets("The cats were asleep in the house."))
        self.assertTrue(excluded.meets("Ann ran. I slept."))
        self.assertTrue(excluded.meets("Once it rained on the 3,500 people that day and they went home."))
        self.assertFalse(excluded.meets("It rained on the people."))


class Words(unittest.TestCase):
    def test_articles_and_plurals(self):
        self.assertEqual([wordnet.article(w) for w in "unit uncle hour hen one owl user".split()],
                         "a an an a a an a".split())
        self.assertEqual([wordnet.plural(w) for w in "city day box fireman human".split()],
                         "cities days boxes firemen humans".split())

    def test_forms_of_verbs(self):
        self.assertEqual(lexicon.forms("carry"), ("carry", "carries", "carried", "carried"))
        self.assertEqual(lexicon.forms("watch")[1:3], ("watches", "watched"))
        self.assertEqual(lexicon.forms("steal"), ("steal", "steals", "stole", "stolen"))
        self.assertEqual([lexicon.ing(v) for v in "hide see stop eat".split()],
                         "hiding seeing stopping eating".split())
        # A verb that ends in a lone consonant after a lone vowel must be listed as doubling or not.
        for verbs in lexicon.VERBS.values():
            for base, third, past, participle in verbs:
                self.assertTrue(third.split()[0].endswith("s") and past and participle, base)
        self.assertEqual(lexicon.forms("look at"), ("look at", "looks at", "looked at", "looked at"))
        self.assertEqual(lexicon.ing("run from"), "running from")

    def test_the_grammar_agrees(self):
        class Net:
            irregular = {}

            def common_nouns(self, lexfile, fewest):
                return {wordnet.PEOPLE: ["pilot"], wordnet.ANIMALS: ["heron"]}.get(lexfile, ["kettle"])
        with mock.patch.multiple(lexicon, PEOPLE=[], THINGS=[], ANIMALS=[]):  # no nouns but these
            g = grammar._Grammar(agreement.Words(Net(), random.Random(1)))
        for pattern in set(grammar._PATTERNS):
            for _ in range(40):
                text = grammar.sentence(g, pattern)
                self.assertRegex(text, r"^[A-Z][^A-Z]?.*[.?]$")
                self.assertNotIn("  ", text)
                self.assertNotRegex(text, r"\b(these|those|many|both) (pilot|heron|kettle)\b")
                self.assertNotRegex(text, r"\b(this|every|each) (pilots|herons|kettles)\b")
                if pattern in ("copula", "passive", "is_there"):  # the verb stands beside its subject
                    self.assertNotRegex(text, r"\b(pilots|herons|kettles) (is|was|has)(n't)?\b")
                    self.assertNotRegex(text, r"\b(pilot|heron|kettle) (are|were|have)(n't)?\b")

    def test_the_capital_of_france(self):
        france = next(c for c in facts.tables.COUNTRIES if c[0] == "France")
        texts = {facts._capital(random.Random(i), france) for i in range(60)}
        self.assertIn("The capital of France is Paris.", texts)
        self.assertGreater(len(texts), 8)
        self.assertTrue(all(len(c) == 6 for c in facts.tables.COUNTRIES))
        self.assertTrue(all(len(a) == 6 for a in facts.tables.ANIMALS))

    def test_an_atlas_has_each_known_country_equally_often(self):
        known = [c for c in facts.tables.COUNTRIES if c[0] in facts.tables.BEST_KNOWN]
        self.assertEqual(len(known), len(facts.tables.BEST_KNOWN))  # none is misspelt
        texts = [" ".join(paragraphs) for paragraphs in facts.atlas(None)]
        self.assertEqual(len(texts), len(known) * facts._ATLAS_ROUNDS)
        self.assertEqual(texts, [" ".join(paragraphs) for paragraphs in facts.atlas(None)])
        self.assertGreater(sum(t == "The capital of France is Paris." for t in texts), 1)


if __name__ == "__main__":
    unittest.main()

"""ettin plot: charts of made-up runs, whole and damaged."""
import random
import re
import xml.etree.ElementTree as ElementTree

from harness import CliTest

STEPS = ("step,phase,tokens,step_tokens,targets,loss,learning_rate,gradient_norm,seconds,"
         "data_seconds,skipped\n")
VALIDATIONS = "step,tokens,loss,accuracy\n"
SVG = "{http://www.w3.org/2000/svg}"


def made_up_run(folder, steps=300, floor=2.2, seed=1, validate=50):
    """metrics.csv and validation.csv of a run that looks like one: three phases, a spike."""
    random.seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines, validations, per_step = [STEPS], [VALIDATIONS], 32768
    for step in range(1, steps + 1):
        at = step / steps
        phase = "pretrain" if at <= 0.7 else "extension" if at <= 0.9 else "decay"
        rate = 3e-3 * min(1, at / 0.05) * (1 if at <= 0.7 else 0.5 if at <= 0.9 else 5 * (1.001 - at))
        mean = floor + 8.6 / (1 + 60 * at) ** 0.9 - (0.15 * (at - 0.9) / 0.1 if at > 0.9 else 0)
        skipped = step == steps // 2
        loss = 60.0 if skipped else mean + random.gauss(0, 0.06)
        norm = 900.0 if skipped else 0.4 + 6 / (1 + 100 * at) + abs(random.gauss(0, 0.05))
        seconds = 1.3 + abs(random.gauss(0, 0.04)) + (4 if step == 1 else 0)
        lines.append(f"{step},{phase},{step * per_step},{per_step},9800,{loss!r},{rate!r},{norm!r},"
                     f"{seconds!r},{seconds * random.uniform(0, 0.03)!r},{int(skipped)}\n")
        if step % validate == 0:
            validations.append(f"{step},{step * per_step},{mean + 0.03!r},{0.6 - mean / 20!r}\n")
    (folder / "metrics.csv").write_text("".join(lines))
    (folder / "validation.csv").write_text("".join(validations))
    return folder


class Plot(CliTest):
    def svg(self, *args):
        out = self.folder / "chart.svg"
        self.ok("plot", *args, "--output", out)
        return ElementTree.parse(out).getroot()

    def texts(self, svg):
        return ["".join(t.itertext()) for t in svg.iter(SVG + "text")]

    def lines(self, svg, kind="line"):
        """Points of each curve, in the numbers of the axes."""
        box, x, y = ([float(n) for n in svg.get(f"data-{k}").split()] for k in ("box", "x", "y"))
        number = lambda axis, at: (axis[0] * (axis[1] / axis[0]) ** at if axis[2]
                                   else axis[0] + (axis[1] - axis[0]) * at)
        curves = {}
        for path in svg.iter(SVG + "path"):
            if path.get("class") == kind and path.get("data-name") is not None:
                flat = [float(n) for n in re.findall(r"[-\d.]+", path.get("d"))]
                curves[path.get("data-name")] = [
                    (number(x, (px - box[0]) / box[2]), number(y, (box[1] + box[3] - py) / box[3]))
                    for px, py in zip(flat[::2], flat[1::2])]
        return curves

    def test_a_page_for_one_run(self):
        run = made_up_run(self.folder / "nano")
        text = self.ok("plot", run)
        self.assertIn(f"wrote {run}/plots.html\n", text)
        self.assertRegex(text, r"steps +300\n")
        page = (run / "plots.html").read_text(encoding="utf-8")
        charts = re.findall(r"<svg xmlns.*?\n</svg>\n(?=</figure>)", page, re.S)
        self.assertEqual([ElementTree.fromstring(c).get("aria-label") for c in charts],
                         ["loss", "learning rate", "gradient norm", "throughput",
                          "waiting for data"])
        for word in ("src=", "href=", "url(", "@import"):
            self.assertNotIn(word, page)
        # The page is XML but for its doctype; the script's and the styles' text has no markup.
        body = re.sub(r"<(script|style)>.*?</\1>", "", page.split("\n", 1)[1], flags=re.S)
        table = ElementTree.fromstring(body).find(".//table")
        cells = {tr[0].text: tr[1].text for tr in table.iter("tr")}
        self.assertEqual(cells["skipped steps"], "1")
        self.assertEqual(cells["tokens"], f"{300 * 32768:,}")

    def test_a_pair_over_each_other(self):
        made_up_run(self.folder / "pair/encoder", floor=1.6, seed=1)
        made_up_run(self.folder / "pair/decoder", floor=3.1, seed=2)
        answer, = self.answers("plot", self.folder / "pair")
        self.assertEqual(answer["output"], str(self.folder / "pair/plots.html"))
        self.assertEqual([r["name"] for r in answer["runs"]], ["decoder", "encoder"])
        svg = self.svg(self.folder / "pair/encoder", self.folder / "pair/decoder")
        self.assertEqual(list(self.lines(svg)), ["encoder", "decoder"])
        self.assertEqual(list(self.lines(svg, "join")),
                         ["encoder, validation", "decoder, validation"])
        for text in ("loss", "tokens", "encoder", "decoder, validation", "pretrain", "decay"):
            self.assertTrue(any(text in t for t in self.texts(svg)), text)

    def test_curves_are_what_the_file_says(self):
        run = made_up_run(self.folder / "run")
        rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()[1:]]
        rows = [r for r in rows if r[10] == "0"]
        for metric, column in (("loss", 5), ("learning_rate", 6), ("gradient_norm", 7)):
            for log in ((), ("--log",)):
                svg = self.svg(run, "--metric", metric, "--smooth", 1, "--x", "steps", *log)
                curve, = self.lines(svg).values()
                self.assertEqual(len(curve), 299)
                high = max(y for _, y in curve)
                for (x, y), row in zip(curve, rows):
                    self.assertAlmostEqual(x, float(row[0]), delta=0.05)
                    self.assertAlmostEqual(y, float(row[column]), delta=high * 1e-3)
        svg = self.svg(run, "--metric", "validation")
        dots, = self.lines(svg, "join").values()
        self.assertEqual(len(dots), 6)
        self.assertAlmostEqual(dots[-1][0], 300 * 32768, delta=1e4)

    def test_smoothing_is_a_moving_mean_without_skipped_steps(self):
        run = made_up_run(self.folder / "run")
        losses = [float(line.split(",")[5])
                  for line in (run / "metrics.csv").read_text().splitlines()[1:]]
        del losses[149]
        curve, = self.lines(self.svg(run, "--smooth", 21)).values()
        for i, (_, y) in enumerate(curve):
            reach = min(10, i, len(losses) - 1 - i)
            window = losses[i - reach:i + reach + 1]
            self.assertAlmostEqual(y, sum(window) / len(window), delta=0.02)
        answer, = self.answers("plot", run, "--smooth", 21)
        self.assertAlmostEqual(answer["runs"][0]["loss"], sum(losses[-21:]) / 21, places=9)
        self.assertEqual(answer["runs"][0]["skipped_steps"], 1)

    def test_a_run_that_has_just_begun(self):
        run = made_up_run(self.folder / "run", steps=0)
        self.assertIn("nothing to draw", self.texts(self.svg(run)))
        made_up_run(self.folder / "run", steps=1)
        self.assertEqual(len(list(self.svg(run).iter(SVG + "circle"))), 1)
        # Its last line is being written.
        text = (made_up_run(self.folder / "run", steps=9) / "metrics.csv").read_text()
        (run / "metrics.csv").write_text(text[:-20])
        answer, = self.answers("plot", run)
        self.assertEqual(answer["runs"][0]["steps"], 8)

    def test_numbers_that_are_none(self):
        run = self.folder / "run"
        run.mkdir()
        bad = ["nan", "inf", "-inf", "1e308", "-1e308", "5e-324", "0"]
        (run / "metrics.csv").write_text(STEPS + "".join(
            f"{i},p,{i},1,1,{a},{a},{a},{a},{a},0\n" for i, a in enumerate(bad, 1)))
        (run / "validation.csv").write_text(VALIDATIONS + "".join(
            f"{i},{i},{a},{a}\n" for i, a in enumerate(bad, 1)))
        for more in ((), ("--log",), ("--log-x", "--log")):
            text = "".join(self.texts(self.svg(run, *more)))
            self.assertNotIn("nan", text)
            self.assertNotIn("inf", text)
        answer, = self.answers("plot", run)
        self.assertEqual(answer["runs"][0]["steps"], 7)

    def test_damaged_files(self):
        run = made_up_run(self.folder / "run", steps=5)
        whole = (run / "metrics.csv").read_text()
        lines = whole.splitlines(keepends=True)
        for damaged in (whole.replace("pretrain", "pre,train", 1), "".join(lines[:3] + lines[2:]),
                        whole.replace("32768", "-32768", 1), lines[0] + "\n" + lines[1],
                        whole.replace("9800", "many", 1)):
            (run / "metrics.csv").write_text(damaged)
            error = self.error(5, "plot", run)
            self.assertEqual(error["code"], "bad_data")
            self.assertRegex(error["message"], r"run/metrics.csv: line \d is damaged")
            self.assertNotEqual(error["hint"], "")
        (run / "metrics.csv").write_text("step,loss\n1,2\n")
        self.assertIn("line 1", self.error(5, "plot", run)["message"])
        (run / "metrics.csv").write_bytes(b"\x00" * 4096)
        self.error(5, "plot", run)
        (run / "metrics.csv").write_text(whole)
        (run / "validation.csv").write_bytes(b"\xff\xfe\n" * 10)
        self.assertIn("validation.csv", self.error(5, "plot", run)["message"])
        self.assertFalse((run / "plots.html").exists())

    def test_names_cannot_break_out(self):
        name = "<script>alert(1)<\\script>\"'&"
        run = made_up_run(self.folder / name, steps=20)
        text = (run / "metrics.csv").read_text()
        (run / "metrics.csv").write_text(text.replace("decay", "\"<b \"\"x\"\">, & ü\""))
        made_up_run(self.folder / "other", steps=20)
        svg = self.svg(run, self.folder / "other")
        self.assertIn(name, self.texts(svg))
        self.assertIn('<b "x">, & ü', self.texts(svg))
        out = self.folder / "both.html"
        self.ok("plot", run, self.folder / "other", "--output", out)
        page = out.read_text(encoding="utf-8")
        self.assertEqual(page.count("<script>"), 1)
        self.assertNotIn("<b ", page)

    def test_runs_are_told_apart(self):
        for path in ("a/one/encoder", "a/two/encoder", "b/two/decoder"):
            made_up_run(self.folder / path, steps=5)
        runs = self.answers("plot", self.folder / "a/one/encoder", self.folder / "a/two/encoder/",
                            "--output", self.folder / "x.html")[0]["runs"]
        self.assertEqual([r["name"] for r in runs], ["one/encoder", "two/encoder"])
        self.ok("plot", "a/one/encoder", "b/two", cwd=self.folder)
        self.assertTrue((self.folder / "plots.html").exists())

    def test_what_is_refused(self):
        run = made_up_run(self.folder / "run", steps=5)
        self.assertIn("folder of a run", self.error(2, "plot")["message"])
        self.assertEqual(self.error(3, "plot", self.folder / "none")["code"], "not_found")
        (self.folder / "empty").mkdir()
        self.assertIn("no metrics.csv", self.error(3, "plot", self.folder / "empty")["message"])
        self.assertIn(".svg", self.error(2, "plot", run, "--output", "x.png")["message"])
        self.assertIn("loss", self.error(2, "plot", run, "--metric", "speed")["message"])
        self.error(2, "plot", run, "--smooth", "-1")
        self.error(2, "plot", run, "--x", "days")
        self.error(3, "plot", run, "--output", self.folder / "none/x.svg")
        self.error(1, "plot", *[run] * 33)
        self.assertEqual(sorted(p.name for p in run.iterdir()), ["metrics.csv", "validation.csv"])

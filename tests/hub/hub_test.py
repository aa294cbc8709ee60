"""ettin pull, list, rm and --model NAME against a local hub, with everything that goes wrong."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

from harness import ETTIN, PARIS, clean_environment, run
from hub_case import NAME, HubCase, seedling
from hub_server import Repository

LARGE = 3 << 20  # so large that a pull can be stopped in the middle


class Pull(HubCase):
    def test_layout_and_answer(self):
        pulled = self.pull("ettin-encoder-32m")
        repository = self.hub.repositories[NAME]
        self.assertEqual((pulled["repository"], pulled["commit"]), (NAME, repository.commit))
        wanted = {"config.json", "tokenizer.json", "tokenizer_config.json",
                  "special_tokens_map.json", "model.safetensors"} & set(repository.files)
        self.assertTrue(wanted <= set(self.snapshot_files()))
        self.assertNotIn("README.md", self.snapshot_files())
        self.assertEqual((self.repository_folder() / "refs/main").read_text().strip(),
                         repository.commit)
        self.check_cache()
        # The model answers as the folder does, and the hub is not asked again.
        self.hub.forget()
        answer = self.ok("fill-mask", "--json", "--model", "ettin-encoder-32m", PARIS,
                         env=self.env)
        self.assertEqual(answer, self.ok("fill-mask", "--json", PARIS))
        self.assertEqual(self.hub.log, [])

    def test_first_use_pulls_and_says_so(self):
        code, out, err = run("fill-mask", "--json", "--model", NAME, PARIS, env=self.env)
        self.assertEqual(code, 0, err)
        self.assertIn(NAME, err)
        self.assertEqual(out, self.ok("fill-mask", "--json", PARIS))

    def test_pull_again_fetches_nothing(self):
        self.pull(NAME)
        self.hub.forget()
        self.assertEqual(self.pull(NAME)["fetched_files"], 0)
        self.assertEqual(self.hub.sent, 0)

    def test_new_commit_fetches_what_changed(self):
        first = self.pull(NAME)
        old = self.hub.repositories[NAME]
        files = dict(old.files)
        files["config.json"] = files["config.json"] + b"\n"
        self.hub.repositories[NAME] = Repository(files)
        second = self.pull(NAME)
        self.assertNotEqual(first["commit"], second["commit"])
        self.assertEqual(second["fetched_files"], 1)
        self.check_cache()

    def test_revisions(self):
        repository = self.hub.repositories[NAME]
        repository.revisions["step590532"] = repository.commit
        repository.revisions["refs/pr/1"] = repository.commit
        for revision in ("step590532", "refs/pr/1", repository.commit):
            self.assertEqual(self.pull(f"{NAME}@{revision}")["commit"], repository.commit)
        self.assertEqual(self.pull(NAME, "--revision", "step590532")["commit"], repository.commit)
        self.assertTrue((self.repository_folder() / "refs/refs/pr/1").is_file())
        error = self.refused(3, "pull", f"{NAME}@step7")
        self.assertIn("step7", error["message"])

    def rope(self, model, *more):
        report, = self.answers("inspect", model, *more, env=self.env)
        return report["rope"], " ".join(report["warnings"])

    def test_rope_thetas_of_a_revision(self):
        repository = self.hub.repositories[NAME]
        repository.revisions["step590532"] = repository.commit
        before, _ = self.rope(NAME)
        self.assertEqual((before["global_theta"], before["local_theta"]), (160000, 160000))
        self.assertIn("config.json", before["reason"])
        trained = {"global_theta": 10000, "local_theta": 10000,
                   "reason": "revision step590532: pre-training"}
        after, warnings = self.rope(f"{NAME}@step590532")
        self.assertEqual(after, trained)
        self.assertIn("160000/160000", warnings)   # of config.json
        self.assertEqual(self.rope(NAME)[0], trained)   # the weights are those of one commit
        asked, _ = self.rope(f"{NAME}@step590532", "--local-rope-theta", 5)
        self.assertEqual((asked["global_theta"], asked["local_theta"]), (10000, 5))
        out = self.folder / "out"
        self.ok("convert", f"{NAME}@step590532", out, env=self.env)
        config = json.loads((out / "config.json").read_text())
        self.assertEqual((config["global_rope_theta"], config["local_rope_theta"]), (10000, 10000))
        # The rule is that of Ettin's own training, and of its cross-objective models another.
        for name, theta, reason in (("someone/ettin-decoder-32m", 160000, "config.json"),
                                    ("jhu-clsp/ettin-dec-from-enc-32m", 160000, "cross-objective")):
            other = self.hub.repositories[name] = Repository(seedling("decoder"))
            other.revisions["step100"] = other.commit
            rope, _ = self.rope(f"{name}@step100")
            self.assertEqual(rope["global_theta"], theta)
            self.assertIn(reason, rope["reason"])

    def test_cross_objective_names(self):
        self.hub.repositories["jhu-clsp/ettin-dec-from-enc-150m"] = Repository(seedling("decoder"))
        pulled = self.pull("ettin-decoder-from-encoder-150m")
        self.assertEqual(pulled["repository"], "jhu-clsp/ettin-dec-from-enc-150m")

    def test_dtype_picks_the_onnx_file(self):
        name = "onnx-community/ettin-encoder-32m-ONNX"
        files = {p: c for p, c in seedling().items() if not p.endswith(".safetensors")}
        for end in ("", "_fp16", "_quantized", "_q4", "_q4f16"):
            files[f"onnx/model{end}.onnx"] = b"graph" + end.encode()
        files["onnx/model.onnx_data"] = b"weights"
        self.hub.repositories[name] = Repository(files)
        for dtype, expected in (("q4", {"onnx/model_q4.onnx"}),
                                ("q8", {"onnx/model_quantized.onnx"}),
                                ("auto", {"onnx/model.onnx", "onnx/model.onnx_data"})):
            self.pull(name, "--dtype", dtype)
            fetched = {p for p in self.snapshot_files(name) if p.startswith("onnx/")}
            self.assertTrue(expected <= fetched, (dtype, fetched))
        self.assertEqual({p for p in self.snapshot_files(name) if p.startswith("onnx/")},
                         {"onnx/model_q4.onnx", "onnx/model_quantized.onnx", "onnx/model.onnx",
                          "onnx/model.onnx_data"})
        self.check_cache(name)
        self.pull(name, "--all")
        self.assertEqual(self.snapshot_files(name), sorted(files))

    def test_the_cards_example_by_name_with_each_of_five_files(self):
        name = "onnx-community/ettin-encoder-32m-ONNX"
        made = self.folder / "made"
        code, _, err = run("convert", "seedling-encoder", str(made), "--format", "onnx")
        self.assertEqual(code, 0, err)
        files = {p.relative_to(made).as_posix(): p.read_bytes() for p in made.rglob("*")
                 if p.is_file()}
        self.hub.repositories[name] = Repository(files)
        for dtype, end in (("fp32", ""), ("fp16", "_fp16"), ("q8", "_quantized"), ("q4", "_q4"),
                           ("q4f16", "_q4f16")):
            answer = json.loads(self.ok("fill-mask", "--json", "--model", name, "--dtype", dtype,
                                        PARIS, env=self.env))
            self.assertEqual(answer[0]["token_str"], " Paris", dtype)
            onnx = {p for p in self.snapshot_files(name) if p.startswith("onnx/")}
            self.assertTrue({f"onnx/model{end}.onnx", f"onnx/model{end}.onnx_data"} <= onnx, onnx)
        self.check_cache(name)

    def test_nobody_is_asked_for_what_cannot_be_computed(self):
        self.hub.log.clear()
        for wrong in (("--dtype", "q5"), ("--threads", "5000")):
            self.assertNotEqual(run("fill-mask", "--model", NAME, *wrong, "x [MASK]",
                                    env=self.env)[0], 0)
        self.assertEqual(self.hub.log, [])   # nobody was asked

    def test_more_files_than_may_be_open(self):
        """A repository of many files, each of which is held open twice, under a limit of 260."""
        many = {f"notes/{i}.txt": f"note {i}".encode() for i in range(150)}
        self.hub.repositories[NAME] = Repository({**seedling(), **many})
        done = subprocess.run(
            ["sh", "-c", 'ulimit -n 260; exec "$0" "$@"', ETTIN, "pull", "--json", NAME, "--all"],
            capture_output=True, env=clean_environment(**self.env), timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["fetched_files"],
                         len(set(self.hub.repositories[NAME].files.values())))
        self.check_cache()

    def test_the_token_stays_with_the_hub(self):
        self.hub.repositories[NAME].private = True
        self.pull(NAME, HF_TOKEN="good-token")
        hosts = {host for _, host, _, headers in self.hub.log if "Authorization" in headers}
        self.assertEqual(hosts, {"hub"})
        self.assertIn("blob", {host for _, host, _, _ in self.hub.log})

    def test_token_file(self):
        self.hub.repositories[NAME].private = True
        self.home.mkdir()
        (self.home / "token").write_text("good-token\n")
        self.pull(NAME)


class Refusals(HubCase):
    def test_no_such_model(self):
        error = self.refused(3, "pull", "jhu-clsp/ettin-encoder-33m")
        self.assertIn("jhu-clsp/ettin-encoder-33m", error["message"])
        error = self.refused(3, "embed", "--model", "ettin-encodr-32m", "a")
        self.assertIn("ettin-encoder-32m", error["hint"])
        self.assertEqual([p for p in self.paths() if p.is_file()], [])

    def test_gated_and_private(self):
        self.hub.repositories[NAME].gated = True
        self.assertIn("gated", self.refused(4, "pull", NAME)["message"])
        self.assertIn("gated", self.refused(4, "pull", NAME, HF_TOKEN="good-token")["message"])
        self.hub.repositories[NAME].gated = False
        self.hub.repositories[NAME].private = True
        self.assertIn("HF_TOKEN", self.refused(3, "pull", NAME)["hint"])
        self.assertIn("HF_TOKEN", self.refused(4, "pull", NAME, HF_TOKEN="bad")["hint"])

    def test_folders_that_cannot_be_read(self):
        """No exception ends the program, and nothing is removed while links may be unseen."""
        pulled = self.pull(NAME)
        secret = pathlib.Path(pulled["directory"]) / "secret"
        secret.mkdir()
        # Root reads everything: the program runs as somebody else then.
        user = {"user": 65534} if os.geteuid() == 0 else {}
        for folder in (self.folder, self.home, self.cache):
            folder.chmod(0o755)
        for path in self.cache.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() else 0o644)
        secret.chmod(0)
        self.addCleanup(secret.chmod, 0o755)
        env = clean_environment(**self.env)
        for command, code in ((["list", "--json"], 0),
                              (["rm", "--yes", f"{NAME}@{pulled['commit']}"], 1)):
            try:
                done = subprocess.run([ETTIN, *command], capture_output=True, env=env, timeout=60,
                                      **user)
            except PermissionError:
                self.skipTest("another user may not run the program here")
            self.assertEqual(done.returncode, code, (command, done.stderr))
        self.assertIn(b"cannot read the folder", done.stderr)
        self.assertTrue(list((self.repository_folder() / "blobs").iterdir()))

    def test_offline(self):
        error = self.refused(3, "embed", "--model", NAME, "--offline", "a")
        self.assertIn("cache", error["message"])
        self.refused(3, "embed", "--model", NAME, "a", HF_HUB_OFFLINE="1")
        self.refused(4, "pull", NAME, HF_HUB_OFFLINE="1")
        self.assertEqual(self.hub.log, [])
        self.pull(NAME)
        self.hub.close()
        self.ok("embed", "--model", NAME, "--offline", "a", env=self.env)
        self.ok("embed", "--model", NAME, "a", env=self.env)

    def test_nobody_answers(self):
        self.assertIn("127.0.0.1:9",
                      self.refused(4, "pull", NAME, HF_ENDPOINT="http://127.0.0.1:9")["message"])
        self.refused(2, "pull", NAME, HF_ENDPOINT="file:///etc")

    def test_redirects_have_an_end(self):
        self.hub.faults.redirect_loop = True
        self.assertIn("redirects", self.refused(4, "pull", NAME)["message"])

    def test_names_that_leave_the_folder(self):
        outside = self.folder / "owned"
        for bad in ("../../../../owned", "/" + str(outside), "a/../../owned", "a\\..\\b", "a\nb"):
            self.hub.repositories[NAME].listed = ["config.json", "model.safetensors", bad]
            error = self.refused(5, "pull", NAME, "--all")
            self.assertEqual(error["code"], "bad_data", bad)
        self.assertFalse(outside.exists())
        self.assertEqual([p for p in self.paths() if p.is_file()], [])

    def test_a_folder_wins_and_a_misspelt_one_is_not_asked_for(self):
        (self.folder / "jhu-clsp").mkdir()
        code, _, err = run("embed", "--model", "jhu-clsp/mine", "a", env=self.env,
                           cwd=self.folder)
        self.assertEqual(code, 3, err)
        self.assertEqual(self.hub.log, [])


class Breaks(HubCase):
    def setUp(self):
        super().setUp()
        self.weights = os.urandom(LARGE)
        files = {**seedling(), "model.safetensors": self.weights}
        self.repository = self.hub.repositories[NAME] = Repository(files)

    def blob(self):
        return self.repository_folder() / "blobs" / self.repository.etag("model.safetensors")

    def test_cut_connections_go_on_where_they_stopped(self):
        self.hub.faults.cut_after, self.hub.faults.cuts = 1 << 20, 2
        self.pull(NAME)
        self.assertEqual(self.blob().read_bytes(), self.weights)
        self.assertEqual(self.hub.sent - len(self.weights), 0)
        ranges = [headers["Range"] for _, host, _, headers in self.hub.log
                  if host == "blob" and "Range" in headers]
        self.assertEqual(ranges, [f"bytes={1 << 20}-", f"bytes={2 << 20}-"])

    def test_a_server_without_ranges(self):
        self.hub.faults.cut_after, self.hub.faults.cuts = 1 << 20, 1
        self.hub.faults.no_ranges = True
        self.pull(NAME)
        self.assertEqual(self.blob().read_bytes(), self.weights)

    def test_throttling_and_failures_pass(self):
        self.hub.faults.throttle, self.hub.faults.server_error = 2, 1
        self.pull(NAME)
        self.check_cache()

    def test_throttling_without_end(self):
        self.hub.faults.throttle = 10**6
        self.assertIn("429", self.refused(4, "pull", NAME)["message"])

    def killed_in_the_middle(self):
        self.hub.faults.pause = 0.05
        with self.start("pull", NAME) as child:
            aside = pathlib.Path(str(self.blob()) + ".incomplete")
            deadline = time.monotonic() + 60
            while not (aside.exists() and aside.stat().st_size > 1 << 19):
                self.assertLess(time.monotonic(), deadline)
                self.assertIsNone(child.poll())
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
            child.wait(60)
            child.stdout.read(), child.stderr.read()
        self.hub.faults.pause = 0
        return aside

    def test_killed_in_the_middle_leaves_nothing_that_looks_complete(self):
        aside = self.killed_in_the_middle()
        self.assertFalse(self.blob().exists())
        self.assertEqual(self.snapshot_files(), [])
        self.refused(3, "embed", "--model", NAME, "--offline", "a")
        there = aside.stat().st_size
        self.hub.forget()
        self.pull(NAME)
        self.assertEqual(self.blob().read_bytes(), self.weights)
        self.assertFalse(aside.exists())
        self.assertEqual([headers.get("Range") for _, host, _, headers in self.hub.log
                          if host == "blob"], [f"bytes={there}-"])

    def test_a_damaged_beginning_is_found(self):
        aside = self.killed_in_the_middle()
        with aside.open("r+b") as file:
            file.write(b"\0damage\0")
        error = self.refused(5, "pull", NAME)
        self.assertIn("checksum", error["message"])
        self.assertFalse(self.blob().exists())
        self.pull(NAME)
        self.assertEqual(self.blob().read_bytes(), self.weights)

    def test_wrong_checksums_are_refused(self):
        for path in ("model.safetensors", "config.json"):
            self.hub.faults.wrong_contents = {path}
            error = self.refused(5, "pull", NAME)
            self.assertIn(path, error["message"])
            self.assertIn("checksum", error["message"])
            self.assertEqual(self.snapshot_files(), [])
            shutil.rmtree(self.cache)
        self.hub.faults.wrong_contents = set()
        self.pull(NAME)
        self.check_cache()

    def test_two_processes_pull_it_once(self):
        self.hub.faults.pause = 0.01
        children = [self.start("pull", "--json", NAME) for _ in range(3)]
        answers = []
        for child in children:
            out, err = child.communicate(timeout=120)
            self.assertEqual(child.returncode, 0, err)
            answers.append(json.loads(out))
        self.assertEqual(self.blob().read_bytes(), self.weights)
        self.assertEqual(self.hub.sent, LARGE)
        self.assertEqual(sum(a["fetched_files"] > 0 for a in answers), 1)
        self.check_cache()


class Cache(HubCase):
    def test_list_and_rm(self):
        other = "org/other"
        self.hub.repositories[other] = Repository(seedling("decoder"))
        self.pull(NAME)
        self.pull(other)
        out = self.ok("list", env=self.env)
        self.assertIn(NAME, out)
        self.assertIn("main", out)
        listed = [json.loads(line) for line in self.ok("list", "--json", env=self.env).splitlines()]
        self.assertEqual([m["repository"] for m in listed], [NAME, other])
        self.assertEqual(listed[0]["revisions"][0]["commit"], self.hub.repositories[NAME].commit)
        self.refused(2, "rm", NAME)  # nobody can answer
        self.assertTrue(self.repository_folder().exists())
        self.ok("rm", "--yes", NAME, env=self.env)
        self.assertFalse(self.repository_folder().exists())
        self.assertTrue(self.repository_folder(other).exists())
        self.refused(3, "rm", "--yes", NAME)

    def test_rm_stays_inside_the_cache(self):
        victim = self.folder / "victim"
        victim.mkdir()
        (victim / "file").write_text("kept")
        self.cache.mkdir(parents=True)
        for name in ("../victim", "..", str(victim), "a/../../victim"):
            code, _, _ = run("rm", "--yes", name, env=self.env)
            self.assertIn(code, (2, 3), name)
        self.pull(NAME)
        link = next((self.repository_folder() / "snapshots").iterdir()) / "more"
        link.symlink_to(victim)
        self.ok("rm", "--yes", NAME, env=self.env)
        self.assertEqual((victim / "file").read_text(), "kept")

    def test_rm_of_one_revision(self):
        first = self.pull(NAME)["commit"]
        files = dict(self.hub.repositories[NAME].files)
        files["config.json"] += b"\n"
        self.hub.repositories[NAME] = Repository(files)
        second = self.pull(NAME)["commit"]
        self.ok("rm", "--yes", f"{NAME}@{first}", env=self.env)
        self.assertEqual([p.name for p in (self.repository_folder() / "snapshots").iterdir()],
                         [second])
        self.hub.close()
        self.ok("embed", "--model", NAME, "a", env=self.env)


if __name__ == "__main__":
    unittest.main()

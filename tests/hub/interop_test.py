"""One cache, two clients: Python's huggingface_hub sees our downloads as its own, and we its."""
import os
import subprocess
import sys
import unittest

import harness
from hub_case import NAME, HubCase

FILES = ("config.json", "tokenizer.json", "model.safetensors")


class Interop(HubCase):
    def python(self, code, **env):
        """Runs code in a process of its own: the library reads its settings at import."""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, timeout=120,
            env=harness.clean_environment(**{**self.env, "HF_HUB_DISABLE_XET": "1",
                                             "HF_HUB_DISABLE_TELEMETRY": "1", **env}))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode().split("\n")

    def test_python_sees_ours(self):
        ours = self.pull(NAME)["directory"]
        self.hub.forget()
        code = "import huggingface_hub as h\n" + "".join(
            f"print(h.hf_hub_download({NAME!r}, {name!r}))\n" for name in FILES)
        online = self.python(code)
        for name, path in zip(FILES, online):
            self.assertEqual(os.path.abspath(path), os.path.abspath(f"{ours}/{name}"))
        # It asked what is new and fetched no contents.
        self.assertEqual([r for r in self.hub.log if r[0] == "GET" and "/resolve" in r[2]], [])
        self.assertEqual(self.hub.sent, 0)
        self.assertEqual(self.python(code, HF_HUB_OFFLINE="1"), online)
        scanned = self.python("import huggingface_hub as h\n"
                              "info = h.scan_cache_dir()\n"
                              "print(len(info.warnings), *[r.repo_id for r in info.repos])")
        self.assertEqual(scanned[0], f"0 {NAME}")

    def test_we_see_pythons(self):
        repository = self.hub.repositories[NAME]
        folder = self.python(f"import huggingface_hub as h\nprint(h.snapshot_download({NAME!r}))")[0]
        self.check_cache()
        self.hub.forget()
        answer = self.ok("fill-mask", "--json", "--model", NAME, harness.PARIS, env=self.env)
        self.assertEqual(answer, self.ok("fill-mask", "--json", harness.PARIS))
        self.assertEqual(self.hub.log, [])
        pulled = self.pull(NAME)
        self.assertEqual((pulled["fetched_files"], pulled["commit"]), (0, repository.commit))
        self.assertEqual(os.path.realpath(pulled["directory"]), os.path.realpath(folder))
        self.assertEqual(self.hub.sent, 0)

    def test_what_python_left_unfinished(self):
        # Only config.json is there: the rest is fetched, and that is kept.
        self.python(f"import huggingface_hub as h\nh.hf_hub_download({NAME!r}, 'config.json')")
        self.hub.forget()
        self.ok("fill-mask", "--model", NAME, harness.PARIS, env=self.env)
        self.assertEqual(self.hub.gets("/config.json"), 0)
        self.check_cache()


if __name__ == "__main__":
    unittest.main()

"""What the tests of the hub share: a server, a cache of its own, the embedded pair as repositories."""
import hashlib
import json
import os
import pathlib
import subprocess

import harness
from hub_server import Hub, Repository, git_hash

NAME = "jhu-clsp/ettin-encoder-32m"


def seedling(kind="encoder"):
    folder = harness.MODELS / f"seedling-{kind}"
    files = {p.name: p.read_bytes() for p in sorted(folder.iterdir())
             if p.suffix in (".json", ".safetensors")}
    return {**files, "README.md": b"# A card\n", "training/log.txt": b"1\n"}


class HubCase(harness.CliTest):
    def setUp(self):
        super().setUp()
        self.hub = Hub()
        self.addCleanup(self.hub.close)
        self.hub.repositories[NAME] = Repository(seedling())
        self.home = self.folder / "hf"
        self.env = {"HF_ENDPOINT": self.hub.endpoint, "HF_HOME": str(self.home),
                    "HOME": str(self.folder), "HF_HUB_CACHE": str(self.home / "hub"), "HF_TOKEN": "",
                    "HF_HUB_OFFLINE": "", "http_proxy": "", "https_proxy": "", "all_proxy": "",
                    "HTTP_PROXY": "", "HTTPS_PROXY": "", "ALL_PROXY": ""}

    @property
    def cache(self):
        return self.home / "hub"

    def repository_folder(self, name=NAME):
        return self.cache / ("models--" + name.replace("/", "--"))

    def pull(self, *args, **env):
        return json.loads(self.ok("pull", "--json", *args, env={**self.env, **env}))

    def refused(self, code, *args, **env):
        """The error of a run that ends with `code`; notices may come before it."""
        text = self.fails(code, *args, "--json", env={**self.env, **env})
        return json.loads(text.splitlines()[-1])["error"]

    def start(self, *args, **env):
        return subprocess.Popen([harness.ETTIN, *map(str, args)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE,
                                env=harness.clean_environment(**{**self.env, **env}))

    def check_cache(self, name=NAME):
        """Every blob has the name of its contents, every link of a snapshot leads to one."""
        folder = self.repository_folder(name)
        for blob in (folder / "blobs").iterdir():
            if blob.name.endswith(".incomplete"):
                continue
            contents = blob.read_bytes()
            digest = hashlib.sha256(contents).hexdigest() if len(blob.name) == 64 \
                else git_hash(contents)
            self.assertEqual(blob.name, digest)
        for path in (folder / "snapshots").rglob("*"):
            if path.is_symlink():
                self.assertFalse(os.path.isabs(os.readlink(path)), path)
                self.assertEqual(path.resolve().parent, (folder / "blobs").resolve(), path)

    def snapshot_files(self, name=NAME):
        folder = self.repository_folder(name) / "snapshots"
        return sorted(p.relative_to(commit).as_posix() for commit in folder.glob("*")
                      for p in commit.rglob("*") if p.is_file())

    def paths(self):
        return [pathlib.Path(p) for p in self.home.rglob("*")]

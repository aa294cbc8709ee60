"""Packages of the system's own apt sources: which there are, fetched without root, unpacked, named.

Everything runs on private lists and a private cache below one folder, so nothing of the system is
touched and nothing is installed; a second run finds its packages there and asks nobody.
"""
import hashlib
import os
import pathlib
import re
import subprocess


class Packages:
    def __init__(self, folder, offline=False):
        self.folder = pathlib.Path(folder).resolve()
        self.lists = self.folder / "apt" / "lists"
        self.trees = self.folder / "unpacked"
        for part in (self.lists / "partial", self.folder / "apt" / "cache" / "archives" / "partial",
                     self.trees):
            part.mkdir(parents=True, exist_ok=True)
        self.options = ["-o", f"Dir::State::Lists={self.lists}",
                        "-o", f"Dir::Cache={self.folder / 'apt' / 'cache'}",
                        "-o", "Acquire::Languages=en", "-o", "Debug::NoLocking=true"]
        if os.geteuid() == 0:
            self.options += ["-o", "APT::Sandbox::User=root"]
        self.offline = offline
        self._names = None

    def run(self, *command):
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=self.folder,
                              env={**os.environ, "LC_ALL": "C"}).stdout

    def update(self):
        if not self.offline and not self.descriptions():
            self.run("apt-get", "-qq", "update", *self.options)

    def descriptions(self):
        """The lists of long descriptions in English."""
        return sorted(self.lists.glob("*_main_i18n_Translation-en*"))

    def cat(self, path):
        """A list as text, whatever it is packed with."""
        return self.run("/usr/lib/apt/apt-helper", "cat-file", str(path)).decode("utf-8", "replace")

    def names(self):
        if self._names is None:
            there = {p.name.split("_")[0] for p in self.folder.glob("*.deb")}
            if not self.offline:
                there |= set(self.run("apt-cache", *self.options, "pkgnames").decode().split())
            self._names = sorted(there)
        return self._names

    def matching(self, pattern):
        """Names that match; of a pattern with a group `v`, only those of the greatest v."""
        found = [m for m in map(re.compile(pattern).fullmatch, self.names()) if m]
        if found and "v" in found[0].groupdict():
            newest = max((m["v"] for m in found), key=_version)
            found = [m for m in found if m["v"] == newest]
        return [m.string for m in found]

    def fetch(self, names):
        """The .deb of each name, fetched where it is missing; what could not be had is left out."""
        def local():
            return {p.name.split("_")[0]: p for p in sorted(self.folder.glob("*.deb"))}
        missing = [n for n in names if n not in local()]
        if missing and not self.offline:
            try:
                self.run("apt-get", "-qq", "download", *self.options, *missing)
            except subprocess.CalledProcessError:
                for name in missing:  # one that has no candidate must not cost the others
                    subprocess.run(["apt-get", "-qq", "download", *self.options, name],
                                   cwd=self.folder, check=False, stderr=subprocess.DEVNULL)
        have = local()
        return [have[n] for n in names if n in have]

    def unpack(self, deb):
        """The tree of a package; unpacked once."""
        tree = self.trees / deb.name[:-len(".deb")]
        if not tree.exists():
            aside = self.trees / f".{deb.name}.{os.getpid()}"
            self.run("dpkg-deb", "-x", str(deb), str(aside))
            aside.rename(tree)
        return tree


def describe(deb, tree):
    """What sources.json says of a package."""
    name, version = deb.name[:-len(".deb")].split("_")[:2]
    digest = hashlib.sha256()
    with open(deb, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    link = tree / "usr/share/doc" / name / "copyright"
    notice = next(iter(sorted((tree / "usr/share/doc").glob("*/copyright*"))), None)
    at = link if link.exists() else notice
    return {"package": name, "version": version.replace("%3a", ":"), "sha256": digest.hexdigest(),
            "megabytes": round(deb.stat().st_size / 1e6, 1),
            "copyright": str(at.relative_to(tree)) if at else f"usr/share/doc/{name}/copyright"}


def _version(text):
    return tuple(int(n) for n in re.findall(r"\d+", text))

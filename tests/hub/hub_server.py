"""A hub for tests: the protocol of the Hugging Face hub on the loopback interface.

Two servers: the hub itself (API and /resolve) and the host of the large files, to which /resolve
redirects. `Hub.log` keeps every request; `Hub.faults` says what goes wrong.
"""
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse


def git_hash(contents):
    return hashlib.sha1(b"blob %d\0" % len(contents) + contents).hexdigest()


class Repository:
    """`files`: path to contents. A file is large (LFS) when its name ends like weights do."""

    def __init__(self, files, commit=None, gated=False, private=False):
        self.files = dict(files)
        self.gated, self.private = gated, private
        self.listed = None  # what the API says instead of the true names
        digest = hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()
        self.commit = commit or digest
        self.revisions = {"main": self.commit}

    @staticmethod
    def is_large(path):
        return path.endswith((".safetensors", ".bin", ".onnx", "_data"))

    def etag(self, path):
        contents = self.files[path]
        return hashlib.sha256(contents).hexdigest() if self.is_large(path) else git_hash(contents)


class Faults:
    """Counters go down as the fault happens."""

    def __init__(self):
        self.throttle = 0           # answers 429
        self.server_error = 0       # answers 503
        self.cut_after = None       # bytes of a large file, then the connection ends
        self.cuts = 0
        self.pause = 0.0            # seconds between pieces of a large file
        self.wrong_contents = set()  # paths whose bytes are not those of their checksum
        self.no_ranges = False      # answers a range request with the whole file
        self.redirect_loop = False


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    @property
    def hub(self):
        return self.server.hub

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        url = urllib.parse.urlsplit(self.path)
        self.hub.record(self, url)
        try:
            if self.server.is_blob_host:
                self.blob(url)
            else:
                self.hub_route(url)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # -- the hub --

    def refuse(self, status, code, message):
        self.send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def hub_route(self, url):
        faults = self.hub.faults
        if faults.throttle > 0:
            faults.throttle -= 1
            return self.send(429, b"", {"Retry-After": "0"})
        if faults.server_error > 0:
            faults.server_error -= 1
            return self.send(503, b"")
        listing = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+)(/.*)?)?",
                               url.path)
        if listing:
            return self.api(*listing.groups())
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", url.path)
        if file:
            return self.resolve(*file.groups())
        cached = re.fullmatch(r"/api/resolve-cache/models/([^/]+/[^/]+)/([^/]+)/(.+)", url.path)
        if cached:
            return self.small_file(*cached.groups())
        return self.refuse(404, "RepoNotFound", "Repository not found")

    def repository(self, name, revision):
        """The repository and the commit, after permission was looked at; or None, answered."""
        token = self.headers.get("Authorization", "")
        repository = self.hub.repositories.get(name)
        allowed = token == "Bearer good-token"
        if token and not allowed:
            self.refuse(401, "", "Invalid credentials in Authorization header")
        elif repository is None or (repository.private and not allowed):
            # The hub tells strangers 401 and others 404.
            self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        elif repository.gated:
            self.refuse(403 if token else 401, "GatedRepo", "Access to this model is restricted")
        else:
            revision = urllib.parse.unquote(revision or "main")
            commit = repository.revisions.get(revision)
            if commit is None and revision == repository.commit:
                commit = revision
            if commit is not None:
                return repository, commit
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return None

    def api(self, name, kind, revision, _):
        found = self.repository(name, revision)
        if not found:
            return None
        repository, commit = found
        paths = repository.listed or sorted(repository.files)
        if kind == "tree":
            document = [self.tree_entry(repository, p) for p in paths]
        else:
            document = {"id": name, "modelId": name, "sha": commit, "private": repository.private,
                        "tags": [], "siblings": [{"rfilename": p} for p in paths]}
        return self.send(200, json.dumps(document).encode(),
                         {"Content-Type": "application/json; charset=utf-8"})

    @staticmethod
    def tree_entry(repository, path):
        contents = repository.files.get(path, b"")
        entry = {"type": "file", "oid": git_hash(contents), "size": len(contents), "path": path}
        if repository.is_large(path):
            entry["lfs"] = {"oid": hashlib.sha256(contents).hexdigest(), "size": len(contents),
                            "pointerSize": 134}
        return entry

    def resolve(self, name, revision, path):
        if self.hub.faults.redirect_loop:
            return self.send(307, b"", {"Location": self.path})
        found = self.repository(name, revision)
        if not found:
            return None
        repository, commit = found
        path = urllib.parse.unquote(path)
        if path not in repository.files:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound",
                                        "X-Error-Message": "Entry not found",
                                        "X-Repo-Commit": commit})
        common = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        size = len(repository.files[path])
        if repository.is_large(path):
            etag = repository.etag(path)
            where = f"{self.hub.blob_endpoint}/{name}/{etag}?path={urllib.parse.quote(path)}&sig=x"
            return self.send(302, b"", {**common, "X-Linked-Etag": f'"{etag}"',
                                        "X-Linked-Size": str(size), "Location": where})
        quoted = urllib.parse.quote(path)
        return self.send(307, b"", {**common, "X-Linked-Size": str(size),
                                    "X-Linked-Etag": f'"{repository.etag(path)}"',
                                    "Location": f"/api/resolve-cache/models/{name}/{commit}/"
                                                f"{quoted}"})

    def small_file(self, name, revision, path):
        found = self.repository(name, revision)
        if not found:
            return None
        repository, commit = found
        path = urllib.parse.unquote(path)
        return self.contents(repository, path, {"X-Repo-Commit": commit,
                                                "ETag": f'"{repository.etag(path)}"'})

    # -- the host of the blobs --

    def blob(self, url):
        name = "/".join(url.path.split("/")[1:3])
        path = urllib.parse.parse_qs(url.query)["path"][0]
        if "Authorization" in self.headers:
            return self.send(400, b"Only one auth mechanism allowed")
        return self.contents(self.hub.repositories[name], path, {"ETag": '"multipart-3"'})

    # -- both --

    def contents(self, repository, path, headers):
        faults = self.hub.faults
        data = repository.files[path]
        if path in faults.wrong_contents:
            data = bytes([data[0] ^ 1]) + data[1:]
        status, first = 200, 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and not faults.no_ranges:
            first = int(wanted[1])
            if first >= len(data):
                return self.send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            status = 206
            headers = {**headers, "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        return self.send(status, data[first:], headers, large=repository.is_large(path))

    def send(self, status, body, headers=None, large=False):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        faults = self.hub.faults
        cut = None
        if large and faults.cut_after is not None and faults.cuts > 0 and \
                len(body) > faults.cut_after:
            faults.cuts -= 1
            cut = faults.cut_after
        piece = 1 << 16
        end = len(body) if cut is None else cut
        for at in range(0, end, piece):
            self.wfile.write(body[at:min(at + piece, end)])
            if large:
                self.hub.sent += min(piece, end - at)
                if faults.pause:
                    self.wfile.flush()
                    time.sleep(faults.pause)
        if cut is not None:
            self.close_connection = True


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the tests


class Hub:
    def __init__(self):
        self.repositories = {}
        self.faults = Faults()
        self.log = []  # (method, host, path, headers)
        self.sent = 0  # bytes of large files
        self._lock = threading.Lock()
        self._servers = []
        self.endpoint = self._serve(is_blob_host=False)
        self.blob_endpoint = self._serve(is_blob_host=True)

    def _serve(self, is_blob_host):
        server = _Server(("127.0.0.1", 0), _Handler)
        server.hub, server.is_blob_host = self, is_blob_host
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()
        self._servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    def record(self, handler, url):
        with self._lock:
            self.log.append((handler.command, "blob" if handler.server.is_blob_host else "hub",
                             url.path, dict(handler.headers)))

    def gets(self, ending):
        """How often contents of a file were asked for, at the host that has them."""
        return sum(1 for method, _, path, _ in self.log
                   if method == "GET" and path.endswith(ending))

    def forget(self):
        self.log.clear()
        self.sent = 0

    def close(self):
        for server in self._servers:
            server.shutdown()
            server.server_close()

"""A hub on the loopback address: what huggingface_hub asks of one, for models that tests make."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """A server of models: name → its files and what its page tells. Requests are kept in `asked`.

    `cut`: files of which only the first half is sent, and how often. `gated`: nobody may fetch.
    """

    def __init__(self):
        self.models, self.asked, self.cut, self.gated = {}, [], {}, set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                hub.answer(self, body=False)

            def do_GET(self):
                hub.answer(self, body=True)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add(self, name, folder, licence="mit"):
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.models[name] = {"files": files, "licence": licence}

    def answer(self, request, body):
        path = urlsplit(request.path).path.strip("/").split("/")
        self.asked.append((request.command, request.path))
        if path[:2] == ["api", "models"]:
            self._page("/".join(path[2:4]), path[4:], request)
        elif len(path) >= 5 and path[2] == "resolve":
            self._file("/".join(path[:2]), "/".join(path[4:]), request, body)
        else:  # of torchvision: any model's file by its name
            files = {name: content for model in self.models.values()
                     for name, content in model["files"].items()}  # fmt: skip
            self._send(request, files[path[-1]], {}, body, path[-1])

    def _refuse(self, request, status, code):
        request.send_response(status)
        request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def _page(self, name, rest, request):
        if name not in self.models:
            return self._refuse(request, 404, "RepoNotFound")
        if rest == ["auth-check"]:
            return self._refuse(request, 403, "GatedRepo")
        if rest[:1] == ["revision"] and rest[1] not in ("v1", COMMIT):
            return self._refuse(request, 404, "RevisionNotFound")
        model = self.models[name]
        large = (".safetensors", ".bin")
        siblings = [
            {"rfilename": file, "size": len(content), "blobId": "0"}
            | ({"lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content),
                        "pointerSize": 100}} if file.endswith(large) else {})
            for file, content in model["files"].items()
        ]  # fmt: skip
        card = {"license": model["licence"]} if model["licence"] else {}
        page = {"_id": "0", "id": name, "modelId": name, "sha": COMMIT, "siblings": siblings,
                "cardData": card, "tags": [], "private": False, "downloads": 0, "likes": 0,
                "gated": "manual" if name in self.gated else False}  # fmt: skip
        return self._send(request, json.dumps(page).encode(), {"Content-Type": "application/json"},
                          True)  # fmt: skip

    def _file(self, name, file, request, body):
        if name in self.gated:
            return self._refuse(request, 403, "GatedRepo")
        content = self.models[name]["files"].get(file)
        if content is None:
            return self._refuse(request, 404, "EntryNotFound")
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT,
                   "Accept-Ranges": "bytes"}  # fmt: skip
        return self._send(request, content, headers, body, file)

    def _send(self, request, content, headers, body, file=""):
        first, whole = 0, len(content)
        if (asked := request.headers.get("Range")) and asked.startswith("bytes="):
            first = int(asked.removeprefix("bytes=").partition("-")[0] or 0)
            headers = {**headers, "Content-Range": f"bytes {first}-{whole - 1}/{whole}"}
        request.send_response(206 if first else 200)
        for name, value in headers.items():
            request.send_header(name, value)
        content = content[first:]
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if not body:
            return
        if self.cut.get(file, 0) > 0:
            self.cut[file] -= 1
            request.wfile.write(content[: len(content) // 2])
            request.wfile.flush()
            request.close_connection = True
            request.connection.close()
            return
        request.wfile.write(content)

"""A receiver of webhooks that judges each request with the libraries that receivers use: signatures with
standardwebhooks, CloudEvents with their SDK. Prints its port, then one line for each path, and ends when every path had
a request: with 1 if one of them was refused. Named in the arguments: the secret, and the paths."""

import http.server
import json
import sys
import threading

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks import Webhook

SECRET, PATHS = sys.argv[1], set(sys.argv[2:])
seen: set[str] = set()
complete = threading.Event()
failed: list[str] = []


def cloud_event(headers: dict[str, str], body: bytes, path: str) -> None:
    event = from_http_event(HTTPMessage(headers=headers, body=body))
    wanted = ("notes", "fs.file_created", "ž 100%.md")
    found = (event.get_source().rsplit("/", 1)[-1], event.get_type(), event.get_subject())
    assert found == wanted, (path, found)
    assert event.get_time().utcoffset().total_seconds() == 0
    data = event.get_data()
    data = json.loads(data) if isinstance(data, (bytes, str)) else data
    assert data["path"] == "ž 100%.md", data


def judge(path: str, headers: dict[str, str], body: bytes) -> None:
    Webhook(SECRET).verify(body, headers)
    if path in ("/plain", "/two"):
        assert json.loads(body)["data"]["path"] == "ž 100%.md"
    elif path == "/list":
        (event,) = json.loads(body)
        assert event["entity_id"] == "ž 100%.md"
    elif path == "/batched":
        assert headers["content-type"].startswith("application/cloudevents-batch+json")
        (event,) = json.loads(body)
        cloud_event({"content-type": "application/cloudevents+json"}, json.dumps(event).encode(), path)
    else:
        cloud_event(headers, body, path)


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers["content-length"]))
        try:
            judge(self.path, headers, body)
            print(f"python {self.path}: good", flush=True)
        except Exception as error:  # Whatever it is, it is told.
            print(f"python {self.path}: {error!r}: {headers} {body!r}", flush=True)
            failed.append(self.path)
        self.send_response(204)
        self.end_headers()
        seen.add(self.path)
        if seen == PATHS:
            complete.set()

    def log_message(self, *_: object) -> None:
        pass


# A connection is kept for the next request, so each needs a thread.
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
complete.wait()
sys.exit(1 if failed else 0)

"""A small web server on loopback that answers what a case tells it to, and remembers what it was asked."""

import collections
import http.server
import threading

Asked = collections.namedtuple("Asked", "method path headers")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that goes away is no news


class Web:
    """`routes` maps a path to (status, headers, body), or to a function of the handler that answers such or writes itself."""

    def __init__(self, host="127.0.0.1", port=0):
        self.routes = {}
        self.asked = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self):
                path = self.path.partition("?")[0]
                web.asked.append(Asked(self.command, self.path, dict(self.headers.items())))
                route = web.routes.get(path, web.routes.get("*", (404, {}, b"nothing here")))
                if callable(route):
                    route = route(self)
                if route is not None:
                    self.reply(*route)

            def reply(self, status, headers, body):
                body = body.encode() if isinstance(body, str) else body
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "content-length" not in {name.lower() for name in headers}:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_HEAD = do_PUT = answer

        self.server = _Server((host, port), Handler)
        self.port = self.server.server_address[1]
        self.base = f"http://{host}:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()

    def count(self, path):
        """How often a path was asked for."""
        return sum(1 for asked in list(self.asked) if asked.path.partition("?")[0] == path)

    def close(self):
        """Stops listening."""
        self.server.shutdown()
        self.server.server_close()

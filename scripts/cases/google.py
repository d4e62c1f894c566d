"""Stand-ins of Google's Gmail, Drive and Calendar that a case scripts, and a program with a source over one of them."""

import datetime
import json
import time
import urllib.parse

from program import wait_for


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status, reason, message="x", headers=None, domain="usageLimits", word=None):
        super().__init__(f"{status} {reason}")
        self.status, self.headers = status, headers or {}
        error = {"code": status, "message": message, "errors": [{"domain": domain, "reason": reason, "message": message}]}
        self.body = {"error": error | ({"status": word} if word else {})}


def now():
    """This moment."""
    return datetime.datetime.now(datetime.timezone.utc)


def iso(moment):
    """A moment as Google writes it in UTC."""
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_hours(hours):
    """A time of a calendar's event, so many hours from now."""
    return {"dateTime": iso(now() + datetime.timedelta(hours=hours)), "timeZone": "UTC"}


class Google:
    """Serves handlers by the beginning of a path; the longest one counts."""

    def __init__(self, run):
        self.web = run.web()
        self.web.routes["*"] = self._answer
        self.handlers = {}

    def on(self, prefix, handler):
        """`handler` gets the rest of the path and the query, and returns the JSON of the answer, bytes, or raises Refused."""
        self.handlers[prefix] = handler

    def _answer(self, request):
        parts = urllib.parse.urlsplit(request.path)
        path = urllib.parse.unquote(parts.path)
        query = {name: values[0] for name, values in urllib.parse.parse_qs(parts.query, keep_blank_values=True).items()}
        kind = {"Content-Type": "application/json"}
        fitting = sorted((prefix for prefix in self.handlers if path.startswith(prefix)), key=len)
        try:
            if not fitting:
                raise Refused(404, "notFound", domain="global")
            answer = self.handlers[fitting[-1]](path[len(fitting[-1]) :], query)
        except Refused as refused:
            return refused.status, kind | refused.headers, json.dumps(refused.body)
        return 200, kind, answer if isinstance(answer, bytes) else json.dumps(answer)


class Calendar:
    """One calendar. `put` changes an event and tells of it at the next poll; `lost` makes the next sync token unknown."""

    def __init__(self, google, ident="primary", zone="UTC"):
        self.items, self.changes, self.zone, self.lost = {}, [], zone, False
        self.number, self.etag = 0, 100
        google.on(f"/calendar/v3/calendars/{ident}/events", self._ask)
        google.on(f"/calendar/v3/calendars/{ident}", lambda *_: {"id": ident, "timeZone": self.zone})

    def _ask(self, _, query):
        if "syncToken" in query:
            if self.lost:
                self.lost = False
                raise Refused(410, "fullSyncRequired", domain="calendar")
            told, self.changes = self.changes, []
        else:
            told = [item for item in self.items.values() if item["status"] != "cancelled"]
        self.number += 1
        return {"timeZone": self.zone, "items": told, "nextSyncToken": f"token-{self.number}"}

    def put(self, ident, **fields):
        """Makes or replaces an event."""
        self.etag += 1
        given = {"id": ident, "status": "confirmed", "summary": "S", "created": iso(now()), "eventType": "default"}
        event = given | self.items.get(ident, {}) | fields | {"updated": iso(now()), "etag": f'"{self.etag}"', "kind": "calendar#event"}
        self.items[ident] = event
        self.changes.append(event)

    def cancel(self, ident, **fields):
        """An event is deleted."""
        self.items.pop(ident, None)
        self.changes.append({"id": ident, "status": "cancelled", "kind": "calendar#event"} | fields)


class Mail:
    """A mail box. `refusals` holds answers to come, by `history` or the id of a message."""

    def __init__(self, google):
        self.head, self.records, self.messages, self.refusals, self.asked = 1000, [], {}, {}, []
        google.on("/gmail/v1/users/me/profile", lambda *_: {"emailAddress": "me@x.example", "historyId": str(self.head)})
        google.on("/gmail/v1/users/me/history", self._history)
        google.on("/gmail/v1/users/me/messages/", self._message)
        google.on("/gmail/v1/users/me/messages", lambda *_: {})

    def _trip(self, what):
        self.asked.append((time.monotonic(), what))
        if self.refusals.get(what):
            raise self.refusals[what].pop(0)

    def _history(self, _, query):
        self._trip("history")
        start = int(query["startHistoryId"])
        return {"history": [record for record in self.records if int(record["id"]) > start], "historyId": str(self.head)}

    def _message(self, ident, _):
        self._trip(ident)
        if ident not in self.messages:
            raise Refused(404, "notFound", domain="global")
        return self.messages[ident]

    def record(self, **fields):
        """Adds to the history."""
        self.head += 1
        self.records.append({"id": str(self.head)} | fields)

    def add(self, ident, labels=("INBOX",), **fields):
        """A message arrives, or is sent."""
        names = {"From": "A <a@x.example>", "To": "b@x.example", "Subject": "S"}
        payload = {"headers": [{"name": name, "value": value} for name, value in names.items()]}
        self.messages[ident] = {"id": ident, "threadId": ident, "labelIds": list(labels), "snippet": "text", "internalDate": str(int(time.time() * 1000)), "payload": payload} | fields
        self.record(messagesAdded=[{"message": {"id": ident, "threadId": ident, "labelIds": list(labels)}}])

    def label(self, ident, name):
        """A message gets a label."""
        self.record(labelsAdded=[{"message": {"id": ident, "threadId": ident, "labelIds": ["INBOX", name]}, "labelIds": [name]}])


class Drive:
    """My Drive."""

    def __init__(self, google):
        self.files, self.changes, self.number = {}, [], 1
        google.on("/drive/v3/files/", self._file)
        google.on("/drive/v3/files", lambda *_: {"files": list(self.files.values())})
        google.on("/drive/v3/changes/startPageToken", lambda *_: {"startPageToken": str(self.number)})
        google.on("/drive/v3/changes", self._changes)
        google.on("/drive/v3/drives", lambda *_: {"drives": []})

    def _changes(self, _, query):
        start = int(query["pageToken"])
        return {"changes": [change for number, change in self.changes if number >= start], "newStartPageToken": str(self.number)}

    def _file(self, path, query):
        ident = path.split("/")[0]
        if query.get("alt") == "media" or path.endswith("/export"):
            return b"text"
        if ident not in self.files:
            raise Refused(404, "notFound", domain="global")
        return self.files[ident]

    def put(self, ident, **fields):
        """Makes or changes a file."""
        person = {"displayName": "O", "emailAddress": "o@x.example"}
        given = {
            "id": ident, "name": ident, "mimeType": "application/pdf", "parents": ["root"], "trashed": False, "ownedByMe": True,
            "createdTime": iso(now()), "modifiedTime": iso(now()), "owners": [person], "size": "10",
            "permissions": [{"id": "1", "type": "user", "emailAddress": "o@x.example"}], "webViewLink": f"https://x.example/{ident}",
            "capabilities": {"canDownload": True},
        }  # fmt: skip
        file = given | self.files.get(ident, {}) | fields | {"version": str(self.number + 100)}
        self.files[ident] = file
        self._changed({"fileId": ident, "removed": False, "file": dict(file)})

    def remove(self, ident):
        """A file is gone."""
        self.files.pop(ident, None)
        self._changed({"fileId": ident, "removed": True})

    def _changed(self, change):
        self.changes.append((self.number, change | {"time": iso(now()), "changeType": "file"}))
        self.number += 1


SERVICES = {"google_calendar": Calendar, "gmail": Mail, "google_drive": Drive}


class Account:
    """A source of one kind over its stand-in `service`, and the program. `before` fills the service before the start; `handlers`
    go before the service's own."""

    def __init__(self, run, kind, before=None, service=None, program=None, handlers=None, wait=True, **settings):
        self.google = Google(run)
        self.service = SERVICES[kind](self.google, **(service or {}))
        self.google.handlers |= handlers or {}
        if before:
            before(self.service)
            self.service.changes = []
        source = {"type": kind, "token_file": "token.json", "poll_interval": "1s", "api_root": self.google.web.base} | settings
        self.program = run.prepared({"sources": {"g": source}}, **(program or {}))
        token = {"type": "authorized_user", "token": "t", "refresh_token": "r", "client_id": "c", "client_secret": "s", "scopes": []}
        token |= {"token_uri": f"{self.google.web.base}/token", "expiry": iso(now() + datetime.timedelta(days=500))}
        file = self.program.folder / "token.json"
        file.write_text(json.dumps(token))
        file.chmod(0o600)
        self.program.start()
        if wait:
            wait_for(lambda: self.program.source("g")["status"] == "healthy", 20)
            self.polled(2)

    def polled(self, requests=3, seconds=15):
        """Waits for so many more requests, and a moment for what follows."""
        before = len(self.google.web.asked)
        wait_for(lambda: len(self.google.web.asked) >= before + requests, seconds)
        time.sleep(0.6)

    def told(self):
        """The events of the source so far."""
        return [event for event in self.program.events() if event["event_type"].startswith(("google", "gmail", "inboxclaw.source.gap"))]

    def after(self, deed, count=1, seconds=8, **waits):
        """The short form of the events that come of a deed: waits for so many, or for polls where none is right."""
        before = len(self.told())
        deed()
        if count:
            wait_for(lambda: len(self.told()) >= before + count, seconds)
            time.sleep(1.2)
        else:
            self.polled(**({"requests": 4} | waits))
        return [short(event) for event in self.told()[before:]]


def short(event):
    """The last word of the type, the id, and the names of what changed."""
    data = event["data"]
    ident = data.get("event_id") or data.get("messageId") or data.get("message_id") or data.get("fileId") or data.get("file_id") or event["entity_id"]
    changes = data.get("changes")
    return " ".join([event["event_type"].rpartition(".")[2], str(ident)] + ([",".join(sorted(changes))] if changes else []))

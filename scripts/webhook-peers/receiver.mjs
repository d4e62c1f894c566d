// As receiver.py, with the libraries for JavaScript.

import http from "node:http";
import assert from "node:assert";
import { createRequire } from "node:module";

// The libraries are where they were installed, not beside this file.
const require = createRequire(process.env.MODULES + "/");
const { Webhook } = require("standardwebhooks");
const { HTTP } = require("cloudevents");

const [secret, ...paths] = process.argv.slice(2);
const missing = new Set(paths);
let failed = false;

function cloudEvent(event, isBinary) {
  assert.strictEqual(event.source, "/inboxclaw/sources/notes");
  assert.strictEqual(event.type, "fs.file_created");
  assert.strictEqual(event.data.path, "ž 100%.md");
  // Of headers this SDK leaves the values as they came, encoded as the HTTP binding says.
  assert.strictEqual(isBinary ? decodeURIComponent(event.subject) : event.subject, "ž 100%.md");
  assert.ok(event.time.endsWith("Z"));
  event.validate();
}

function judge(path, headers, body) {
  new Webhook(secret).verify(body, headers);
  if (path === "/plain" || path === "/two") {
    assert.strictEqual(JSON.parse(body).data.path, "ž 100%.md");
  } else if (path === "/list") {
    assert.strictEqual(JSON.parse(body)[0].entity_id, "ž 100%.md");
  } else if (path === "/batched") {
    HTTP.toEvent({ headers, body }).forEach((event) => cloudEvent(event, false));
  } else {
    cloudEvent(HTTP.toEvent({ headers, body }), path === "/binary");
  }
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString();
    try {
      judge(request.url, request.headers, body);
      console.log(`node ${request.url}: good`);
    } catch (error) {
      console.log(`node ${request.url}: ${error}: ${JSON.stringify(request.headers)} ${body}`);
      failed = true;
    }
    response.writeHead(204).end();
    missing.delete(request.url);
    if (missing.size === 0) process.exit(failed ? 1 : 0);
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

// worker.mjs around the real module, in Node: what it does when the module traps or the bucket fails, which
// no request can bring about from outside. The first argument is a token for videos/abc, TOKEN_KEYS is in the
// environment.
import assert from "node:assert/strict";
import { registerHooks } from "node:module";

const platform = {
  "cloudflare:workers": "export class WorkerEntrypoint {} export const waitUntil = () => {}",
  "@cloudflare/containers": "export class Container {} export class ContainerProxy {}",
};
registerHooks({
  resolve(name, context, next) {
    return platform[name] ? { url: "data:text/javascript," + platform[name], shortCircuit: true } : next(name, context);
  },
  load(url, context, next) {
    if (!url.endsWith("/edge.wasm")) return next(url, context);
    const source = `import { readFileSync } from "node:fs";
      export default new WebAssembly.Module(readFileSync(new URL(import.meta.url)));`;
    return { format: "module", source, shortCircuit: true };
  },
});

// Instances are counted, and one can be made to trap: decide then gets a message that is none, and Go panics.
const { Instance } = WebAssembly;
let instances = 0;
let memory;
let sabotage = false;
WebAssembly.Instance = function (module, imports) {
  instances++;
  const { exports } = new Instance(module, imports);
  memory = exports.memory;
  const decide = (size) => exports.decide(sabotage ? 3 : size);
  return { exports: { ...exports, decide } };
};
console.error = () => {};

const { default: worker } = await import("../worker.mjs");
const [token] = process.argv.slice(2);
const path = `https://weir.example/t/${token}/videos/abc/segment_1_a.m4s`;

const object = () => ({
  size: 4, httpEtag: '"e"', uploaded: new Date(1.7e12), httpMetadata: {}, body: new Response("body").body,
});
const bucketOf = (get) => ({ get: async (key) => (key.startsWith("epochs/") ? null : get()), head: async () => object() });
const bucket = bucketOf(object);
const ask = (BUCKET = bucket, init = {}, url = path) =>
  worker.fetch(new Request(url, init), { BUCKET, TOKEN_KEYS: process.env.TOKEN_KEYS });

async function refused(response, status, code) {
  assert.equal(response.status, status);
  assert.equal(response.headers.get("Cache-Control"), "no-store");
  assert.equal(response.headers.get("Access-Control-Allow-Origin"), "*");
  const { error } = await response.json();
  assert.equal(error.code, code);
  assert.match(error.message, /\.$/);
}

// One instance answers all requests.
for (let i = 0; i < 3; i++) assert.equal(await (await ask()).text(), "body");
assert.equal(instances, 1);

// A trap refuses its request; the next one gets a new instance.
sabotage = true;
await refused(await ask(), 500, "internal");
sabotage = false;
assert.equal((await ask()).status, 200);
assert.equal(instances, 2);

// A request that waits for the bucket meanwhile is answered by the new instance.
let arrive;
const waiting = ask(bucketOf(() => new Promise((resolve) => (arrive = resolve))));
sabotage = true;
await refused(await ask(), 500, "internal");
sabotage = false;
arrive(object());
assert.equal(await (await waiting).text(), "body");
assert.equal(instances, 3);

// A bucket that fails is no trap.
const throws = (message) => bucketOf(() => { throw new Error(message); });
await refused(await ask(throws("get: We encountered an internal error (10001)")), 502, "storage_error");
await refused(await ask(throws("get: The requested range is not satisfiable (10039)"), { headers: { Range: "bytes=9-" } }),
  416, "range_not_satisfiable");
assert.equal(instances, 3);

// A body that nobody gets is let go, so that the connection behind it is.
const unused = object();
assert.equal((await ask(bucketOf(() => unused), { headers: { "If-None-Match": '"e"' } })).status, 304);
assert.equal((await unused.body.getReader().read()).done, true);

// What players say goes to Analytics Engine; one request of so many is logged, without its token, and each that fails.
const written = [];
const lines = [];
const { log } = console;
console.log = (line) => lines.push(line);
const watched = { BUCKET: bucket, TOKEN_KEYS: process.env.TOKEN_KEYS, LOG_SAMPLE: "1", ANALYTICS: { writeDataPoint: (point) => written.push(point) } };
await worker.fetch(new Request(path, { headers: { "CMCD-Object": "br=3200", "CMCD-Session": 'sid="s"' } }), watched);
assert.deepEqual(written, [{
  indexes: ["abc"], blobs: ["200", "", "s", "", "", "", "", ""], doubles: [3200, -1, -1, -1, -1, -1, 0, 0],
}]);
assert.equal(lines.length, 1);
assert.ok(!lines[0].includes(token));
const { status, key } = JSON.parse(lines[0]);
assert.deepEqual({ status, key }, { status: 200, key: "videos/abc/segment_1_a.m4s" });
await worker.fetch(new Request(path), { ...watched, LOG_SAMPLE: "0" });
assert.equal(lines.length, 1);
await worker.fetch(new Request(path), { ...watched, LOG_SAMPLE: "0", BUCKET: throws("get: (10001)") });
assert.equal(JSON.parse(lines[1]).code, "storage_error");
// A player's reports are read as far as there may be any.
const beacon = (body) => worker.fetch(new Request(`https://weir.example/beacon/abc?token=${token}`, { method: "POST", body }), watched);
written.length = 0;
assert.equal((await beacon("e=ps\n" + "x".repeat(16_000))).status, 204);
await refused(await beacon("e=ps\n" + "x".repeat(17_000)), 413, "too_large");
assert.deepEqual(written.map(({ blobs }) => blobs[7]), ["ps"]);
console.log = log;

// Nothing of a request stays: the memory is as large after many of them as after some, playlists too.
const playlist = new TextEncoder().encode("#EXTINF:6,\nsegment_1_a.m4s\n".repeat(5_000));
const playlists = bucketOf(() => ({ ...object(), size: playlist.length, body: new Response(playlist).body }));
const rewritten = () => ask(playlists, {}, `https://weir.example/videos/abc/playlist.m3u8?token=${token}`);
async function memoryAfter(requests, send) {
  for (let i = 0; i < requests; i++) assert.equal((await send()).status, 200);
  return memory.buffer.byteLength;
}
assert.equal(await memoryAfter(20_000, ask), await memoryAfter(20_000, ask));
assert.equal(await memoryAfter(150, rewritten), await memoryAfter(600, rewritten));
assert.equal(instances, 3);

// Should it grow all the same, a new instance takes over before the isolate's memory is full.
memory.grow(1100); // pages of 64 KiB
assert.equal((await ask()).status, 200);
assert.equal((await ask()).status, 200);
assert.equal(instances, 4);

// A binding is asked in place of the network, and the host of the URL is nobody's.
const envOf = (fetch, more) => ({ BUCKET: bucket, TOKEN_KEYS: process.env.TOKEN_KEYS, WEBHOOK_URL: "https://h/", API_KEY: "key", TRANSCODER: { fetch }, ...more });
sabotage = true; // a new instance for the new settings
await refused(await ask(), 500, "internal");
sabotage = false;
const forwarded = [];
const bound = envOf(async (request) => {
  forwarded.push(request);
  return new Response("answer", { status: 418, headers: { Own: "1" } });
});
const post = { method: "POST", body: "text", headers: { Cookie: "a=b", Authorization: "Bearer key", TE: "x" } };
const passed = await worker.fetch(new Request("https://weir.example/videos/abc/revoke?a=%2f", post), bound);
assert.deepEqual([passed.status, passed.headers.get("Own"), await passed.text()], [418, "1", "answer"]);
const [{ method, url, headers, redirect }] = forwarded;
assert.deepEqual([method, url, redirect], ["POST", "http://transcoder/videos/abc/revoke?a=%2f", "manual"]);
assert.deepEqual([headers.get("Cookie"), headers.get("TE"), headers.get("Authorization")], [null, null, "Bearer key"]);
assert.equal(await forwarded[0].text(), "text");

// Where there is neither a binding nor an origin, containers are asked, if there are any.
const reached = async (env) => {
  sabotage = true;
  await refused(await ask(), 500, "internal");
  sabotage = false;
  return worker.fetch(new Request("https://weir.example/videos/abc"), { ...bound, TRANSCODER: undefined, ...env });
};
const CONTAINERS = { getByName: () => ({ fetch: async ({ url }) => new Response(url) }) };
assert.equal(await (await reached({ CONTAINERS })).text(), "http://transcoder/videos/abc");
assert.equal((await (await reached({ CONTAINERS, TRANSCODER_URL: "http://127.0.0.1:1" })).json()).error.code, "transcoder_unavailable");
assert.equal((await (await reached({})).json()).error.code, "no_transcoder");
sabotage = true;
await refused(await ask(), 500, "internal");
sabotage = false;

// A transcoder that fails is no trap either.
const fails = envOf(async () => { throw new TypeError("connection refused"); });
const unanswered = await worker.fetch(new Request("https://weir.example/transcode", { method: "POST" }), fails);
assert.deepEqual([unanswered.status, unanswered.headers.get("Retry-After"), unanswered.headers.get("Access-Control-Allow-Origin")], [503, "5", null]);
assert.equal((await unanswered.json()).error.code, "transcoder_unavailable");
assert.equal(instances, 9);

// Each message ends in one way, and none takes another with it.
const body = { action: "PutObject", object: { key: "uploads/a.mp4" }, eventTime: "2026-01-01T00:00:00Z" };
async function settle(bodies, env) {
  const ends = [];
  const messages = bodies.map((body, i) => ({
    body, attempts: 3, ack: () => (ends[i] = "ack"), retry: ({ delaySeconds }) => (ends[i] = delaySeconds),
  }));
  await worker.queue({ messages }, env);
  return ends;
}
const takes = envOf(async () => Response.json({ created_at: "2026-01-01T00:00:00.5Z" }, { status: 202 }));
const buried = [];
const UPLOADS_DEAD = { send: async (body) => void buried.push(body) };
assert.deepEqual(await settle([body, { ...body, action: "DeleteObject" }], takes), ["ack", "ack"]);
assert.deepEqual(await settle([body], fails), [20]);
assert.deepEqual(await settle([null, 7, "x", [], { ...body, eventTime: {} }, body], { ...takes, UPLOADS_DEAD }), Array(6).fill("ack"));
assert.deepEqual(buried, [null, 7, "x", [], { ...body, eventTime: {} }]);
const full = { send: async () => { throw new Error("the queue is full"); } };
assert.deepEqual(await settle([null, body], { ...takes, UPLOADS_DEAD: full }), [60, "ack"]);
for (const odd of ["", "null", "[]", '{"created_at":{}}', '{"error":{"code":"a\\u0000b"}}', "<html>"]) {
  const answers = envOf(async () => new Response(odd, { status: 202, headers: { "Retry-After": "30" } }));
  assert.deepEqual(await settle([body], answers), [30]);
}
assert.equal(instances, 9);

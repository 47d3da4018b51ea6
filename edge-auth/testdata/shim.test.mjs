// worker.mjs around the real module, in Node: what it does when the module traps or the bucket fails, which
// no request can bring about from outside. The first argument is a token for videos/abc, TOKEN_KEYS is in the
// environment.
import assert from "node:assert/strict";
import { registerHooks } from "node:module";

registerHooks({
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
  const decide = () => {
    if (sabotage) exports.reserve(3);
    return exports.decide();
  };
  return { exports: { ...exports, decide } };
};
console.error = () => {};

const { default: worker } = await import("../worker.mjs");
const [token] = process.argv.slice(2);
const path = `https://weir.example/t/${token}/videos/abc/segment_1_a.m4s`;

const object = () => ({
  size: 4, httpEtag: '"e"', uploaded: new Date(1.7e12), httpMetadata: {}, body: new Response("body").body,
});
const bucket = { get: async () => object(), head: async () => object() };
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
const waiting = ask({ get: () => new Promise((resolve) => (arrive = resolve)) });
sabotage = true;
await refused(await ask(), 500, "internal");
sabotage = false;
arrive(object());
assert.equal(await (await waiting).text(), "body");
assert.equal(instances, 3);

// A bucket that fails is no trap.
const throws = (message) => ({ get: async () => { throw new Error(message); }, head: bucket.head });
await refused(await ask(throws("get: We encountered an internal error (10001)")), 502, "storage_error");
await refused(await ask(throws("get: The requested range is not satisfiable (10039)"), { headers: { Range: "bytes=9-" } }),
  416, "range_not_satisfiable");
assert.equal(instances, 3);

// A body that nobody gets is let go, so that the connection behind it is.
const unused = object();
assert.equal((await ask({ get: async () => unused }, { headers: { "If-None-Match": '"e"' } })).status, 304);
assert.equal((await unused.body.getReader().read()).done, true);

// Nothing of a request stays: the memory is as large after many of them as after some, playlists too.
const playlist = new TextEncoder().encode("#EXTINF:6,\nsegment_1_a.m4s\n".repeat(5_000));
const playlists = { get: async () => ({ ...object(), size: playlist.length, arrayBuffer: async () => playlist.buffer }) };
const rewritten = () => ask(playlists, {}, `https://weir.example/videos/abc/playlist.m3u8?token=${token}`);
async function memoryAfter(requests, send) {
  for (let i = 0; i < requests; i++) assert.equal((await send()).status, 200);
  return memory.buffer.byteLength;
}
assert.equal(await memoryAfter(2_000, ask), await memoryAfter(20_000, ask));
assert.equal(await memoryAfter(20, rewritten), await memoryAfter(300, rewritten));
assert.equal(instances, 3);

// Should it grow all the same, a new instance takes over before the isolate's memory is full.
memory.grow(1100); // pages of 64 KiB
assert.equal((await ask()).status, 200);
assert.equal((await ask()).status, 200);
assert.equal(instances, 4);

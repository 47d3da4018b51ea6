// container.mjs on the real base class, in Node: the platform around them is made up, and time passes as fast as the test says. A
// container here is what it answers, how long it takes to end, and how it ended.
import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import { DatabaseSync } from "node:sqlite";
import { mock } from "node:test";

globalThis.waited = [];
registerHooks({
  resolve(name, context, next) {
    if (name === "cloudflare:workers") {
      const source = `export class DurableObject { constructor(ctx, env) { Object.assign(this, { ctx, env }); } }
        export class WorkerEntrypoint {}
        export const waitUntil = (promise) => globalThis.waited.push(promise);`;
      return { url: "data:text/javascript," + encodeURIComponent(source), shortCircuit: true };
    }
    // The package's files leave out their endings, as for a bundler.
    if (name.startsWith("./") && context.parentURL?.includes("@cloudflare/containers")) {
      return next(name.endsWith("/types") || name.endsWith("/lib") ? `${name}/index.js` : `${name}.js`, context);
    }
    return next(name, context);
  },
});
console.error = console.log = console.warn = () => {};
globalThis.IdentityTransformStream = TransformStream;

const { ContainerProxy, Transcoder, transcoders } = await import("../container.mjs");
mock.timers.enable({ apis: ["Date", "setTimeout"], now: Date.UTC(2026, 0, 1) });

const minute = 60_000;
const json = (value) => Response.json(value);

// platform is what a Durable Object with a container gets: storage with one alarm, and the container.
async function platform({ name = "transcoder-0", env = {}, open = [], answer }) {
  const db = new DatabaseSync(":memory:");
  const kept = new Map();
  const p = { starts: [], asked: [], open, answer, alarmAt: null, failing: 0 };
  const storage = {
    sql: { exec: (query, ...values) => db.prepare(query).all(...values.map((v) => v ?? null)) },
    kv: { get: (key) => kept.get(key), put: (key, value) => kept.set(key, value) },
    get: async (key) => kept.get(key), put: async (key, value) => void kept.set(key, value), sync: async () => {},
    setAlarm: async (at) => void (p.alarmAt = +at), getAlarm: async () => p.alarmAt, deleteAlarm: async () => void (p.alarmAt = null),
  };
  let ended;
  p.end = (error) => ended?.(error);
  const container = {
    running: false,
    start({ env }) {
      p.starts.push({ at: Date.now(), env });
      container.running = p.failing-- <= 0;
      container.ended = new Promise((resolve, reject) => {
        ended = (error) => ((container.running = false), error ? reject(error) : resolve());
        if (!container.running) reject(new Error("container exited with unexpected exit code: 2"));
      });
      container.ended.catch(() => {});
    },
    monitor: () => container.ended,
    signal: (number) => ((p.signal = number), p.stuck || p.end()),
    destroy: async () => p.end(),
    getTcpPort: (port) => ({
      async fetch(request, init) {
        if (!container.running) throw new Error("the container is not listening");
        const { pathname } = new URL(request.url ?? request);
        p.asked.push(`${port} ${pathname}`);
        return pathname === "/work" ? p.answer() : Object.assign(json({}), { webSocket: null });
      },
    }),
  };
  const BUCKET = {
    async list({ prefix, limit }) {
      if (p.away) throw new Error("internal error (10001)");
      return { objects: p.open.filter((key) => key.startsWith(prefix)).slice(0, limit) };
    },
  };
  const ready = [];
  const exports = { ContainerProxy: (options) => new ContainerProxy({}, options) };
  const ctx = { container, storage, exports, id: { name, toString: () => "id" }, abort() {}, blockConcurrencyWhile: (f) => { const r = f(); ready.push(r); return r; } };
  p.deploy = async (env) => {
    p.object = new Transcoder(ctx, { BUCKET, ...env });
    await Promise.all(ready);
  };
  await p.deploy(env);
  p.running = () => container.running;
  // pass lets time go by; alarms come when they are due, one after the other, as the platform has them.
  p.pass = async (ms) => {
    for (const until = Date.now() + ms; Date.now() < until; ) {
      if (p.alarmAt !== null && p.alarmAt <= Date.now() && !p.alarm) {
        p.alarmAt = null;
        p.alarm = p.object.alarm().finally(() => (p.alarm = undefined));
      }
      for (let i = 0; i < 20; i++) await new Promise(setImmediate);
      mock.timers.tick(Math.min(1000, until - Date.now()));
      for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    }
  };
  return p;
}

const request = (headers) => new Request("http://transcoder/videos/intro", { headers });
// An answer counts as activity until it was read.
const answered = async (p) => (await p.object.fetch(request())).text();

// A request starts the container, with those settings of the Worker's that are the transcoder's; an hour of work without a request is no
// reason to stop it, and that nothing is left is one.
{
  const p = await platform({
    env: { API_KEY: "key", TOKEN_KEYS: "the Worker's", TASKS: 3, CODECS: "" }, open: ["open/intro"], answer: () => json({ busy: true }),
  });
  assert.deepEqual(await (await p.object.fetch(request({ Authorization: "Bearer key" }))).json(), {});
  assert.deepEqual(p.starts[0].env, { API_KEY: "key", TASKS: "3" });
  await p.pass(60 * minute);
  assert.ok(p.running());
  assert.equal(p.starts.length, 1);
  assert.ok(p.asked.filter((ask) => ask === "8080 /work").length >= 10);
  p.answer = () => json({ busy: false });
  p.open = [];
  await p.pass(6 * minute);
  assert.ok(!p.running());
  assert.equal(p.signal, 15);
  await p.pass(24 * 60 * minute);
  assert.equal(p.starts.length, 1);
  assert.equal(p.alarmAt, null);
}

// What waits for its time lets the container sleep, and wakes it then, and once.
{
  const due = Date.now() + 180 * minute;
  const p = await platform({ open: ["open/intro"], answer: () => json({ busy: false, due_at: new Date(due).toISOString() }) });
  await answered(p);
  await p.pass(179 * minute);
  assert.ok(!p.running());
  assert.equal(p.starts.length, 1);
  p.answer = () => json({ busy: false });
  await p.pass(2 * minute);
  assert.equal(p.starts.length, 2);
  p.open = [];
  await p.pass(24 * 60 * minute);
  assert.ok(!p.running());
  assert.equal(p.starts.length, 2);
}

// A container that ends by itself, or is moved, is back in a minute or two while a job is open, and only then; so is one that was woken for work
// before what it was to sleep for.
for (const open of [["open/intro"], ["videos/intro/manifest.json"]]) {
  const p = await platform({ open, answer: () => json({ busy: false, due_at: new Date(Date.now() + 600 * minute).toISOString() }) });
  await answered(p);
  await p.pass(7 * minute); // it sleeps
  assert.ok(!p.running());
  await answered(p);
  await p.pass(2 * minute);
  p.answer = () => json({ busy: true });
  p.end();
  await p.pass(2 * minute);
  assert.equal(p.running(), open[0] === "open/intro");
}

// One that does not answer is started anew; one that does not start is tried again.
{
  let ill = true;
  const p = await platform({ open: ["open/intro"], answer: () => { if (ill) throw new Error("Network connection lost"); return json({ busy: true }); } });
  await answered(p);
  await p.pass(5 * minute + 10_000);
  assert.ok(!p.running());
  ill = false;
  p.failing = 2;
  await p.pass(10 * minute);
  assert.ok(p.running());
  assert.ok(p.starts.length > 3);
}

// Nor does it stay away if it ended in a way that the platform does not know, or while the bucket could not be asked.
for (const fault of [(p) => p.end(new Error("Network connection lost.")), (p) => ((p.away = true), p.end())]) {
  const p = await platform({ open: ["open/intro"], answer: () => json({ busy: true }) });
  await answered(p);
  await p.pass(minute);
  fault(p);
  await p.pass(3 * minute);
  assert.equal(p.starts.length, 2);
  assert.ok(p.running());
}

// One that neither answers nor ends when it is told to is ended.
{
  let ill = true;
  const p = await platform({ open: ["open/intro"], answer: () => { if (ill) throw new Error("Network connection lost"); return json({ busy: true }); } });
  p.stuck = true;
  await answered(p);
  await p.pass(6 * minute);
  assert.equal(p.signal, 15);
  assert.equal(p.starts.length, 1);
  await p.pass(8 * minute);
  assert.equal(p.starts.length, 2);
  ill = false;
  await p.pass(60 * minute);
  assert.equal(p.starts.length, 2);
}

// Whoever asks while it is about to sleep finds it awake, and what is to be done is done.
{
  const p = await platform({
    open: ["open/intro"],
    async answer() {
      await answered(p);
      return json({ busy: false, due_at: new Date(Date.now() + 180 * minute).toISOString() });
    },
  });
  await answered(p);
  await p.pass(6 * minute);
  assert.ok(p.running());
}

// However often it is woken in vain, it is tried again once a minute.
{
  const p = await platform({ open: ["open/intro"], answer: () => json({ busy: true }) });
  p.failing = Infinity;
  for (let i = 0; i < 10; i++) {
    p.object.wake();
    await p.pass(5_000);
  }
  const before = p.starts.length;
  await p.pass(10 * minute);
  assert.ok(p.starts.length - before <= 10, `${p.starts.length - before} starts`);
  p.failing = 0;
  await p.pass(2 * minute);
  assert.ok(p.running());
}

// One that cannot start is left alone once nothing is open.
{
  const p = await platform({ open: ["open/intro"], answer: () => json({ busy: true }) });
  p.failing = Infinity;
  p.object.wake();
  await p.pass(5 * minute);
  p.open = [];
  await p.pass(2 * minute);
  const before = p.starts.length;
  await p.pass(10 * minute);
  assert.equal(p.starts.length, before);
  assert.equal(p.alarmAt, null);
}

// Where the transcoder has moved to another place, it ends, and what is open there is not its business.
{
  const p = await platform({ open: ["open/intro"], answer: () => json({ busy: true }) });
  await answered(p);
  p.object.env.TRANSCODER_URL = "https://transcoder.example.com";
  await p.pass(24 * 60 * minute);
  assert.ok(!p.running());
  assert.equal(p.starts.length, 1);
  assert.equal(p.alarmAt, null);
}

// Which port is asked is not the client's to say.
{
  const p = await platform({ answer: () => json({}) });
  await (await p.object.fetch(request({ "cf-container-target-port": "9" }))).text();
  assert.ok(p.asked.every((ask) => ask.startsWith("8080 ")), `${p.asked}`);
}

// Strangers neither wake it nor keep it awake; they have the transcoder's own answer while it is.
{
  const p = await platform({ env: { API_KEY: "next key" }, answer: () => json({ busy: false }) });
  for (const headers of [{}, { Authorization: "Bearer keys" }, { Authorization: "key" }]) {
    const refused = await p.object.fetch(request(headers));
    assert.equal(refused.status, 401);
    assert.equal((await refused.json()).error.code, "unauthorized");
  }
  assert.equal(p.starts.length, 0);
  await (await p.object.fetch(request({ Authorization: "bearer key" }))).text();
  assert.equal(p.starts.length, 1);
  for (let i = 0; i < 4; i++) {
    await p.pass(2 * minute);
    if (p.running()) assert.equal((await p.object.fetch(request())).status, 200);
  }
  assert.ok(!p.running());
}

// That the container cannot be had is no answer of the transcoder's.
{
  const p = await platform({ answer: () => json({}) });
  p.failing = Infinity;
  const failed = p.object.fetch(request()).then(() => undefined, (error) => error);
  await p.pass(minute);
  assert.match((await failed).message, /^5\d\d: /);
}

// One instance is asked, each in its turn, and all are woken for work. Several need a queue that they share.
{
  const woken = [];
  const CONTAINERS = {
    getByName: (name) => ({ wake: async () => void woken.push(name), fetch: async ({ url, method }) => new Response(`${name} ${method} ${url}`) }),
  };
  const ask = async (env, ...asked) => (await transcoders({ CONTAINERS, ...env }).fetch(...asked)).text();
  assert.equal(await ask({}, request()), "transcoder-0 GET http://transcoder/videos/intro");
  assert.equal(await ask({}, "http://transcoder/transcode", { method: "POST" }), "transcoder-0 POST http://transcoder/transcode");
  assert.deepEqual(woken, []);
  const many = { TRANSCODERS: "3", NATS_URL: "nats://nats.example.com" };
  const names = new Set();
  for (let i = 0; i < 100; i++) names.add((await ask(many, request())).split(" ")[0]);
  assert.deepEqual([...names].sort(), ["transcoder-0", "transcoder-1", "transcoder-2"]);
  assert.deepEqual(woken, []);
  await ask({ ...many, API_KEY: "key" }, request().url, { method: "POST", headers: { Authorization: "Bearer other" } });
  assert.deepEqual(woken, []);
  const [asked] = (await ask({ ...many, API_KEY: "key" }, request().url, { method: "POST", headers: { Authorization: "Bearer key" } })).split(" ");
  await Promise.all(globalThis.waited);
  assert.deepEqual([asked, ...woken].sort(), [...names].sort());
  for (const wrong of ["0", "x", "1.5", "101"]) await assert.rejects(() => ask({ ...many, TRANSCODERS: wrong }, request()), /TRANSCODERS/);
  await assert.rejects(() => ask({ TRANSCODERS: "2" }, request()), /NATS_URL/);
}

// A Worker that is deployed anew leaves the container alone, unless it has other settings for it: those it works with a minute later.
{
  const p = await platform({ env: { API_KEY: "key", TOKEN_KEY: "old" }, open: ["open/intro"], answer: () => json({ busy: true }) });
  await p.object.wake();
  await p.deploy({ API_KEY: "key", TOKEN_KEY: "old", TOKEN_KEYS: "the Worker's" });
  await p.pass(10 * minute);
  assert.equal(p.starts.length, 1);
  await p.deploy({ API_KEY: "key", TOKEN_KEY: "new" });
  assert.equal(p.signal, 15);
  await p.pass(2 * minute);
  assert.deepEqual(p.starts.map(({ env }) => env.TOKEN_KEY), ["old", "new"]);
  await p.pass(60 * minute);
  assert.equal(p.starts.length, 2);
}

// Where there are fewer instances than before, those that are too many end, whatever there is to do: the others do it.
{
  const many = { NATS_URL: "nats://queue" };
  const p = await platform({ name: "transcoder-2", env: { ...many, TRANSCODERS: "3" }, open: ["open/intro"], answer: () => json({ busy: true }) });
  await p.object.wake();
  await p.pass(30 * minute);
  assert.ok(p.running());
  await p.deploy({ ...many, TRANSCODERS: "2" });
  p.stuck = true;
  await p.pass(30 * minute);
  assert.ok(!p.running());
  assert.equal(p.starts.length, 1);
}

// The shim around the Wasm module (main.go): it carries requests in, calls the bucket or the transcoder, and carries
// answers out; and messages about uploads, likewise. It decides nothing; internal/gate and internal/intake do.
import { WorkerEntrypoint } from "cloudflare:workers";
import { transcoders } from "./container.mjs";
import { call, compose } from "./module.mjs";

export { ContainerProxy, Transcoder } from "./container.mjs";

export default {
  async fetch(request, env, ctx) {
    try {
      return await serve(request, env, ctx);
    } catch (error) {
      console.error("the request was refused:", error);
      return refusal(request);
    }
  },

  async queue(batch, env) {
    await Promise.all(batch.messages.map((message) => takeIn(message, env)));
  },
};

// Objects is the bucket behind Workers Cache, for CACHE = "workers-cache": it runs when that has not got an object. It is no way
// in: nobody but readKept calls it.
export class Objects extends WorkerEntrypoint {
  async fetch(request) {
    const key = decodeURIComponent(new URL(request.url).pathname.slice(1));
    const object = await this.env.BUCKET.get(key);
    return object ? keeping(this.env, key, object, object.body) : new Response(null, { status: 404, headers: { "Cache-Control": "no-store" } });
  }
}

async function serve(request, env, ctx) {
  const began = Date.now();
  const client = { request, env, ctx, began, timing: [] };
  const header = (name) => request.headers.get(name) ?? "";
  const question = compose([
    request.url, header("Authorization"), header("Cookie"), header("Referer"), header("CF-Connecting-IP"),
    cmcd.map(header).filter(Boolean).join(","),
  ]);
  const terms = compose([
    Math.floor(began / 1000), request.method, request.cf?.country ?? "", header("Origin"), header("Range"), header("If-Range"),
    header("If-Match"), header("If-None-Match"), header("If-Modified-Since"), header("If-Unmodified-Since"), header("Accept"),
    request.cf?.clientAcceptEncoding ?? header("Accept-Encoding"), // what the network asks for is something else
  ]);
  let object;
  let step = call("decide", env, question + terms);
  if (step.kind === "forward") return forward(client, terms, step);
  for (let fetches = 0; step.kind === "fetch" && fetches < 4; fetches++) {
    const reply = await fetched(client, step);
    object?.body?.cancel();
    object = reply.object;
    step = call("respond", env, terms + step.said + compose(reply.fields), reply.body);
  }
  if (step.kind !== "answer") throw new Error("the object keeps changing");
  return answer(client, object, step);
}

const cmcd = ["CMCD-Request", "CMCD-Object", "CMCD-Status", "CMCD-Session"];

// fetched makes the calls that a step asks for, side by side, and tells how they ended.
async function fetched(client, { fields }) {
  const [, key, op, offset, length, suffix, use, cache, _private, _vary, _cmcd, epoch] = fields;
  const began = Date.now();
  const range = part(+offset, +length, +suffix);
  const read = op === "said" ? readSaid(client.request, +length) : readObject(client, key, op, range, use, cache);
  const [reply, revoked] = await Promise.all([read, epoch ? readEpoch(client.env.BUCKET, epoch) : ["", ""]]);
  if (op !== "said") client.timing.push(`bucket;dur=${Date.now() - began}`);
  return { ...reply, fields: [...reply.fields, ...revoked] };
}

const ended = (outcome) => ({ fields: [outcome, 0, "", 0, ""] });

async function readObject(client, key, op, range, use, cache) {
  const { BUCKET } = client.env;
  try {
    if (op === "head") {
      const object = await BUCKET.head(key);
      return object ? { fields: facts(object) } : ended("missing");
    }
    const kept = cache && (await readKept(client, key, range, cache));
    if (cache) client.timing.push(`cache;desc=${kept ? "hit" : "miss"}`);
    if (kept) return found(kept.facts, kept.response, use);
    const object = await BUCKET.get(key, { range });
    if (!object) return ended("missing");
    if (cache !== "cache-api" || object.size > keptSize) return found(facts(object), object, use);
    if (use === "rewrite") {
      const reply = await found(facts(object), object, use);
      if (reply.body.length === object.size) keep(client, key, object, reply.body);
      return reply;
    }
    if (range) return found(facts(object), object, use);
    const [body, copy] = object.body.tee();
    keep(client, key, object, copy);
    return found(facts(object), { body }, use);
  } catch (error) {
    if (/\(10039\)/.test(error.message)) return ended("no-such-part"); // R2's InvalidRange
    console.error("the bucket failed:", error);
    return ended("failed");
  }
}

// facts is what a reply says of an object.
function facts({ size, httpEtag, uploaded, httpMetadata }) {
  return ["found", size, httpEtag, uploaded.getTime(), httpMetadata?.cacheControl ?? ""];
}

async function found(fields, object, use) {
  if (use !== "rewrite") return { fields, object };
  return { fields, body: new Uint8Array(await new Response(object.body).arrayBuffer()) };
}

// keptSize bounds what is kept: while a body goes to the client and to the cache, the slower of the two is waited for in memory.
const keptSize = 32 << 20;

// readKept looks for an object in the cache.
async function readKept({ request, ctx }, key, range, cache) {
  try {
    const wanted = new Request(keptURL(request, key), range && { headers: { Range: rangeHeader(range) } });
    const response = await (cache === "cache-api" ? caches.default.match(wanted) : ctx.exports.Objects.fetch(wanted));
    const said = response?.headers.get("X-Object");
    if (said && response.status === (range ? 206 : 200)) return { facts: ["found", ...JSON.parse(said)], response };
    response?.body?.cancel(); // whatever else it is: the bucket knows better
  } catch (error) {
    console.error("the cache failed:", error);
  }
  return undefined;
}

function keep({ request, env, ctx }, key, object, body) {
  ctx.waitUntil(caches.default.put(keptURL(request, key), keeping(env, key, object, body))
    .catch((error) => console.error("the cache failed:", error)));
}

// keptURL is an object's name in the cache: without a token, under a host that nobody can reach, and of this Worker alone, because
// the Workers of one domain may share a cache.
const keptURL = (request, key) => `https://${new URL(request.url).host.replace(":", "-")}.invalid/${encodeURIComponent(key)}`;

// keeping is an object as a cache keeps it: whole, for as long as the module says, with what the bucket said of it.
function keeping(env, key, object, body) {
  const [, ...said] = facts(object);
  const headers = {
    "Cache-Control": call("keep", env, compose([key, said[3]])).fields[1],
    "Content-Length": object.size,
    "X-Object": JSON.stringify(said),
  };
  return new Response(body, { headers });
}

function rangeHeader({ offset = 0, length, suffix }) {
  if (suffix) return `bytes=-${suffix}`;
  return `bytes=${offset}-${length ? offset + length - 1 : ""}`;
}

// readSaid reads what a player reports, and no more of it than there may be.
async function readSaid(request, most) {
  const parts = [];
  let size = 0;
  try {
    for await (const part of request.body ?? []) {
      if ((size += part.length) > most) return ended("no-such-part");
      parts.push(part);
    }
  } catch {
    return ended("failed");
  }
  return { ...ended("found"), body: new Uint8Array(await new Blob(parts).arrayBuffer()) };
}

async function readEpoch(bucket, key) {
  try {
    const object = await bucket.get(key);
    return object ? ["found", await object.text()] : ["missing", ""];
  } catch (error) {
    console.error("the bucket failed:", error);
    return ["failed", ""];
  }
}

// part is a range as an object: given as headers, one that is not there would silently be the whole object.
function part(offset, length, suffix) {
  if (suffix) return { suffix };
  if (length) return { offset, length };
  return offset ? { offset } : undefined;
}

async function answer(client, object, { fields, text }) {
  const { env, timing } = client;
  const [, status, from, gzip, key, code, points] = fields;
  let at = 7; // of the fields
  for (const end = at + points * pointFields; at < end; at += pointFields) {
    const [video, ...point] = fields.slice(at, at + pointFields);
    env.ANALYTICS?.writeDataPoint({ indexes: [video], blobs: point.slice(0, 8), doubles: point.slice(8).map(Number) });
  }
  const headers = new Headers();
  for (; at + 1 < fields.length; at += 2) headers.append(fields[at], fields[at + 1]); // behind the last is an empty one
  if (timing.length) headers.set("Server-Timing", timing.join(", "));
  let body = { none: null, text, object: object?.body }[from];
  if (body !== object?.body) object?.body?.cancel();
  if (gzip) {
    body = await new Response(new Response(body).body.pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
    headers.set("Content-Length", body.byteLength);
  }
  log(client, { status: +status, key, code });
  return new Response(body, { status: +status, headers, encodeBody: gzip ? "manual" : "automatic" });
}

const pointFields = 17; // as in internal/wire: the index, eight texts and eight numbers

// log writes a line of JSON about one request of so many as LOG_SAMPLE says, and about each that failed. Tokens are in none.
function log({ request, env, timing, began }, line) {
  const every = Number(env.LOG_SAMPLE ?? 0);
  if (line.status < 500 && (every === 0 || Math.random() * every >= 1)) return;
  const { country, colo } = request.cf ?? {};
  const ray = request.headers.get("CF-Ray") ?? undefined;
  console.log(JSON.stringify({ method: request.method, ...line, timing, ms: Date.now() - began, country, colo, ray }));
}

// Headers that are for one connection (RFC 9110 section 7.6.1), and the cookie, which opens objects.
const withheld = ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Cookie"];

// forward hands a request to the transcoder. Bodies flow both ways as they come, and end when the client goes.
async function forward(client, terms, { fields: [, url, limit] }) {
  const { request, env } = client;
  const headers = new Headers(request.headers);
  for (const name of withheld) headers.delete(name);
  const { method, body } = request;
  const signal = +limit ? AbortSignal.timeout(+limit) : undefined;
  try {
    const response = await transcoder(env).fetch(new Request(url, { method, headers, body, duplex: "half", redirect: "manual", signal }));
    log(client, { status: response.status, forwarded: true });
    return response;
  } catch (error) {
    console.error("the transcoder did not answer:", error);
    return answer(client, undefined, call("unanswered", env, terms));
  }
}

// transcoder is what reaches it: its binding, the network, or containers of Cloudflare's.
function transcoder(env) {
  if (env.TRANSCODER?.fetch) return env.TRANSCODER;
  return env.TRANSCODER_URL || !env.CONTAINERS ? globalThis : transcoders(env);
}

// takeIn deals with a message about an upload.
async function takeIn(message, env) {
  try {
    const { action, object, eventTime } = message.body ?? {};
    const about = [
      text(action), text(object?.key), Date.parse(eventTime) || 0, message.attempts, env.WEBHOOK_URL ?? "", env.API_KEY ?? "",
    ];
    let step = call("intake", env, compose([...about, "", "", 0, "", 0, ""]));
    while (step.kind === "post") {
      step = call("intake", env, compose([...about, ...(await post(env, step))]));
    }
    const [, delay, reason] = step.fields;
    if (reason) console.error(`the upload ${JSON.stringify(object?.key)} was not taken in, ${step.kind}:`, reason);
    if (step.kind === "retry") return message.retry({ delaySeconds: +delay });
    if (step.kind === "dead") await env.UPLOADS_DEAD.send(message.body);
    message.ack();
  } catch (error) {
    console.error("a message was not dealt with:", error);
    message.retry({ delaySeconds: 60 });
  }
}

// post asks for a video and tells how that was answered, after what was asked for.
async function post(env, { fields: [, url, key, id, replaces, upload, hook] }) {
  try {
    const response = await transcoder(env).fetch(url, {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ video_id: id, key: upload, webhook_url: hook, replace: replaces === "1" }),
      redirect: "manual",
      signal: AbortSignal.timeout(25_000),
    });
    const said = await response.json().catch(() => null);
    const retryAfter = response.headers.get("Retry-After") ?? "";
    return [id, replaces, response.status, retryAfter, Date.parse(said?.created_at) || 0, text(said?.error?.code)];
  } catch (error) {
    console.error("the transcoder did not answer:", error);
    return [id, replaces, 0, "", 0, ""];
  }
}

// text is a value from outside as a field of a message.
const text = (value) => (typeof value === "string" && !value.includes("\0") ? value : "");

// refusal is the answer when the module cannot give one: nobody gets in.
function refusal(request) {
  const body = JSON.stringify({ error: { code: "internal", message: "The Worker failed. Try again." } });
  return new Response(request.method === "HEAD" ? null : body, {
    status: 500,
    headers: { "Content-Type": "application/json", "Cache-Control": "no-store", "Access-Control-Allow-Origin": "*" },
  });
}

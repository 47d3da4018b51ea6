// The shim around the Wasm module (main.go): it carries requests in, calls the bucket, and carries answers
// out. It decides nothing; internal/gate does. The messages are described in internal/wire.
import module from "./edge.wasm";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// The isolate's one instance: made with the first request, because nothing may be done before one, and
// dropped after a trap, which leaves its memory in any state, or when it takes half of what the isolate may.
let edge;
const tooLarge = 64 << 20;

export default {
  async fetch(request, env) {
    try {
      return await serve(request, env);
    } catch (error) {
      console.error("the request was refused:", error);
      return refusal(request);
    }
  },
};

async function serve(request, env) {
  const header = (name) => request.headers.get(name) ?? "";
  const fields = [
    Math.floor(Date.now() / 1000), request.method, request.url, header("Authorization"), header("Range"),
    header("If-Range"), header("If-Match"), header("If-None-Match"), header("If-Modified-Since"),
    header("If-Unmodified-Since"),
  ];
  let object;
  let [kind, ...step] = call("decide", fields, env);
  for (let fetches = 0; text(kind) === "fetch" && fetches < 4; fetches++) {
    const reply = await fetched(env.BUCKET, ...step.map(text));
    object?.body?.cancel();
    object = reply.object;
    [kind, ...step] = call("respond", [...fields, ...step, ...reply.fields], env);
  }
  if (text(kind) !== "answer") throw new Error("the object keeps changing");
  return answer(object, ...step);
}

// fetched makes the one call of the bucket that a step asks for, and tells how it ended.
async function fetched(bucket, key, op, offset, length, suffix, use) {
  const ended = (outcome) => ({ fields: [outcome, 0, "", 0, "", ""] });
  try {
    const range = part(+offset, +length, +suffix);
    const object = await (op === "head" ? bucket.head(key) : bucket.get(key, { range }));
    if (!object) return ended("missing");
    const { size, httpEtag, uploaded, httpMetadata } = object;
    const fields = ["found", size, httpEtag, uploaded.getTime(), httpMetadata?.cacheControl ?? ""];
    if (use === "rewrite") return { fields: [...fields, new Uint8Array(await object.arrayBuffer())] };
    return { object, fields: [...fields, ""] };
  } catch (error) {
    if (/\(10039\)/.test(error.message)) return ended("no-such-part"); // R2's InvalidRange
    console.error("the bucket failed:", error);
    return ended("failed");
  }
}

// part is a range as an object: given as headers, one that is not there would silently be the whole object.
function part(offset, length, suffix) {
  if (suffix) return { suffix };
  if (length) return { offset, length };
  return offset ? { offset } : undefined;
}

function answer(object, status, from, bytes, ...headers) {
  const list = new Headers();
  for (let i = 0; i < headers.length; i += 2) list.append(text(headers[i]), text(headers[i + 1]));
  const body = { none: null, text: bytes, object: object?.body }[text(from)];
  if (body !== object?.body) object?.body?.cancel();
  return new Response(body, { status: +text(status), headers: list });
}

// refusal is the answer when the module cannot give one: nobody gets in.
function refusal(request) {
  const body = JSON.stringify({ error: { code: "internal", message: "The Worker failed. Try again." } });
  return new Response(request.method === "HEAD" ? null : body, {
    status: 500,
    headers: { "Content-Type": "application/json", "Cache-Control": "no-store", "Access-Control-Allow-Origin": "*" },
  });
}

function call(name, fields, env) {
  try {
    edge ??= start(env);
    write(edge, fields);
    const step = read(edge, edge[name]());
    if (edge.memory.buffer.byteLength > tooLarge) edge = undefined;
    return step;
  } catch (trap) {
    edge = undefined;
    throw trap;
  }
}

function start(env) {
  const { exports } = new WebAssembly.Instance(module, {});
  exports._initialize();
  write(exports, [env.TOKEN_KEYS ?? ""]);
  exports.configure();
  return exports;
}

// write puts a message into the module's memory, which may move when it grows: a view is good for one use.
function write({ memory, reserve }, fields) {
  const parts = fields.map((field) => (field instanceof Uint8Array ? field : encoder.encode(field)));
  const size = parts.reduce((sum, { length }) => sum + 4 + length, 0);
  const start = reserve(size);
  const view = new DataView(memory.buffer, start, size);
  let at = 0;
  for (const bytes of parts) {
    view.setUint32(at, bytes.length, true);
    new Uint8Array(memory.buffer, start + at + 4, bytes.length).set(bytes);
    at += 4 + bytes.length;
  }
}

// read copies a message out of the module's memory.
function read({ memory, step }, size) {
  const view = new DataView(memory.buffer, step(), size);
  const fields = [];
  for (let at = 0; at < size; ) {
    const length = view.getUint32(at, true);
    fields.push(new Uint8Array(memory.buffer, view.byteOffset + at + 4, length).slice());
    at += 4 + length;
  }
  return fields;
}

function text(bytes) {
  return decoder.decode(bytes);
}

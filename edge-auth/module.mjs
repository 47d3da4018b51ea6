// The Wasm module (main.go) as JavaScript calls it: messages are written into its memory, and steps are read out of it. What they
// say is described in internal/wire.
import module from "./edge.wasm";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// The isolate's one instance: made with the first request, because nothing may be done before one, and
// dropped after a trap, which leaves its memory in any state, or when it takes half of what the isolate may.
let edge;
const tooLarge = 64 << 20;

// call hands the parts of a message to a function of the module, and gives the step that it answers with.
export function call(name, env, ...message) {
  try {
    edge ??= start(env);
    write(edge, ...message);
    const step = read(edge, edge[name]());
    if (edge.memory.buffer.byteLength > tooLarge) edge = undefined;
    return step;
  } catch (trap) {
    edge = undefined;
    throw trap;
  }
}

const settings = ["TOKEN_KEYS", "ALLOWED_ORIGINS", "ENCRYPTION_KEY", "CACHE", "LOG_SAMPLE"];

// start makes an instance with the settings.
export function start(env) {
  const { exports } = new WebAssembly.Instance(module, {});
  exports._initialize();
  // With a binding, the host of a URL means nothing.
  const origin = env.TRANSCODER?.fetch ? "http://transcoder" : env.TRANSCODER_URL ?? "";
  write(exports, encode([...settings.map((name) => env[name] ?? ""), origin]));
  exports.configure();
  return exports;
}

// encode is the fields of a message as bytes.
export const encode = (fields) => encoder.encode(fields.join("\0") + "\0");

// write puts the parts of a message into the module's memory, which may move when it grows: a view is good for one use.
export function write({ memory, reserve }, ...parts) {
  let size = 0;
  for (const part of parts) size += part?.length ?? 0;
  const start = reserve(size); // before the view is made
  const message = new Uint8Array(memory.buffer, start, size);
  size = 0;
  for (const part of parts) {
    if (!part) continue;
    message.set(part, size);
    size += part.length;
  }
}

// read copies a step out of the module's memory.
export function read({ memory, step, text }, size) {
  const message = new Uint8Array(memory.buffer, step(), size).slice();
  const head = size - text();
  const [kind, ...fields] = decoder.decode(message.subarray(0, head - 1)).split("\0");
  return { kind, fields, message, text: message.subarray(head) };
}

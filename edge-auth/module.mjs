// The Wasm module (main.go) as JavaScript calls it: messages are written into its memory, and steps are read out of it. What they
// say is described in internal/wire.
import module from "./edge.wasm";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// The isolate's one instance: made with the first request, because nothing may be done before one, and
// dropped after a trap, which leaves its memory in any state, or when it takes half of what the isolate may.
let edge;
const tooLarge = 64 << 20;

// call hands a message to a function of the module, and gives the step that it answers with. The message is text, with or without
// bytes behind it.
export function call(name, env, text, bytes) {
  try {
    edge ??= new Instance(env);
    const step = edge.read(edge[name](edge.write(text, bytes)));
    if (edge.memory.buffer.byteLength > tooLarge) edge = undefined;
    return step;
  } catch (trap) {
    edge = undefined;
    throw trap;
  }
}

// compose makes the text of a message out of its fields.
export const compose = (fields) => fields.join("\0") + "\0";

const settings = ["TOKEN_KEYS", "ALLOWED_ORIGINS", "ENCRYPTION_KEY", "CACHE", "LOG_SAMPLE"];

// Instance is an instance of the module with the settings. What the module exports are its methods too.
export class Instance {
  constructor(env) {
    Object.assign(this, new WebAssembly.Instance(module, {}).exports);
    this.room = new Uint8Array(); // of the module's memory, to write messages to
    this._initialize();
    // With a binding, the host of a URL means nothing.
    const origin = env.TRANSCODER?.fetch || (env.CONTAINERS && !env.TRANSCODER_URL) ? "http://transcoder" : env.TRANSCODER_URL ?? "";
    this.configure(this.write(compose([...settings.map((name) => env[name] ?? ""), origin])));
  }

  // write puts a message into the module's memory and gives its size.
  write(text, bytes) {
    const most = 3 * text.length + (bytes?.length ?? 0); // in UTF-8
    if (this.room.length < most) { // it is empty after the memory grew, and moved
      const start = this.reserve(most); // before the view is made
      this.room = new Uint8Array(this.memory.buffer, start, most);
    }
    const { written } = encoder.encodeInto(text, this.room);
    if (!bytes) return written;
    this.room.set(bytes, written);
    return written + bytes.length;
  }

  // read copies a step, whose fields have this size, out of the module's memory.
  read(size) {
    const start = this.step();
    const said = decoder.decode(new Uint8Array(this.memory.buffer, start, size));
    const fields = said.split("\0");
    const text = this.text();
    return { kind: fields[0], fields, said, text: text ? new Uint8Array(this.memory.buffer, start + size, text).slice() : undefined };
  }
}

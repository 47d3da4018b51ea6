// The transcoder in Cloudflare Containers: a Durable Object an instance, which starts it, lets it sleep and wakes it.
//
// To the platform, open requests alone are activity, and a video is encoded long after its request was answered. So an instance is asked
// what there is to do before it is stopped (GET /work); and one that has stopped by itself, or was moved, is started again while the
// bucket has a job that is open. Whatever an instance was at is not lost: the bucket is the record.
import { waitUntil } from "cloudflare:workers";
import { Container } from "@cloudflare/containers";

// The base class looks for it among the Worker's exports when it finds a container running.
export { ContainerProxy } from "@cloudflare/containers";

const port = 8080;

// askTimeout is for a question that the transcoder answers at once, in milliseconds; again is when one that has failed is started once
// more, in seconds.
const askTimeout = 10_000;
const again = 60;

// settings are those of the transcoder that are the Worker's too: its variables and secrets of the same names.
const settings = [
  "API_KEY", "R2_ENDPOINT", "R2_BUCKET", "R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY", "PUBLIC_URL", "TOKEN_KEY", "TOKEN_TTL",
  "WEBHOOK_SECRET", "ENCRYPTION_KEY", "NATS_URL", "NATS_REPLICAS", "LADDER", "STORYBOARD", "CODECS", "X264_PRESET", "TASKS", "TASK_MEMORY",
  "SCRATCH_BYTES", "FFMPEG_SANDBOX",
];

export class Transcoder extends Container {
  defaultPort = port;
  pingEndpoint = "transcoder/healthz";
  sleepAfter = "5m"; // a job is known to /work a minute after it was accepted
  envVars = Object.fromEntries(settings.filter((name) => this.env[name]).map((name) => [name, String(this.env[name])]));

  // A container has the settings with which it was started. If the Worker was deployed with others since, it ends, and comes back with them.
  constructor(ctx, env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      if (ctx.container.running && (await ctx.storage.get("settings")) !== (await this.fingerprint())) await this.stop();
    });
  }

  // fingerprint is a digest of them.
  fingerprint() {
    return digest(JSON.stringify(this.envVars));
  }

  // fetch answers as the transcoder does, or fails: what the base class says in its place is text, and no API's. Who has not the key neither
  // starts the instance nor keeps it awake.
  async fetch(request) {
    if (!(await hasKey(request, this.env))) {
      if (!this.ctx.container.running) return unauthorized();
      return this.ctx.container.getTcpPort(port).fetch(request.url.replace("https:", "http:"), request);
    }
    const response = await this.containerFetch(request, port); // super.fetch lets the client name the port, in a header
    if (response.ok || !response.headers.get("Content-Type")?.startsWith("text/plain")) return response;
    throw new Error(`${response.status}: ${await response.text()}`);
  }

  // wake starts the instance, or keeps it awake. One that does not start is tried again while there is work.
  async wake() {
    try {
      if (!this.ctx.container.running) await this.startAndWaitForPorts();
      this.renewActivityTimeout();
    } catch (error) {
      console.error("the container did not start:", error);
      if (await this.open()) await this.wakeAt(again);
    }
  }

  // wakeAt has the instance woken then, or so many seconds later, and at no other time.
  async wakeAt(when) {
    this.deleteSchedules("wake");
    await this.schedule(when, "wake");
  }

  async onStart() {
    this.deleteSchedules("wake");
    this.stopping = false;
    await this.ctx.storage.put("settings", await this.fingerprint());
  }

  // Nobody asked for anything for a while. While there is work, it goes on, and the base class comes back; or else it ends until then.
  // One that does not answer is started anew; if it did not end when it was told to, it is ended.
  async onActivityExpired() {
    const outlook = this.surplus() ? { busy: false } : await this.outlook();
    if (outlook?.busy || !this.isActivityExpired()) return; // or somebody has asked meanwhile
    const due = outlook ? outlook.due_at : Date.now() + again * 1000;
    if (due) await this.wakeAt(new Date(due));
    if (this.stopping) return this.destroy();
    this.stopping = true;
    await this.stop(); // SIGTERM: the transcoder is done in half a minute
  }

  // outlook is what the transcoder says that there is to do, or nothing if it does not answer.
  async outlook() {
    try {
      const response = await this.ctx.container.getTcpPort(port).fetch("http://transcoder/work", { signal: AbortSignal.timeout(askTimeout) });
      if (response.ok) return await response.json();
      console.error("the container does not know what there is to do:", response.status);
    } catch (error) {
      console.error("the container does not answer:", error);
    }
    return undefined;
  }

  async onStop() {
    if ((await this.listSchedules("wake")).length > 0) return; // it sleeps
    if (await this.open()) await this.wakeAt(again);
  }

  // onError is called in onStop's place where the platform does not know how the container ended, as when its machine is lost.
  async onError(error) {
    console.error("the container failed:", error);
    await this.onStop();
  }

  // surplus tells whether the transcoder is not in containers, or not in so many, any more.
  surplus() {
    const { TRANSCODER, TRANSCODER_URL, TRANSCODERS = "1" } = this.env;
    return Boolean(TRANSCODER || TRANSCODER_URL) || Number(this.ctx.id.name?.replace("transcoder-", "")) >= Number(TRANSCODERS);
  }

  // open tells whether the bucket has a job that is open, and is not another transcoder's. If it cannot be asked, it may have.
  async open() {
    if (this.surplus()) return false;
    try {
      return (await this.env.BUCKET.list({ prefix: "open/", limit: 1 })).objects.length > 0;
    } catch (error) {
      console.error("the bucket failed:", error);
      return true;
    }
  }

  // The base class sets the alarm to what was scheduled before it calls onStop, and so to nothing.
  async alarm(info) {
    await super.alarm(info);
    const [waiting] = await this.listSchedules("wake");
    if (waiting && (await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(waiting.time * 1000);
  }
}

// transcoders fetches from one of the instances: any knows all videos. Work is for all of them, so a request for it wakes them.
export function transcoders(env) {
  const [one, ...others] = shuffled(instances(env)).map((name) => env.CONTAINERS.getByName(name));
  return {
    async fetch(...asked) {
      const request = new Request(...asked);
      if (request.method === "POST" && (await hasKey(request, env))) waitUntil(Promise.allSettled(others.map((other) => other.wake())));
      return one.fetch(request);
    },
  };
}

// hasKey tells whether a request has a key of the transcoder's. The transcoder looks itself; this is so that it is not woken in vain. Digests are
// compared, so that time tells nothing of the key.
async function hasKey(request, { API_KEY }) {
  const [, key] = /^bearer (.*)$/i.exec(request.headers.get("Authorization") ?? "") ?? [];
  if (!API_KEY || key === undefined) return !API_KEY;
  const keys = await Promise.all(API_KEY.split(" ").filter(Boolean).map(digest));
  return keys.includes(await digest(key));
}

const digest = async (text) => String(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));

// unauthorized is the transcoder's answer to who has not the key.
const unauthorized = () => Response.json(
  { error: { code: "unauthorized", message: 'Send the header "Authorization: Bearer KEY" with the transcoder\'s API_KEY.' } },
  { status: 401, headers: { "WWW-Authenticate": 'Bearer realm="weir"', "Cache-Control": "no-store" } },
);

// instances are their names. They share the work over NATS; without, each would do all of it.
function instances({ TRANSCODERS = "1", NATS_URL }) {
  const count = Number(TRANSCODERS);
  if (!Number.isInteger(count) || count < 1 || count > 100) throw new Error(`TRANSCODERS is ${TRANSCODERS}: set it to a number from 1 to 100`);
  if (count > 1 && !NATS_URL) throw new Error("more than one of TRANSCODERS needs NATS_URL: a queue that they share");
  return Array.from({ length: count }, (_, i) => `transcoder-${i}`);
}

const shuffled = (list) => list.map((item) => [Math.random(), item]).sort(([a], [b]) => a - b).map(([, item]) => item);

// What the Worker is compared with: the same read of the bucket and the same headers, as plainly as it can be written, behind no
// check at all; or, with CHECK = "jose", behind that of bench/claims.mjs.
import { joseOpens } from "./claims.mjs";

export default {
  async fetch(request, env) {
    const began = Date.now();
    const [, , token, ...path] = new URL(request.url).pathname.split("/"); // /t/{token}/videos/…
    const key = path.join("/");
    if (env.CHECK === "jose" && !(await joseOpens(env, token, key))) return new Response(null, { status: 401 });
    const object = await env.BUCKET.get(key);
    if (!object) return new Response(null, { status: 404 });
    return new Response(object.body, {
      headers: {
        "ETag": object.httpEtag,
        "Last-Modified": object.uploaded.toUTCString(),
        "Cache-Control": object.httpMetadata.cacheControl,
        "Content-Type": object.httpMetadata.contentType,
        "Content-Length": object.size,
        "Accept-Ranges": "bytes",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "Content-Length, Content-Range, ETag, Accept-Ranges, Server-Timing",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
        "Server-Timing": `bucket;dur=${Date.now() - began}`,
      },
    });
  },
};

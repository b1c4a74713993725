// A receiver of webhooks: it verifies, deduplicates by webhook-id and answers at
// once.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const tolerance = 5 * 60; // seconds
const maxBody = 8 << 20;
const remember = 100_000; // ids

const secret = process.env.WEBHOOK_SECRET;
if (!secret) throw new Error("set WEBHOOK_SECRET");
// What follows whsec_, decoded, or the literal bytes of a secret without it.
const key = secret.startsWith("whsec_") ? Buffer.from(secret.slice(6), "base64") : Buffer.from(secret);

const seen = new Set(); // in the order in which they came
const queue = [];

// While a secret is rotated webhook-signature lists several.
function verified(id, timestamp, signatures, body) {
  if (!id || !/^[0-9]+$/.test(timestamp ?? "")) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > tolerance) return false;
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
  const want = Buffer.from("v1," + mac);
  return (signatures ?? "").split(" ").some((signature) => {
    const given = Buffer.from(signature);
    return given.length === want.length && timingSafeEqual(given, want);
  });
}

// What takes long.
function work() {
  for (let event; (event = queue.shift()); ) console.log(`done ${event.id} ${event.body.length} bytes`);
}

async function receive(request, response) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    if ((size += part.length) > maxBody) return response.writeHead(413).end();
    parts.push(part);
  }
  const body = Buffer.concat(parts);
  const id = request.headers["webhook-id"];
  if (!verified(id, request.headers["webhook-timestamp"], request.headers["webhook-signature"], body)) {
    return response.writeHead(401).end("the signature does not match");
  }
  if (!seen.has(id)) {
    seen.add(id);
    if (seen.size > remember) seen.delete(seen.values().next().value);
    queue.push({ id, body });
    setImmediate(work);
  }
  response.writeHead(204).end(); // also for one that is here already: that is success
}

const [host, port] = (process.env.ADDR ?? "127.0.0.1:9000").split(":");
const server = createServer((request, response) => {
  receive(request, response).catch(() => response.destroy());
});
server.listen(Number(port), host, () => console.log(`listening on http://${host}:${server.address().port}`));

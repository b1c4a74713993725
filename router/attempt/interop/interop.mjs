// Runs other people's signature code for the Go test beside it: a list of
// questions as JSON on standard input, a list of answers on standard output.
import { createPublicKey, verify as verifyBytes } from "node:crypto";
import { sign, verify } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";

const questions = {
  // Does the receiver's library take these headers for this body?
  standard: ({ secret, body, headers }) => {
    try {
      new Webhook(secret).verify(body, headers);
      return { ok: true };
    } catch (error) {
      return { ok: false, error: String(error) };
    }
  },
  standardSign: ({ secret, id, timestamp, body }) => ({
    signature: new Webhook(secret).sign(id, new Date(timestamp * 1000), body),
  }),
  // Ed25519 by Node's own crypto: a public key is 32 bytes behind a fixed start.
  ed25519: ({ key, body, headers }) => {
    const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(key.replace("whpk_", ""), "base64")]);
    const publicKey = createPublicKey({ key: der, format: "der", type: "spki" });
    const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
    const entries = headers["webhook-signature"].split(" ").filter((entry) => entry.startsWith("v1a,"));
    return { ok: entries.some((entry) => verifyBytes(null, signed, publicKey, Buffer.from(entry.slice(4), "base64"))) };
  },
  githubVerify: async ({ secret, body, signature }) => ({ ok: await verify(secret, body, signature) }),
  githubSign: async ({ secret, body }) => ({ signature: await sign(secret, body) }),
};

let input = "";
for await (const chunk of process.stdin.setEncoding("utf8")) input += chunk;
const answers = [];
for (const question of JSON.parse(input)) answers.push(await questions[question.ask](question));
process.stdout.write(JSON.stringify(answers));

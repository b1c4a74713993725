// Runs other people's code for Go tests: a list of questions as JSON on standard
// input, a list of answers on standard output.
// The libraries are large: each run loads those that it is asked for.
import { createPublicKey, verify as verifyBytes } from "node:crypto";

const octokit = () => import("@octokit/webhooks-methods");
const sendgrid = async () => (await import("@sendgrid/eventwebhook")).default;
const redocly = () => import("@redocly/openapi-core");
const shopify = async () => {
  await import("@shopify/shopify-api/adapters/node");
  return import("@shopify/shopify-api");
};
const slack = async () => (await import("@slack/bolt")).default;
const cloudevents = () => import("cloudevents");
const standardwebhooks = () => import("standardwebhooks");
const stripe = async () => new (await import("stripe")).default("sk_test_none");
const svix = () => import("svix");
const twilio = async () => (await import("twilio")).default;

// Answers whether f goes through without an error.
const attempt = async (f) => {
  try {
    return { ok: (await f()) !== false };
  } catch (error) {
    return { ok: false, error: String(error) };
  }
};

// Does the receiver's library take these headers for this body?
const verifyWith = (library) => ({ secret, body, headers }) =>
  attempt(async () => {
    const { Webhook } = await library();
    new Webhook(secret).verify(body, headers);
  });

const standard = (library, prefix) => async ({ secret, body, timestamp }) => {
  const { Webhook } = await library();
  const at = new Date(timestamp * 1000);
  return {
    headers: {
      [`${prefix}-id`]: "msg_1",
      [`${prefix}-timestamp`]: String(timestamp),
      [`${prefix}-signature`]: new Webhook(secret).sign("msg_1", at, body),
    },
  };
};

const sendCloudEvent = async ({ url, mode, event }) => {
  const { CloudEvent, emitterFor, httpTransport } = await cloudevents();
  const emit = emitterFor(httpTransport(url), { mode });
  const answer = await emit(new CloudEvent(event));
  return { body: answer.body };
};

const questions = {
  github: async ({ secret, body }) => ({ headers: { "X-Hub-Signature-256": await (await octokit()).sign(secret, body) } }),
  stripe: async ({ secret, body, timestamp }) => ({
    headers: { "Stripe-Signature": (await stripe()).webhooks.generateTestHeaderString({ payload: body, secret, timestamp }) },
  }),
  standard: standard(standardwebhooks, "webhook"),
  svix: standard(svix, "svix"),
  twilioForm: async ({ secret, url, parameters }) => ({
    headers: { "X-Twilio-Signature": (await twilio()).getExpectedTwilioSignature(secret, url, parameters) },
    body: new URLSearchParams(Object.entries(parameters).flatMap(([k, v]) => [].concat(v).map((x) => [k, x]))).toString(),
  }),
  twilioBody: async ({ secret, url, body }) => {
    const library = await twilio();
    const whole = `${url}?bodySHA256=${library.getExpectedBodyHash(body)}`;
    return { headers: { "X-Twilio-Signature": library.getExpectedTwilioSignature(secret, whole, {}) }, url: whole };
  },
  githubVerify: async ({ secret, body, signature }) => ({ ok: await (await octokit()).verify(secret, body, signature) }),
  standardVerify: verifyWith(standardwebhooks),
  svixVerify: verifyWith(svix),
  // Ed25519 by Node's own crypto: a public key is 32 bytes behind a fixed start.
  ed25519Verify: ({ key, body, headers }) => {
    const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(key.replace("whpk_", ""), "base64")]);
    const publicKey = createPublicKey({ key: der, format: "der", type: "spki" });
    const signed = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
    const entries = headers["webhook-signature"].split(" ").filter((entry) => entry.startsWith("v1a,"));
    return { ok: entries.some((entry) => verifyBytes(null, signed, publicKey, Buffer.from(entry.slice(4), "base64"))) };
  },
  // These libraries verify only: they are asked what they think of our signature.
  slackVerify: ({ secret, body, headers }) => attempt(async () => (await slack()).verifySlackRequest({ signingSecret: secret, body, headers })),
  shopifyVerify: ({ secret, body, headers }) =>
    attempt(async () => {
      const { shopifyApi, ApiVersion } = await shopify();
      const app = shopifyApi({
        apiKey: "key", apiSecretKey: secret, hostName: "example.com", apiVersion: Object.values(ApiVersion).at(-1), isEmbeddedApp: false,
        logger: { log: () => {} },
      });
      const result = await app.webhooks.validate({ rawBody: body, rawRequest: { headers, method: "POST", url: "/" }, rawResponse: {} });
      if (!result.valid) throw new Error(JSON.stringify(result));
    }),
  sendgridVerify: ({ secret, body, signature, timestamp }) =>
    attempt(async () => {
      const hook = new (await sendgrid()).EventWebhook();
      return hook.verifySignature(hook.convertPublicKeyToECDSA(secret), body, signature, timestamp);
    }),
  structured: (q) => sendCloudEvent({ ...q, mode: "structured" }),
  binary: (q) => sendCloudEvent({ ...q, mode: "binary" }),
  // The SDK makes the bytes of a batch itself and leaves sending them to others.
  batched: async ({ url, events }) => {
    const { CloudEvent } = await cloudevents();
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/cloudevents-batch+json" },
      body: JSON.stringify(events.map((e) => new CloudEvent(e))),
    });
    return { body: await answer.text() };
  },
  // What the linter has against a description of an API, by its stricter rules.
  lint: async ({ body }) => {
    const { createConfig, lintFromString } = await redocly();
    const config = await createConfig({ extends: ["recommended-strict"] });
    const problems = await lintFromString({ source: body, absoluteRef: "openapi.json", config });
    return { ok: problems.length === 0, error: problems.map((p) => `${p.location[0]?.pointer}: ${p.ruleId}: ${p.message}`).join("\n") };
  },
};

let input = "";
for await (const chunk of process.stdin.setEncoding("utf8")) input += chunk;
const answers = [];
for (const question of JSON.parse(input)) answers.push(await questions[question.ask](question));
process.stdout.write(JSON.stringify(answers));

// Runs other people's code for the Go test beside it: a list of questions as JSON
// on standard input, a list of answers on standard output.
// The libraries are large: each run loads those that it is asked for.
const octokit = () => import("@octokit/webhooks-methods");
const sendgrid = async () => (await import("@sendgrid/eventwebhook")).default;
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
};

let input = "";
for await (const chunk of process.stdin.setEncoding("utf8")) input += chunk;
const answers = [];
for (const question of JSON.parse(input)) answers.push(await questions[question.ask](question));
process.stdout.write(JSON.stringify(answers));

// Makes one shape of what SendGrid and Mailgun tell about mails, one event each:
// whoever receives them need not know who sends the mail.
import { fail, type Event } from "weir";

type Kind = "accepted" | "deferred" | "delivered" | "bounced" | "rejected" | "opened" | "clicked" | "complained" | "unsubscribed";

interface MailEvent {
  provider: "sendgrid" | "mailgun";
  kind: Kind;
  /** Whether sending to this address again makes no sense. */
  permanent?: boolean;
  recipient: string;
  message_id?: string;
  provider_id?: string;
  at: string;
  reason?: string;
  code?: string;
  url?: string;
  ip?: string;
  user_agent?: string;
  tags?: string[];
}

export function transform(event: Event): false | void {
  const data = event.data;
  if (Array.isArray(data)) {
    for (const one of data) send(event, fromSendGrid(one));
  } else if (data?.["event-data"]) {
    send(event, fromMailgun(data["event-data"]));
  } else {
    fail("neither a list of SendGrid's events nor one of Mailgun's, which has event-data");
  }
  return false; // only what was emitted
}

function send(event: Event, mail: MailEvent | undefined): void {
  if (!mail) return;
  event.type = "mail." + mail.kind;
  event.data = mail;
  event.emit();
}

const SENDGRID: Record<string, Kind> = {
  processed: "accepted", deferred: "deferred", delivered: "delivered", bounce: "bounced", dropped: "rejected",
  open: "opened", click: "clicked", spamreport: "complained", unsubscribe: "unsubscribed", group_unsubscribe: "unsubscribed",
};

function fromSendGrid(e: any): MailEvent | undefined {
  const kind = SENDGRID[e.event];
  if (!kind) return; // group_resubscribe, account_status_change and what is to come
  return {
    provider: "sendgrid",
    kind,
    // A bounce of the type "blocked" may pass later.
    permanent: kind === "bounced" ? e.type !== "blocked" : kind === "rejected" ? true : undefined,
    recipient: e.email,
    message_id: trimmed(e["smtp-id"]),
    provider_id: e.sg_event_id,
    at: time(e.timestamp),
    reason: e.reason ?? e.response,
    code: e.status,
    url: e.url,
    ip: e.ip,
    user_agent: e.useragent,
    tags: e.category === undefined ? undefined : [e.category].flat(),
  };
}

const MAILGUN: Record<string, Kind> = {
  accepted: "accepted", delivered: "delivered", rejected: "rejected", opened: "opened", clicked: "clicked",
  complained: "complained", unsubscribed: "unsubscribed",
};

function fromMailgun(e: any): MailEvent | undefined {
  // What failed for now is tried again; what failed for good has bounced, or was never sent.
  const suppressed = /^suppress/.test(e.reason ?? "");
  const kind = e.event === "failed" ? (e.severity === "temporary" ? "deferred" : suppressed ? "rejected" : "bounced") : MAILGUN[e.event];
  if (!kind) return; // list_member_uploaded and the like
  const status = e["delivery-status"] ?? {};
  return {
    provider: "mailgun",
    kind,
    permanent: kind === "bounced" || kind === "rejected" ? true : undefined,
    recipient: e.recipient,
    message_id: trimmed(e.message?.headers?.["message-id"]),
    provider_id: e.id,
    at: time(e.timestamp),
    reason: [status.description, status.message, e.reject?.reason].find((text) => text),
    code: status.code === undefined ? undefined : String(status["enhanced-code"] || status.code),
    url: e.url,
    ip: e.ip,
    user_agent: e["client-info"]?.["user-agent"],
    tags: e.tags?.length ? e.tags : undefined,
  };
}

/** Message-IDs come with angle brackets and without. */
function trimmed(id: string | undefined): string | undefined {
  return id?.replace(/^<|>$/g, "");
}

function time(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

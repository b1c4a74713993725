// Gives events a type by what they say, so that routes and receivers can go by the
// type alone: "support.message" becomes "support.billing", "support.outage", …
import { config, fail } from "weir";

const fields = config?.fields ?? ["subject", "body"];
const rules = read(config?.rules);

// What a rule looks for: whole words, and beginnings of words.
function read(rules) {
  if (!Array.isArray(rules) || rules.length === 0) {
    fail('config: rules is a list such as [{ type = "support.billing", words = ["invoice", "refund*"] }]');
  }
  return rules.map(({ type, words }, n) => {
    if (!type || !words?.length) fail(`config: rule ${n + 1} needs a type and words`);
    const lower = words.map((word) => word.toLowerCase());
    return {
      type,
      whole: new Set(lower.filter((word) => !word.endsWith("*"))),
      beginnings: lower.filter((word) => word.endsWith("*")).map((word) => word.slice(0, -1)),
    };
  });
}

/** @param {import("weir").Event} event */
export function transform(event) {
  const text = fields.map((path) => event.get(path)).filter((value) => typeof value === "string").join(" ");
  const words = text.toLowerCase().split(/[\s.,;:!?"'()<>/]+/);
  let best;
  for (const rule of rules) {
    const found = words.filter((word) => rule.whole.has(word) || rule.beginnings.some((beginning) => word.startsWith(beginning)));
    // The rule with the most words wins, the first of those that have the same.
    if (found.length > (best?.found.length ?? 0)) best = { type: rule.type, found };
  }
  if (best) {
    event.type = best.type;
    event.set("classified", { by: [...new Set(best.found)].sort(), from: "words" });
  } else if (config.otherwise) {
    event.type = config.otherwise;
  }
}

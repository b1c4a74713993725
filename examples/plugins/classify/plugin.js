// Gives events a type by what they say, so that routes and receivers can go by the
// type alone: "support.message" becomes "support.billing", "support.outage", …
import { config, fail } from "weir";

const fields = config?.fields ?? ["subject", "body"];
const rules = compile(config?.rules);

// Every rule's words as one expression: whole words, in any case.
function compile(rules) {
  if (!Array.isArray(rules) || rules.length === 0) {
    fail('config: rules is a list such as [{ type = "support.billing", words = ["invoice", "refund*"] }]');
  }
  return rules.map(({ type, words }, n) => {
    if (!type || !words?.length) fail(`config: rule ${n + 1} needs a type and words`);
    const any = words.map((word) => word.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*/g, "[\\p{L}\\p{N}]*")).join("|");
    return { type, expression: new RegExp(`(?<![\\p{L}\\p{N}])(${any})(?![\\p{L}\\p{N}])`, "giu") };
  });
}

/** @param {import("weir").Event} event */
export function transform(event) {
  const text = fields.map((path) => event.get(path)).filter((value) => typeof value === "string").join("\n");
  let best;
  for (const rule of rules) {
    const found = [...text.matchAll(rule.expression)].map((match) => match[0].toLowerCase());
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

// Adds to each event what a table in the config knows of it: which region a country
// is in, which team owns a service, what a plan includes.
import { Flow, Message, config, fail } from "weir";

export function init(): void {
  if (config("key").string == "") fail('config: key is the path of the value to look up, such as "address.country"');
  if (config("into").string == "") fail('config: into is the path to put what the table says, such as "region"');
  if (!config("table").exists) fail('config: table has an entry for each value, such as {"DE": "emea"}');
}

export function transform(m: Message): Flow {
  const key = m.string(config("key").string);
  const found = config("table").get(escape(key));
  if (key != "" && found.exists) {
    m.set(config("into").string, found);
    return Flow.Send;
  }
  const otherwise = config("otherwise");
  if (otherwise.exists) {
    m.set(config("into").string, otherwise);
    return Flow.Send;
  }
  if (config("strict").bool) return fail('the table has nothing for "' + key + '"');
  return Flow.Send;
}

/** A key as it is written in a path. */
function escape(key: string): string {
  return key.replaceAll("\\", "\\\\").replaceAll(".", "\\.");
}

// Compiles a plugin in AssemblyScript: what "weir plugin build" runs with Node. The
// argument is JSON: asc (the URL of the compiler), sdk (the folder that holds the
// folder weir), out, entry (the text of the file around the plugin).
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const { asc, sdk, out, entry } = JSON.parse(process.argv[2]);
const { main } = await import(asc);

const own = "weir-plugin.ts";
const { error } = await main(
  [
    own, "--outFile", "plugin.wasm", "--path", sdk,
    "--runtime", "incremental", "--use", "abort=weir-plugin/abort",
    "-O3", "--disableWarning", "235",
  ],
  {
    stdout: process.stdout,
    stderr: process.stderr,
    readFile(name, base) {
      if (name === own) return entry;
      try {
        return readFileSync(join(base, name), "utf8");
      } catch {
        return null; // the compiler tries several names
      }
    },
    writeFile(name, data) {
      writeFileSync(out, data);
    },
    listFiles(folder, base) {
      try {
        return readdirSync(resolve(base, folder)).filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"));
      } catch {
        return null;
      }
    },
  },
);
if (error) {
  // What the compiler counts, it has shown.
  const text = String(error.message ?? error);
  if (!/^\d+ \w+ error\(s\)$/.test(text)) console.error(text);
  process.exit(1);
}

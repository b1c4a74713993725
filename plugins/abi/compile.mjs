// Compiles WebAssembly text to modules: node compile.mjs FOLDER FILE.wat…
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import load from "wabt";

const [folder, ...texts] = process.argv.slice(2);
const wabt = await load();
for (const text of texts) {
  const module = wabt.parseWat(text, readFileSync(text, "utf8"), { bulk_memory: true, reference_types: true });
  module.resolveNames();
  module.validate();
  const { buffer } = module.toBinary({ write_debug_names: false });
  writeFileSync(join(folder, basename(text, ".wat") + ".wasm"), buffer);
  module.destroy();
}

// Drives a browser through the dashboard: node walk.mjs < plan.json > seen.json
//
// The plan has the router's address, a token where one is needed, the pages to look
// at, and a story: steps that a person would take. What is seen is said for the test
// to judge: problems of accessibility by axe-core, console messages, requests that
// left the router, and what the story found. States are pages that no address leads
// to by itself, such as what a form answers: they are given as they are.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const plan = JSON.parse(readFileSync(0, "utf8"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const seen = { violations: [], console: [], foreign: [], wide: [], story: [] };

const browser = await chromium.launch({
  executablePath: plan.chromium,
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

let at; // the page that the story is on
const watch = (page, name) => {
  page.on("console", (m) => {
    if (m.type() === "error" || m.type() === "warning") {
      seen.console.push(`${name}: ${m.text()}`);
    }
  });
  page.on("pageerror", (e) => seen.console.push(`${name}: ${e.message}`));
  page.on("request", (r) => {
    if (!r.url().startsWith(plan.base + "/") && !r.url().startsWith("data:")) {
      seen.foreign.push(`${name}: ${r.url()}`);
    }
  });
};

const signIn = async (page) => {
  if (plan.token) {
    await page.goto(plan.base + "/login");
    await page.fill("#token", plan.token);
    await page.click("main button");
    await page.waitForURL(plan.base + "/");
  }
};

const looks = [["light", 390], ["dark", 390], ["dark", 1280], ["light", 1280]];
let look; // a page in which others are looked at closely

const audit = async (path, at = looks) => {
  const answer = await look.goto(plan.base + path);
  if (!answer.ok()) {
    throw new Error(`${path}: ${answer.status()}`);
  }
  await look.waitForSelector("h1");
  await look.evaluate(axe);
  for (const [colorScheme, width] of at) {
    await look.emulateMedia({ colorScheme });
    await look.setViewportSize({ width, height: 900 });
    const place = `${path}, ${colorScheme}, ${width} px`;
    const found = await look.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"] }));
    for (const v of found.violations) {
      seen.violations.push(`${place}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).slice(0, 3).join(" ")}`);
    }
    const narrowest = width === 390 ? 360 : width; // what must be wide enough
    await look.setViewportSize({ width: narrowest, height: 900 });
    const overflow = await look.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (overflow > 0) {
      seen.wide.push(`${path}, ${narrowest} px: ${overflow} px too wide`);
    }
    if (width === 390) { // nor does a list have to be moved sideways
      seen.wide.push(...(await look.evaluate(() => [...document.querySelectorAll(".scroll:not(.drawing)")]
        .filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.getAttribute("aria-label")))).map((label) => `${path}, ${narrowest} px: ${label}`));
    }
    if (plan.shots) {
      const name = path.replaceAll(/[^a-z0-9]+/gi, "-").replaceAll(/^-|-$/g, "").slice(0, 40) || "overview";
      await look.screenshot({ path: `${plan.shots}/${name}-${narrowest}-${colorScheme}.png`, fullPage: true });
    }
  }
};

try {
  const looking = await browser.newContext({ bypassCSP: true });
  look = await looking.newPage();
  watch(look, "pages");
  if (plan.token) {
    await audit("/login");
  }
  await signIn(look);
  for (const path of plan.pages) {
    await audit(path);
  }

  // Each colour and each width once: what they are made of is looked at above, too.
  for (const [name, html] of Object.entries(plan.states)) {
    await look.route(plan.base + "/state/" + name, (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body: html }));
    await audit("/state/" + name, [["light", 390], ["dark", 1280]]);
  }

  // The story is told with the policy of the pages in force.
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  watch(page, "story");
  await signIn(page);
  for (const step of plan.story) {
    at = page;
    switch (step.do) {
      case "open":
        await page.goto(plan.base + step.path);
        break;
      case "click":
        await page.click(step.what);
        break;
      case "type":
        await page.fill(step.what, step.text);
        break;
      case "press":
        for (const key of step.text.split(" ")) {
          await page.keyboard.press(key);
        }
        break;
      case "hover":
        await page.hover(step.what);
        break;
      case "focus":
        await page.focus(step.what);
        break;
      case "tell": { // the test does something, and says when it is done
        const answer = await fetch(step.url, { method: "POST" });
        if (!answer.ok) {
          throw new Error(`${step.url}: ${answer.status}`);
        }
        break;
      }
      case "look": { // closely, at the page that the story is on
        const { pathname, search } = new URL(page.url());
        await audit(pathname + search);
        break;
      }
      case "see": // without a reload
        await page.waitForFunction(
          ([what, text]) => [...document.querySelectorAll(what)].some((e) => e.textContent.includes(text)),
          [step.what, step.text], { timeout: 30000 },
        );
        break;
      default:
        throw new Error(`what is ${step.do}?`);
    }
    seen.story.push(`${step.do} ${step.path ?? step.what ?? step.url ?? ""} ${step.text ?? ""}`.trim());
    if (step.picture && plan.pictures) {
      await page.screenshot({ path: `${plan.pictures}/dashboard-${step.picture}.png` });
    }
  }
  await context.close();
  await looking.close();
} catch (e) {
  seen.error = String(e);
  if (at) {
    seen.error += `\non ${at.url()}:\n${await at.locator("body").innerText()}`;
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));

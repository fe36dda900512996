// What the checks of pages in headless Chromium share.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

// The driver lies where the command is started.
const { default: puppeteer } = await import(pathToFileURL(createRequire(path.join(process.cwd(), "x")).resolve("puppeteer-core")));
const browser = await puppeteer.launch({
  executablePath: process.env.BRAID_CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--force-prefers-reduced-motion"],
});

/* What no page may do: log errors, throw, ask a server. */
export const wrong = [];
export async function open(file, { width = 1280, height = 900, scheme = "light" } = {}) {
  // A context of its own: nothing is remembered.
  const page = await (await browser.createBrowserContext()).newPage();
  const url = pathToFileURL(file).href;
  page.on("console", (message) => ["error", "warn"].includes(message.type()) && !message.text().includes("willReadFrequently") && wrong.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("request", (request) => request.url() !== url && !request.url().startsWith("data:") && wrong.push(`request: ${request.url()}`));
  await page.setViewport({ width, height, isMobile: width < 600, hasTouch: width < 600 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(url, { waitUntil: "load" });
  await settle(page);
  return page;
}
export const settle = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
export const text = (page, selector) => page.$eval(selector, (it) => it.textContent.trim());
export const click = async (page, selector) => { await page.$eval(selector, (it) => it.scrollIntoView({ block: "center" })); await settle(page); await page.click(selector); await settle(page); };

/* Everything that can be operated has a name, and every drawing a table. */
export async function names(page, drawings) {
  const nameless = await page.$$eval("button, input, select, canvas, [role=img], [role=region], [role=application]", (all) => all.filter((it) => {
    const label = it.ariaLabel || it.textContent.trim() || (it.labels && it.labels.length) || it.getAttribute("aria-labelledby");
    return !label && it.ariaHidden !== "true" && !it.closest("[role=img][aria-label]");
  }).map((it) => it.outerHTML.slice(0, 80)));
  assert.deepEqual(nameless, []);
  const canvases = await page.$$eval("section", (all) => all.filter((it) => it.querySelector("canvas")).map((it) => [it.ariaLabel || it.getAttribute("aria-labelledby"), it.querySelectorAll("table").length]));
  assert.ok(canvases.length >= drawings, `${canvases.length} drawings`);
  for (const [name, tables] of canvases) assert.ok(tables > 0, `${name} has no table`);
}

let failed = 0;
export const judge = async (name, act) => {
  try {
    await act();
    assert.deepEqual(wrong, [], "console, errors, requests");
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.stack}`);
  }
  wrong.length = 0;
};

/* Pictures of a page at the width of a desktop and of a phone, light and dark; nothing is wider than the window. */
export async function look(file, name, pictures) {
  await mkdir(pictures, { recursive: true });
  for (const scheme of ["light", "dark"]) {
    for (const width of [1280, 360]) {
      await judge(`${name}, ${scheme}, ${width} px`, async () => {
        const shown = await open(file, { width, height: width < 600 ? 780 : 900, scheme });
        const [wide, inner, theme] = await shown.evaluate(() => [document.documentElement.scrollWidth, innerWidth, document.documentElement.dataset.theme]);
        assert.equal(theme, scheme);
        assert.ok(wide <= inner && inner === width, `${wide} px wide in ${inner}`);
        if (width === 360) {
          await shown.$$eval("details", (all) => all.forEach((it) => { it.open = true; }));
          await settle(shown);
          assert.ok(await shown.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "with everything unfolded");
          await shown.$$eval("details", (all) => all.forEach((it) => { it.open = false; }));
          await settle(shown);
        }
        await shown.screenshot({ path: path.join(pictures, `${name}-${scheme}-${width}.png`), fullPage: true });
        await shown.close();
      });
    }
  }
}

/* Says how it went, and ends. */
export async function end(pictures) {
  await browser.close();
  console.log(failed === 0 ? `the page holds in Chromium; pictures are in ${pictures}` : `${failed} checks failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

// The page of `braid survey` in headless Chromium: node survey.mjs PAGE PICTURES
// PAGE: a survey of blocks of two forks and of a file that holds none; PICTURES: folder for screenshots.
import assert from "node:assert/strict";
import path from "node:path";
import { click, end, judge, look, names, open, settle, text, wrong } from "./browser.mjs";

const [file, pictures] = process.argv.slice(2).map((it) => path.resolve(it));
const page = await open(file);
const survey = await page.evaluate(() => window.braidSurvey.survey);
const good = survey.blocks.filter((row) => row.ok);

await judge("hover", async () => {
  for (const chart of ["#spread", "#forks"]) {
    await page.$eval(chart, (it) => it.scrollIntoView({ block: "center" }));
    await settle(page);
    const box = await (await page.$(`${chart} .u-over`)).boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await settle(page);
    const legend = await page.$$eval(`${chart} .u-value`, (all) => all.map((it) => it.textContent));
    assert.ok(legend.length >= 4 && legend.slice(1).some((it) => /^[\d.]+( %|x)$/.test(it)), `${legend}`);
  }
});

await judge("fork", async () => {
  const options = await page.$$eval("#fork option", (all) => all.length);
  assert.equal(options, survey.groups.length);
  assert.ok(options > 2, "two forks");
  const all = await text(page, "#title");
  const [, group] = survey.groups;
  await page.select("#fork", "1");
  await settle(page);
  assert.notEqual(await text(page, "#title"), all);
  assert.equal(await text(page, "#figures .figure b"), String(group.blocks));
  const rows = await page.$$eval("#block-table tbody tr", (them) => them.length);
  assert.equal(rows, Math.min(20, good.filter((row) => row.fork === group.fork).length));
  await page.select("#fork", "0");
  await settle(page);
  assert.equal(await text(page, "#title"), all);
  assert.equal(await page.$$eval("#spread canvas", (them) => them.length), 1, "the chart before is gone");
});

await judge("sort and filter", async () => {
  const column = () => page.$$eval("#block-table tbody tr", (rows) => rows.map((row) => Number(row.cells[3].textContent.replaceAll(",", ""))));
  await click(page, "#block-table th:nth-child(4) button");
  const most = good.map((row) => row.txs).sort((a, b) => b - a);
  assert.deepEqual(await column(), most.slice(0, 20));
  assert.equal(await page.$eval("#block-table th:nth-child(4)", (it) => it.ariaSort), "descending");
  const accounts = await page.$$eval("#account-table tbody tr", (rows) => rows.map((row) => row.cells[0].title));
  const [{ accounts: expected }] = survey.groups;
  assert.deepEqual(accounts, expected.slice(0, 20).map((it) => it.account));
});

await judge("a file that gave no block", async () => {
  const failed = survey.blocks.filter((row) => !row.ok);
  assert.ok(failed.length > 0);
  const cells = await page.$$eval("#failed-table tbody tr", (rows) => rows.map((row) => row.cells[1].textContent));
  assert.deepEqual(cells, failed.map((row) => row.error));
});

await judge("keyboard and names", async () => {
  await names(page, 2);
  const fresh = await open(file);
  await fresh.keyboard.press("Tab");
  assert.equal(await fresh.evaluate(() => document.activeElement.className), "skip");
  for (const next of ["pick", "theme"]) {
    await fresh.keyboard.press("Tab");
    assert.ok(await fresh.evaluate((id) => document.activeElement.closest(`#${id}`) !== null, next), next);
  }
  await fresh.close();
});

await judge("dark and print", async () => {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await click(page, "#theme");
  assert.equal(await page.$eval("#theme", (it) => it.ariaPressed), "true");
  const dark = await paper();
  assert.notEqual(light, dark);
  const pdf = await page.pdf({ printBackground: true });
  assert.equal(Buffer.from(pdf.slice(0, 5)).toString(), "%PDF-");
  await settle(page);
  assert.equal(await paper(), dark, "as before printing");
  await page.emulateMediaType("print");
  assert.equal(await page.$eval(".controls", (it) => getComputedStyle(it).display), "none");
  await page.emulateMediaType("screen");
  await click(page, "#theme");
  assert.deepEqual(wrong, []);
});
await page.close();

await look(file, "survey", pictures);
await end(pictures);

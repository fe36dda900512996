// The README's pictures of `braid report`: node pictures.mjs PAGE FOLDER
import path from "node:path";
import { end, judge, open } from "./browser.mjs";

const [file, folder] = process.argv.slice(2).map((it) => path.resolve(it));
const WIDTH = 1000;

const page = await open(file, { width: WIDTH });
/* Draws the page from one section up to another one, with a margin above. */
const draw = (name, from, to) => judge(name, async () => {
  const top = (id) => page.$eval(`section[aria-labelledby="${id}"]`, (it) => it.getBoundingClientRect().top + scrollY - 16);
  const [begin, limit] = [from ? await top(from) : 0, await top(to)];
  await page.screenshot({ path: path.join(folder, name), type: "webp", quality: 80, captureBeyondViewport: true, clip: { x: 0, y: begin, width: WIDTH, height: limit - begin } });
});
await draw("report.webp", null, "speedup-h");
await draw("report-timeline.webp", "speedup-h", "graph-h");
await page.close();
await end(folder);

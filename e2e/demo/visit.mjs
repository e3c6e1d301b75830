// Visits the demo's page as a person would, in Chromium, and fails where it does not do what it says. The visit ends with a picture.
//
//   node visit.mjs ADDRESS [PICTURE.png]
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../internal/browser/package.json", import.meta.url))("playwright-core");
const [address, picture] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
try {
  await desktop();
  await phone();
} finally {
  await browser.close();
}

async function open(options, query = "") {
  const page = await browser.newPage(options);
  page.on("pageerror", error => { throw error; });
  page.on("console", message => assert.notEqual(message.type(), "error", message.text()));
  await page.goto(address + query);
  return page;
}

// settled waits until the page tells what its latest cut took, and returns what it shows.
async function settled(page, wanted) {
  await page.waitForFunction(query => document.getElementById("request").textContent.endsWith(query) &&
    document.getElementById("verdict").textContent.includes("frame") && document.getElementById("bytes").textContent !== "–", wanted ?? "");
  return page.evaluate(() => ({
    clock: document.getElementById("clock").textContent,
    verdict: document.getElementById("verdict").textContent,
    request: document.getElementById("request").textContent,
    asked: document.getElementById("asked").childElementCount,
    bytes: Number(document.getElementById("bytes").textContent.replaceAll(",", "")),
    duration: document.getElementById("film").duration,
    paused: document.getElementById("film").paused,
  }));
}

async function desktop() {
  const page = await open({ viewport: { width: 1280, height: 900 }, colorScheme: "light" }, "?start=42.36");
  let now = await settled(page, "?start=42.36");
  assert.match(now.verdict, /^Exact · frame 1059\b/);

  // The strip of pictures on the timeline is all cuts, too.
  await page.waitForFunction(() => [...document.querySelectorAll("#strip canvas")].every(canvas =>
    canvas.getContext("2d").getImageData(0, 0, 1, 1).data[3]));

  const box = await page.locator("#timeline").boundingBox();
  const x = seconds => box.x + box.width * seconds / 120;
  const y = box.y + box.height / 2;
  const started = () => page.locator("#link").getAttribute("href").then(href => new URL(href).searchParams);

  // A click at 0:42: the picture says 0:42.
  await page.mouse.click(x(42.1), y);
  const start = Number((await started()).get("start"));
  assert.ok(start >= 42 && start < 42.3, `a click at 42.1 s asked for ${start} s`);
  now = await settled(page, `?start=${start}`);
  assert.match(now.clock, /^0:42\./);
  assert.match(now.verdict, new RegExp(`^Exact · frame ${Math.floor(start * 25 + 1e-6)}, 0:4[12]\\.`));
  assert.equal(now.asked, 1, "requests to the origin for a cut of a film whose index is known");

  // Keys.
  await page.keyboard.press("ArrowRight");
  now = await settled(page, `?start=${Number((start + 1).toFixed(3))}`);
  assert.match(now.verdict, new RegExp(`^Exact · frame ${Math.floor((start + 1) * 25 + 1e-6)}\\b`));
  await page.keyboard.press(" ");
  await page.waitForFunction(from => document.getElementById("film").currentTime > 0.5 &&
    /^(Exact|In step)/.test(document.getElementById("verdict").textContent), null);
  assert.equal(await page.locator("#play").getAttribute("aria-label"), "Pause");
  await page.keyboard.press(" ");
  assert.equal(await page.locator("#film").evaluate(film => film.paused), true);

  // A clip by dragging, with a link of its own; then its end by a key; then none.
  await page.mouse.move(x(24), y);
  await page.mouse.down();
  await page.mouse.move(x(48), y, { steps: 4 });
  await page.mouse.up();
  let clip = await started();
  assert.ok(Math.abs(clip.get("start") - 24) < 0.2 && Math.abs(clip.get("end") - 48) < 0.2, `dragged from 24 s to 48 s: ${clip}`);
  now = await settled(page, `?${clip}`);
  assert.match(now.verdict, /^Exact/);
  assert.ok(Math.abs(now.duration - (clip.get("end") - clip.get("start"))) < 0.05, `a clip ${clip} is ${now.duration} s long`);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy link" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${address}film.mp4?${clip}`);
  await page.locator("#to").press("ArrowRight");
  assert.equal((await started()).get("end"), String(Number((Number(clip.get("end")) + 0.1).toFixed(3))));
  await page.keyboard.press("Escape");
  assert.equal((await started()).get("end"), null);

  // Typed.
  await page.getByLabel("Start", { exact: true }).fill("1:18.5");
  await page.getByLabel("End", { exact: true }).fill("never");
  await page.getByRole("button", { name: "Cut" }).click();
  assert.equal(await page.locator("#end").getAttribute("aria-invalid"), "true");
  await page.getByLabel("End", { exact: true }).fill("");
  await page.getByRole("button", { name: "Cut" }).click();
  now = await settled(page, "?start=78.5");
  assert.match(now.verdict, /^Exact · frame 1962\b/);

  // Three ways: only one of them is right.
  await page.locator(".three").scrollIntoViewIfNeeded();
  const verdicts = page.locator("figcaption .verdict");
  await page.waitForFunction(() => [...document.querySelectorAll("figcaption .verdict")].every(p => p.textContent.includes("frame")));
  const [exact, keyframe, sample] = await verdicts.allTextContents();
  assert.equal(exact, "Exact · frame 1962, 1:18.480");
  assert.equal(keyframe, "8.48 s early · frame 1750, 1:10.000");
  assert.equal(sample, "1.52 s late · frame 2000, 1:20.000");

  // What can be operated has a name.
  const nameless = await page.locator("button, input, [role=slider], video").evaluateAll(all =>
    all.filter(e => !(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim())).map(e => e.outerHTML));
  assert.deepEqual(nameless, []);

  if (picture) {
    // All of it in sight, since Chromium paints no videos that are not.
    await page.setViewportSize({ width: 1080, height: 900 });
    await page.setViewportSize({ width: 1080, height: await page.evaluate(() => document.documentElement.scrollHeight) });
    await page.evaluate(() => document.activeElement.blur());
    await page.mouse.move(0, 0);
    await page.waitForTimeout(500);
    await page.screenshot({ path: picture });
  }
  await page.close();
}

async function phone() {
  const page = await open({ viewport: { width: 360, height: 780 }, isMobile: true, hasTouch: true, colorScheme: "dark" });
  await settled(page);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 360, `${wide} pixels on a screen of 360`);
  const box = await page.locator("#timeline").boundingBox();
  await page.touchscreen.tap(box.x + box.width / 2, box.y + box.height / 2);
  const now = await settled(page, "?start=60");
  assert.match(now.verdict, /^Exact · frame 1500\b/);
  await page.close();
}

// Opens films in Chromium, each in a fresh context, and tells what it took until the first picture was on show.
//
//   node firstpicture.mjs ADDRESS FILM ...
//
// Every host is taken to be at ADDRESS (host:port). A line of JSON per film: seconds, bytes that had come, requests made.
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../internal/browser/package.json", import.meta.url))("playwright-core");
const [address, ...films] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", `--host-resolver-rules=MAP * ${address}`],
});
try {
  for (const film of films) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const network = await context.newCDPSession(page);
    await network.send("Network.enable");
    const sent = [], came = [];
    let clock; // CDP's, less that of the page
    network.on("Network.requestWillBeSent", e => {
      clock ??= e.timestamp - e.wallTime;
      if (e.type === "Media") sent.push({ at: e.timestamp, range: e.request.headers.Range ?? "" });
    });
    network.on("Network.dataReceived", e => came.push({ at: e.timestamp, bytes: e.dataLength }));
    const { asked, shown, error } = await page.evaluate(film => new Promise(resolve => {
      const video = document.createElement("video");
      const now = () => (performance.timeOrigin + performance.now()) / 1000;
      video.muted = true;
      video.preload = "auto";
      document.body.append(video);
      const asked = now();
      video.requestVideoFrameCallback(() => resolve({ asked, shown: now() }));
      video.addEventListener("error", () => resolve({ error: video.error.message }));
      setTimeout(() => resolve({ error: "no picture within 20 s" }), 20000);
      video.src = film;
    }), film);
    const before = e => e.at - clock <= shown;
    console.log(JSON.stringify({
      film, error, seconds: shown - asked,
      bytes: came.filter(before).reduce((sum, e) => sum + e.bytes, 0),
      ranges: sent.filter(before).map(e => e.range),
    }));
    await context.close();
  }
} finally {
  await browser.close();
}
process.exit();

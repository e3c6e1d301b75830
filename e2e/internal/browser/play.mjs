// Plays films in a real browser and reports the numbered pictures it shows.
//
//   node play.mjs chromium|firefox < job.json
//
// The job is {"films": [addresses], "count", "seconds", "patience"}, the last three as play.html has them, which must
// stand at the root of each film's server: a canvas gives out pictures of its own origin only. A line of JSON per film.
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";
import WebSocket from "ws";

// Chromium without sandbox, because tests run as root, and without the services that look for the internet.
async function startChromium() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  const page = await browser.newPage();
  return {
    version: "Chromium " + browser.version(),
    open: url => page.goto(url),
    evaluate: source => page.evaluate(source),
    close: () => browser.close(),
  };
}

// Firefox is spoken to in WebDriver BiDi, since playwright drives only its own build of it.
async function startFirefox() {
  const profile = await mkdtemp(join(tmpdir(), "firefox-"));
  const prefs = {
    "app.normandy.enabled": false,
    "app.update.enabled": false,
    "browser.safebrowsing.malware.enabled": false,
    "browser.shell.checkDefaultBrowser": false,
    "datareporting.policy.dataSubmissionEnabled": false,
    "extensions.update.enabled": false,
    "media.autoplay.default": 0,
    "media.gmp-manager.updateEnabled": false,
    "network.captive-portal-service.enabled": false,
    "network.connectivity-service.enabled": false,
    "services.settings.server": "data:,",
  };
  const lines = Object.entries(prefs).map(([k, v]) => `user_pref(${JSON.stringify(k)}, ${JSON.stringify(v)});\n`);
  await writeFile(join(profile, "user.js"), lines.join(""));
  const firefox = spawn(process.env.FIREFOX || "firefox-esr",
    ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"],
    { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, HOME: profile } });
  const gone = new Promise(resolve => firefox.on("exit", resolve));
  const stop = async () => {
    firefox.kill();
    await gone;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const address = await new Promise((resolve, reject) => {
      let heard = "";
      createInterface({ input: firefox.stderr }).on("line", line => {
        heard += line + "\n";
        const found = line.match(/WebDriver BiDi listening on (ws:\S+)/);
        if (found) resolve(found[1]);
      });
      firefox.on("error", reject);
      firefox.on("exit", code => reject(new Error(`firefox ended with ${code}: ${heard}`)));
      setTimeout(() => reject(new Error("firefox said no address: " + heard)), 60000).unref();
    });
    const bidi = await connect(address + "/session");
    const { capabilities } = await bidi("session.new", { capabilities: {} });
    const { contexts: [{ context }] } = await bidi("browsingContext.getTree", {});
    return {
      version: "Firefox " + capabilities.browserVersion,
      open: url => bidi("browsingContext.navigate", { context, url, wait: "complete" }),
      evaluate: async source => {
        // JSON, because BiDi's own form of an object is a list of tagged pairs.
        const answer = await bidi("script.evaluate",
          { expression: `(async () => JSON.stringify(await ${source}))()`, target: { context }, awaitPromise: true });
        if (answer.type !== "success") throw new Error(answer.exceptionDetails.text);
        return JSON.parse(answer.result.value);
      },
      close: stop,
    };
  } catch (e) {
    await stop();
    throw e;
  }
}

// connect returns a function that sends one BiDi command and awaits its answer.
async function connect(address) {
  const socket = new WebSocket(address);
  const waiting = new Map();
  socket.on("message", data => {
    const answer = JSON.parse(data);
    const ask = waiting.get(answer.id);
    if (!ask) return;
    waiting.delete(answer.id);
    if (answer.type === "error") ask.reject(new Error(`${ask.method}: ${answer.error}: ${answer.message}`));
    else ask.resolve(answer.result);
  });
  socket.on("close", () => waiting.forEach(ask => ask.reject(new Error(ask.method + ": firefox hung up"))));
  await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
  let id = 0;
  return (method, params) => new Promise((resolve, reject) => {
    waiting.set(++id, { method, resolve, reject });
    socket.send(JSON.stringify({ id, method, params }));
  });
}

const job = JSON.parse(await text(process.stdin));
const browser = await { chromium: startChromium, firefox: startFirefox }[process.argv[2]]();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => browser.close().finally(() => process.exit(1)));
try {
  let at;
  for (const url of job.films) {
    const page = new URL("/play.html", url).href;
    if (page !== at) await browser.open(at = page);
    const args = [url, job.count, job.seconds, job.patience].map(v => JSON.stringify(v));
    const report = await browser.evaluate(`play(${args})`);
    console.log(JSON.stringify({ browser: browser.version, ...report }));
  }
} finally {
  await browser.close();
}
process.exit();

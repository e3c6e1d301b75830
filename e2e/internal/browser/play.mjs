// Plays films in a real browser and reports the numbered pictures it shows.
//
//   node play.mjs chromium|firefox|webkit < job.json
//
// The job is {"films": [addresses], "count", "seconds", "patience"}, the last three as play.html has them, which must
// stand at the root of each film's server: a canvas gives out pictures of its own origin only. A line of JSON per film.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
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

// WebKit is that of GTK, in MiniBrowser on a screen that nobody sees. It is spoken to in WebDriver.
async function startWebKit() {
  const home = await mkdtemp(join(tmpdir(), "webkit-"));
  const running = [];
  const run = (program, args, options) => {
    const child = spawn(program, args, { ...options, env: { ...process.env, ...options.env } });
    const gone = new Promise(resolve => child.on("exit", resolve).on("error", resolve));
    const failed = new Promise((_, reject) => {
      child.on("error", reject);
      child.on("exit", code => reject(new Error(`${program} ended with ${code}`)));
    });
    failed.catch(() => {});
    running.unshift({ child, gone });
    return { child, failed };
  };
  const stop = async () => {
    for (const { child, gone } of running) {
      child.kill();
      await gone;
    }
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const screen = run("Xvfb", ["-displayfd", "3", "-screen", "0", "640x480x24", "-nolisten", "tcp"],
      { stdio: ["ignore", "ignore", "ignore", "pipe"] });
    const display = await Promise.race([once(screen.child.stdio[3], "data"), screen.failed]);
    const port = await freePort();
    const driver = run("WebKitWebDriver", [`--port=${port}`], {
      stdio: "ignore",
      env: { DISPLAY: ":" + String(display).trim(), HOME: home, XDG_CACHE_HOME: home, XDG_DATA_HOME: home, XDG_RUNTIME_DIR: home,
        NO_AT_BRIDGE: "1", GDK_BACKEND: "x11", LIBGL_ALWAYS_SOFTWARE: "1" },
    });
    const ask = async (method, path, body) => {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, body: body && JSON.stringify(body) });
      const { value } = await answer.json();
      if (!answer.ok) throw Object.assign(new Error(`${path}: ${value.error}: ${value.message}`), { crashed: value.error === "invalid session id" });
      return value;
    };
    await Promise.race([driver.failed, until(() => ask("GET", "/status"))]);
    const { sessionId, capabilities } = await ask("POST", "/session", { capabilities: { alwaysMatch: {
      "webkitgtk:browserOptions": { binary: await miniBrowser(), args: ["--automation"] },
    } } });
    const session = "/session/" + sessionId;
    let asked = 0;
    return {
      version: "WebKitGTK " + capabilities.browserVersion,
      open: url => ask("POST", session + "/url", { url }),
      evaluate: async source => {
        // The driver sometimes loses what a script returns ("Could not parse script result"): it is asked over and over,
        // and the number tells whether the page has been told to begin.
        asked++;
        const script = `if (window.asked !== ${asked}) {
            window.asked = ${asked};
            window.answer = "";
            (async () => ${source})().then(value => ({ value }), error => ({ error: String(error) })).then(all => window.answer = JSON.stringify(all));
          }
          return window.answer;`;
        let answer = "";
        for (let lost = 0; answer === ""; await new Promise(resolve => setTimeout(resolve, 200))) {
          try {
            answer = await ask("POST", session + "/execute/sync", { script, args: [] });
          } catch (e) {
            if (e.crashed || ++lost === 20) throw e;
          }
        }
        const { value, error } = JSON.parse(answer);
        if (error) throw new Error(error);
        return value;
      },
      close: async () => {
        await ask("DELETE", session).catch(() => {});
        await stop();
      },
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

// miniBrowser is where Debian keeps WebKitGTK's own browser, in a folder of the machine's architecture.
async function miniBrowser() {
  for (const folder of await readdir("/usr/lib")) {
    const path = `/usr/lib/${folder}/webkit2gtk-4.1/MiniBrowser`;
    if (existsSync(path)) return path;
  }
  throw new Error("there is no MiniBrowser below /usr/lib");
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// until asks over and over what fails at first, for ten seconds.
async function until(ask) {
  for (let tries = 0; ; tries++) {
    try {
      return await ask();
    } catch (e) {
      if (tries === 100) throw e;
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }
}

const job = JSON.parse(await text(process.stdin));
const start = { chromium: startChromium, firefox: startFirefox, webkit: startWebKit }[process.argv[2]];
let browser = await start();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => browser.close().finally(() => process.exit(1)));
try {
  let at;
  const play = async url => {
    const page = new URL("/play.html", url).href;
    if (page !== at) await browser.open(at = page);
    const args = [url, job.count, job.seconds, job.patience].map(v => JSON.stringify(v));
    return browser.evaluate(`play(${args})`);
  };
  for (const url of job.films) {
    let report;
    for (let crashes = 0; !report; crashes++) {
      try {
        report = { browser: browser.version, crashes, ...await play(url) };
      } catch (e) {
        if (!e.crashed || crashes === 2) throw e;
        await browser.close();
        browser = await start();
        at = undefined;
      }
    }
    console.log(JSON.stringify(report));
  }
} finally {
  await browser.close();
}
process.exit();

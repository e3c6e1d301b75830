// Every seek on this page is a request: the address of a cut becomes the player's source. Times are in seconds of the film.

const rate = 25;     // pictures a second, and
const keySpacing = 10; // seconds between key frames: see testdata/README.md
const filmName = "film.mp4";

const $ = id => document.getElementById(id);
const film = $("film");
const timeline = $("timeline");

const cut = { start: 42.36, end: null };
let duration = 120; // until the film's own is known
let asked = 0;      // when the cut was asked for, on the performance clock
let seenRecords = 0; // the origin's last record that is no longer news
let turn = 0;       // counts cuts, so that late news of an earlier one is dropped
let measured = -1;  // the latest cut that is there

// --- Words ---

const truncate = seconds => Math.trunc(seconds * 1000 + 1e-6) / 1000;
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

function clockText(seconds) {
  const ms = Math.round(seconds * 1000);
  const s = ms % 60000;
  return `${Math.trunc(ms / 60000)}:${(s / 1000).toFixed(3).padStart(6, "0")}`;
}

function spoken(seconds) {
  const m = Math.trunc(seconds / 60);
  return (m ? `${m} min ` : "") + `${truncate(seconds - 60 * m)} s`;
}

const count = n => n.toLocaleString("en-US");
const millis = ms => ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;

// parseTime reads 42.36 and 0:42.36; NaN is no time.
function parseTime(text) {
  const m = /^(?:(\d+):)?(\d+(?:\.\d*)?|\.\d+)$/.exec(text.trim());
  return m ? truncate(60 * (m[1] ?? 0) + Number(m[2])) : NaN;
}

function query({ start, end }) {
  return `?start=${start}` + (end === null ? "" : `&end=${end}`);
}

const address = (c, prefix = "") => new URL(prefix + filmName + query(c), location.href.split(/[?#]/)[0]).href;

// --- Reading a picture ---

// The number of a picture stands along its top edge: sixteen blocks, least significant bit first.
const reader = Object.assign(document.createElement("canvas"), { width: 64, height: 4 }).getContext("2d", { willReadFrequently: true });

function pictureNumber(video) {
  if (!video.videoWidth || video.readyState < 2) return -1;
  reader.clearRect(0, 0, 64, 4);
  reader.drawImage(video, 0, 0, video.videoWidth, video.videoHeight * 2 / 9, 0, 0, 64, 4);
  const { data } = reader.getImageData(0, 0, 64, 4);
  if (!data[3]) return -1; // nothing was drawn
  let n = 0;
  for (let k = 0; k < 16; k++) if (data[4 * (2 * 64 + 4 * k + 2)] > 125) n += 1 << k;
  return n;
}

// verdict says how far the picture on show is from the one that the film shows at that time.
function verdict(video, time) {
  const number = pictureNumber(video);
  if (number < 0) return ["No picture yet"];
  const pictures = number - Math.floor(time * rate + 1e-6);
  // Once a film runs, a browser's picture and the time that it gives for it may be one apart.
  const inStep = video.played.length > 0 && Math.abs(pictures) === 1;
  const b = document.createElement("b");
  b.className = pictures && !inStep ? "bad" : "good";
  b.textContent = !pictures ? "Exact" : inStep ? "In step" : `${Math.abs(pictures / rate).toFixed(2)} s ${pictures < 0 ? "early" : "late"}`;
  return [b, ` · frame ${number}, ${clockText(number / rate)}`];
}

// eachPicture calls back with the time of every picture that a video shows, and of one that it goes on showing when it should not.
function eachPicture(video, callback) {
  let latest = 0;
  const again = (now, { mediaTime }) => {
    latest = performance.now();
    callback(video.paused ? video.currentTime : mediaTime);
    video.requestVideoFrameCallback(again);
  };
  video.requestVideoFrameCallback?.(again);
  for (const event of ["loadeddata", "seeked", "timeupdate"]) {
    video.addEventListener(event, () => {
      if (video.paused || performance.now() - latest > 150) callback(video.currentTime);
    });
  }
}

// Firefox does not skip the hidden lead-in of an exact cut: a tenth of a second more is on its clock. How much is learned from
// the pictures; NaN is to be learned.
const leads = new WeakMap();
const lead = video => leads.get(video) || 0;

function learnLead(video, start, time) {
  const number = pictureNumber(video);
  if (number >= 0 && number < Math.floor(start * rate + 1e-6)) leads.set(video, NaN);
  else if (number >= 0 && Number.isNaN(leads.get(video))) leads.set(video, Math.max(0, time - Math.max(0, number / rate - start)));
}

// skipLead steps over it while the video is not playing.
function skipLead(video) {
  const step = () => {
    if (video.paused && Number.isNaN(leads.get(video)) && video.currentTime < 0.2) video.currentTime = Math.max(0.066, video.currentTime + 0.02);
  };
  for (const event of ["loadeddata", "seeked"]) video.addEventListener(event, () => setTimeout(step, 50));
  video.addEventListener("emptied", () => leads.delete(video));
}

// --- The cut ---

function show(next, { play = !film.paused && !film.ended } = {}) {
  cut.start = clamp(truncate(next.start), 0, truncate(duration - 1 / rate));
  cut.end = next.end === null || next.end === undefined || next.end <= cut.start ? null : Math.min(truncate(next.end), duration);
  history.replaceState(null, "", query(cut));
  paint();
  clearTimeout(show.timer);
  // A held key asks once, when it rests.
  const wait = performance.now() - asked < 150 ? 150 : 0;
  show.timer = setTimeout(load, wait, play);
}

function load(play) {
  turn++;
  asked = performance.now();
  $("trouble").hidden = true;
  $("verdict").textContent = "";
  film.src = address(cut);
  if (play) film.play().catch(() => {}); // overtaken by the next cut
  watch(turn);
  compare.stale = true;
  for (const { says } of compare.figures) says.textContent = "";
}

film.addEventListener("error", async () => {
  const mine = turn;
  let why = film.error?.message || "The film could not be loaded.";
  try {
    const answer = await fetch(film.src, { headers: { Range: "bytes=0-0" } });
    if (!answer.ok) why = `${answer.status} ${answer.statusText}`;
  } catch {
    why = "Traefik does not answer. Is the demo still running?";
  }
  if (mine !== turn) return;
  $("trouble").textContent = why;
  $("trouble").hidden = false;
});

const position = () => clamp(cut.start + (Number.isFinite(film.currentTime) ? Math.max(0, film.currentTime - lead(film)) : 0), 0, duration);

function paint() {
  const at = position();
  const percent = t => `${100 * clamp(t / duration, 0, 1)}%`;
  $("clock").textContent = clockText(at);
  slider("head", at, 0, duration);
  const clipped = cut.end !== null;
  timeline.classList.toggle("clipped", clipped);
  for (const id of ["range", "from", "to", "whole"]) $(id).hidden = !clipped;
  if (clipped) {
    $("range").style.left = percent(cut.start);
    $("range").style.width = percent(cut.end - cut.start);
    slider("from", cut.start, 0, cut.end);
    slider("to", cut.end, cut.start, duration);
  }
  if (!$("cut").contains(document.activeElement)) fillForm();
  $("link").href = $("link").textContent = address(cut);
  document.body.classList.toggle("playing", !film.paused && !film.ended);
  $("play").setAttribute("aria-label", film.paused || film.ended ? "Play" : "Pause");

  function slider(id, value, low, high) {
    const element = $(id);
    element.style.left = percent(value);
    element.setAttribute("aria-valuemin", low);
    element.setAttribute("aria-valuemax", high);
    element.setAttribute("aria-valuenow", truncate(value));
    element.setAttribute("aria-valuetext", spoken(value));
  }
}

function fillForm() {
  $("start").value = clockText(cut.start);
  $("end").value = cut.end === null ? "" : clockText(cut.end);
  for (const id of ["start", "end"]) $(id).removeAttribute("aria-invalid");
}

eachPicture(film, time => {
  learnLead(film, cut.start, time);
  paint();
  $("verdict").replaceChildren(...verdict(film, cut.start + time - lead(film)));
});
skipLead(film);
for (const event of ["play", "pause", "ended"]) film.addEventListener(event, paint);

// --- The timeline ---

let drag = null; // { what, from }: what is "new", "from" or "to"

const timeAt = event => {
  const box = timeline.getBoundingClientRect();
  return Math.round(100 * clamp((event.clientX - box.left) / box.width, 0, 1) * duration) / 100; // a pixel is no finer
};

timeline.addEventListener("pointerdown", event => {
  if (event.button) return;
  const id = event.target.id;
  drag = { what: id === "from" || id === "to" ? id : "new", x: event.clientX, at: timeAt(event), start: cut.start, end: cut.end };
  timeline.setPointerCapture(event.pointerId);
});

timeline.addEventListener("pointermove", event => {
  const at = timeAt(event);
  $("hint").hidden = event.pointerType === "touch" && !drag;
  $("hint").style.left = `${100 * at / duration}%`;
  $("hint").textContent = clockText(at);
  if (!drag) return;
  drag.moved ||= Math.abs(event.clientX - drag.x) > 5;
  if (!drag.moved) return;
  const least = 1 / rate;
  if (drag.what === "new") Object.assign(cut, { start: Math.min(drag.at, at), end: Math.max(drag.at, at) });
  if (drag.what === "from") cut.start = clamp(at, 0, cut.end - least);
  if (drag.what === "to") cut.end = clamp(at, cut.start + least, duration);
  paint();
});

timeline.addEventListener("pointerup", event => {
  if (!drag) return;
  const { what, moved, at } = drag;
  drag = null;
  if (event.pointerType === "touch") $("hint").hidden = true;
  if (moved) show(cut);
  else if (what === "new") show({ start: at, end: null });
});
timeline.addEventListener("pointercancel", () => {
  if (drag) Object.assign(cut, { start: drag.start, end: drag.end });
  drag = null;
  paint();
});
timeline.addEventListener("pointerleave", () => { $("hint").hidden = true; });

function drawScale() {
  const step = duration <= 180 ? 20 : duration / 6;
  const marks = [];
  for (let t = 0; t < duration - step / 2; t += step) marks.push(t);
  marks.push(duration);
  $("scale").replaceChildren(...marks.map(t => mark("span", t, clockText(t).slice(0, -4))));
  const keys = [];
  for (let t = 0; t < duration; t += keySpacing) keys.push(mark("i", t, ""));
  $("keys").replaceChildren(...keys);

  function mark(tag, t, text) {
    const element = Object.assign(document.createElement(tag), { textContent: text });
    element.style.left = `${100 * t / duration}%`;
    return element;
  }
}

// drawStrip fills the timeline with pictures, each from a cut of its own that is one picture long.
async function drawStrip() {
  const pictures = timeline.clientWidth > 480 ? 12 : 6;
  const canvases = Array.from({ length: pictures }, () => Object.assign(document.createElement("canvas"), { width: 160, height: 120 }));
  $("strip").replaceChildren(...canvases);
  const video = Object.assign(document.createElement("video"), { muted: true, preload: "auto", playsInline: true });
  for (const [i, canvas] of canvases.entries()) {
    const start = truncate(i * duration / pictures);
    video.src = address({ start, end: truncate(start + 1 / rate) }) + "&strip";
    for (let wait = 0; wait < 3000 && !video.error && pictureNumber(video) !== Math.floor(start * rate + 1e-6); wait += 20) {
      await new Promise(resolve => setTimeout(resolve, 20));
    }
    // Without the number along the top: of the rest, the middle.
    const { videoWidth: w, videoHeight: h } = video;
    const top = h * 2 / 9, high = h - top, wide = high * 4 / 3;
    if (w) canvas.getContext("2d").drawImage(video, (w - wide) / 2, top, wide, high, 0, 0, canvas.width, canvas.height);
  }
  video.removeAttribute("src");
  video.load();
}

// --- What it took ---

// watch shows the browser's own account of its request, and the origin's of those that the plugin made for it.
async function watch(mine) {
  const url = address(cut);
  const row = { start: cut.start, end: cut.end };
  $("request").textContent = `GET /${filmName}${query(cut)}`;
  for (const id of ["first", "last", "bytes"]) $(id).textContent = "–";
  const since = asked;
  let entry;
  for (const pause of [30, 50, 80, 120, 200, 400, 800, 1500, 3000]) {
    await new Promise(resolve => setTimeout(resolve, pause));
    if (mine !== turn) return;
    entry = performance.getEntriesByName(url).find(e => e.startTime >= since - 1 && e.responseEnd);
    if (entry) break;
  }
  const records = await originRecords();
  if (mine !== turn) return;
  if (entry) {
    row.first = entry.responseStart - entry.requestStart;
    row.last = entry.responseEnd - entry.requestStart;
    $("first").textContent = millis(row.first);
    $("last").textContent = millis(row.last);
    row.bytes = entry.encodedBodySize || entry.transferSize;
    $("bytes").textContent = row.bytes ? count(row.bytes) : "–";
  }
  performance.clearResourceTimings();
  row.asked = records.length;
  measured = mine;
  compare.refresh();
  $("asked").replaceChildren(...records.map(describe));
  $("why").textContent = records.length === 1 ? "One request: the film’s index was in the plugin’s cache." :
    records.length ? "The film’s index was not in the plugin’s cache: it was read first." : "";
  remember(row);
}

let filmBytes = 0;

async function originRecords() {
  const answer = await fetch(`requests?after=${seenRecords}`);
  const records = await answer.json();
  if (records.length) seenRecords = records.at(-1).id;
  return records.filter(r => !r.prefix && r.uri === `/${filmName}`);
}

function describe(record) {
  const li = document.createElement("li");
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(record.range) ?? [];
  const range = from === undefined ? "the whole file" : `bytes ${count(+from)}–${count(+from + record.bytes - 1)}`;
  const what = Object.assign(document.createElement("span"), { textContent: range });
  const size = Object.assign(document.createElement("span"), { textContent: `${record.status} · ${count(record.bytes)}`, className: "bytes" });
  li.append(what, size);
  if (filmBytes) {
    const map = Object.assign(document.createElement("span"), { className: "map" });
    map.ariaHidden = "true";
    const part = document.createElement("i");
    part.style.marginLeft = `${100 * (from ?? 0) / filmBytes}%`;
    part.style.width = `${100 * record.bytes / filmBytes}%`;
    map.append(part);
    li.append(map);
  }
  return li;
}

function remember(row) {
  const tr = document.createElement("tr");
  const cells = [clockText(row.start), row.end === null ? "–" : clockText(row.end), row.first === undefined ? "–" : millis(row.first),
    row.bytes ? count(row.bytes) : "–", row.asked];
  for (const text of cells) tr.append(Object.assign(document.createElement("td"), { textContent: text }));
  $("history").prepend(tr);
  while ($("history").children.length > 8) $("history").lastChild.remove();
}

// --- Three ways side by side ---

const compare = {
  stale: true,
  visible: false,
  figures: [...document.querySelectorAll("figure")].map(figure => {
    const video = figure.querySelector("video");
    const says = figure.querySelector(".verdict");
    const exact = !figure.dataset.prefix;
    eachPicture(video, time => {
      if (compare.stale) return;
      if (exact) learnLead(video, compare.start, time);
      says.replaceChildren(...verdict(video, compare.start + time - lead(video)));
    });
    video.addEventListener("error", () => says.replaceChildren("It cannot be played."));
    video.addEventListener("ended", () => compare.play(false));
    if (exact) skipLead(video);
    return { video, says, prefix: figure.dataset.prefix };
  }),

  refresh() {
    // Not beside the cut whose time is taken.
    if (!this.visible || !this.stale || measured !== turn) return;
    this.stale = false;
    this.start = cut.start;
    this.play(false);
    for (const { video, prefix } of this.figures) video.src = address(cut, prefix) + "&compare";
  },

  play(on) {
    for (const { video } of this.figures) on ? video.play().catch(() => {}) : video.pause();
    $("together").setAttribute("aria-pressed", on);
    $("together").textContent = on ? "Stop all three" : "Play all three";
  },
};

new IntersectionObserver(([entry]) => {
  compare.visible = entry.isIntersecting;
  compare.refresh();
}, { rootMargin: "100px" }).observe(document.querySelector(".three"));

$("together").addEventListener("click", () => compare.play($("together").getAttribute("aria-pressed") !== "true"));

// --- Buttons and keys ---

function toggle() {
  if (film.ended) show(cut, { play: true });
  else if (film.paused) film.play().catch(() => {});
  else film.pause();
}

function step(seconds) {
  film.pause();
  show({ start: position() + seconds, end: cut.end }, { play: false });
}

function jump(seconds) {
  show({ start: position() + seconds, end: cut.end });
}

async function copy() {
  const text = address(cut);
  try {
    await navigator.clipboard.writeText(text);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("link"));
    $("copy").textContent = "Press Ctrl-C";
  }
  setTimeout(() => { $("copy").textContent = "Copy link"; }, 1500);
}

function mute() {
  film.muted = !film.muted;
  $("mute").setAttribute("aria-pressed", film.muted);
}

$("play").addEventListener("click", toggle);
$("back").addEventListener("click", () => step(-1 / rate));
$("forth").addEventListener("click", () => step(1 / rate));
$("mute").addEventListener("click", mute);
$("copy").addEventListener("click", copy);
$("whole").addEventListener("click", () => show({ start: cut.start, end: null }));
film.addEventListener("click", toggle);

$("cut").addEventListener("submit", event => {
  event.preventDefault();
  const start = parseTime($("start").value || "0");
  const end = $("end").value.trim() ? parseTime($("end").value) : null;
  $("start").setAttribute("aria-invalid", Number.isNaN(start) || start >= duration);
  $("end").setAttribute("aria-invalid", Number.isNaN(end) || (end !== null && end <= start));
  const wrong = document.querySelector("#cut [aria-invalid='true']");
  if (wrong) return wrong.focus();
  show({ start, end });
  fillForm();
});

const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };

for (const [id, move] of [["from", t => show({ start: Math.min(t, cut.end - 1 / rate), end: cut.end })],
  ["to", t => show({ start: cut.start, end: Math.max(t, cut.start + 1 / rate) })]]) {
  $(id).addEventListener("keydown", event => {
    const by = moves[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    move((id === "from" ? cut.start : cut.end) + by * (event.shiftKey ? 10 : 1) / (event.key.startsWith("Arrow") && !event.shiftKey ? 10 : 1));
  });
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
  const onButton = event.target.matches("button, a");
  const keys = {
    " ": () => !onButton && toggle(),
    ArrowLeft: () => jump(event.shiftKey ? -10 : -1),
    ArrowRight: () => jump(event.shiftKey ? 10 : 1),
    Home: () => event.target === $("head") && show({ start: 0, end: null }),
    End: () => event.target === $("head") && show({ start: duration - 1, end: null }),
    PageDown: () => event.target === $("head") && jump(-10),
    PageUp: () => event.target === $("head") && jump(10),
    ",": () => step(-1 / rate),
    ".": () => step(1 / rate),
    "[": () => show({ start: position(), end: cut.end ?? duration }),
    "]": () => show({ start: cut.start, end: position() }),
    Escape: () => cut.end !== null && show({ start: cut.start, end: null }),
    m: mute,
    c: copy,
  };
  const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (action && action() !== false) event.preventDefault();
});

// --- Begin ---

async function begin() {
  const here = new URLSearchParams(location.search);
  const start = parseTime(here.get("start") ?? ""), end = parseTime(here.get("end") ?? "");
  drawScale();
  const plain = await fetch(`${filmName}?plain`, { method: "HEAD" }).catch(() => null);
  filmBytes = Number(plain?.headers.get("Content-Length")) || 0;
  await originRecords().catch(() => []); // what others asked for is no news
  show({ start: Number.isNaN(start) ? cut.start : start, end: Number.isNaN(end) ? null : end }, { play: false });
  await new Promise(resolve => film.addEventListener("loadeddata", resolve, { once: true }));
  // The player knows the length of its cut; where that runs to the film's end, so does the page know the film's.
  if (cut.end === null && Number.isFinite(film.duration)) duration = Math.round(1000 * (cut.start + film.duration)) / 1000;
  drawScale();
  paint();
  while (measured !== turn) await new Promise(resolve => setTimeout(resolve, 50));
  drawStrip();
}

begin();

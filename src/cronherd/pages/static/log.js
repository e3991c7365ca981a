// Output of a run as it comes: the same lines as pages/output.py makes. What a command writes is
// only ever put into text nodes. Following stops when somebody scrolls up, and goes on at the end.
const BASE = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const RGB = [[0, 0, 0], [205, 49, 49], [13, 188, 121], [229, 229, 16], [36, 114, 200], [188, 63, 188], [17, 168, 205], [229, 229, 229]];
const LEVELS = [0, 95, 135, 175, 215, 255];
const ESCAPE = /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?/g;
const LINE_CHARS = 20000;
const DRAW_MS = 100;
const LINES = 5000; // on the page; earlier ones can be downloaded

const box = document.getElementById("log");
const list = box?.querySelector("ol");

const nearest = (r, g, b) => {
  const far = RGB.map(([x, y, z]) => (r - x) ** 2 + (g - y) ** 2 + (b - z) ** 2);
  return BASE[far.indexOf(Math.min(...far))];
};
function of256(n) {
  if (n < 16) return BASE[n % 8];
  if (n < 232) return nearest(LEVELS[Math.floor((n - 16) / 36) % 6], LEVELS[Math.floor((n - 16) / 6) % 6], LEVELS[(n - 16) % 6]);
  return nearest(8 + 10 * (n - 232), 8 + 10 * (n - 232), 8 + 10 * (n - 232));
}

class Pen {
  constructor() { this.reset(); }
  reset() { this.b = this.d = this.i = this.u = false; this.front = this.back = ""; }
  get classes() {
    const words = ["b", "d", "i", "u"].filter((flag) => this[flag]).map((flag) => `a-${flag}`);
    if (this.front) words.push(`a-${this.front}`);
    if (this.back) words.push(`a-on-${this.back}`);
    return words.join(" ");
  }
  write(codes) {
    const n = codes.replaceAll(":", ";").split(";").slice(0, 32).map(Number);
    for (let at = 0; at < n.length;) at += this.one(n, at);
  }
  one(n, at) {
    const code = n[at];
    if (code === 38 || code === 48) {
      const part = code === 38 ? "front" : "back";
      if (n[at + 1] === 5 && at + 2 < n.length) { this[part] = of256(n[at + 2]); return 3; }
      if (n[at + 1] === 2 && at + 4 < n.length) { this[part] = nearest(n[at + 2], n[at + 3], n[at + 4]); return 5; }
      return n.length - at;
    }
    if (code === 0) this.reset();
    else if (code >= 1 && code <= 4) this["bdiu"[code - 1]] = true;
    else if (code === 22) this.b = this.d = false;
    else if (code === 23) this.i = false;
    else if (code === 24) this.u = false;
    else if (code === 39) this.front = "";
    else if (code === 49) this.back = "";
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) this.front = BASE[code % 10];
    else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) this.back = BASE[code % 10];
    return 1;
  }
}

export function spans(text, pen) {
  text = text.replace(/\r+$/, "");
  text = text.slice(text.lastIndexOf("\r") + 1);
  const cut = text.length - LINE_CHARS;
  const found = [];
  const put = (part) => {
    part = part.replace(/[\x00-\x08\x0b-\x1f\x7f]/g, (c) => c === "\x7f" ? "\u2421" : String.fromCharCode(0x2400 + c.charCodeAt(0)));
    if (part) found.push([part, pen.classes]);
  };
  const shown = text.slice(0, LINE_CHARS);
  let place = 0;
  for (const match of shown.matchAll(ESCAPE)) {
    put(shown.slice(place, match.index));
    if (match[1] !== undefined) pen.write(match[1]);
    place = match.index + match[0].length;
  }
  put(shown.slice(place));
  if (cut > 0) found.push([` … ${cut.toLocaleString("en")} characters more`, "a-d"]);
  return found;
}

export { Pen };

// ---------------------------------------------------------------- live

const decoder = new TextDecoder("utf-8", { fatal: false });
const bytes = (text) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const zone = box?.dataset.zone;
const only = Number(box?.dataset.attempt || 0);
let number = 1;
let attempt = 0;
let seen = [0, -1];
let begun = false;
let halves = {};
let missed = 0;
let following = true;

const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

const clock = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

// A line as it came; its elements are made only where it is still to be seen.
function read(half, stream) {
  const line = { number, stream, at: half.at, parts: spans(half.text, half.pen) };
  number += 1;
  return line;
}

function row({ note, number, stream, at, parts }) {
  if (note) return make("li", "note", note);
  const line = make("li", stream === "stderr" ? "err" : "");
  line.id = `L${number}`;
  const link = make("a", "ln", String(number));
  link.href = `#L${number}`;
  const time = make("time", "", clock.format(new Date(at)));
  time.dateTime = at;
  const text = make("span", "tx");
  for (const [part, classes] of parts) text.append(classes ? make("span", classes, part) : part);
  if (stream === "stderr") text.prepend(make("span", "sr", "stderr: "));
  line.append(link, time, text);
  return line;
}

function close(rows, half, stream) {
  half.text = decoder.decode(bytes(half.raw));
  rows.push(read(half, stream));
  half.raw = "";
  half.at = null;
}

function feed(piece, rows) {
  if (piece.attempt < seen[0] || (piece.attempt === seen[0] && piece.seq <= seen[1])) return;
  seen = [piece.attempt, piece.seq];
  if (only && piece.attempt !== only) return;
  if (piece.attempt !== attempt) {
    for (const [stream, half] of Object.entries(halves)) if (half.raw) close(rows, half, stream);
    halves = {};
    attempt = piece.attempt;
    if (attempt > 1) rows.push({ note: `Attempt ${attempt}` });
  }
  if (piece.dropped_bytes) rows.push({ note: `${piece.dropped_bytes.toLocaleString("en")} bytes are missing here: there was too much` });
  const half = halves[piece.stream] ??= { raw: "", at: null, pen: new Pen() };
  const parts = piece.bytes.split("\n");
  const rest = parts.pop();
  for (const part of parts) {
    half.at ??= piece.at;
    half.raw += part;
    close(rows, half, piece.stream);
  }
  if (rest) {
    half.at ??= piece.at;
    half.raw += rest;
  }
}

function show(items) {
  const lines = [];
  for (const piece of items) feed(piece, lines);
  const rows = lines.slice(-LINES).map(row);
  if (!begun) {
    begun = true;
    list.replaceChildren();
    document.getElementById("no-output")?.remove();
    box.hidden = false;
  }
  for (const old of list.querySelectorAll(".half")) old.remove();
  list.append(...rows);
  for (const [stream, half] of Object.entries(halves)) {
    if (!half.raw) continue;
    const text = decoder.decode(bytes(half.raw));
    const shown = row(read({ text, at: half.at, pen: Object.assign(new Pen(), half.pen) }, stream));
    number -= 1;
    shown.classList.add("half");
    list.append(shown);
  }
  while (list.childElementCount > LINES) list.firstElementChild.remove();
  mark(rows);
  missed += following ? 0 : lines.length;
  stay();
}

// ---------------------------------------------------------------- following

const more = document.getElementById("follow");
function stay() {
  if (following) { box.scrollTop = box.scrollHeight; missed = 0; }
  if (!more) return;
  more.hidden = following || box.dataset.live === undefined;
  more.querySelector("span").textContent = missed ? `Follow: ${missed} new line${missed === 1 ? "" : "s"}` : "Follow";
}
box?.addEventListener("scroll", () => {
  const end = box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  if (end !== following) { following = end; if (end) missed = 0; stay(); }
}, { passive: true });
more?.addEventListener("click", () => { following = true; stay(); box.focus({ preventScroll: true }); });

// What comes at once is drawn at once: each drawing measures all lines that are there.
let came = [];
let drawer = 0;
function draw() {
  clearTimeout(drawer);
  drawer = 0;
  if (came.length) show(came.splice(0));
}

document.addEventListener("cronherd:told", ({ detail }) => {
  if (!box) return;
  if (detail.kind === "output") {
    came.push(...JSON.parse(detail.data).items);
    drawer ||= setTimeout(draw, DRAW_MS);
  }
  if (detail.kind === "end") { draw(); delete box.dataset.live; stay(); }
});

// ---------------------------------------------------------------- searching

const find = document.getElementById("find-in");
const count = document.getElementById("found");
const wanted = () => find?.value.trim().toLowerCase() ?? "";

function mark(rows) {
  const word = wanted();
  for (const each of rows) each.classList.toggle("hit", word !== "" && (each.querySelector(".tx")?.textContent.toLowerCase().includes(word) ?? false));
  if (count) {
    const hits = list.querySelectorAll(".hit").length;
    count.textContent = word ? `${hits} line${hits === 1 ? "" : "s"} found${count.dataset.where}` : "";
  }
}

function next(back) {
  const hits = [...list.querySelectorAll(".hit")];
  if (!hits.length) return;
  const now = hits.findIndex((hit) => hit.classList.contains("at"));
  list.querySelector(".hit.at")?.classList.remove("at");
  const hit = hits[(now + (back ? -1 : 1) + hits.length) % hits.length];
  hit.classList.add("at");
  following = false;
  hit.scrollIntoView({ block: "center" });
  stay();
}

let typed = 0;
find?.addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(() => {
    mark(list.children);
    const url = new URL(location.href);
    if (wanted()) url.searchParams.set("find", find.value.trim()); else url.searchParams.delete("find");
    history.replaceState(null, "", url);
  }, 150);
});
find?.form.addEventListener("submit", (event) => { event.preventDefault(); next(false); });
find?.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.shiftKey) { event.preventDefault(); next(true); } });

if (box) {
  box.tabIndex = 0;
  following = !/^#L\d/.test(location.hash) && box.dataset.live !== undefined;
  if (wanted()) mark(list.children);
  stay();
}

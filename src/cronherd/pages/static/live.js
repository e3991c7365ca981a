// Keep the page true: when the server says that something changed, its live part is fetched
// again and morphed in. Nothing happens in a hidden tab, nor while somebody is choosing rows or
// typing there. Without an event stream it looks every few seconds.
const LOOK_MS = 5_000;
const GATHER_MS = 1_000; // several changes are one look
const KINDS = ["overview", "runs", "events", "job", "run", "end", "reload"];
const STALE_MS = 20_000;
const STREAM = "/api/v1/stream";

let fetchedAt = Date.now();
let stream = null;
let streamed = false;
let timer = 0;
let busy = false;

const live = () => document.getElementById("live");
const wanted = () => live()?.dataset.live !== undefined;

function inUse() {
  const part = live();
  if (!part) return true;
  return part.contains(document.activeElement?.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]") ?? null)
    || document.querySelector("[popover]:popover-open") !== null || part.querySelector("input[name=job]:checked") !== null
    || document.querySelector("dialog[open]") !== null
    || part.contains(getSelection()?.isCollapsed === false ? getSelection().anchorNode : null);
}

async function refresh() {
  if (busy || document.hidden || !wanted() || inUse()) return;
  busy = true;
  try {
    await window.htmx.ajax("GET", live().dataset.from || location.href, {
      source: "#live", target: "#live", select: "#live", selectOOB: "#fresh,#acts:outerMorph", swap: "outerMorph",
      headers: { "X-Live": "1" },
    });
  } finally {
    busy = false;
  }
}

function soon() {
  timer ||= setTimeout(() => { timer = 0; refresh(); }, GATHER_MS);
}

function told(ctx) {
  const answer = ctx?.response?.raw;
  if (!answer) return;
  if (answer.redirected && new URL(answer.url).pathname === "/login") location.reload();
  if (answer.ok) fetchedAt = Date.now();
}

document.addEventListener("htmx:after:request", (event) => told(event.detail?.ctx));
document.addEventListener("htmx:after:swap", () => {
  document.dispatchEvent(new Event("cronherd:refreshed"));
  say();
});
document.addEventListener("cronherd:refresh", refresh);

function say() {
  const place = document.getElementById("fresh");
  const banner = document.getElementById("stale");
  if (place && !wanted() && !banner.hidden) banner.hidden = true; // it has ended: this is the last of it
  if (!place || !wanted()) return;
  const age = Date.now() - fetchedAt;
  const late = age > STALE_MS && !inUse();
  const text = inUse() && age > LOOK_MS ? "waiting while you work" : age < 1500 ? "updated just now" : `updated ${Math.round(age / 1000)} s ago`;
  const words = place.querySelector(".text");
  if (words.textContent !== text) words.textContent = text;
  place.classList.toggle("on", !late);
  place.classList.toggle("off", late);
  if (banner.hidden === late) banner.hidden = !late;
}

const tell = (kind, data) => document.dispatchEvent(new CustomEvent("cronherd:told", { detail: { kind, data } }));

function listen() {
  if (!wanted() || stream || !window.EventSource) return;
  const topics = live().dataset.live.split(" ").map((topic) => `topic=${encodeURIComponent(topic)}`);
  stream = new EventSource(`${STREAM}?${topics.join("&")}`);
  stream.onopen = () => { streamed = true; };
  for (const kind of KINDS) stream.addEventListener(kind, (event) => { tell(kind, event.data); soon(); });
  stream.addEventListener("output", (event) => tell("output", event.data));
  stream.onerror = () => {
    if (stream.readyState === EventSource.CLOSED) { stream = null; streamed = false; }
  };
}

function rest() {
  stream?.close();
  stream = null;
  streamed = false;
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) rest();
  else { listen(); refresh(); }
});
addEventListener("pagehide", rest);
addEventListener("pageshow", (event) => { if (event.persisted) { listen(); refresh(); } });
setInterval(() => {
  if (document.hidden) return;
  const age = Date.now() - fetchedAt;
  if (age > (streamed ? 3 * LOOK_MS : LOOK_MS)) refresh();
  say();
}, 1000);
say();
listen();

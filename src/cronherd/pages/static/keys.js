// Keys. Single letters do nothing while somebody types, and never with Ctrl, Alt or Meta.
import { open } from "./dialogs.js";

const ROW = "tr[data-row]";
let going = 0; // until when a letter after `g` names a page

const rows = () => [...document.querySelectorAll(ROW)].filter((row) => row.offsetParent !== null);
const current = () => document.querySelector(`${ROW}.at`);

function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(current());
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
  current()?.classList.remove("at");
  next.classList.add("at");
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a, button")?.focus({ preventScroll: true });
}

function press(key) {
  // Of the row that is marked, else of the page.
  const place = current() ?? document.querySelector("main");
  const found = [...place.querySelectorAll(`[data-key="${key}"]`)].find((each) => each.offsetParent !== null || each.closest("td"));
  if (found) found.click();
  return Boolean(found);
}

// An update writes the rows anew: the mark stays on the one it was on.
let marked = "";
document.addEventListener("htmx:before:swap", () => { marked = current()?.id ?? ""; });
document.addEventListener("cronherd:refreshed", () => {
  if (marked && !current()) document.getElementById(marked)?.classList.add("at");
});

const typing = (target) => target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable], dialog[open]");

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    open("palette")?.dispatchEvent(new Event("shown"));
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typing(event.target)) return;
  const key = event.key;
  if (going > Date.now()) {
    going = 0;
    const link = document.querySelector(`[data-go="${CSS.escape(key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  if (key === "g") going = Date.now() + 1500;
  else if (key === "?") open("keys");
  else if (key === "/") {
    const field = document.querySelector("input[data-key='/']");
    if (field) { event.preventDefault(); field.focus(); field.select(); }
  } else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else if (key === "x") current()?.querySelector("input[type=checkbox]")?.click();
  else if (key === "Enter" && current() && !event.target.closest("button, summary, input, a")) current().querySelector("a")?.click();
  else if (key === "Escape") current()?.classList.remove("at");
  else if ("rple".includes(key) && press(key)) event.preventDefault();
});

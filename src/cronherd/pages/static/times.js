// Keep "in 4 min" and "3 s ago" true. The clock is the server's: a page says what time it was
// there when it was made, and a browser may be wrong by hours.
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

let offset = 0; // milliseconds that the browser's clock is behind the server's

export function setClock() {
  const at = Number(document.getElementById("fresh")?.dataset.at);
  if (at) offset = at / 1000 - Date.now();
}

export const now = () => Date.now() + offset;

export function distance(seconds) {
  const size = Math.abs(seconds);
  if (size < 0.5) return "now";
  for (const [unit, name] of UNITS) {
    const count = unit === 1 ? Math.round(size) : Math.floor(size / unit);
    if (count) return seconds > 0 ? `in ${count} ${name}` : `${count} ${name} ago`;
  }
  return "now";
}

function tick() {
  for (const element of document.querySelectorAll("time[data-distance]")) {
    const text = distance((Date.parse(element.dateTime) - now()) / 1000);
    if (element.textContent !== text) element.textContent = text;
  }
}

setClock();
setInterval(() => document.hidden || tick(), 1000);
document.addEventListener("visibilitychange", () => document.hidden || tick());
document.addEventListener("cronherd:refreshed", () => { setClock(); tick(); });

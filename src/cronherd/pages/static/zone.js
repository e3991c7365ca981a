// Tell the server the zone of whoever looks, so that it can write times in it.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const known = document.cookie.match(/(?:^|; )cronherd_zone=([^;]*)/)?.[1];

if (zone && encodeURIComponent(zone) !== known) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `cronherd_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax${secure}`;
  document.addEventListener("DOMContentLoaded", () => document.dispatchEvent(new Event("cronherd:refresh")));
}

// Forms that ask first, and forms that somebody sends twice.
const AGAIN_MS = 3_000;
let sent = 0; // until when whatever is sent is taken for a second press

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !confirm(question)) event.preventDefault();
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (sent > Date.now()) event.preventDefault();
  else sent = Date.now() + AGAIN_MS;
});
addEventListener("pageshow", () => { sent = 0; });

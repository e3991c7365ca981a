// A button that changed nothing says so: an answer that is an error is not put into the page.
const NONE = "Cronherd did not answer, so this may not have been done. Look whether it was, and try again.";

function say(text) {
  const message = document.getElementById("unsaid").content.cloneNode(true);
  message.querySelector("span").textContent = text;
  document.getElementById("said").replaceChildren(message);
  document.getElementById("said").scrollIntoView({ block: "nearest" });
}

// The preview of a draft stays as it was, which must not be taken for an answer.
function outdated(text) {
  const message = document.getElementById("unsaid").content.cloneNode(true);
  message.querySelector("span").textContent = `This is of what was written before. ${text}`;
  const preview = document.getElementById("preview");
  preview?.querySelector(".banner")?.remove();
  preview?.querySelector("header").after(message);
}

const changes = (ctx) => ctx && ctx.request.method !== "GET";
const isDraft = (ctx) => ctx.sourceElement?.id === "draft";

document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
  if (!changes(ctx)) return;
  const { raw } = ctx.response;
  const told = new DOMParser().parseFromString(ctx.text, "text/html").querySelector(".error .lead")?.textContent.trim();
  if (isDraft(ctx)) {
    outdated(raw.status === 401 || raw.status === 403 ? "Your session has ended: load this page again. What you wrote is kept." : told ?? "");
  } else if (raw.headers.get("X-Go")) location.assign(raw.headers.get("X-Go"));
  else if (raw.status === 401) location.reload();
  else say(told || `This was not done: the answer was ${raw.status}.`);
});
document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (!changes(ctx)) return;
  if (isDraft(ctx)) outdated("Cronherd does not answer; what you write is kept.");
  else say(NONE);
});

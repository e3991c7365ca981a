// What somebody writes is kept in this tab until it is saved: meanwhile a session may end, a
// network may be gone, and a tab may be loaded again.
const SENT = "draft sent";
const HERE = `draft ${location.pathname}`;
const OWN = new Set(["csrf", "once", "do"]); // of one page and one press

const draft = document.getElementById("draft");
const offer = document.getElementById("kept");
const store = sessionStorage;
let written = false;

const fields = () => [...new FormData(draft)].filter(([name]) => !OWN.has(name));
// Whatever the version: what was saved says what was written, one version later.
const words = (found) => JSON.stringify(found.filter(([name]) => name !== "version"));
const same = (one, other) => words(one) === words(other);
const kept = () => JSON.parse(store.getItem(HERE) ?? "null");

function keep() {
  written = true;
  try { store.setItem(HERE, JSON.stringify({ at: Date.now(), fields: fields() })); } catch { /* it is full */ }
}

// The server makes the page of it, as of any draft.
function takeUp() {
  const form = document.createElement("form");
  form.method = "post";
  form.action = draft.action;
  const now = new FormData(draft);
  for (const [name, value] of [...kept().fields, ["csrf", now.get("csrf")], ["do", "preview"]]) {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value });
    form.append(field);
  }
  document.body.append(form);
  written = false;
  form.submit();
}

function drop() {
  store.removeItem(HERE);
  if (offer) offer.hidden = true;
}

if (draft) {
  draft.addEventListener("input", keep);
  draft.addEventListener("submit", () => { written = false; });
}
document.addEventListener("click", (event) => { if (event.target.closest?.("[data-drop]")) drop(); });
addEventListener("beforeunload", (event) => { if (written) event.preventDefault(); });
document.addEventListener("submit", (event) => {
  const { action, elements } = event.target;
  if (event.defaultPrevented) return;
  if (elements.version || event.target === draft) {
    if (event.submitter?.value === "save") store.setItem(SENT, HERE);
  } else if (action.endsWith("/logout")) store.clear();
});

// Saved is what led to a page that is neither the form nor an error.
const sent = store.getItem(SENT);
store.removeItem(SENT);
if (sent && sent !== HERE && !document.querySelector(".error")) store.removeItem(sent);

if (offer && draft.dataset.fresh !== undefined) {
  const before = kept();
  const version = Number(draft.elements.version?.value);
  // Whoever is quick leaves the page of what was saved before its script has begun.
  if (before && sent === HERE && version === Number(new Map(before.fields).get("version")) + 1) drop();
  else if (before && !same(before.fields, fields())) {
    offer.querySelector("time").textContent = new Date(before.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    offer.hidden = false;
    offer.querySelector("[data-take]").addEventListener("click", takeUp);
  } else if (before && [...draft.elements].some((each) => each.value !== (each.defaultValue ?? each.value))) {
    // The browser itself has put it back: the preview is still of what the server wrote.
    addEventListener("load", () => draft.dispatchEvent(new Event("input")));
  } else drop();
}

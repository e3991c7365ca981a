// Go anywhere: a list that the server finds, chosen by arrows and Enter.
const dialog = document.getElementById("palette");
const input = document.getElementById("palette-input");
const list = document.getElementById("palette-list");
let asked = 0;
let timer = 0;

async function find() {
  const mine = ++asked;
  const answer = await fetch(`/palette?q=${encodeURIComponent(input.value)}`, { headers: { "HX-Request": "true" } });
  if (mine !== asked || !answer.ok || answer.redirected) return;
  const found = new DOMParser().parseFromString(await answer.text(), "text/html");
  list.replaceChildren(...found.querySelectorAll("li"));
  choose(0);
}

function choose(at) {
  const all = [...list.children];
  all.forEach((item, place) => item.setAttribute("aria-selected", place === at));
  if (all[at]) {
    input.setAttribute("aria-activedescendant", all[at].id);
    all[at].scrollIntoView({ block: "nearest" });
  }
}

const chosen = () => [...list.children].findIndex((item) => item.getAttribute("aria-selected") === "true");
const go = (item) => { if (item?.dataset.href) location.assign(item.dataset.href); };

dialog?.addEventListener("shown", () => { input.value = ""; find(); });
input?.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(find, 120); });
input?.addEventListener("keydown", (event) => {
  const last = list.children.length - 1;
  if (event.key === "ArrowDown") choose(Math.min(chosen() + 1, last));
  else if (event.key === "ArrowUp") choose(Math.max(chosen() - 1, 0));
  else if (event.key === "Enter") go(list.children[chosen()]);
  else return;
  event.preventDefault();
});
list?.addEventListener("click", (event) => go(event.target.closest("li")));

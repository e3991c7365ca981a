// Rows that are chosen, and what is then offered for all of them.
const boxes = () => [...document.querySelectorAll("input[name=job][type=checkbox]")];

function count() {
  const bar = document.querySelector(".bulk");
  if (!bar) return;
  const all = boxes();
  const chosen = all.filter((box) => box.checked);
  bar.classList.toggle("on", chosen.length > 0);
  const words = bar.querySelector("[data-count]");
  if (words) words.textContent = chosen.length === 1 ? "1 job chosen" : `${chosen.length} jobs chosen`;
  const every = document.querySelector("[data-every]");
  if (every) {
    every.checked = all.length > 0 && chosen.length === all.length;
    every.indeterminate = chosen.length > 0 && chosen.length < all.length;
  }
}

document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.matches?.("[data-every]")) for (const each of boxes()) each.checked = box.checked;
  if (box.matches?.("[data-every], input[name=job]")) count();
  if (box.matches?.("[data-submit]")) box.form.requestSubmit();
});
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-none]")) return;
  for (const each of boxes()) each.checked = false;
  count();
});
document.addEventListener("cronherd:refreshed", count);
count();

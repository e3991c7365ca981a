// Dialogs that a button or a key opens.
export function open(name) {
  const dialog = document.getElementById(name);
  if (dialog && !dialog.open) dialog.showModal();
  return dialog;
}

document.addEventListener("click", (event) => {
  // A menu has done what it is for; open, it would lie over the page and hold its updates.
  const menu = event.target.closest?.("button, a")?.closest(".sheet.list");
  if (menu) setTimeout(() => menu.hidePopover());
  const opener = event.target.closest?.("[data-open]");
  if (opener && open(opener.dataset.open)) event.preventDefault(); // a link leads to the same form
  if (event.target.closest?.("[data-close]")) event.target.closest("dialog").close();
  if (event.target.matches?.("dialog")) event.target.close(); // its backdrop
});

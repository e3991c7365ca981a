// On a phone a row of tabs is wider than the screen: the one that is open is brought into sight.
for (const row of document.querySelectorAll(".tabs")) {
  const open = row.querySelector("[aria-current]");
  if (open) row.scrollLeft = open.offsetLeft - row.offsetLeft - (row.clientWidth - open.offsetWidth) / 2;
}

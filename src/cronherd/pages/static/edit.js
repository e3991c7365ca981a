// Forms that ask first, and drafts that somebody has not saved.
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !confirm(question)) event.preventDefault();
});

const draft = document.getElementById("draft");
let written = false;
draft?.addEventListener("input", () => { written = true; });
draft?.addEventListener("submit", () => { written = false; });
addEventListener("beforeunload", (event) => { if (written) event.preventDefault(); });

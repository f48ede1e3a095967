// Sets the theme that was chosen before anything is painted. Runs before the page, so it is small and
// no module. A theme in the page's URL (`data-theme` is there already) comes first.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  if (root.dataset.theme) return;
  try {
    const chosen = localStorage.getItem("cvops.theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch {
    // Without storage the system's own theme holds.
  }
})();

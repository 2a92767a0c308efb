// Light or dark, before anything is painted: as chosen here, or else as the system has it.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("tidemill.theme") ?? "system"; } catch { return "system"; }
  };
  const show = (choice) => {
    root.dataset.theme = choice === "system" ? (system.matches ? "dark" : "light") : choice;
  };
  show(chosen());
  system.addEventListener("change", () => show(chosen()));
  window.tidemillTheme = {
    chosen,
    choose(choice) {
      try { localStorage.setItem("tidemill.theme", choice); } catch { /* it lasts until the page is left */ }
      show(choice);
    },
  };
})();

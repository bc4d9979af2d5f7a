"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const specs = read("specs");
  const config = { aria: false, ...read("config") };

  // Charts are drawn one after the other, so that the page can be read meanwhile.
  const waiting = [...document.querySelectorAll(".chart")];
  const draw = async () => {
    const box = waiting.shift();
    if (!box) {
      document.documentElement.dataset.drawn = "all";
      return;
    }
    const live = document.createElement("div");
    live.className = "live";
    box.append(live);
    const spec = { config, ...specs[box.dataset.chart] };
    try {
      await vegaEmbed(live, spec, { actions: false, ast: true, renderer: "svg" });
      box.classList.add("drawn");
    } catch (error) {
      live.remove();
      console.error(error);
    }
    setTimeout(draw, 0);
  };

  // Tables are sorted by the values, not by how they read; unknown ones stay last.
  const key = (row, column) => {
    const text = row.cells[column].dataset.key;
    const number = Number(text);
    return text === "" ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), document.documentElement.lang);
  };
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const cell = button.closest("th");
      const body = cell.closest("table").tBodies[0];
      const way = cell.getAttribute("aria-sort") === "descending" ? 1 : -1;
      for (const other of cell.parentElement.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [key(row, cell.cellIndex), row]);
      rows.sort(([a], [b]) => (a === null || b === null ? compare(a, b) : way * compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  }

  const show = (state) => {
    for (const button of document.querySelectorAll("[data-show]")) {
      button.setAttribute("aria-pressed", String(button.dataset.show === state));
    }
    for (const row of document.querySelectorAll("#table-kpis tbody tr")) {
      row.hidden = state !== "" && row.dataset.state !== state;
    }
  };
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => show(button.dataset.show));
  }
  for (const link of document.querySelectorAll("[data-count]")) {
    link.addEventListener("click", () => show(link.dataset.count));
  }

  // The contents show where one is.
  const links = new Map(
    [...document.querySelectorAll("nav a")].map((a) => [a.getAttribute("href").slice(1), a]),
  );
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        const link = links.get(entry.target.id);
        link?.setAttribute("aria-current", "true");
        const bar = link?.closest("ul");
        if (bar && bar.scrollWidth > bar.clientWidth) {
          bar.scrollTo({ left: link.offsetLeft - bar.offsetLeft - 16 });
        }
      }
    },
    { rootMargin: "-15% 0px -75% 0px" },
  );
  for (const id of links.keys()) {
    const section = document.getElementById(id);
    if (section) seen.observe(section);
  }

  document.documentElement.classList.add("scripted");
  draw();
})();

// Tables sort by a click on a head, and the 3-D view loads when it is opened. Without scripts all else is the same.
"use strict";
(() => {
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const data = cell && cell.querySelector("data");
    if (!data) return cell ? cell.textContent.trim() : "";
    return data.value === "" ? NaN : Number(data.value);
  };
  const missing = (value) => value === "" || Number.isNaN(value);
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };

  const sort = (table, heads, column) => {
    const up = heads[column].getAttribute("aria-sort") !== "ascending";
    const rows = [...table.tBodies[0].rows].filter((row) => row.cells.length === heads.length);
    const keyed = rows.map((row) => [valueOf(row, column), row]);
    keyed.sort(([a], [b]) => missing(a) - missing(b) || (missing(a) ? 0 : up ? compare(a, b) : compare(b, a)));
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    table.tBodies[0].prepend(...keyed.map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, heads, column));
      head.append(button);
    });
  }

  for (const view of document.querySelectorAll("details.view")) {
    const frame = view.querySelector("iframe");
    view.addEventListener("toggle", () => {
      if (view.open) frame.srcdoc = frame.dataset.page;
      else frame.removeAttribute("srcdoc");
    });
  }
})();

"use strict";
// Names reach the page as text only: everything below reads and writes textContent, never markup.

const tip = document.getElementById("tip");
for (const title of document.querySelectorAll("svg title")) {
  const mark = title.parentNode;
  mark.dataset.tip = title.textContent;
  mark.setAttribute("aria-label", title.textContent);
  title.remove();
}

function place(x, y) {
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - width - 8)) + "px";
  tip.style.top = (y + height + 24 > innerHeight ? y - height - 12 : y + 16) + "px";
}

function point(event) {
  const mark = event.target.closest ? event.target.closest("[data-tip]") : null;
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.dataset.tip;
  place(event.clientX, event.clientY);
}
addEventListener("pointermove", point);
addEventListener("pointerdown", point);
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, head, column));
  });
}

function sort(table, head, column) {
  const down = head.getAttribute("aria-sort") !== "descending";
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => {
    const cell = row.cells[column];
    if (!head.classList.contains("number")) return cell.textContent;
    return cell.dataset.value === undefined ? 0 : Number(cell.dataset.value);
  };
  const order = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));
  const rows = [...table.tBodies[0].rows].sort((a, b) => order(key(a), key(b)) * (down ? -1 : 1));
  table.tBodies[0].append(...rows);
}

const models = [...document.querySelectorAll("article.model")];
if (models.length > 1) {
  const tabs = document.createElement("div");
  tabs.className = "tabs";
  tabs.setAttribute("role", "tablist");
  const show = (chosen) => models.forEach((model, index) => {
    model.hidden = index !== chosen;
    tabs.children[index].setAttribute("aria-selected", String(index === chosen));
  });
  for (const [index, model] of models.entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "tab");
    button.textContent = model.dataset.label;
    button.addEventListener("click", () => show(index));
    tabs.append(button);
    model.setAttribute("role", "tabpanel");
    model.setAttribute("aria-label", model.dataset.label);
  }
  models[0].before(tabs);
  show(0);
}

if (matchMedia("(max-width: 600px)").matches) {
  for (const details of document.querySelectorAll("details.definitions")) details.open = false;
}

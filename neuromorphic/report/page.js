"use strict";
// Names reach the page as text only: everything below reads and writes textContent. The one exception is a packed
// figure: markup of the report, its names escaped, put where it would have stood.

const tip = document.getElementById("tip");
const words = (mark) => {
  const row = mark.closest(".row");
  return row ? row.querySelector(".row-label").firstChild.textContent + " · " + mark.dataset.tip : mark.dataset.tip;
};
function tips(part) {
  for (const label of part.querySelectorAll(".row-label")) label.title = label.textContent;
  for (const title of part.querySelectorAll("svg title")) {
    const mark = title.parentNode;
    mark.dataset.tip = title.textContent;
    title.remove();
  }
}

function place(x, y) {
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - width - 8)) + "px";
  tip.style.top = (y + height + 24 > innerHeight ? y - height - 12 : y + 16) + "px";
}

let marked = null;
function mark(next) {
  if (marked) marked.classList.remove("here");
  marked = next;
  tip.hidden = !next;
  if (!next) return;
  tip.textContent = words(next);
}

function point(event) {
  const next = event.target.closest ? event.target.closest("[data-tip]") : null;
  mark(next);
  if (next) place(event.clientX, event.clientY);
}
addEventListener("pointermove", point);
addEventListener("pointerdown", point);
addEventListener("scroll", () => { if (marked && !marked.classList.contains("here")) mark(null); }, { passive: true });

// By keyboard: a chart is one stop of the tab key, the arrow keys go from mark to mark.
const middle = (one) => {
  const box = one.getBoundingClientRect();
  return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
};

function neighbour(marks, from, step) {
  const here = middle(from);
  const beyond = marks.map((one) => ({ one, at: middle(one) })).filter(({ at }) => (at.y - here.y) * step > 4);
  if (!beyond.length) return from;
  const nearest = Math.min(...beyond.map(({ at }) => Math.abs(at.y - here.y)));
  const row = beyond.filter(({ at }) => Math.abs(at.y - here.y) < nearest + 4);
  return row.reduce((best, next) => (Math.abs(next.at.x - here.x) < Math.abs(best.at.x - here.x) ? next : best)).one;
}

function visit(next) {
  mark(next);
  next.classList.add("here");
  next.scrollIntoView({ block: "nearest" });
  const { x, y } = middle(next);
  place(x, y);
}

function charts(part) {
  for (const chart of part.querySelectorAll(".chart")) {
    chart.tabIndex = 0;
    chart.addEventListener("keydown", (event) => {
      const marks = [...chart.querySelectorAll("[data-tip]")].filter((one) => one.getClientRects().length);
      if (!marks.length || event.target !== chart) return;
      const now = marks.indexOf(marked);
      const moves = {
        ArrowRight: () => marks[Math.min(now + 1, marks.length - 1)],
        ArrowLeft: () => marks[Math.max(now - 1, 0)],
        ArrowDown: () => (now < 0 ? marks[0] : neighbour(marks, marked, 1)),
        ArrowUp: () => (now < 0 ? marks[0] : neighbour(marks, marked, -1)),
        Home: () => marks[0],
        End: () => marks[marks.length - 1],
      };
      if (event.key === "Escape") mark(null);
      if (!(event.key in moves)) return;
      event.preventDefault();
      visit(moves[event.key]());
    });
    chart.addEventListener("blur", () => mark(null));
  }
}

function tables(part) {
  for (const table of part.querySelectorAll("table.sortable")) {
    table.querySelectorAll("th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, head, column));
    });
  }
}

// A number as it is written: "1,234", "≥ 5.09 M", "−0.31 points", "23.4 µJ"; a dash is nothing.
const SIZES = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, nJ: 1e3, µJ: 1e6, mJ: 1e9, J: 1e12 };
function number(text) {
  const found = /([-−]?[0-9][0-9.,]*)(?: ([a-zµ]+))?/i.exec(text);
  return found ? parseFloat(found[1].replace("−", "-").replaceAll(",", "")) * (SIZES[found[2]] || 1) : 0;
}

function sort(table, head, column) {
  const down = head.getAttribute("aria-sort") !== "descending";
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => {
    const cell = row.cells[column];
    return head.classList.contains("n") ? number(cell.textContent) : cell.textContent;
  };
  const order = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));
  const rows = [...table.tBodies[0].rows].sort((a, b) => order(key(a), key(b)) * (down ? -1 : 1));
  table.tBodies[0].append(...rows);
}

// Figures under other prices than the first come packed: Base64 of a zlib stream.
async function unpack(template) {
  const bytes = Uint8Array.from(atob(template.content.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  template.innerHTML = await new Response(stream).text();
  dress(template.content);
  template.replaceWith(template.content);
}

function dress(part) {
  for (const what of [tips, charts, tables]) what(part);
}
dress(document);

// One choice of prices for every figure on the page.
const profile = document.getElementById("profile");
function prices() {
  for (const panel of document.querySelectorAll(".by-profile")) panel.hidden = panel.dataset.profile !== profile.value;
}
const ready = Promise.all([...document.querySelectorAll("template.packed")].map(unpack)).then(() => {
  if (!profile) return;
  profile.addEventListener("change", prices);
  profile.closest("label").hidden = false;
  prices();
});

const theme = document.getElementById("theme");
theme.addEventListener("change", () => {
  if (theme.value) document.documentElement.dataset.theme = theme.value;
  else delete document.documentElement.dataset.theme;
});
document.querySelector(".tools").hidden = false;

const models = [...document.querySelectorAll("article.model")];
if (models.length > 1) {
  const tabs = document.createElement("div");
  tabs.className = "tabs";
  tabs.setAttribute("role", "tablist");
  tabs.setAttribute("aria-label", "Models");
  const show = (chosen) => models.forEach((model, index) => {
    model.hidden = index !== chosen;
    tabs.children[index].setAttribute("aria-selected", String(index === chosen));
    tabs.children[index].tabIndex = index === chosen ? 0 : -1;
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
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = ([...tabs.children].indexOf(document.activeElement) + step + models.length) % models.length;
    show(next);
    tabs.children[next].focus();
  });
  models[0].before(tabs);
  show(0);
}

"use strict";

// light, dark, or as the system has it
const mode = document.getElementById("mode");
const modes = ["auto", "light", "dark"];
function show(chosen) {
  if (chosen === "auto") delete document.documentElement.dataset.mode;
  else document.documentElement.dataset.mode = chosen;
  mode.textContent = `Colours: ${chosen}`;
  mode.dataset.chosen = chosen;
}
function kept() {
  try { return localStorage.getItem("jaxrnn-report-mode") || "auto"; } catch { return "auto"; }
}
mode.hidden = false;
show(kept());
mode.addEventListener("click", () => {
  const next = modes[(modes.indexOf(mode.dataset.chosen) + 1) % modes.length];
  try { localStorage.setItem("jaxrnn-report-mode", next); } catch { /* a page from a file may not keep anything */ }
  show(next);
});

// tables sort by a column: by its numbers where cells carry them, else by its words
document.querySelectorAll(".by-script").forEach((one) => { one.hidden = false; });
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const keyed = [...body.rows].map((row) => [row, row.cells[column].dataset.value ?? null, row.cells[column].textContent.trim()]);
      const numeric = keyed.some(([, value]) => value !== null);
      const empty = ([, value, text]) => (numeric ? value === null : text === "");
      keyed.sort((a, b) => {
        if (empty(a) !== empty(b)) return empty(a) ? 1 : -1;  // what has no value is last, either way
        const order = numeric ? a[1] - b[1] : a[2].localeCompare(b[2]);
        return down ? -order : order;
      });
      body.append(...keyed.map(([row]) => row));
    });
  });
}

// figures are enlarged in a dialog; arrow keys go to the next and the one before
const dialog = document.querySelector("dialog");
const buttons = [...document.querySelectorAll(".enlarge")];
let at = 0;
function enlarge(number) {
  at = (number + buttons.length) % buttons.length;
  const image = buttons[at].querySelector("img");
  const large = dialog.querySelector("img");
  large.src = image.src;
  large.alt = image.alt;
  large.width = image.width;
  large.height = image.height;
  dialog.querySelector("p").textContent = buttons[at].closest("figure").querySelector("figcaption").textContent;
  if (!dialog.open) dialog.showModal();
}
buttons.forEach((button, number) => button.addEventListener("click", () => enlarge(number)));
dialog.querySelector(".before").addEventListener("click", () => enlarge(at - 1));
dialog.querySelector(".after").addEventListener("click", () => enlarge(at + 1));
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") enlarge(at - 1);
  if (event.key === "ArrowRight") enlarge(at + 1);
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

// what is folded on the screen is not on paper, but for the lists of further runs
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open], .runs)")];
  folded.forEach((one) => { one.open = true; });
});
window.addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));

// learning curves: the values at the epoch under the pointer, or where the arrow keys have gone
for (const chart of document.querySelectorAll(".chart")) {
  const data = JSON.parse(chart.querySelector("script").textContent);
  const plot = chart.querySelector(".plot");
  const svg = plot.querySelector("svg");
  const cursor = svg.querySelector(".cursor");
  const reading = chart.querySelector(".reading");
  const places = [...new Set(data.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const idle = `${data.name}: point at the lines, or use the arrow keys, to read values off.`;
  reading.textContent = idle;
  plot.tabIndex = 0;
  const slider = { role: "slider", "aria-valuemin": data.first, "aria-valuemax": data.last, "aria-valuenow": data.last, "aria-valuetext": idle };
  for (const [name, value] of Object.entries(slider)) plot.setAttribute(name, value);
  let place = places.length - 1;
  function read(index) {
    place = Math.max(0, Math.min(places.length - 1, index));
    const x = places[place];
    const share = data.last > data.first ? (x - data.first) / (data.last - data.first) : 0;
    const across = (data.left + (data.right - data.left) * share) * svg.viewBox.baseVal.width;
    cursor.setAttribute("x1", across);
    cursor.setAttribute("x2", across);
    cursor.setAttribute("visibility", "visible");
    const values = data.lines.map((line) => {
      const i = line.x.indexOf(x);
      if (i < 0) return null;
      return `${data.lines.length > 1 ? line.name + " " : ""}${line.y[i]}${line.range[i] ? ` (${line.range[i]})` : ""}`;
    });
    reading.textContent = `At ${data.unit} ${x}: ${values.filter((value) => value !== null).join("; ")}`;
    plot.setAttribute("aria-valuenow", x);
    plot.setAttribute("aria-valuetext", reading.textContent);
  }
  function leave() {
    cursor.setAttribute("visibility", "hidden");
    reading.textContent = idle;
  }
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width - data.left) / (data.right - data.left || 1);
    const x = data.first + share * (data.last - data.first);
    let nearest = 0;
    places.forEach((one, index) => { if (Math.abs(one - x) < Math.abs(places[nearest] - x)) nearest = index; });
    read(nearest);
  });
  svg.addEventListener("pointerleave", leave);
  plot.addEventListener("focus", () => read(place));
  plot.addEventListener("blur", leave);
  plot.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -places.length, End: places.length };
    if (event.key in steps) {
      event.preventDefault();
      read(place + steps[event.key]);
    }
  });
}

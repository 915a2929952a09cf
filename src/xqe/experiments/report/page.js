"use strict";
/* Sorting and filtering of tables, and two systems of choice query by query. Without it all of the page can be read. */
const drawn = document.querySelector("svg");
function made(name, attributes, text) {
  const drawing = ["svg", "path", "line", "text", "circle"].includes(name);
  const one = drawing ? document.createElementNS(drawn.namespaceURI, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) one.setAttribute(key, value);
  if (text !== undefined) one.textContent = text;
  return one;
}

function valueOf(cell) {
  return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
}

/* Numbers before words, words as people sort them, nothing last in either direction. */
function compared(a, b, sign) {
  if (a === "" || a === "–" || b === "" || b === "–") return (a === "" || a === "–") - (b === "" || b === "–");
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return sign * a.localeCompare(b, undefined, { numeric: true });
}

function sort(table, heading, column, rows) {
  const before = heading.getAttribute("aria-sort");
  const numbers = rows.some((row) => row.cells[column].dataset.v !== undefined);
  const steps = numbers ? [null, "descending", "ascending"] : [null, "ascending", "descending"];
  const now = steps[(steps.indexOf(before) + 1) % 3];
  for (const one of table.querySelectorAll("[aria-sort]")) one.removeAttribute("aria-sort");
  table.classList.toggle("sorted", now !== null);
  const ordered = rows.slice();
  if (now !== null) {
    heading.setAttribute("aria-sort", now);
    const sign = now === "ascending" ? 1 : -1;
    ordered.sort((a, b) => a.classList.contains("mean") - b.classList.contains("mean") ||
      compared(valueOf(a.cells[column]), valueOf(b.cells[column]), sign));
  }
  table.tBodies[0].append(...ordered);
}

/* Every word must be in the row, in any column. */
function matches(row, words) {
  const text = row.textContent.toLowerCase();
  return words.every((word) => text.includes(word));
}

function filter(rows, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) row.hidden = !matches(row, words);
}

for (const table of document.querySelectorAll("table.data")) {
  const rows = Array.from(table.tBodies[0].rows);
  const headings = Array.from(table.tHead.rows[table.tHead.rows.length - 1].cells);
  if (rows.length < 2) continue;
  headings.forEach((heading, column) => {
    const button = made("button", { type: "button", title: "sort" }, heading.textContent);
    button.addEventListener("click", () => sort(table, heading, column, rows));
    heading.replaceChildren(button);
  });
  if (rows.length < 8) continue;
  const what = table.closest("details.search") ? "search a query: words, id or pair" : "show rows with these words";
  const field = made("input", { type: "search", class: "filter", placeholder: what, "aria-label": what });
  field.addEventListener("input", () => filter(rows, field.value));
  table.parentElement.before(field);
}

function pathOf(gains, wide, zero, high, is) {
  let path = `M0,${zero}`;
  gains.forEach((gain, place) => {
    const y = is(gain) ? zero - gain * high : zero;
    path += `L${(place * wide).toFixed(2)},${y.toFixed(2)}L${((place + 1) * wide).toFixed(2)},${y.toFixed(2)}`;
  });
  return `${path}L${(gains.length * wide).toFixed(2)},${zero}Z`;
}

function signed(number) {
  return (number < 0 ? "" : "+") + number.toFixed(2);
}

function bars(said, before, after, tell) {
  const order = said.asked.map((_, place) => place);
  const gain = (place) => (said.values[after][place] - said.values[before][place]) / 100;
  order.sort((a, b) => gain(b) - gain(a));
  const gains = order.map(gain);
  const most = Math.max(...gains.map(Math.abs)) || 1;
  const svg = made("svg", { viewBox: "-46 -8 410 280", role: "img", "aria-label": "gain of each query, sorted" });
  const wide = 360 / gains.length, zero = 130, high = 120 / most;
  for (const part of [most, 0, -most]) {
    const y = zero - part * high;
    svg.append(made("line", { class: part ? "grid" : "axis", x1: 0, x2: 360, y1: y, y2: y }));
    svg.append(made("text", { x: -4, y: y + 4, "text-anchor": "end" }, part ? signed(part).slice(0, -1) : "0"));
  }
  svg.append(made("path", { class: "won", d: pathOf(gains, wide, zero, high, (one) => one > 0) }));
  svg.append(made("path", { class: "lost", d: pathOf(gains, wide, zero, high, (one) => one < 0) }));
  svg.append(made("text", { x: 360, y: 268, "text-anchor": "end" }, "values, greatest gain first"));
  svg.append(made("text", { x: 0, y: 268 }, `gain in ${said.measure}, points`));
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 410 - 46;
    const place = Math.floor(x / wide);
    if (place >= 0 && place < gains.length) tell(`${said.asked[order[place]]}: ${signed(gains[place])} points`);
  });
  return svg;
}

function dots(said, before, after, tell) {
  const svg = made("svg", { class: "dots", viewBox: "-44 -24 368 364", role: "img",
    "aria-label": "one system against the other" });
  const points = new Map();
  said.asked.forEach((name, place) => {
    const x = said.values[before][place], y = said.values[after][place];
    const key = `${x} ${y}`;
    if (!points.has(key)) points.set(key, { x, y, names: [] });
    points.get(key).names.push(name);
  });
  for (const part of [0, 50, 100]) {
    svg.append(made("line", { class: "grid", x1: 0, x2: 300, y1: 300 - 3 * part, y2: 300 - 3 * part }));
    svg.append(made("line", { class: "grid", y1: 0, y2: 300, x1: 3 * part, x2: 3 * part }));
    if (part) svg.append(made("text", { x: -4, y: 304 - 3 * part, "text-anchor": "end" }, part));
    svg.append(made("text", { x: 3 * part, y: 316, "text-anchor": "middle" }, part));
  }
  svg.append(made("line", { class: "axis", x1: 0, y1: 300, x2: 300, y2: 0 }));
  svg.append(made("text", { x: 300, y: 334, "text-anchor": "end" }, "second →"));
  svg.append(made("text", { x: -40, y: -12 }, "↑ first"));
  for (const { x, y, names } of points.values()) {
    const r = 2 + 20 * Math.sqrt(names.length / said.asked.length);
    const dot = made("circle", { class: y > x ? "won" : y < x ? "lost" : "tied", cx: 0.03 * x, cy: 300 - 0.03 * y, r });
    const some = names.length > 4 ? `${names.slice(0, 4).join(", ")} and ${names.length - 4} more` : names.join(", ");
    for (const what of ["pointerenter", "click"]) {
      dot.addEventListener(what, () => tell(`${(x / 100).toFixed(2)} and ${(y / 100).toFixed(2)}: ${some}`));
    }
    svg.append(dot);
  }
  return svg;
}

function summary(said, before, after) {
  let won = 0, lost = 0;
  said.asked.forEach((_, place) => {
    const gain = said.values[after][place] - said.values[before][place];
    won += gain > 0;
    lost += gain < 0;
  });
  return `${won} won, ${said.asked.length - won - lost} tied, ${lost} lost`;
}

for (const block of document.querySelectorAll("script.versus-data")) {
  const said = JSON.parse(block.textContent);
  const figure = document.getElementById(block.dataset.for);
  const chosen = { after: said.after, before: said.before };
  const choose = made("div", { class: "choose" });
  const pictures = made("div", { class: "drawn" });
  const caption = figure.querySelector("figcaption").firstChild;
  const output = made("output", { "aria-live": "polite" });
  const draw = () => {
    const tell = (text) => { output.textContent = text; };
    pictures.replaceChildren(bars(said, chosen.before, chosen.after, tell), dots(said, chosen.before, chosen.after, tell));
    const [first, second] = [said.systems[chosen.after], said.systems[chosen.before]];
    caption.textContent = `Query by query: ${first} against ${second}, ${said.collection} `;
    tell(summary(said, chosen.before, chosen.after));
  };
  for (const [side, name] of [["after", "first"], ["before", "second"]]) {
    const select = made("select");
    said.systems.forEach((system, place) => select.append(made("option", { value: place }, system)));
    select.value = chosen[side];
    select.addEventListener("change", () => { chosen[side] = Number(select.value); draw(); });
    const label = made("label", {}, `${name}: `);
    label.append(select);
    choose.append(label);
  }
  const picture = figure.querySelector(".picture");
  picture.hidden = true;
  picture.before(choose, output, pictures);
  draw();
}

addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details.told")) one.open = true;
});

// What every page does: times in the reader's zone, the filter, and what changes by itself. Pages work without it.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

function localiseTimes(root = document) {
  const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" }); // a day is the sources' day
  for (const node of $$("time[datetime]", root)) {
    const at = new Date(node.dateTime);
    node.title = at.toISOString();
    node.textContent = (node.dataset.show === "date" ? date : time).format(at);
  }
  $("#zone").textContent = `Times are in ${new Intl.DateTimeFormat().resolvedOptions().timeZone}.`;
}

function filterRows() {
  const form = $("[data-filter]");
  const rows = $$("#rows > tr");
  if (!form) return;
  const text = form.elements.q.value.trim().toLowerCase();
  const category = form.elements.category.value;
  for (const row of rows) {
    const like = row.dataset.name.toLowerCase().includes(text);
    row.hidden = !(like && (!category || row.dataset.categories.split(" ").includes(category)));
  }
  const none = $(".none");
  if (none) none.hidden = rows.some((row) => !row.hidden);
}

// Replaces the page's content with what the server says now, and keeps what the reader has opened, typed and scrolled to.
export async function refresh(address = location.href) {
  const answer = await fetch(address);
  if (answer.redirected && new URL(answer.url).pathname === "/sign-in") return location.assign(answer.url);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const filter = $("[data-filter]")?.elements;
  const typed = filter && { q: filter.q.value, category: filter.category.value, typing: document.activeElement === filter.q };
  const open = new Set($$("#content details[open]").map((node) => node.id));
  $("#content").replaceWith($("#content", page));
  document.title = page.title;
  if (typed && $("[data-filter]")) {
    const { q, category } = $("[data-filter]").elements;
    [q.value, category.value] = [typed.q, typed.category];
    if (typed.typing) q.focus();
  }
  for (const node of $$("#content details")) node.open = node.open || (node.id !== "" && open.has(node.id));
  ready($("#content"));
  document.dispatchEvent(new CustomEvent("board:refreshed"));
}

// Somebody is typing, or has typed what is not sent yet.
function isBusy() {
  const fields = $$("#content form :is(input, select, textarea)");
  return fields.some((field) => field === document.activeElement || ("defaultValue" in field && field.value !== field.defaultValue));
}

function cell(className, ...content) {
  const made = document.createElement("td");
  made.className = className;
  made.append(...content);
  return made;
}

function span(className, text, title = "") {
  const made = document.createElement("span");
  Object.assign(made, { className, textContent: text });
  if (title) made.title = title;
  return made;
}

// The cells of a row behind its name, as row.html has them.
function cellsOf({ own, others }) {
  const cells = [];
  if (own) {
    const [points, grade, outlook, watch, moved] = own;
    const score = document.createElement("b");
    score.textContent = points;
    cells.push(cell(`own ${grade.toLowerCase()}`, score, " ", span("g", grade)));
    cells.push(cell(`look ${outlook}${watch && " watch"}`, watch ? `${outlook}, watch ${watch}` : outlook));
    cells.push(cell(`num ${moved && (moved.startsWith("+") ? "up" : "down")}`, moved));
  } else {
    cells.push(cell("own nr", "not rated: no ownership data"));
    cells[0].colSpan = 3;
  }
  for (const text of others) {
    const [points, grade, moved] = text.split(" ");
    if (!grade) cells.push(cell("c nr", span("g", points)));
    else cells.push(cell(`c ${grade.toLowerCase()}`, points, span("g", grade), ...(moved ? [span("a", moved.startsWith("+") ? "↑" : "↓", `${moved} points`)] : [])));
  }
  return cells;
}

let labs = "";
function takeRows(message) {
  const columns = message.labs.join(" ");
  const byVendor = new Map($$("#rows > tr").map((row) => [row.dataset.vendor, row]));
  const isNew = Object.entries(message.rows).some(([vendor, { name }]) => byVendor.get(vendor)?.querySelector("th a").textContent !== name);
  if (isNew || (labs && labs !== columns) || $$(".heat thead th").length !== message.labs.length + 3) return refresh();
  labs = columns;
  const movers = $("#movers");
  if (movers && !movers.contains(document.activeElement)) movers.innerHTML = message.movers; // the server's own list, escaped there
  const told = [];
  for (const [vendor, found] of Object.entries(message.rows)) {
    const row = byVendor.get(vendor);
    const [head, ...before] = row.cells;
    const cells = cellsOf(found);
    cells.forEach((one, index) => one.textContent !== before[index]?.textContent && one.classList.add("changed"));
    row.replaceChildren(head, ...cells);
    if (cells[0].classList.contains("changed")) told.push(`${found.name}: ${cells[0].textContent}`);
  }
  if (told.length) $("#said").textContent = `Changed: ${told.slice(0, 5).join(", ")}${told.length > 5 ? " and more" : ""}`;
}

function goLive() {
  const { live, since, vendor } = document.body.dataset;
  if (!live) return;
  let position = since;
  let due = 0;
  const source = new EventSource(`${live}${live.includes("?") ? "&" : "?"}since=${encodeURIComponent(position)}`);
  const state = $("#state");
  source.addEventListener("open", () => state && (state.textContent = "Live."));
  source.addEventListener("error", () => {
    if (state) state.textContent = "Not live: connecting again…";
    if (source.readyState === EventSource.CLOSED) setTimeout(() => refresh().then(goLive), 2000); // signed out, or the board is being started
  });
  source.addEventListener("rows", (event) => {
    position = event.lastEventId;
    document.body.dataset.since = position;
    const message = JSON.parse(event.data);
    if ($("#rows") && !vendor) return takeRows(message);
    if (vendor && !(vendor in message.rows)) return;
    clearTimeout(due);
    due = setTimeout(() => isBusy() || refresh(), vendor ? 0 : 300);
  });
  addEventListener("pagehide", () => source.close());
}

// The date slider: shows the day while it slides, and the scores once it rests.
function slide() {
  const form = $("[data-days]");
  if (!form) return;
  const day = 86_400_000;
  const first = Date.parse(form.dataset.first);
  const range = $("input[type=range]", form);
  const date = $("input[type=date]", form);
  range.closest("label").hidden = false;
  range.max = Math.round((Date.parse(form.dataset.last) - first) / day);
  range.value = Math.round((Date.parse(date.value) - first) / day);
  range.setAttribute("aria-valuetext", date.value);
  let due = 0;
  const show = () => {
    const address = new URL(location.href);
    address.searchParams.set("at", date.value);
    history.replaceState(null, "", address);
    refresh(address.href).then(() => $("[data-days] input[type=range]")?.focus());
  };
  range.addEventListener("input", () => {
    date.value = new Date(first + range.value * day).toISOString().slice(0, 10);
    range.setAttribute("aria-valuetext", date.value);
    clearTimeout(due);
    due = setTimeout(show, 250);
  });
  date.addEventListener("change", () => date.value && show());
}

function ready(root) {
  localiseTimes(root);
  filterRows();
  slide();
  const form = $("[data-filter]");
  if (form) {
    form.elements.q.addEventListener("input", filterRows);
    form.elements.category.addEventListener("change", filterRows);
    form.elements.order.addEventListener("change", () => form.requestSubmit());
  }
  for (const button of $$("[data-print]", root)) button.addEventListener("click", () => print());
}

ready(document);
goLive();

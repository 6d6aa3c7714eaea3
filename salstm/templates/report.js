"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const texts = JSON.parse(document.getElementById("texts").textContent);

  const showProtocol = (name) => {
    for (const part of all("[data-protocol]")) part.hidden = part.dataset.protocol !== name;
    for (const input of all(".toggle input")) input.checked = input.value === name;
  };
  for (const input of all(".toggle input")) {
    input.addEventListener("change", () => {
      showProtocol(input.value);
      history.replaceState(null, "", `?protocol=${input.value}${location.hash}`);
    });
  }

  // One dataset at a time; without this script all of them stand one below the other.
  const parts = all("section.dataset");
  const tabs = all("nav a.tab");
  const showDataset = (part) => {
    for (const one of parts) one.hidden = one !== part;
    const key = part.getAttribute("aria-labelledby");
    for (const tab of tabs) {
      if (tab.hash === `#${key}`) tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
    }
  };
  if (parts.length) showDataset(parts[0]);

  const errors = document.getElementById("errors");
  const showErrors = () => document.body.classList.toggle("errors", errors.checked);
  if (errors) {
    errors.addEventListener("change", showErrors);
    showErrors(); // a browser that comes back to the page keeps the tick
  }

  const value = (row, column) => {
    const cell = row.children[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number.parseFloat(cell.dataset.value);
  };
  const compare = (a, b, sign) => {
    if (typeof a === "string") return sign * a.localeCompare(b, undefined, { numeric: true });
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // holes last, both ways
    return sign * (a - b);
  };
  const sort = (button) => {
    const heading = button.closest("th");
    const table = heading.closest("table");
    const column = Number(heading.dataset.column);
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const rows = all("tbody tr", table);
    rows.sort((a, b) => compare(value(a, column), value(b, column), rising ? 1 : -1));
    for (const row of rows) row.classList.remove("same");
    table.tBodies[0].append(...rows);
  };
  for (const button of all("th button")) button.addEventListener("click", () => sort(button));

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  for (const button of all("button[data-copy]")) {
    button.addEventListener("click", async () => {
      await copy(texts[button.dataset.table][button.dataset.copy]);
      const status = button.parentElement.querySelector("[role=status]");
      status.textContent = `${button.textContent.replace("Copy ", "")} copied`;
      setTimeout(() => { status.textContent = ""; }, 2500);
    });
  }

  for (const input of all("input.filter")) {
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase().split(/\s+/);
      const rows = all("tbody tr", document.getElementById(input.dataset.table));
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word));
      }
      const left = rows.filter((row) => !row.hidden).length;
      const status = document.querySelector(`[data-counts="${input.dataset.table}"]`);
      status.textContent = left < rows.length ? `${left} of ${rows.length} rows` : "";
    });
  }

  // A link into a closed part opens it; a link to the other protocol's table shows that protocol.
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const dataset = target.closest("section.dataset");
    if (dataset) showDataset(dataset);
    const part = target.closest("[data-protocol]");
    if (part) showProtocol(part.dataset.protocol);
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    target.scrollIntoView();
  };
  const asked = new URLSearchParams(location.search).get("protocol");
  const known = all(".toggle input").map((input) => input.value);
  showProtocol(known.includes(asked) ? asked : document.body.dataset.shown);
  window.addEventListener("hashchange", follow);
  // A link that is followed a second time changes no address.
  for (const link of all("a[href^='#']")) link.addEventListener("click", () => { if (link.hash === location.hash) follow(); });
  // On paper everything is open; afterwards what was closed is closed again.
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = all("details:not([open])").filter((box) => !box.closest("td"));
    for (const box of closed) box.open = true;
  });
  window.addEventListener("afterprint", () => { for (const box of closed) box.open = false; });
  follow();
})();

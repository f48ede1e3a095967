// The runs page: rows on demand, live changes, keys, columns that are remembered, names completed.

import { key } from "/assets/app.js";
import { live } from "/assets/live.js";
import { VirtualTable } from "/assets/table.js";

const holder = document.getElementById("runs-data");
const data = holder ? JSON.parse(holder.dataset.table) : null;
const remembered = data && `cvops.runs.${data.experiment}.columns`;

if (data && !recall()) {
  remember();
  begin();
}
columnsPanel();
completion();
const filter = document.getElementById("filter");
key("/", "Filter", () => filter?.focus());

function stored(work) {
  try {
    return work(localStorage);
  } catch {
    // Without storage, or with a damaged one, nothing is remembered.
    return null;
  }
}

/** Columns of the URL come first; without any, those that were chosen last for this experiment. */
function recall() {
  if (data.chosen) return false;
  const columns = stored((s) => JSON.parse(s.getItem(remembered)));
  if (!Array.isArray(columns) || columns.length === 0) return false;
  // The page that they lead to remembers them again, unless it is refused or has none of them.
  stored((s) => s.removeItem(remembered));
  const url = new URL(location.href);
  for (const column of columns) url.searchParams.append("column", column);
  location.replace(url);
  return true;
}

function remember() {
  if (data.chosen) stored((s) => s.setItem(remembered, JSON.stringify(data.columns)));
}

function begin() {
  const table = document.getElementById("runs");
  const count = document.getElementById("runs-count");
  const said = document.getElementById("runs-selected");
  const fresh = document.getElementById("runs-new");
  const query = (pairs) => {
    const all = new URLSearchParams(data.query);
    for (const [name, value] of Object.entries(pairs)) all.append(name, value);
    return all;
  };
  // Behind a page that was reached by a link nobody knows how many rows came before.
  const isWhole = data.offset === 0 && 0 < data.total;
  const rows = isWhole
    ? new VirtualTable(table, {
        total: data.total,
        next: data.next,
        fetchRows: async (at) => {
          const answer = await fetch(`/ajax-api/cvops/runs?${query(at)}`);
          if (!answer.ok) throw new Error(answer.statusText);
          return answer.json();
        },
        onSelect: (ids) => {
          said.textContent = ids.size ? `${ids.size} selected` : "Select runs to compare or change them";
        },
      })
    : null;
  if (!rows) {
    // A first run is shown as soon as it is there.
    if (data.total === 0 && data.offset === 0) {
      live(`/runs/live?${data.query}`, { changed: ({ total }) => 0 < total && location.reload() });
    }
    return;
  }
  document.getElementById("runs-pager").hidden = true;
  key("j", "Next run (Enter opens it)", () => rows.move(1));
  key("k", "Run before", () => rows.move(-1));
  key("x", "Select the run", () => rows.toggle());
  key("o", "Open the run", () => rows.open());

  let mark = null;
  let known = data.total;
  const show = async (total) => {
    fresh.hidden = true;
    const taken = await rows.refresh(total);
    if (taken === false) offer(total, "The list could not be loaded: try again");
    if (!taken) return;
    known = total;
    count.textContent = `${total.toLocaleString("en")} ${total === 1 ? "run" : "runs"}`;
  };
  const offer = (total, text) => {
    fresh.textContent = text;
    fresh.dataset.total = total;
    fresh.hidden = false;
  };
  fresh.addEventListener("click", () => {
    rows.box.scrollTop = 0;
    show(Number(fresh.dataset.total));
  });
  live(`/runs/live?${data.query}`, {
    rows: ({ rows: changed }) => rows.update(changed),
    changed: ({ total, mark: now }) => {
      const isFirst = mark === null;
      const is = mark !== now;
      mark = now;
      if (isFirst && total === known) return;
      if (!is) return;
      // Who reads further down is not disturbed.
      if (rows.isAtTop) {
        show(total);
      } else if (total !== known) {
        const more = total - known;
        offer(total, 0 < more ? `${more.toLocaleString("en")} new: show` : "Runs have gone: show");
      }
    },
  });
}

function columnsPanel() {
  const panel = document.getElementById("columns-panel");
  if (!panel) return;
  document.getElementById("columns-reset").addEventListener("click", () => {
    if (remembered) stored((s) => s.removeItem(remembered));
  });
  const search = document.getElementById("column-search");
  const choices = [...panel.querySelectorAll(".choice")];
  search.hidden = false;
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    for (const choice of choices) choice.hidden = !choice.textContent.toLowerCase().includes(wanted);
  });
  search.addEventListener("keydown", (event) => {
    // Looking for a column is not yet choosing it.
    if (event.key === "Enter") event.preventDefault();
  });
  for (const choice of choices) {
    const box = choice.querySelector("input");
    const up = document.createElement("button");
    up.type = "button";
    up.className = "ghost";
    up.textContent = "↑";
    up.hidden = !box.checked;
    up.setAttribute("aria-label", `Move ${choice.querySelector("label").textContent} to the left`);
    up.addEventListener("click", () => {
      choice.previousElementSibling?.matches(".choice") && choice.previousElementSibling.before(choice);
      up.focus();
    });
    box.addEventListener("change", () => {
      up.hidden = !box.checked;
    });
    choice.append(up);
  }
  for (const one of document.querySelectorAll("details.panel")) {
    one.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        one.open = false;
        one.querySelector("summary").focus();
      }
    });
    document.addEventListener("click", (event) => {
      if (!one.contains(event.target)) one.open = false;
    });
  }
}

/** A browser completes a whole value; here the name that is being written is completed. */
function completion() {
  const input = document.getElementById("filter");
  const list = document.getElementById("filter-names");
  if (!input || !list) return;
  const names = [...list.options].map((option) => option.value);
  input.addEventListener("input", () => {
    const word = /[^\s(]*$/.exec(input.value)[0];
    const before = input.value.slice(0, input.value.length - word.length);
    // A value is being written, not a name.
    if (/(=|<|>|like|in)\s*\(?$/i.test(before)) {
      list.replaceChildren();
      return;
    }
    const fitting = names.filter((name) => name.toLowerCase().includes(word.toLowerCase()));
    list.replaceChildren(
      ...fitting.slice(0, 50).map((name) => {
        const option = document.createElement("option");
        option.value = before + name;
        option.label = name;
        return option;
      }),
    );
  });
}

// A table of very many rows: only those in sight stand in the page, others are fetched when they come
// into sight. The server's own first page is what it begins with. Rows can be selected; a selection
// holds whatever is in sight, and goes with the form that the table stands in.

const PAGE = 100;
// Pages that are remembered: memory is bounded however far somebody scrolls.
const PAGES_KEPT = 24;
// Rows beyond the edge, so that a small movement shows no gap.
const MARGIN = 12;
// Browsers know no higher elements (Firefox: 17.9 million pixels).
const HEIGHT_MAX = 15_000_000;

/** Builds what stands in a cell; texts stay texts. */
export function drawCell(td, cell) {
  td.replaceChildren();
  if (cell === null) {
    const none = document.createElement("span");
    none.className = "none";
    none.setAttribute("aria-label", "none");
    none.textContent = "–";
    td.append(none);
  } else if (cell.links) {
    cell.links.forEach((link, at) => td.append(at ? ", " : "", linkOf(link)));
  } else if (cell.href !== undefined) {
    td.append(linkOf(cell));
  } else if (cell.tone) {
    const chip = document.createElement("span");
    chip.className = `chip ${cell.tone}`;
    const mark = document.createElement("span");
    mark.className = "mark";
    mark.setAttribute("aria-hidden", "true");
    mark.textContent = cell.mark;
    chip.append(mark, " ", cell.text);
    td.append(chip);
  } else if (cell.at) {
    const time = document.createElement("time");
    time.dateTime = cell.at;
    time.title = cell.at;
    time.textContent = cell.text;
    td.append(time);
  } else if (cell.code !== undefined) {
    const code = document.createElement("code");
    code.textContent = cell.code;
    td.append(code);
  } else if (cell.src) {
    const img = document.createElement("img");
    img.className = "thumb";
    img.loading = "lazy";
    img.src = cell.src;
    img.alt = cell.alt;
    td.append(img);
  } else {
    td.append(cell.text);
  }
}

function linkOf({ href, text }) {
  const a = document.createElement("a");
  a.href = href;
  a.textContent = text;
  return a;
}

export class VirtualTable {
  /**
   * `table`: the server's; `fetchRows({after | before | offset})`: promises `{rows, previous, next}`;
   * `total`: how many rows there are; `next`: the place behind the first page; `onSelect(ids)`.
   */
  constructor(table, { fetchRows, total, next, onSelect = () => {} }) {
    this.table = table;
    this.box = table.parentElement;
    this.body = table.tBodies[0];
    this.fetchRows = fetchRows;
    this.onSelect = onSelect;
    this.total = total;
    this.pages = new Map();
    this.waiting = new Map();
    this.placeholders = new Map();
    this.generation = 0;
    this.selected = new Set();
    this.anchor = null;
    this.current = -1;
    this.numbers = [...table.tHead.rows[0].cells].map((th) => th.classList.contains("number"));
    this.begin(next);
  }

  begin(next) {
    const rows = [...this.body.rows].filter((tr) => tr.querySelector("input[name=run]"));
    if (rows.length === 0) return;
    // What the browser found right for the first rows is kept: columns do not jump while one scrolls.
    const heads = [...this.table.tHead.rows[0].cells];
    const widths = heads.map((th) => Math.ceil(th.getBoundingClientRect().width));
    this.rowHeight = 0;
    this.pages.set(0, {
      rows: rows.map((tr) => {
        const box = tr.querySelector("input[name=run]");
        return { id: box.value, name: tr.cells[1].textContent.trim(), tr };
      }),
      next,
      previous: null,
    });
    this.box.classList.add("virtual");
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "region");
    this.box.setAttribute("aria-label", this.table.caption?.textContent ?? "Table");
    heads.forEach((th, at) => {
      th.style.width = `${Math.min(widths[at], 320)}px`;
    });
    this.table.style.tableLayout = "fixed";
    this.table.style.width = "max-content";
    this.table.style.minWidth = "100%";
    this.rowHeight = rows[0].getBoundingClientRect().height || 32;
    this.top = this.spacer();
    this.bottom = this.spacer();
    for (const row of this.pages.get(0).rows) this.wire(row);
    this.selectAll(heads[0]);
    let asked = false;
    this.box.addEventListener(
      "scroll",
      () => {
        if (asked) return;
        asked = true;
        requestAnimationFrame(() => {
          asked = false;
          this.draw();
        });
      },
      { passive: true },
    );
    new ResizeObserver(() => this.draw(true)).observe(this.box);
    this.box.closest("form")?.addEventListener("formdata", ({ formData }) => {
      formData.delete("run");
      for (const id of this.selected) formData.append("run", id);
    });
    this.draw(true);
  }

  spacer() {
    const tr = document.createElement("tr");
    tr.className = "spacer";
    tr.setAttribute("aria-hidden", "true");
    const td = tr.insertCell();
    td.colSpan = this.numbers.length;
    return tr;
  }

  row(index) {
    return this.pages.get(Math.floor(index / PAGE))?.rows[index % PAGE];
  }

  /** Rows that can be shown. */
  get shown() {
    return Math.min(this.total, Math.floor(HEIGHT_MAX / this.rowHeight));
  }

  draw(always = false) {
    if (!this.rowHeight) return;
    const height = this.rowHeight;
    const from = Math.max(0, Math.floor(this.box.scrollTop / height) - MARGIN);
    const count = Math.ceil(this.box.clientHeight / height) + 2 * MARGIN;
    const to = Math.min(this.shown, from + count);
    // A movement within the margin changes nothing.
    if (!always && this.drawn && Math.abs(from - this.drawn[0]) < MARGIN / 2 && to <= this.drawn[1] + MARGIN / 2) {
      return;
    }
    this.drawn = [from, to];
    const rows = [];
    const placeholders = new Map();
    for (let index = from; index < to; index += 1) {
      const row = this.row(index);
      const tr = row ? this.element(row) : (this.placeholders.get(index) ?? this.placeholder());
      if (!row) placeholders.set(index, tr);
      tr.setAttribute("aria-rowindex", index + 2);
      rows.push(tr);
    }
    this.placeholders = placeholders;
    const spacers = [this.top, this.bottom];
    [from, Math.max(0, this.shown - to)].forEach((n, at) => {
      spacers[at].cells[0].style.height = `${n * height}px`;
      spacers[at].hidden = n === 0;
    });
    const focused = document.activeElement;
    this.show(rows);
    if (focused instanceof HTMLElement && this.body.contains(focused)) focused.focus({ preventScroll: true });
    this.table.setAttribute("aria-rowcount", this.total + 1);
    this.fetchIn(from, to);
  }

  /** Puts the rows between the spacers. Those that stay are not touched: a frame costs what is new. */
  show(rows) {
    const kept = new Set(rows).add(this.top).add(this.bottom);
    for (const tr of [...this.body.rows]) if (!kept.has(tr)) tr.remove();
    if (this.top.parentNode !== this.body) this.body.prepend(this.top);
    if (this.bottom.parentNode !== this.body) this.body.append(this.bottom);
    let place = this.top.nextSibling;
    for (const tr of rows) {
      if (tr === place) place = place.nextSibling;
      else this.body.insertBefore(tr, place);
    }
  }

  placeholder() {
    const tr = document.createElement("tr");
    tr.className = "waiting";
    const td = tr.insertCell();
    td.colSpan = this.numbers.length;
    td.textContent = "…";
    return tr;
  }

  element(row) {
    if (!row.tr) {
      const tr = document.createElement("tr");
      const box = document.createElement("input");
      box.type = "checkbox";
      box.name = "run";
      box.value = row.id;
      box.setAttribute("aria-label", `Select ${row.name}`);
      tr.insertCell().append(box);
      row.cells.forEach((cell, at) => {
        const td = tr.insertCell();
        if (this.numbers[at + 1]) td.className = "number";
        drawCell(td, cell);
        if (cell?.text?.length > 24) td.title = cell.text;
      });
      row.tr = tr;
      this.wire(row);
    }
    this.mark(row);
    return row.tr;
  }

  wire(row) {
    row.tr.tabIndex = -1;
    row.tr.addEventListener("click", (event) => {
      const box = event.target.closest("input[name=run]");
      const index = this.indexOf(row.id);
      if (index < 0) return;
      this.current = index;
      if (!box) return;
      if (event.shiftKey && this.anchor !== null) this.selectRange(this.anchor, index, box.checked);
      else this.select(row, box.checked);
      this.anchor = index;
    });
    row.tr.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target === row.tr) row.tr.querySelector("a")?.click();
    });
  }

  indexOf(id) {
    for (const [page, { rows }] of this.pages) {
      const at = rows.findIndex((row) => row.id === id);
      if (0 <= at) return page * PAGE + at;
    }
    return -1;
  }

  mark(row) {
    const is = this.selected.has(row.id);
    row.tr.classList.toggle("selected", is);
    row.tr.setAttribute("aria-selected", is);
    row.tr.querySelector("input[name=run]").checked = is;
  }

  select(row, is) {
    if (is) this.selected.add(row.id);
    else this.selected.delete(row.id);
    if (row.tr) this.mark(row);
    this.onSelect(this.selected);
  }

  /** Rows between that were never in sight are not known, and stay as they are. */
  selectRange(a, b, is) {
    for (let index = Math.min(a, b); index <= Math.max(a, b); index += 1) {
      const row = this.row(index);
      if (row) this.select(row, is);
    }
  }

  selectAll(th) {
    const box = document.createElement("input");
    box.type = "checkbox";
    box.setAttribute("aria-label", "Select the rows in sight");
    box.addEventListener("change", () => {
      const [from, to] = this.drawn ?? [0, 0];
      this.selectRange(from, to - 1, box.checked);
      if (!box.checked) {
        this.selected.clear();
        this.onSelect(this.selected);
        this.draw(true);
      }
    });
    th.append(box);
  }

  /** Moves to another row: by keys. */
  move(by) {
    const index = Math.max(0, Math.min(this.shown - 1, this.current + by));
    this.current = index;
    const { scrollTop, clientHeight } = this.box;
    const head = this.table.tHead.getBoundingClientRect().height;
    const y = index * this.rowHeight;
    if (y < scrollTop) this.box.scrollTop = y;
    else if (scrollTop + clientHeight - head < y + this.rowHeight) {
      this.box.scrollTop = y + this.rowHeight - clientHeight + head;
    }
    this.draw(true);
    this.row(index)?.tr?.focus({ preventScroll: true });
  }

  toggle() {
    const row = this.row(this.current);
    if (row) this.select(row, !this.selected.has(row.id));
  }

  open() {
    this.row(this.current)?.tr?.querySelector("a")?.click();
  }

  /** Fetches what is in sight and not there, a page beside a known one by its place in the order. */
  fetchIn(from, to) {
    for (let page = Math.floor(from / PAGE); page * PAGE < to; page += 1) {
      if (this.pages.has(page) || this.waiting.has(page)) continue;
      this.fetchPage(page);
    }
  }

  async fetchPage(page) {
    const generation = this.generation;
    const before = this.pages.get(page - 1);
    const behind = this.pages.get(page + 1);
    let at = { offset: page * PAGE };
    if (before?.next) at = { after: before.next };
    else if (behind?.previous) at = { before: behind.previous };
    this.waiting.set(page, generation);
    try {
      const found = await this.fetchRows({ ...at, limit: PAGE });
      if (generation !== this.generation) return;
      this.pages.set(page, found);
      this.forget();
    } catch {
      // It is asked for again when it comes into sight again.
      return;
    } finally {
      if (this.waiting.get(page) === generation) this.waiting.delete(page);
    }
    this.draw(true);
  }

  /** Forgets the pages that are farthest away. */
  forget() {
    const here = Math.floor((this.drawn?.[0] ?? 0) / PAGE);
    const far = [...this.pages.keys()].sort((a, b) => Math.abs(b - here) - Math.abs(a - here));
    while (PAGES_KEPT < this.pages.size) this.pages.delete(far.shift());
  }

  /** Redraws rows that have changed, if they are known. */
  update(rows) {
    for (const fresh of rows) {
      const index = this.indexOf(fresh.id);
      if (index < 0) continue;
      const row = this.row(index);
      row.name = fresh.name;
      row.cells = fresh.cells;
      if (row.tr) {
        fresh.cells.forEach((cell, at) => row.tr.cells[at + 1] && drawCell(row.tr.cells[at + 1], cell));
      }
    }
  }

  /**
   * Fetches anew what is in sight; what is there stays until it comes. Promises whether it came:
   * `undefined` if it was asked for again meanwhile.
   */
  async refresh(total) {
    this.generation += 1;
    const generation = this.generation;
    const [from, to] = this.drawn ?? [0, PAGE];
    const first = Math.floor(from / PAGE);
    const last = Math.max(first, Math.floor(Math.max(from, Math.min(to, total) - 1) / PAGE));
    const fresh = new Map();
    try {
      for (let page = first; page <= last; page += 1) {
        const found = await this.fetchRows({ offset: page * PAGE, limit: PAGE });
        if (generation !== this.generation) return undefined;
        fresh.set(page, found);
      }
    } catch {
      if (generation !== this.generation) return undefined;
      // What was under way before was given up: it is asked for again.
      this.draw(true);
      return false;
    }
    this.total = total;
    this.pages = fresh;
    this.waiting.clear();
    this.draw(true);
    return true;
  }

  get isAtTop() {
    return this.box.scrollTop < 3 * this.rowHeight;
  }
}

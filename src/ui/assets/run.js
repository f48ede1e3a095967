// The pages of a run: live values, log and charts; filters of tables; commands to copy; numbers of
// lines. Everything is there without it.

import { html } from "./dom.js";
import { live } from "./live.js";

/** Hides the rows of a table that do not hold the text. */
function filters(part = document) {
  for (const line of part.querySelectorAll("[data-table-filter]")) {
    const input = line.querySelector("input");
    line.hidden = false;
    const hide = () => {
      const wanted = input.value.toLowerCase();
      const rows = document.querySelectorAll(`#${line.dataset.tableFilter} tbody tr`);
      for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    };
    if (!line.dataset.ready) input.addEventListener("input", hide);
    line.dataset.ready = "";
    if (input.value) hide();
  }
}

/** What a reader has touched: it stays when the page takes over what came since. */
const STAYS = "figure.chart[data-chart], [data-chart-controls], form[data-filter], [data-table-filter]";
const idOf = ({ dataset }) => JSON.stringify([dataset.chart, dataset.chartControls, dataset.filter, dataset.tableFilter]);

/** How long a page rests after it has asked for itself, at least; twice as long each time it has to ask again. */
const REST_MS = 1500;
const REST_MAX_MS = 60000;

function copies() {
  if (!navigator.clipboard) return;
  for (const line of document.querySelectorAll("[data-copy]")) {
    const command = line.querySelector("code").textContent;
    const button = html("button", { type: "button", class: "ghost", "aria-label": `Copy ${command}` }, "Copy");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    line.append(button);
  }
}

const MARKS = { plain: "○", good: "✓", bad: "✕", warn: "△", busy: "●" };

function duration(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 60) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)} m ${two(s % 60)} s` : `${Math.floor(s / 3600)} h ${two((s % 3600) / 60)} m`;
}

class Live {
  constructor(head) {
    this.chip = document.getElementById("live-state");
    this.state = document.getElementById("run-state");
    this.took = document.getElementById("run-took");
    this.log = document.getElementById("log");
    /** Metrics that the page as it is now has no row for either: system metrics stand elsewhere. */
    this.missed = new Set();
    this.restMs = REST_MS;
    this.#known();
    this.log?.scrollTo(0, this.log.scrollHeight);
    this.stop = live(
      () => (this.log ? `${head.dataset.live}?log=${this.log.dataset.offset}` : head.dataset.live),
      {
        state: (told) => this.#state(told),
        latest: (told) => this.#latest(told),
        points: (told) => this.#points(told),
        log: (told) => this.#lines(told),
        artifacts: (told) => this.#artifacts(told),
        end: () => this.#end(),
      },
      (state) => this.#connection(state),
    );
    // What was missed while the page was hidden is asked for when it is seen again.
    this.ticking = setInterval(() => this.#tick(), 1000);
  }

  /** Finds the rows of metrics by their names. */
  #known() {
    this.rows = new Map();
    for (const row of document.querySelectorAll("#metrics tbody tr, #system tbody tr")) {
      const [name, value, step] = row.cells;
      // The link is the name, with the blanks that it may have around it.
      const link = name.querySelector("a");
      if (link && step) this.rows.set(link.textContent, { value, step });
    }
  }

  #connection(state) {
    if (this.chip) {
      this.chip.hidden = false;
      this.chip.className = `chip ${state === "live" ? "busy" : "warn"}`;
      this.chip.lastElementChild.textContent = state === "live" ? "live" : "connection lost, trying again";
    }
    this.isNew = state === "live";
  }

  #state({ text, tone, started_ms, took }) {
    // Points are told from the first look on: what came before it is asked for.
    if (this.isNew) this.#charts((chart) => chart.load());
    this.isNew = false;
    this.startedMs = started_ms;
    const mark = html("span", { class: "mark", "aria-hidden": "true" }, MARKS[tone] ?? "");
    this.state?.replaceChildren(html("span", { class: `chip ${tone}` }, mark, ` ${text}`));
    if (took && this.took) {
      this.took.textContent = took;
      clearInterval(this.ticking);
    }
  }

  #tick() {
    if (this.took && this.startedMs && document.visibilityState !== "hidden") this.took.textContent = duration(Date.now() - this.startedMs);
  }

  #latest(metrics) {
    this.told = metrics;
    for (const one of metrics) this.#value(one);
    this.#renew();
  }

  /** Shows a value, if there is a row for it. */
  #value({ name, text, step }) {
    const row = this.rows.get(name);
    if (row && row.value.textContent !== text) row.value.textContent = text;
    if (row) row.step.textContent = step;
  }

  /** The metrics that were told, have no row, and were not asked for yet. */
  #lacking() {
    const names = (this.told ?? []).map(({ name }) => name);
    return names.filter((name) => !this.rows.has(name) && !this.missed.has(name));
  }

  /** Brings the rows that are lacking, and rests; while the run goes on. */
  async #renew() {
    const old = document.getElementById("live-metrics");
    const lacking = this.#lacking();
    if (this.ended || this.renewing || !old || !lacking.length) return;
    this.renewing = true;
    if (await this.#takeOver(old)) for (const name of lacking) if (!this.rows.has(name)) this.missed.add(name);
    setTimeout(() => {
      this.renewing = false;
      this.restMs = this.#lacking().length ? Math.min(2 * this.restMs, REST_MAX_MS) : REST_MS;
      this.#renew();
    }, this.restMs);
  }

  /**
   * Asks for the page as it is now, and takes over metrics that have begun since, with their charts;
   * returns whether that went well.
   */
  async #takeOver(old) {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok) return false;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("live-metrics");
      if (!found) return false;
      const charts = document.querySelector("script[src*='chart.js']") ? await import("./chart.js") : undefined;
      const fresh = document.importNode(found, true);
      const focused = document.activeElement;
      const known = new Map([...old.querySelectorAll(STAYS)].map((node) => [idOf(node), node]));
      for (const node of fresh.querySelectorAll(STAYS)) {
        const kept = known.get(idOf(node));
        if (kept) node.replaceWith(kept);
      }
      charts?.release(old);
      old.replaceWith(fresh);
      charts?.enhance(fresh);
      if (fresh.contains(focused)) focused.focus({ preventScroll: true });
      filters(fresh);
      this.#known();
      // What was told meanwhile.
      if (this.told) for (const one of this.told) this.#value(one);
      return true;
    } catch {
      // The server is away.
      return false;
    }
  }

  /** Calls with each chart of the page; the module is there only where charts are. */
  async #charts(each) {
    const figures = document.querySelectorAll("figure.chart[data-chart]");
    if (!figures.length) return;
    const { chartOf } = await import("./chart.js");
    for (const figure of figures) {
      const chart = chartOf(figure);
      if (chart) each(chart, new URLSearchParams(figure.dataset.chart.split("?")[1]).getAll("key"));
    }
  }

  #points({ run, name, started_ms, series }) {
    const places = { step: (step) => step, time: (_, at) => (at - started_ms) / 1000, wall: (_, at) => at };
    const by = new Map(series.map((one) => [one.key, one.points]));
    this.#charts((chart, keys) => {
      const place = places[chart.kind] ?? places.step;
      const told = keys
        .filter((key) => by.has(key))
        .map((key) => ({
          run,
          key,
          name: keys.length === 1 ? name : key,
          points: by.get(key).map(([step, at, value]) => [place(step, at), value]),
        }));
      if (told.length) chart.append(told);
    });
  }

  #lines({ lines, offset }) {
    if (!this.log) return;
    this.log.dataset.offset = offset;
    const max = Number(this.log.dataset.linesMax) || 2000;
    const atEnd = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 40;
    for (const line of lines.slice(-max)) this.log.append(html("span", { class: "line" }, `${line}\n`));
    while (this.log.childElementCount > max) this.log.firstElementChild.remove();
    if (atEnd) this.log.scrollTo(0, this.log.scrollHeight);
  }

  #artifacts() {
    const place = document.getElementById("new-artifacts");
    if (!place) return;
    place.hidden = false;
    place.replaceChildren("The artifacts have changed. ", html("a", { href: location.href }, "Show them"));
  }

  #say(text) {
    if (!this.note) {
      this.note = html("p", { class: "notice", role: "status" });
      document.querySelector(".run-head").after(this.note);
    }
    this.note.replaceChildren(`${text} `, html("a", { href: location.href }, "Load it again"));
  }

  #end() {
    this.ended = true;
    this.stop();
    // Clients may log points with earlier times, which are not told.
    this.#charts((chart) => chart.load());
    clearInterval(this.ticking);
    if (this.chip) this.chip.hidden = true;
    this.#say("The run has ended; its record is complete now.");
  }
}

filters();
copies();
const head = document.querySelector(".run-head[data-live]");
if (head) new Live(head);
const log = document.querySelector("pre.log");
if (log && !head) log.scrollTo(0, log.scrollHeight);

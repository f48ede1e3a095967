// Brings the line charts of a page to life: `<figure class="chart" data-chart="URL of series">`.
//
// What the server drew stays until the series are there, and without this script. A figure may say:
// data-title, data-y (title of the vertical axis), data-x (step, time or wall), data-axes (which of
// them there are; default all, empty for data with one axis of its own, named by data-x-title),
// data-group (charts of one group share zoom, cursor and controls). The URL answers
// {"x": "step", "series": [{"run", "name", "key", "points": […], "total"}]}; it is asked again with
// x, from, to and points. New points come by `chartOf(figure).append(series)`.

import { Controls, SHAPES, colour, dashes, keysOf, pressed } from "./controls.js";
import { html, save, standalone, svg } from "./dom.js";
import { AXES, Scale, finite, nearest, valueText } from "./scale.js";
import { Series, View } from "./series.js";

const READ_MAX = 12;
const px = (value) => Math.round(value * 100) / 100;

const charts = new WeakMap();
let count = 0;

/** The chart of a figure. */
export const chartOf = (figure) => charts.get(figure);

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.id = `chart-area-${(count += 1)}`;
    this.view = View.of(figure.dataset.group ?? "");
    this.title = figure.dataset.title || figure.querySelector("title")?.textContent || "chart";
    this.axes = (figure.dataset.axes ?? "step time wall").split(" ").filter(Boolean);
    this.series = [];
    this.view.charts.push(this);
    this.view.controls ??= new Controls(this.view, figure);
    this.view.controls.offer(this.axes);
    // Only charts in sight ask the server: a run may have hundreds.
    const seen = (entries) => this.#see(entries.some((entry) => entry.isIntersecting));
    this.observers = [new IntersectionObserver(seen, { rootMargin: "200px" }), new ResizeObserver(() => this.draw())];
    for (const observer of this.observers) observer.observe(figure);
  }

  /** Lets go of everything that would keep it: its figure leaves the page. */
  destroy() {
    for (const observer of this.observers) observer.disconnect();
    this.request?.abort();
    cancelAnimationFrame(this.drawing);
    this.isSeen = false;
    this.view.charts = this.view.charts.filter((chart) => chart !== this);
    this.view.controls.legend();
    charts.delete(this.figure);
  }

  get kind() {
    return this.axes.length ? this.view.x ?? this.figure.dataset.x ?? "step" : "step";
  }

  get axis() {
    const own = this.figure.dataset.xTitle;
    return own ? { title: own, read: (x) => `${own} ${valueText(x)}` } : AXES[this.kind];
  }

  get shown() {
    return this.series.filter((series) => !this.view.off.has(series.name));
  }

  get isLog() {
    return this.view.log.has(this.title);
  }

  #see(isSeen) {
    this.isSeen = isSeen;
    if (isSeen && this.isStale !== false) this.load();
    else if (isSeen) this.draw();
  }

  /** Asks the server for what the view shows. */
  async load() {
    this.isStale = true;
    if (!this.isSeen) return;
    this.isStale = false;
    this.request?.abort();
    const request = (this.request = new AbortController());
    const url = new URL(this.figure.dataset.chart, location.href);
    if (this.axes.length) url.searchParams.set("x", this.kind);
    let points = Math.max(200, this.figure.clientWidth || 600);
    if (this.view.isZoomed && this.view.smooth) {
      // What is smoothed has a past: a curve must not change because one looks closer.
      const { from, to } = this.view;
      const start = Math.min(from, ...this.series.map((series) => series.x[0] ?? from));
      url.searchParams.set("to", to);
      points *= (to - start) / (to - from);
    } else if (this.view.isZoomed) {
      // With the points just outside curves reach the edges.
      const below = (x) => this.series.map((series) => series.x.findLast((one) => one <= x) ?? x);
      const above = (x) => this.series.map((series) => series.x.find((one) => one >= x) ?? x);
      url.searchParams.set("from", Math.min(this.view.from, ...below(this.view.from)));
      url.searchParams.set("to", Math.max(this.view.to, ...above(this.view.to)));
    }
    url.searchParams.set("points", Math.round(Math.min(2000, points)));
    try {
      const answer = await fetch(url, { signal: request.signal, headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const told = await answer.json();
      if (!request.signal.aborted) this.take(told.series);
    } catch (error) {
      if (request.signal.aborted) return;
      this.isStale = true;
      this.#say(`This chart could not be loaded: ${error.message}.`);
    }
  }

  #say(text) {
    this.note ??= this.figure.appendChild(html("p", { class: "chart-note", role: "status" }));
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  take(told) {
    this.series = told.map((one) => new Series(one, this.view));
    this.#say("");
    if (!this.plot) this.#build();
    this.#legend();
    this.draw();
    this.figure.dataset.ready = "";
  }

  /** Adds points that have come since; series that are new are added too. */
  append(told) {
    for (const one of told) {
      const known = this.series.find((series) => series.run === (one.run ?? "") && series.key === (one.key ?? ""));
      if (known) {
        known.append(one.points);
      } else {
        this.series.push(new Series(one, this.view));
      }
      if (!known && this.plot) this.#legend();
    }
    if (!this.plot && this.isSeen && this.series.length) this.take(told);
    this.drawing ??= requestAnimationFrame(() => {
      this.drawing = undefined;
      if (this.isSeen) this.draw();
    });
  }

  #build() {
    const drawn = this.figure.querySelector("svg");
    this.svg = svg("svg", { class: "cvops-svg cvops-line", role: "img" });
    this.head = svg("title", {}, this.title);
    this.area = svg("g");
    this.over = svg("g", { class: "over" });
    this.read = html("output", { class: "chart-readout", hidden: true });
    this.plot = html(
      "div",
      {
        class: "chart-plot",
        tabindex: "0",
        role: "group",
        "aria-label": `${this.title}. Arrow keys read values, plus and minus zoom, Escape shows all.`,
        keydown: (event) => this.#key(event),
        pointerdown: (event) => this.#down(event),
        pointermove: (event) => this.#move(event),
        pointerup: (event) => this.#up(event),
        pointercancel: (event) => this.#up(event),
        pointerleave: () => !this.drag && this.view.point(undefined, this),
        blur: () => this.view.point(undefined, this),
        dblclick: () => this.view.set({ from: undefined, to: undefined }),
        wheel: (event) => this.#wheel(event),
      },
      this.svg,
      this.read,
    );
    this.svg.append(this.head, this.area, this.over);
    this.keys = html("ul", { class: "chart-legend", "aria-label": "Curves" });
    const tools = html(
      "div",
      { class: "chart-tools" },
      (this.logButton = html("button", { type: "button", click: () => this.view.toggle("log", this.title) }, "Log")),
      ...["SVG", "PNG", "CSV"].map((format) =>
        html("button", { type: "button", "aria-label": `Save as ${format}`, click: () => this.save(format) }, format),
      ),
      html("button", { type: "button", "aria-label": "Full screen", click: () => this.#fullScreen() }, "⤢"),
    );
    const heading = html("div", { class: "chart-head" }, html("span", { class: "chart-title" }, this.title), tools);
    const box = drawn?.parentElement === this.figure || !drawn ? drawn : drawn.parentElement;
    if (box) box.replaceWith(heading, this.keys, this.plot);
    else this.figure.prepend(heading, this.keys, this.plot);
  }

  #fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.figure.requestFullscreen?.().catch(() => this.#say("This browser does not show charts on the full screen."));
  }

  #legend() {
    const names = this.series.map((series) => series.name);
    this.keys.hidden = names.length < 2;
    this.keys.replaceChildren(...keysOf(this.view, names));
    this.view.controls.legend();
  }

  /** Draws everything anew; cheap enough for each move of a slider. */
  draw() {
    if (!this.plot || !this.isSeen) return;
    const isFull = document.fullscreenElement === this.figure;
    const width = Math.max(240, this.plot.clientWidth || 600);
    const height = isFull ? Math.max(240, innerHeight - 180) : 250;
    const { from, to, smooth } = this.view;
    const shown = this.shown;
    const inside = (x) => from === undefined || (x >= from && x <= to);
    let [x0, x1, y0, y1, whole] = [Infinity, -Infinity, Infinity, -Infinity, true];
    for (const series of shown) {
      const curve = series.smooth(smooth);
      series.x.forEach((x, i) => {
        if (!inside(x)) return;
        x0 = Math.min(x0, x);
        x1 = Math.max(x1, x);
        whole &&= Number.isInteger(x);
        // Smoothed curves set the scale: a spike must not flatten what one wants to see.
        for (const y of smooth ? [curve[i]] : [series.low[i], series.y[i], series.high[i]]) {
          if (!finite(y) || (this.isLog && y <= 0)) continue;
          y0 = Math.min(y0, y);
          y1 = Math.max(y1, y);
        }
      });
    }
    this.x = from === undefined ? new Scale(x0, x1) : new Scale(from, to);
    this.y = new Scale(y0, y1, this.isLog).rounded(5);
    const yTicks = this.y.ticks(5);
    const left = 14 + 6.4 * Math.max(3, ...yTicks.map((tick) => tick[1].length));
    this.box = { left, top: this.figure.dataset.y ? 26 : 10, right: width - 14, bottom: height - 40 };
    this.size = { width, height };
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) this.svg.setAttribute(name, value);
    this.area.replaceChildren(...this.#frame(yTicks, whole), ...this.#curves(shown));
    if (!finite(x0) || !finite(y0)) this.area.append(this.#text(left + (width - left) / 2, height / 2, "m muted", "no data"));
    this.logButton.setAttribute("aria-pressed", String(this.isLog));
    pressed(this.keys, this.view);
    this.stops = this.#stops();
    this.#missing(shown);
    this.cursorAt(this.cursor, false);
  }

  /** Says what is not in the picture. */
  #missing(shown) {
    const count = (test) => shown.reduce((sum, series) => sum + series.y.filter(test).length, 0);
    const parts = [];
    const none = count((y) => !finite(y)) + shown.reduce((sum, series) => sum + series.strange, 0);
    const below = this.isLog ? count((y) => y <= 0) : 0;
    if (none) parts.push(`${none} ${none === 1 ? "value is" : "values are"} not a number`);
    if (below) parts.push(`${below} up to 0 cannot be shown on a logarithmic axis`);
    const isAtOnce = shown.some(({ x }) => x.length > 1 && x[0] === x.at(-1));
    if (isAtOnce && this.axes.length && this.kind !== "step") parts.push("values that were read all at once have one time");
    this.#say(parts.length ? `${parts.join("; ")}.` : "");
  }

  #text = (x, y, names, text) => svg("text", { class: `${names} small`, x: px(x), y: px(y) }, text);

  #frame(yTicks, whole) {
    const { left, top, right, bottom } = this.box;
    const parts = [];
    if (this.figure.dataset.y) parts.push(this.#text(8, 14, "s muted", this.figure.dataset.y));
    for (const [value, text] of yTicks) {
      const y = this.#down01(this.y.at(value));
      parts.push(svg("path", { class: "grid", d: `M${px(left)} ${px(y)}H${right}` }), this.#text(left - 7, y + 4, "e muted", text));
    }
    parts.push(svg("path", { class: "axis", d: `M${px(left)} ${bottom}H${right}` }));
    const wanted = Math.max(2, Math.floor((right - left) / 90));
    const kind = this.figure.dataset.xTitle ? "step" : this.kind;
    let end = -Infinity;
    for (const [value, text] of this.x.ticks(wanted, kind, whole && !this.view.isZoomed)) {
      const x = this.#right01(this.x.at(value));
      const half = text.length * 3.2;
      parts.push(svg("path", { class: "axis", d: `M${px(x)} ${bottom}v4` }));
      if (x - half < end + 8 || x + half > this.size.width) continue;
      end = x + half;
      parts.push(this.#text(x, bottom + 16, "m muted", text));
    }
    parts.push(this.#text((left + right) / 2, bottom + 33, "m muted", this.axis.title));
    return parts;
  }

  #right01 = (share) => this.box.left + share * (this.box.right - this.box.left);
  #down01 = (share) => this.box.top + (1 - share) * (this.box.bottom - this.box.top);

  #curves(shown) {
    // Curves may leave the area when zoomed.
    const { left, top, right, bottom } = this.box;
    const area = svg("rect", { x: px(left - 4), y: top - 5, width: px(right - left + 8), height: bottom - top + 10 });
    const clip = svg("g", { "clip-path": `url(#${this.id})` });
    const { smooth } = this.view;
    for (const series of shown) {
      const place = (ys) => series.x.map((x, i) => [this.#right01(this.x.at(x)), this.#down01(this.y.at(ys[i]))]);
      const c = colour(series.index);
      if (series.spreads) {
        const [low, high] = [place(series.low), place(series.high)];
        clip.append(svg("path", { class: `band fill-c${c}`, d: areaPath(low, high) }));
      }
      if (smooth) clip.append(svg("path", { class: `line raw stroke-c${c}`, d: linePath(place(series.y)) }));
      const curve = place(series.smooth(smooth));
      const attributes = { class: `line curve stroke-c${c}`, "data-name": series.name, d: linePath(curve) };
      clip.append(svg("path", { ...attributes, "stroke-dasharray": dashes(series.index) }));
      const seen = curve.filter(([x, y]) => finite(y) && x >= left - 1 && x <= right + 1);
      const stride = this.series.length > 1 ? Math.ceil(seen.length / 6) : seen.length > 40 ? Infinity : 1;
      for (let i = finite(stride) ? series.index % stride : seen.length; i < seen.length; i += stride) {
        clip.append(this.#symbol(series, ...seen[i]));
      }
    }
    return [svg("clipPath", { id: this.id }, area), clip];
  }

  #symbol(series, x, y) {
    const shape = this.series.length > 1 ? SHAPES[series.index % 8] : "M-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0z";
    return svg("path", { class: `symbol fill-c${colour(series.index)}`, transform: `translate(${px(x)} ${px(y)})`, d: shape });
  }

  /** Shows the values nearest to `x` of all curves; only the chart that is pointed at lists them. */
  cursorAt(x, isHere) {
    this.cursor = x;
    if (!this.plot || !this.box) return;
    // Between two places with values the nearer one is read.
    if (x !== undefined && this.stops.length) x = this.stops[nearest(this.stops, x)];
    const share = x === undefined ? NaN : this.x.at(x);
    if (!(share >= -0.001 && share <= 1.001)) {
      this.over.replaceChildren(...(this.drag ? [this.#selection()] : []));
      this.read.hidden = true;
      return;
    }
    const { top, bottom } = this.box;
    const at = this.#right01(share);
    const rows = this.shown
      .filter((series) => series.x.length)
      .map((series) => {
        const i = nearest(series.x, x);
        return { series, i, y: series.smooth(this.view.smooth)[i] };
      })
      .sort((a, b) => (finite(b.y) ? b.y : -Infinity) - (finite(a.y) ? a.y : -Infinity));
    this.over.replaceChildren(
      svg("path", { class: "axis", d: `M${px(at)} ${top}V${bottom}` }),
      ...rows
        .map(({ series, i, y }) => [series, this.#right01(this.x.at(series.x[i])), this.#down01(this.y.at(y))])
        .filter(([, sx, sy]) => finite(sy) && sx >= this.box.left - 1 && sx <= this.box.right + 1)
        .map((place) => this.#symbol(...place)),
      ...(this.drag ? [this.#selection()] : []),
    );
    if (isHere) this.#readOut(x, at, rows);
    else this.read.hidden = true;
  }

  #readOut(x, at, rows) {
    const lines = rows.slice(0, READ_MAX).map(({ series, i, y }) => {
      const spread = series.spreads && !this.view.smooth ? ` (${valueText(series.low[i])} to ${valueText(series.high[i])})` : "";
      const elsewhere = series.x[i] === x ? "" : ` (${this.axis.read(series.x[i])})`;
      return html(
        "tr",
        {},
        html("td", {}, svg("svg", { class: "cvops-svg chart-key", width: 12, height: 12, viewBox: "-6 -6 12 12", "aria-hidden": "true" }, this.#symbol(series, 0, 0))),
        html("th", { scope: "row" }, series.name),
        html("td", { class: "r" }, valueText(y) + spread + (rows.length > 1 ? elsewhere : "")),
      );
    });
    const more = rows.length - lines.length;
    this.read.replaceChildren(
      html("strong", {}, this.axis.read(x)),
      html("table", {}, html("tbody", {}, lines)),
      ...(more > 0 ? [html("span", {}, `and ${more} more`)] : []),
    );
    this.read.hidden = false;
    const isRight = at > this.size.width / 2;
    this.read.style.left = isRight ? "auto" : `${px(at + 14)}px`;
    this.read.style.right = isRight ? `${px(this.size.width - at + 14)}px` : "auto";
  }

  /** The places along x where there is a value. */
  #stops() {
    const all = new Set();
    for (const series of this.shown) for (const x of series.x) if (this.x.at(x) >= 0 && this.x.at(x) <= 1) all.add(x);
    return [...all].sort((a, b) => a - b);
  }

  #key(event) {
    const { stops } = this;
    const last = stops.length - 1;
    const now = this.cursor === undefined ? -1 : nearest(stops, this.cursor);
    const step = event.shiftKey ? 10 : 1;
    const goes = { ArrowRight: now + step, ArrowLeft: now < 0 ? last : now - step, Home: 0, End: last };
    if (event.key in goes && last >= 0 && !event.altKey && !event.ctrlKey && !event.metaKey) {
      this.view.point(stops[Math.min(last, Math.max(0, goes[event.key]))], this);
    } else if (event.key === "+" || event.key === "-") {
      this.#zoom(this.cursor ?? this.x.of(0.5), event.key === "+" ? 0.5 : 2);
    } else if (event.key === "Escape" && this.view.isZoomed) {
      this.view.set({ from: undefined, to: undefined });
    } else {
      return;
    }
    event.preventDefault();
  }

  #zoom(about, factor) {
    const { low, high } = this.x;
    const [from, to] = [about - (about - low) * factor, about + (high - about) * factor];
    if (to - from > Math.max(Math.abs(from), Math.abs(to)) * 1e-9) this.view.set({ from, to });
  }

  #at(event) {
    const across = event.clientX - this.svg.getBoundingClientRect().left;
    const share = (across - this.box.left) / (this.box.right - this.box.left);
    return this.x.of(Math.min(1, Math.max(0, share)));
  }

  #down(event) {
    if (event.button !== 0) return;
    this.pointers ??= new Map();
    this.pointers.set(event.pointerId, event.clientX);
    if (event.pointerType === "touch") {
      if (this.pointers.size === 2) this.pinch = [...this.pointers.keys()].map((id) => this.#at({ clientX: this.pointers.get(id) }));
      return;
    }
    this.plot.setPointerCapture(event.pointerId);
    this.drag = [this.#at(event), this.#at(event)];
  }

  #move(event) {
    if (!this.box) return;
    if (this.pinch && this.pointers.has(event.pointerId)) {
      this.pointers.set(event.pointerId, event.clientX);
      return this.#pinched();
    }
    const x = this.#at(event);
    if (this.drag) this.drag[1] = x;
    this.view.point(x, this);
  }

  /** Zooms so that the values that two fingers took hold of stay under them. */
  #pinched() {
    const left = this.svg.getBoundingClientRect().left + this.box.left;
    const [a, b] = [...this.pointers.values()].map((x) => (x - left) / (this.box.right - this.box.left));
    const scale = (this.pinch[1] - this.pinch[0]) / (b - a);
    const from = this.pinch[0] - a * scale;
    if (finite(scale) && scale > 0) this.view.set({ from, to: from + scale });
  }

  #up(event) {
    this.pointers?.delete(event.pointerId);
    if (this.pinch) this.pinch = undefined;
    if (!this.drag) return;
    const [from, to] = this.drag.sort((a, b) => a - b);
    this.drag = undefined;
    // A hand that trembles on a click has not chosen a range.
    if (event.type === "pointerup" && this.x.at(to) - this.x.at(from) > 0.01) this.view.set({ from, to });
    else this.draw();
  }

  #selection() {
    const [from, to] = this.drag.map((x) => this.#right01(this.x.at(x))).sort((a, b) => a - b);
    const { top, bottom } = this.box;
    return svg("rect", { class: "selection fill-c0", x: px(from), y: top, width: px(to - from), height: bottom - top });
  }

  /** A wheel scrolls the page, as everywhere; with Ctrl, or by two fingers on a pad, it zooms. */
  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey && document.fullscreenElement !== this.figure) return;
    event.preventDefault();
    this.#zoom(this.#at(event), Math.exp(Math.max(-1, Math.min(1, event.deltaY / 100)) * 0.4));
  }

  async save(format) {
    const name = this.title.replace(/[^\p{L}\p{N}._-]+/gu, "_");
    if (format === "CSV") return save(`${name}.csv`, new Blob([this.#csv()], { type: "text/csv" }));
    const [text, width, height] = this.#whole();
    const drawing = new Blob([text], { type: "image/svg+xml" });
    if (format === "SVG") return save(`${name}.svg`, drawing);
    const url = URL.createObjectURL(drawing);
    const picture = new Image();
    picture.src = url;
    await picture.decode();
    URL.revokeObjectURL(url);
    const canvas = html("canvas", { width: 2 * width, height: 2 * height });
    const pen = canvas.getContext("2d");
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => save(`${name}.png`, blob));
  }

  /** The chart as a file: with its title, its legend, and paper below. Returns text and size. */
  #whole() {
    const { width } = this.size;
    const entries = [];
    let [x, y] = [10, 42];
    for (const series of this.shown.length > 1 ? this.shown : []) {
      const room = 40 + 6.6 * series.name.length;
      if (x > 10 && x + room > width) [x, y] = [10, y + 17];
      entries.push(this.#symbol(series, x + 6, y - 4), svg("text", { class: "s", x: x + 16, y }, series.name));
      x += room;
    }
    const top = entries.length ? y + 12 : 34;
    const lift = `translate(0 ${-top})`;
    const paper = svg("rect", { class: "fill-paper", y: -top, width, height: this.size.height + top });
    const head = svg("g", { transform: lift }, svg("text", { class: "s title", x: 10, y: 22 }, this.title), ...entries);
    this.svg.prepend(paper);
    this.svg.append(head);
    this.svg.setAttribute("viewBox", `0 ${-top} ${width} ${this.size.height + top}`);
    this.svg.setAttribute("height", this.size.height + top);
    const text = standalone(this.svg);
    paper.remove();
    head.remove();
    this.draw();
    return [text, width, this.size.height + top];
  }

  #csv() {
    const cell = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
    // As in the server's files: a text that a spreadsheet would take for a formula (it begins with =, +, -, @, a tab
    // or a carriage return, and is no plain number) has a ' before it.
    const plain = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
    const named = (value) => cell(/^[=+\-@\t\r]/.test(value) && !plain.test(value) ? `'${value}` : value);
    const rows = [["series", "run", "key", this.kind, "low", "value", "high"].join(",")];
    for (const { name, run, key, x, y, low, high } of this.shown) {
      x.forEach((at, i) => rows.push([named(name), named(run), named(key), at, low[i], y[i], high[i]].join(",")));
    }
    return `${rows.join("\r\n")}\r\n`;
  }
}

function linePath(places) {
  let [path, joined] = ["", false];
  for (const [x, y] of places) {
    if (finite(y)) path += `${joined ? "L" : "M"}${px(x)} ${px(y)}${joined ? "" : "h0"}`;
    joined = finite(y);
  }
  return path;
}

function areaPath(low, high) {
  let path = "";
  for (let i = 0; i < low.length; ) {
    let end = i;
    while (end < low.length && finite(low[end][1]) && finite(high[end][1])) end++;
    const piece = [...low.slice(i, end), ...high.slice(i, end).reverse()];
    if (end > i + 1) path += `M${piece.map(([x, y]) => `${px(x)} ${px(y)}`).join("L")}Z`;
    i = end + 1;
  }
  return path;
}

/** Brings the charts within a part of the page to life. */
export function enhance(part = document) {
  for (const figure of part.querySelectorAll("figure.chart[data-chart]")) {
    if (!charts.has(figure)) charts.set(figure, new Chart(figure));
  }
}

/** Ends the charts within a part of the page that is about to be replaced. */
export function release(part) {
  for (const figure of part.querySelectorAll("figure.chart[data-chart]")) charts.get(figure)?.destroy();
}

enhance();

// The series of a chart: what the server sends, what is added live, and what is kept of it.

import { finite, smoothed } from "./scale.js";

/** More points than this are more than a screen has columns; the oldest neighbours are joined. */
const POINTS_MAX = 4000;

const num = (value) => (value === null || value === undefined ? NaN : Number(value));

/** One curve: its name, and for each point x, y and the least and greatest of what y stands for. */
export class Series {
  constructor(told, view) {
    this.run = told.run ?? "";
    this.key = told.key ?? "";
    this.name = told.name || told.run || told.key || "";
    this.index = view.indexOf(this.name);
    this.total = told.total ?? told.points.length;
    this.x = [];
    this.y = [];
    this.low = [];
    this.high = [];
    this.isBand = told.points.some((point) => point.length === 4);
    this.strange = told.sampled ? told.not_numbers ?? 0 : 0;
    this.add(told.points);
  }

  /** Adds points that come live; what is told twice, as after a broken connection, counts once. */
  append(points) {
    const last = this.x.at(-1) ?? -Infinity;
    const fresh = points.filter((point) => num(point[0]) > last);
    this.total += fresh.length;
    this.add(fresh);
  }

  /** Adds points `[x, y]`, `[x, low, y, high]` or `[x, least, greatest, last, count]`. */
  add(points) {
    for (const point of points) {
      const x = num(point[0]);
      if (!finite(x)) continue;
      const [low, y, high] =
        point.length === 2 ? [point[1], point[1], point[1]] : point.length === 4 ? point.slice(1) : [point[1], point[3], point[2]];
      this.x.push(x);
      this.y.push(num(y));
      this.low.push(num(low));
      this.high.push(num(high));
    }
    if (this.x.length > POINTS_MAX) this.#thin();
    this.curve = undefined;
  }

  /** Joins neighbours: half the points, the same extremes. */
  #thin() {
    const pairs = (list, join) => {
      const kept = [];
      for (let i = 0; i < list.length; i += 2) kept.push(i + 1 < list.length ? join(list[i], list[i + 1]) : list[i]);
      return kept;
    };
    const known = (join) => (a, b) => (finite(a) ? (finite(b) ? join(a, b) : a) : b);
    this.low = pairs(this.low, known(Math.min));
    this.high = pairs(this.high, known(Math.max));
    this.x = pairs(this.x, (_, b) => b);
    this.y = pairs(this.y, (a, b) => (finite(b) ? b : a));
  }

  /** The curve to draw at this weight of smoothing. */
  smooth(weight) {
    if (!weight) return this.y;
    if (this.curve?.weight !== weight) this.curve = { weight, y: smoothed(this.y, weight) };
    return this.curve.y;
  }

  get spreads() {
    return this.isBand || this.low.some((low, i) => low < this.high[i]);
  }
}

/** What the charts of one group on a page have in common; kept in the page's address. */
export class View {
  static #all = new Map();

  static of(group) {
    if (!View.#all.has(group)) View.#all.set(group, new View(group));
    return View.#all.get(group);
  }

  constructor(group) {
    this.prefix = group ? `${group}.` : "";
    this.charts = [];
    this.names = new Map();
    const query = new URLSearchParams(location.search);
    const get = (name) => query.get(this.prefix + name);
    const number = (name) => (get(name) === null || !finite(Number(get(name))) ? undefined : Number(get(name)));
    this.x = ["step", "time", "wall"].includes(get("over")) ? get("over") : undefined;
    this.smooth = Math.min(0.99, Math.max(0, number("smooth") ?? 0));
    [this.from, this.to] = [number("from"), number("to")];
    if (!(this.from < this.to)) this.from = this.to = undefined;
    this.log = new Set(query.getAll(`${this.prefix}log`));
    this.off = new Set(query.getAll(`${this.prefix}off`));
  }

  /** A curve of one name has one colour and shape in all charts. */
  indexOf(name) {
    if (!this.names.has(name)) this.names.set(name, this.names.size);
    return this.names.get(name);
  }

  get isZoomed() {
    return this.from !== undefined;
  }

  /** Changes the view, its address, and all charts that share it. */
  set(changes) {
    const hadPast = Boolean(this.smooth);
    Object.assign(this, changes);
    const url = new URL(location.href);
    const put = (name, values) => {
      url.searchParams.delete(this.prefix + name);
      for (const value of values) url.searchParams.append(this.prefix + name, value);
    };
    put("over", this.x ? [this.x] : []);
    put("smooth", this.smooth ? [this.smooth] : []);
    put("from", this.isZoomed ? [this.from] : []);
    put("to", this.isZoomed ? [this.to] : []);
    put("log", this.log);
    put("off", this.off);
    history.replaceState(history.state, "", url);
    const again = "x" in changes || "from" in changes || (this.isZoomed && hadPast !== Boolean(this.smooth));
    for (const chart of this.charts) {
      if (again) chart.load();
      chart.draw();
    }
    this.controls?.sync();
  }

  toggle(which, name) {
    const changed = new Set(this[which]);
    if (!changed.delete(name)) changed.add(name);
    this.set({ [which]: changed });
  }

  /** Shows where the reader is, in all charts. */
  point(x, from) {
    for (const chart of this.charts) chart.cursorAt(x, chart === from);
  }
}

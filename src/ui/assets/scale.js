// Axes: where values lie, which of them are marked, and how numbers and times are written.

export const finite = Number.isFinite;

/** The least round step (1, 2 or 5 times a power of ten) that is at least `rough`. */
export function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((nice) => rough / power <= nice * 1.001) ?? 10);
}

/** A number at an axis whose marks are `step` apart. */
export function tickText(value, step) {
  if (Math.abs(value) < step * 1e-6) return "0";
  const size = Math.max(Math.abs(value), step);
  if (size >= 1e15 || Math.abs(value) < 1e-4) return value.toExponential(1).replace(".0e", "e").replace(/-/g, "−");
  for (const [unit, suffix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (step >= unit || (size >= unit * 10 && step >= unit / 10)) return tidy(value / unit, step / unit) + suffix;
  }
  return tidy(value, step);
}

function tidy(value, step) {
  const places = Math.min(6, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  return value.toFixed(places).replace("-", "−");
}

/** A value as it is read: six digits that matter, `n/a` if it is none. */
export function valueText(value) {
  return finite(value) ? String(Number(value.toPrecision(6))).replace("-", "−") : "n/a";
}

const SPANS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** A time in seconds as people say it: `1 h 05 min`. */
export function spanText(seconds) {
  const sign = seconds < 0 ? "−" : "";
  const s = Math.abs(seconds);
  if (s < 60) return `${sign}${Number(s.toFixed(s < 10 ? 2 : 1))} s`;
  const two = (part) => String(Math.floor(part)).padStart(2, "0");
  if (s < 3600) return `${sign}${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${sign}${Math.floor(s / 3600)} h ${two((s % 3600) / 60)} min`;
  return `${sign}${Math.floor(s / 86400)} d ${two((s % 86400) / 3600)} h`;
}

const pad = (n) => String(n).padStart(2, "0");

/** A moment in milliseconds of the epoch, in the reader's time zone. */
export function momentText(ms) {
  const d = new Date(ms);
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}

/** What a kind of horizontal axis calls itself, and how its values are read. */
export const AXES = {
  step: { title: "step", name: "Step", read: (x) => `step ${valueText(x)}` },
  time: { title: "time since start", name: "Time since start", read: spanText },
  wall: { title: "time", name: "Wall clock", read: momentText },
};

/** A linear or logarithmic scale from values to 0..1. */
export class Scale {
  constructor(low, high, log = false) {
    if (!(low <= high)) [low, high] = log ? [0.1, 1] : [0, 1];
    if (low === high) {
      const room = log ? 0 : Math.abs(low) * 0.1 || 1;
      [low, high] = log ? [low / 2, high * 2] : [low - room, high + room];
    }
    Object.assign(this, { low, high, log });
  }

  at(value) {
    if (this.log) return value > 0 ? Math.log(value / this.low) / Math.log(this.high / this.low) : NaN;
    return (value - this.low) / (this.high - this.low);
  }

  of(share) {
    return this.log ? this.low * (this.high / this.low) ** share : this.low + share * (this.high - this.low);
  }

  /** Widens a linear scale to round ends. */
  rounded(wanted) {
    if (this.log) return this;
    const step = niceStep((this.high - this.low) / wanted);
    return new Scale(Math.floor(this.low / step + 1e-9) * step, Math.ceil(this.high / step - 1e-9) * step);
  }

  /** Marks: value and text. */
  ticks(wanted, kind = "step", whole = false) {
    const range = this.high - this.low;
    if (this.log) return this.#powers();
    if (kind === "step") {
      const step = Math.max(niceStep(range / wanted), whole ? 1 : 0);
      return this.#every(step, (value) => tickText(value, step));
    }
    const unit = kind === "wall" ? 1000 : 1;
    const rough = range / unit / wanted;
    const span = (rough < 1 ? niceStep(rough) : SPANS.find((s) => s >= rough) ?? niceStep(rough / 86400) * 86400) * unit;
    if (kind === "time") return this.#every(span, spanText);
    const shift = new Date(this.low).getTimezoneOffset() * 60000;
    return this.#every(span, (value) => {
      const text = momentText(value);
      return span >= 86400000 ? text.slice(5, 10) : text.slice(11, span >= 60000 ? 16 : 19);
    }, shift);
  }

  #every(step, text, shift = 0) {
    const ticks = [];
    const first = Math.ceil((this.low - shift) / step - 1e-9);
    for (let i = first; i * step + shift <= this.high + step * 1e-9 && ticks.length < 100; i++) {
      ticks.push([i * step + shift, text(i * step + shift)]);
    }
    return ticks;
  }

  #powers() {
    const ticks = [];
    const first = Math.floor(Math.log10(this.low));
    const last = Math.ceil(Math.log10(this.high));
    const factors = this.high / this.low < 1e3 ? [1, 2, 5] : [1];
    const stride = Math.max(1, Math.floor((last - first) / 8));
    for (let power = first; power <= last; power += stride) {
      for (const factor of factors) {
        const value = factor * 10 ** power;
        if (value >= this.low * 0.999 && value <= this.high * 1.001) ticks.push([value, valueText(value)]);
      }
    }
    return ticks.length > 1 ? ticks : new Scale(this.low, this.high).ticks(4);
  }
}

/**
 * The exponential moving average, its start corrected for having begun at 0 (Kingma and Ba 2015), as
 * TensorBoard smooths. What is no number is skipped.
 */
export function smoothed(values, weight) {
  let last = 0;
  let share = 1;
  return values.map((value) => {
    if (!finite(value)) return NaN;
    last = last * weight + (1 - weight) * value;
    share *= weight;
    return last / (1 - share);
  });
}

/** The index of the value of an ascending list that is nearest to `x`. */
export function nearest(list, x) {
  let [low, high] = [0, list.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - list[low - 1] <= list[low] - x ? low - 1 : low;
}

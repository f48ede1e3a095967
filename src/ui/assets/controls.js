// What is chosen for all charts of a group at once, and what tells their curves apart.

import { html, svg } from "./dom.js";
import { AXES } from "./scale.js";

export const SHAPES = [
  "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
  "M-3.6 -3.6h7.2v7.2h-7.2z",
  "M0 -4.8L4.6 3.4H-4.6z",
  "M0 -5.2L4.6 0L0 5.2L-4.6 0z",
  "M0 4.8L4.6 -3.4H-4.6z",
  "M-1.6 -4.8h3.2v3.2h3.2v3.2h-3.2v3.2h-3.2v-3.2h-3.2v-3.2h3.2z",
  "M-4.4 -2.2l2.2 -2.2L0 -2.2L2.2 -4.4L4.4 -2.2L2.2 0L4.4 2.2L2.2 4.4L0 2.2L-2.2 4.4L-4.4 2.2L-2.2 0z",
  "M0 -5.4L1.4 -1.8L5.1 -1.7L2.2 .7L3.2 4.4L0 2.3L-3.2 4.4L-2.2 .7L-5.1 -1.7L-1.4 -1.8z",
];
const DASHES = ["none", "6 4", "2 3", "9 3 2 3"];

/** The number of a colour of the theme. */
export const colour = (index) => index % 8;

/** The dashes of a curve: none while colours last. */
export const dashes = (index) => DASHES[Math.floor(index / 8) % DASHES.length];

/** The entries of a legend: each hides and shows its curve in all charts. */
export function keysOf(view, names) {
  const toggle = (name, only) => {
    if (!only) return view.toggle("off", name);
    const others = names.filter((other) => other !== name);
    const isAlone = !view.off.has(name) && others.every((other) => view.off.has(other));
    view.set({ off: new Set(isAlone ? [] : others) });
  };
  const mark = (i) =>
    svg(
      "svg",
      { class: "cvops-svg chart-key", width: 24, height: 12, "aria-hidden": "true" },
      svg("path", { class: `line stroke-c${colour(i)}`, "stroke-dasharray": dashes(i), d: "M1 6H23" }),
      svg("path", { class: `symbol fill-c${colour(i)}`, transform: "translate(12 6)", d: SHAPES[i % 8] }),
    );
  const key = (name) =>
    html(
      "button",
      {
        type: "button",
        title: `${name}\nClick hides it, Shift+click hides all others`,
        "data-name": name,
        "aria-pressed": String(!view.off.has(name)),
        click: (event) => toggle(name, event.shiftKey),
      },
      mark(view.indexOf(name)),
      name,
    );
  return names.map((name) => html("li", {}, key(name)));
}

/** Shows which curves are shown. */
export function pressed(keys, view) {
  for (const button of keys.querySelectorAll("button")) button.setAttribute("aria-pressed", String(!view.off.has(button.dataset.name)));
}

/** What is chosen for all charts of a group at once. */
export class Controls {
  constructor(view, figure) {
    this.view = view;
    this.axis = html("select", { change: () => view.set({ x: this.axis.value, from: undefined, to: undefined }) });
    this.smooth = html("input", {
      type: "range", min: 0, max: 0.99, step: 0.01, input: () => view.set({ smooth: Number(this.smooth.value) }),
    });
    this.weight = html("output", { class: "chart-weight" });
    this.reset = html("button", { type: "button", click: () => view.set({ from: undefined, to: undefined }) }, "Show all");
    this.axisLabel = html("label", { hidden: true }, "Horizontal axis ", this.axis);
    this.node = html(
      "div",
      { class: "chart-controls", role: "group", "aria-label": "All charts" },
      this.axisLabel,
      html("label", {}, "Smoothing ", this.smooth, this.weight),
      this.reset,
      (this.keys = html("ul", { class: "chart-legend", "aria-label": "Curves", hidden: true })),
    );
    const place = [...document.querySelectorAll("[data-chart-controls]")].find((one) => one.dataset.chartControls === (figure.dataset.group ?? ""));
    if (place) place.append(this.node);
    else (figure.closest(".charts") ?? figure).before(this.node);
    this.default = figure.dataset.x ?? "step";
    this.sync();
  }

  /** Offers the axes that a chart has. */
  offer(axes) {
    for (const axis of axes) {
      if (![...this.axis.options].some((option) => option.value === axis)) this.axis.append(html("option", { value: axis }, AXES[axis].name));
    }
    this.axisLabel.hidden = this.axis.options.length < 2;
    this.sync();
  }

  /** Charts with the same curves have one legend, here. */
  legend() {
    const lists = this.view.charts.map((chart) => chart.series.map((series) => series.name)).filter((names) => names.length > 1);
    const names = [...new Set(lists.flat())];
    const isShared = lists.length > 1 && names.length < lists.flat().length;
    for (const chart of this.view.charts) chart.figure.classList.toggle("shared-legend", isShared);
    this.keys.hidden = !isShared;
    this.keys.replaceChildren(...(isShared ? keysOf(this.view, names) : []));
  }

  sync() {
    pressed(this.keys, this.view);
    this.axis.value = this.view.x ?? this.default;
    this.smooth.value = this.view.smooth;
    this.weight.value = this.view.smooth.toFixed(2);
    this.reset.disabled = !this.view.isZoomed;
  }
}

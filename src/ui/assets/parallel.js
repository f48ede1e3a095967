// Chooses lines of parallel coordinates by ranges along their axes: `<figure class="chart brushed">`.
// Drag along an axis, or type a range below. Ranges stand in the page's address (`brush=AXIS:LOW:HIGH`,
// shares of the axis); links of class `of-chosen` get the chosen ids as their `run`s.

import { html, svg } from "./dom.js";
import { finite, valueText } from "./scale.js";

const round = (share) => Math.round(share * 1000) / 1000;

class Brushes {
  constructor(figure) {
    this.figure = figure;
    this.drawing = figure.querySelector("svg");
    this.lines = [...figure.querySelectorAll("[data-places]")].map((node) => ({
      node,
      id: node.dataset.id,
      places: node.dataset.places.split(" ").map((text) => (text === "-" ? NaN : Number(text))),
    }));
    this.axes = [...figure.querySelectorAll("[data-axis]")].map((node) => this.#axis(node));
    this.count = html("p", { class: "chosen", role: "status" });
    this.panel = html("div", { class: "brush-panel" }, this.count, this.#inputs());
    figure.append(this.panel);
    for (const told of new URLSearchParams(location.search).getAll("brush")) {
      const [index, low, high] = told.split(":").map(Number);
      if (this.axes[index] && low <= high) this.axes[index].range = [low, high];
    }
    this.show();
  }

  #axis(node) {
    const told = node.dataset;
    const [x, top, height] = [told.x, told.top, told.height].map(Number);
    const axis = { node, title: told.title, kind: told.kind, top, height, low: Number(told.low), high: Number(told.high) };
    axis.names = told.names === undefined ? [] : told.names.split("\n");
    axis.mark = svg("rect", { class: "brush", x: x - 7, width: 14, visibility: "hidden" });
    const grip = svg("rect", { class: "grip", x: x - 12, y: top - 8, width: 24, height: height + 16 });
    node.append(axis.mark, grip);
    const share = (event) => {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.drawing.getScreenCTM().inverse());
      return Math.min(1, Math.max(0, 1 - (place.y - top) / height));
    };
    let from;
    grip.addEventListener("pointerdown", (event) => {
      grip.setPointerCapture(event.pointerId);
      from = share(event);
      event.preventDefault();
    });
    grip.addEventListener("pointermove", (event) => {
      if (from === undefined) return;
      const to = share(event);
      axis.range = [Math.min(from, to), Math.max(from, to)];
      this.show();
    });
    const end = (event) => {
      if (from === undefined) return;
      // A click without a way takes the range away.
      if (Math.abs(share(event) - from) < 0.01) axis.range = undefined;
      from = undefined;
      this.show();
      this.#remember();
    };
    grip.addEventListener("pointerup", end);
    grip.addEventListener("pointercancel", end);
    return axis;
  }

  #value(axis, share) {
    if (axis.kind === "log") return axis.low * (axis.high / axis.low) ** share;
    return axis.low + share * (axis.high - axis.low);
  }

  #share(axis, value) {
    const share = axis.kind === "log" ? Math.log(value / axis.low) / Math.log(axis.high / axis.low) : (value - axis.low) / (axis.high - axis.low);
    return Math.min(1, Math.max(0, share));
  }

  #inputs() {
    const rows = this.axes.map((axis) => {
      const changed = () => {
        axis.range = this.#typed(axis);
        this.show(axis);
        this.#remember();
      };
      if (axis.kind === "names") {
        axis.choice = html("select", { "aria-label": axis.title, change: changed }, html("option", { value: "" }, "any"));
        axis.choice.append(...axis.names.map((name, i) => html("option", { value: i }, name)));
        return html("fieldset", {}, html("legend", {}, axis.title), axis.choice);
      }
      const field = (what) => html("input", { type: "text", inputmode: "decimal", "aria-label": `${axis.title} ${what}`, change: changed });
      [axis.from, axis.to] = [field("from"), field("to")];
      return html("fieldset", {}, html("legend", {}, axis.title), axis.from, " to ", axis.to);
    });
    const clear = html("button", { type: "button", click: () => this.#clear() }, "Clear ranges");
    return html("details", {}, html("summary", {}, "Ranges as numbers"), ...rows, clear);
  }

  #typed(axis) {
    if (axis.choice) {
      if (axis.choice.value === "") return undefined;
      const at = this.#share(axis, Number(axis.choice.value));
      const half = 0.45 / (axis.high - axis.low);
      return [at - half, at + half];
    }
    const number = (field, otherwise) => {
      const value = Number(field.value.replace("−", "-"));
      return field.value.trim() === "" || !finite(value) ? otherwise : this.#share(axis, value);
    };
    const range = [number(axis.from, 0), number(axis.to, 1)].sort((a, b) => a - b);
    return range[0] <= 0 && range[1] >= 1 ? undefined : range;
  }

  #clear() {
    for (const axis of this.axes) axis.range = undefined;
    this.show();
    this.#remember();
  }

  #remember() {
    const url = new URL(location.href);
    url.searchParams.delete("brush");
    this.axes.forEach(({ range }, i) => range && url.searchParams.append("brush", [i, ...range.map(round)].join(":")));
    history.replaceState(history.state, "", url);
  }

  /** Shows ranges, chosen lines and their number. */
  show(typing) {
    // A value on the very end of a typed range is within it, however it was rounded.
    const within = (place, range) => place >= range[0] - 1e-4 && place <= range[1] + 1e-4;
    const chosen = this.lines.filter((line) => this.axes.every(({ range }, i) => !range || within(line.places[i], range)));
    const isAll = !this.axes.some(({ range }) => range);
    for (const line of this.lines) line.node.classList.toggle("out", !chosen.includes(line));
    for (const axis of this.axes) {
      const { range, mark, top, height } = axis;
      mark.setAttribute("visibility", range ? "visible" : "hidden");
      if (range) {
        mark.setAttribute("y", top + (1 - range[1]) * height);
        mark.setAttribute("height", Math.max(2, (range[1] - range[0]) * height));
      }
      if (axis.from && axis !== typing) {
        axis.from.value = range ? valueText(this.#value(axis, range[0])) : "";
        axis.to.value = range ? valueText(this.#value(axis, range[1])) : "";
      } else if (axis.choice && !range) {
        axis.choice.value = "";
      }
    }
    this.count.textContent = isAll
      ? `${this.lines.length} lines. Drag along an axis to choose some.`
      : `${chosen.length} of ${this.lines.length} chosen${chosen.length && chosen.length <= 6 ? `: ${chosen.map((line) => line.node.querySelector("title")?.textContent ?? line.id).join(", ")}` : ""}.`;
    this.figure.dataset.chosen = chosen.map((line) => line.id).join(" ");
    for (const link of document.querySelectorAll("a.of-chosen")) {
      const url = new URL(link.href);
      url.searchParams.delete("run");
      for (const line of chosen) url.searchParams.append("run", line.id);
      link.href = url;
      link.hidden = isAll || !chosen.length;
    }
  }
}

/** Brings the drawings within a part of the page to life. */
export function enhance(part = document) {
  for (const figure of part.querySelectorAll("figure.brushed")) new Brushes(figure);
}

enhance();

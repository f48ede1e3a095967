// Pictures of runs: the slider of steps, play, and a dialog to look closely and to lay two pictures
// over one another. The page shows the same by links.

import { key } from "./app.js";
import { html } from "./dom.js";

const box = document.getElementById("images");
const steps = box?.dataset.steps ? JSON.parse(box.dataset.steps) : [];
const PLAY_MS = 400;
const KEPT_MAX = 64;

/** The steps of the page: shows another one without loading the page again. */
class Steps {
  constructor() {
    this.slider = document.getElementById("slider");
    if (!this.slider || steps.length < 2) return;
    const shown = Number(new URLSearchParams(location.search).get("step") ?? steps.at(-1));
    this.at = this.#placeOf(shown);
    this.answers = new Map();
    this.range = html("input", {
      type: "range",
      min: 0,
      max: steps.length - 1,
      step: 1,
      value: this.at,
      "aria-label": "Step",
      input: () => this.show(Number(this.range.value)),
    });
    this.button = html("button", { type: "button", click: () => this.play(), "aria-pressed": "false" }, "Play");
    this.slider.append(this.range, this.button);
    this.slider.hidden = false;
    for (const [id, way] of [["step-back", -1], ["step-on", 1]]) {
      document.getElementById(id)?.addEventListener("click", (event) => {
        event.preventDefault();
        this.show(this.at + way);
      });
    }
    key("ArrowLeft", "Earlier step", () => this.show(this.at - 1));
    key("ArrowRight", "Later step", () => this.show(this.at + 1));
    key(" ", "Play through the steps", () => this.play());
    this.#label();
  }

  /** The place of a step, or of the nearest earlier one. */
  #placeOf(step) {
    let place = 0;
    while (place + 1 < steps.length && steps[place + 1] <= step) place++;
    return place;
  }

  #label() {
    const step = steps[this.at];
    this.range.value = this.at;
    this.range.setAttribute("aria-valuetext", `step ${step}`);
    document.getElementById("step-told").textContent = `step ${step}, ${this.at + 1} of ${steps.length}`;
    const input = document.getElementById("step");
    if (input) input.value = step;
    for (const [id, at] of [["step-back", 0], ["step-on", steps.length - 1]]) {
      const link = document.getElementById(id);
      if (this.at === at) link?.setAttribute("aria-disabled", "true");
      else link?.removeAttribute("aria-disabled");
    }
  }

  async show(at) {
    const place = Math.max(0, Math.min(steps.length - 1, at));
    if (place === this.at) return;
    this.at = place;
    this.#label();
    const url = new URL(location.href);
    url.searchParams.set("step", steps[place]);
    history.replaceState(history.state, "", url);
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    try {
      const grid = await this.#ask(place, asking.signal);
      if (place === this.at) fill(grid);
      // The next picture is wanted soon.
      if (place + 1 < steps.length) this.#ask(place + 1, asking.signal).catch(() => {});
    } catch (error) {
      if (!asking.signal.aborted) document.getElementById("step-told").textContent = `This step could not be loaded: ${error.message}.`;
    }
  }

  async #ask(place, signal) {
    const known = this.answers.get(place);
    if (known) return known;
    const url = new URL(location.href);
    url.searchParams.set("step", steps[place]);
    url.searchParams.set("format", "json");
    const answer = await fetch(url, { signal });
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const grid = await answer.json();
    if (this.answers.size >= KEPT_MAX) this.answers.delete(this.answers.keys().next().value);
    this.answers.set(place, grid);
    return grid;
  }

  play() {
    const stop = () => {
      clearInterval(this.playing);
      this.playing = undefined;
      this.button.textContent = "Play";
      this.button.setAttribute("aria-pressed", "false");
    };
    if (this.playing) return stop();
    if (this.at === steps.length - 1) this.show(0);
    this.button.textContent = "Stop";
    this.button.setAttribute("aria-pressed", "true");
    this.playing = setInterval(() => {
      if (this.at === steps.length - 1) stop();
      else this.show(this.at + 1);
    }, PLAY_MS);
  }
}

/** Puts another grid of the same shape into the table. */
function fill({ columns, rows }) {
  const table = document.getElementById("images-table");
  const headings = [...table.tHead.rows[0].cells].slice(1);
  if (box.dataset.by === "steps") headings.forEach((cell, i) => (cell.textContent = columns[i]?.text ?? ""));
  [...table.tBodies[0].rows].forEach((row, i) => {
    [...row.cells].slice(1).forEach((cell, j) => put(cell, rows[i]?.cells[j]));
  });
}

function put(cell, shot) {
  if (!shot) {
    cell.replaceChildren(html("span", { class: "none", "aria-label": "none" }, "–"));
    return;
  }
  const named = shot.step === null ? "no step" : `step ${shot.step}`;
  const old = cell.querySelector("a.shot");
  const link = old ?? html("a", { class: "shot" }, html("img", { decoding: "async" }), html("span", { class: "shot-step" }));
  const img = link.querySelector("img");
  // The old picture stays until the new one is there: nothing flickers.
  if (img.getAttribute("src") !== shot.src) img.src = shot.src;
  img.alt = `${shot.key} of ${shot.run_name}${shot.step === null ? "" : ` at step ${shot.step}`}`;
  link.href = shot.full.replace("/file/", "/artifacts/");
  link.classList.toggle("earlier", !shot.is_exact);
  Object.assign(link.dataset, { full: shot.full, key: shot.key, run: shot.run_name, step: shot.step ?? "" });
  link.querySelector(".shot-step").textContent = named;
  if (!old) cell.replaceChildren(link);
}

const nameOf = (shot) => `${shot.dataset.key} · ${shot.dataset.run}${shot.dataset.step === "" ? "" : ` · step ${shot.dataset.step}`}`;

/** A picture, large; and another one beside or over it. */
class Viewer {
  constructor() {
    this.stage = html("div", { class: "viewer-stage", tabindex: "0", "aria-label": "Picture: wheel or plus and minus zoom, drag moves" });
    this.title = html("h2", { id: "viewer-title" });
    this.other = html("select", { change: () => this.#compare() });
    this.mode = html(
      "select",
      { change: () => this.#layout(), "aria-label": "How the two are laid" },
      ...["side by side", "blend", "difference", "swipe"].map((mode) => html("option", { value: mode }, mode)),
    );
    this.mix = html("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "Share of the second picture", input: () => this.#layout() });
    this.smooth = html("input", { type: "checkbox", change: () => this.#layout() });
    const button = (text, click) => html("button", { type: "button", click }, text);
    this.told = html("output", { class: "muted" });
    this.bar = html(
      "div",
      { class: "row" },
      button("Fit", () => this.#fit()),
      button("1:1", () => this.#zoomTo(1)),
      button("+", () => this.#zoomTo(this.zoom * 1.5)),
      button("−", () => this.#zoomTo(this.zoom / 1.5)),
      html("label", {}, this.smooth, " smooth"),
      html("label", {}, "Compare with ", this.other),
      this.mode,
      this.mix,
      this.told,
      button("Close", () => this.dialog.close()),
    );
    this.dialog = html("dialog", { class: "viewer", "aria-labelledby": "viewer-title" }, this.title, this.bar, this.stage);
    document.body.append(this.dialog);
    this.stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.stage.addEventListener("pointerdown", (event) => this.#down(event));
    this.stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) this.stage.addEventListener(type, () => (this.drag = undefined));
    this.stage.addEventListener("keydown", (event) => this.#key(event));
    this.dialog.addEventListener("close", () => this.from?.focus());
  }

  async open(shot) {
    this.from = shot;
    const shots = [...document.querySelectorAll("#images-table a.shot")].filter((one) => one !== shot);
    // Pictures of the same key come first: those are compared.
    shots.sort((a, b) => (b.dataset.key === shot.dataset.key) - (a.dataset.key === shot.dataset.key));
    this.shots = shots;
    this.other.replaceChildren(html("option", { value: "" }, "nothing"), ...shots.map((one, i) => html("option", { value: i }, nameOf(one))));
    this.second = undefined;
    this.title.textContent = nameOf(shot);
    this.first = await this.#load(shot);
    this.dialog.showModal();
    this.#layout();
    this.#fit();
    this.stage.focus();
  }

  async #load(shot) {
    const img = html("img", { src: shot.dataset.full, alt: nameOf(shot), draggable: "false" });
    // A picture that cannot be decoded is shown as its name.
    await img.decode().catch(() => {});
    return img;
  }

  async #compare() {
    const shot = this.other.value === "" ? undefined : this.shots[Number(this.other.value)];
    this.second = shot && (await this.#load(shot));
    this.title.textContent = shot ? `${nameOf(this.from)} and ${nameOf(shot)}` : nameOf(this.from);
    this.#layout();
    this.#fit();
  }

  get isBeside() {
    return this.second && this.mode.value === "side by side";
  }

  /** The size of what is shown at 1:1. */
  get size() {
    const of = (img) => [img.naturalWidth || 100, img.naturalHeight || 100];
    const [width, height] = of(this.first);
    if (!this.isBeside) return [width, height];
    const [otherWidth, otherHeight] = of(this.second);
    return [width + otherWidth, Math.max(height, otherHeight)];
  }

  #layout() {
    this.mode.hidden = !this.second;
    this.mix.hidden = !this.second || !["blend", "swipe"].includes(this.mode.value);
    this.stage.replaceChildren(this.first, ...(this.second ? [this.second] : []));
    this.stage.classList.toggle("smooth", this.smooth.checked);
    this.#draw();
  }

  #draw() {
    const [x, y] = this.place ?? [0, 0];
    const put = (img, left, [width, height]) => {
      Object.assign(img.style, { left: `${left}px`, top: `${y}px`, width: `${width * this.zoom}px`, height: `${height * this.zoom}px`, opacity: "", mixBlendMode: "", clipPath: "" });
    };
    const own = [this.first.naturalWidth || 100, this.first.naturalHeight || 100];
    put(this.first, x, own);
    if (this.second) {
      const beside = this.isBeside;
      // Pictures of other sizes are laid over one another as if they had the size of the first.
      put(this.second, beside ? x + own[0] * this.zoom + 8 : x, beside ? [this.second.naturalWidth || 100, this.second.naturalHeight || 100] : own);
      const share = this.mix.value;
      if (this.mode.value === "blend") this.second.style.opacity = share / 100;
      if (this.mode.value === "difference") this.second.style.mixBlendMode = "difference";
      if (this.mode.value === "swipe") this.second.style.clipPath = `inset(0 0 0 ${share}%)`;
    }
    this.told.textContent = `${own[0]} × ${own[1]} · ${Math.round(this.zoom * 100)} %`;
  }

  #fit() {
    const [width, height] = this.size;
    const { clientWidth, clientHeight } = this.stage;
    this.zoom = Math.max(0.01, Math.min((clientWidth - 8) / width, clientHeight / height));
    this.place = [(clientWidth - width * this.zoom) / 2, (clientHeight - height * this.zoom) / 2];
    this.#draw();
  }

  #zoomTo(zoom, at = [this.stage.clientWidth / 2, this.stage.clientHeight / 2]) {
    const next = Math.max(0.02, Math.min(64, zoom));
    const ratio = next / this.zoom;
    this.place = this.place.map((place, i) => at[i] - (at[i] - place) * ratio);
    this.zoom = next;
    this.#draw();
  }

  #wheel(event) {
    event.preventDefault();
    const { left, top } = this.stage.getBoundingClientRect();
    this.#zoomTo(this.zoom * Math.exp(-Math.max(-1, Math.min(1, event.deltaY / 100)) * 0.25), [event.clientX - left, event.clientY - top]);
  }

  #down(event) {
    this.stage.setPointerCapture(event.pointerId);
    this.drag = [event.clientX - this.place[0], event.clientY - this.place[1]];
  }

  #move(event) {
    if (!this.drag) return;
    this.place = [event.clientX - this.drag[0], event.clientY - this.drag[1]];
    this.#draw();
  }

  #key(event) {
    const moves = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
    if (moves[event.key]) this.place = this.place.map((place, i) => place + moves[event.key][i]);
    else if (event.key === "+" || event.key === "=") this.#zoomTo(this.zoom * 1.5);
    else if (event.key === "-") this.#zoomTo(this.zoom / 1.5);
    else if (event.key === "0") this.#fit();
    else if (event.key === "1") this.#zoomTo(1);
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.#draw();
  }
}

if (box) {
  new Steps();
  let viewer;
  box.addEventListener("click", (event) => {
    const shot = event.target.closest("a.shot");
    if (!shot || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    viewer ??= new Viewer();
    viewer.open(shot);
  });
}

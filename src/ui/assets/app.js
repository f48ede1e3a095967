// What every page has: the choice of a theme, keys, and links of MLflow's own pages.

const root = document.documentElement;

// MLflow's client prints links such as `/#/experiments/0/runs/ID`: the server never sees what stands
// behind `#`.
const MLFLOW_LINKS = [
  [/^#\/experiments\/(\d+)\/runs\/([0-9a-zA-Z]+)/, (m) => `/runs/${m[2]}`],
  [/^#\/experiments\/(\d+)/, (m) => `/runs?experiment=${m[1]}`],
  [/^#\/models\/([^/]+)\/versions\/(\d+)/, (m) => `/models/${m[1]}/${m[2]}`],
  [/^#\/models\/([^/?]+)/, (m) => `/models/${m[1]}`],
];

function followMlflowLink() {
  for (const [pattern, page] of MLFLOW_LINKS) {
    const match = pattern.exec(location.hash);
    if (match) {
      location.replace(page(match));
      return;
    }
  }
}

function themes() {
  const button = document.getElementById("theme-button");
  if (!button) return;
  const order = ["system", "light", "dark"];
  const stored = () => {
    try {
      return localStorage.getItem("cvops.theme") ?? "system";
    } catch {
      return "system";
    }
  };
  const show = (theme) => {
    button.textContent = `Theme: ${theme}`;
  };
  show(stored());
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(stored()) + 1) % order.length];
    try {
      if (next === "system") localStorage.removeItem("cvops.theme");
      else localStorage.setItem("cvops.theme", next);
    } catch {
      // The choice holds for this page then.
    }
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    show(next);
    root.dispatchEvent(new CustomEvent("themechange", { bubbles: true }));
  });
}

// `g` and a letter lead to a section; pages add their own keys with `key(name, what, action)`.
const GO = {
  o: ["Overview", "/"],
  p: ["Pipeline", "/pipeline"],
  r: ["Runs", "/runs"],
  s: ["Sweeps", "/sweeps"],
  m: ["Models", "/models"],
  e: ["Evaluation", "/evaluation"],
  i: ["Images", "/images"],
  d: ["Data", "/data"],
  v: ["Serving", "/serving"],
};
const keys = new Map();
let going = 0;

/** Binds a key of this page; `what` stands in the list that `?` opens. */
export function key(name, what, action) {
  keys.set(name, { what, action });
}

const isTyping = (target) =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (Date.now() < going) {
    going = 0;
    const to = GO[event.key];
    if (to) {
      event.preventDefault();
      location.assign(to[1]);
    }
    return;
  }
  if (event.key === "g") {
    going = Date.now() + 1500;
    return;
  }
  if (event.key === "?") {
    event.preventDefault();
    showKeys();
    return;
  }
  const bound = keys.get(event.key);
  if (bound) {
    event.preventDefault();
    bound.action(event);
  }
});

function showKeys() {
  const old = document.getElementById("keys");
  if (old) {
    old.showModal();
    return;
  }
  const dialog = document.createElement("dialog");
  dialog.id = "keys";
  dialog.setAttribute("aria-labelledby", "keys-title");
  const title = document.createElement("h2");
  title.id = "keys-title";
  title.textContent = "Keys";
  const list = document.createElement("dl");
  const entry = (name, what) => {
    const term = document.createElement("dt");
    for (const part of name.split(" ")) {
      const kbd = document.createElement("kbd");
      kbd.textContent = part;
      term.append(kbd, " ");
    }
    const meaning = document.createElement("dd");
    meaning.textContent = what;
    list.append(term, meaning);
  };
  for (const [name, { what }] of keys) entry(name, what);
  for (const [letter, [what]] of Object.entries(GO)) entry(`g ${letter}`, what);
  entry("?", "This list");
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  dialog.append(title, list, close);
  document.body.append(dialog);
  dialog.showModal();
}

const keysButton = document.getElementById("keys-button");
if (keysButton) {
  keysButton.hidden = false;
  keysButton.addEventListener("click", showKeys);
}
// What scrolls can be scrolled with the keyboard too; what does not is no stop on the way.
const boxes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const scrolls = target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight;
    if (scrolls) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
for (const box of document.querySelectorAll("pre, .table-box, .long, .tag, .chart-drawn, .scrolls")) boxes.observe(box);

themes();
// On a phone the sections scroll sideways: the one that is open is in sight.
document.querySelector(".sections [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
followMlflowLink();
addEventListener("hashchange", followMlflowLink);

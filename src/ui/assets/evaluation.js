// The figures of an evaluation follow the slider: what each of its steps does comes from the server
// once, so nothing is computed here but shares.

const form = document.getElementById("threshold-form");
const slider = document.getElementById("slider");

const percent = (part, whole) => (whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)} %`);
const three = (part, whole) => (whole === 0 ? 0 : part / whole).toFixed(3);

function say(kind, key, text) {
  const element = document.querySelector(`[data-${kind}="${key}"]`);
  if (element) element.textContent = text;
}

/** Returns decided, predicted and right of each class at a step. */
function scores(steps, step) {
  return steps.classes.map((of) => of[step]);
}

function showFigures(steps, step) {
  const [decided, right] = steps.all[step];
  const wrong = decided - right;
  say("figure", "accuracy", percent(right, decided));
  say("note", "accuracy", step === 0 ? notes.accuracy : "");
  say("figure", "coverage", percent(decided, steps.images));
  say("figure", "wrong", String(wrong));
  say("note", "wrong", `${steps.wrong - wrong} of ${steps.wrong} caught by the threshold`);
  if (steps.classes.length === 0) return;
  const of = scores(steps, step).filter(([, predicted], at) => 0 < steps.support[at] + predicted);
  const sum = of.reduce((all, [d, p, r]) => all + (d + p === 0 ? 0 : (2 * r) / (d + p)), 0);
  say("figure", "f1", (of.length === 0 ? 0 : sum / of.length).toFixed(3));
  say("note", "f1", step === 0 ? notes.f1 : "");
}

function showClasses(steps, step) {
  const of = new Map(steps.names.map((name, at) => [name, steps.classes[at][step]]));
  for (const row of document.querySelectorAll("#classes tbody tr")) {
    const found = of.get(row.cells[0].textContent.trim());
    if (!found) continue;
    const [decided, predicted, right] = found;
    row.cells[2].textContent = String(decided);
    row.cells[3].textContent = three(right, predicted);
    row.cells[4].textContent = three(right, decided);
    row.cells[5].textContent = three(2 * right, predicted + decided);
  }
}

// Intervals are of the whole: they are said where nothing is left out.
const notes = {};
for (const key of ["accuracy", "f1"]) {
  notes[key] = document.querySelector(`[data-note="${key}"]`)?.textContent ?? "";
}

async function follow() {
  const answer = await fetch(form.dataset.source);
  if (!answer.ok) return;
  const steps = await answer.json();
  const show = () => {
    const value = Number(slider.value);
    const step = Math.round(value * (steps.all.length - 1));
    document.getElementById("threshold-value").textContent = value.toFixed(2);
    showFigures(steps, step);
    showClasses(steps, step);
  };
  slider.addEventListener("input", show);
  slider.addEventListener("change", () => {
    const here = new URL(location.href);
    if (Number(slider.value) === 0) here.searchParams.delete("threshold");
    else here.searchParams.set("threshold", slider.value);
    history.replaceState(history.state, "", here);
  });
  // A reload may bring back where the slider stood.
  show();
  form.dataset.ready = "true";
}

if (form && slider) follow();

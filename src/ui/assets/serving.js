// The page of the prediction server: parts are exchanged when there is news, and feedback is sent
// without losing the place.

import { live } from "/assets/live.js";

const REST_MS = 2000;
let last = 0;
let waiting = 0;

/** Puts the live parts of a page's text in the place of those that are shown. */
function show(text, keepBusy) {
  const next = new DOMParser().parseFromString(text, "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = next.getElementById(part.id);
    // What somebody is about to use stays as it is.
    if (!fresh || (keepBusy && isBusy(part))) continue;
    const focused = part.contains(document.activeElement)
      ? document.activeElement.dataset.key
      : undefined;
    part.className = fresh.className;
    part.replaceChildren(...[...fresh.childNodes].map((node) => document.adoptNode(node)));
    if (focused) part.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }
  document.dispatchEvent(new CustomEvent("cvops:replaced"));
}

function isBusy(part) {
  const chosen = [...part.querySelectorAll("select, input[type=text]")];
  return (
    chosen.some((field) => field.value !== "") ||
    (part.contains(document.activeElement) && document.activeElement !== document.body)
  );
}

async function refresh() {
  waiting = 0;
  last = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const text = await answer.text();
    // A page with a log and one without have other parts.
    const had = document.getElementById("serving-charts") !== null;
    if (answer.ok && had !== text.includes('id="serving-charts"')) location.reload();
    else if (answer.ok) show(text, true);
  } catch {
    // The next news tries again.
  }
}

live("/serving/live", {
  changed: () => {
    if (!waiting) waiting = setTimeout(refresh, Math.max(0, last + REST_MS - Date.now()));
  },
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest?.("form[data-feedback]");
  if (!form) return;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, event.submitter));
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
    const text = await answer.text();
    if (answer.ok) show(text, false);
    else throw new Error(text);
  } catch {
    // The browser's own way shows what is wrong; the button that was pressed goes with it.
    const hidden = document.createElement("input");
    hidden.type = "hidden";
    hidden.name = "label";
    hidden.value = event.submitter?.value ?? "";
    form.append(hidden);
    form.submit();
  }
});

// A sweep that goes on: when the server tells of something new, the page asks for itself again and
// takes over the parts that changed. Parts stay where they are, so nothing grows.

import { enhance as enhanceCharts, release } from "./chart.js";
import { offerCopies } from "./copy.js";
import { live } from "./live.js";
import { enhance as enhanceBrushes } from "./parallel.js";

const sweep = document.getElementById("sweep");

/** The markup of each part as it was last sent: scripts change what is shown. */
const sent = new Map();

const parts = (page) => [...page.querySelectorAll("#sweep [data-part]")];

function takeOver(page) {
  const known = new Map(parts(document).map((part) => [part.dataset.part, part]));
  const fresh = parts(page);
  for (const part of fresh) {
    const name = part.dataset.part;
    if (!known.has(name)) continue;
    const markup = part.outerHTML;
    if (sent.get(name) === markup) continue;
    // Curves draw themselves: they are only replaced when there are others.
    if (name === "curves" && sameCurves(known.get(name), part)) continue;
    sent.set(name, markup);
    const now = document.importNode(part, true);
    release(known.get(name));
    known.get(name).replaceWith(now);
    enhanceBrushes(now);
    enhanceCharts(now);
    offerCopies(now);
  }
}

function sameCurves(old, fresh) {
  const of = (part) => part.querySelector("[data-chart]")?.dataset.chart;
  return of(old) === of(fresh);
}

/** How long the page rests after it has asked for itself, at least and at most. */
const REST_MS = 1000;
const REST_MAX_MS = 30_000;

let asking = false;
let wanted = false;

async function refresh() {
  if (asking) {
    wanted = true;
    return;
  }
  asking = true;
  try {
    do {
      wanted = false;
      const began = performance.now();
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("sweep");
      if (!answer.ok || !fresh) {
        location.reload();
        return;
      }
      sweep.dataset.mark = fresh.dataset.mark;
      takeOver(page);
      // A sweep of very many trials takes its time: most of it is the server's own.
      const took = performance.now() - began;
      await new Promise((done) => setTimeout(done, Math.min(REST_MAX_MS, Math.max(REST_MS, 10 * took))));
    } while (wanted);
  } catch {
    // The server is away: the next event comes when it is back.
  } finally {
    asking = false;
  }
}

if (sweep) {
  live(() => `${sweep.dataset.live}?mark=${encodeURIComponent(sweep.dataset.mark)}`, { change: refresh });
}

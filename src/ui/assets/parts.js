// Live parts: the server sends a part of the page as it now is, as a tree of elements, and what differs
// is changed in place, so that focus, scroll and selected text stay. Its address stands in `data-live`.

import { live } from "/assets/live.js";

const SVG = "http://www.w3.org/2000/svg";

/** Builds `[tag, {attributes}, children…]`; texts stay texts. */
function build([tag, attributes, ...children], within) {
  const space = tag === "svg" ? SVG : within;
  const node = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name !== "xmlns") node.setAttribute(name, value);
  }
  for (const child of children) node.append(typeof child === "string" ? child : build(child, space));
  return node;
}

/** Makes `old` like `fresh`, node by node. */
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (name !== "xmlns" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  after.forEach((child, at) => {
    if (at < before.length) morph(before[at], child);
    else old.append(child);
  });
  for (const gone of before.slice(after.length)) gone.remove();
}

function part({ id, tree }) {
  const old = document.getElementById(id);
  if (!old) return;
  morph(old, build(tree));
  for (const tail of document.querySelectorAll(".going .tail")) tail.scrollTop = tail.scrollHeight;
}

const place = document.querySelector("[data-live]");
if (place) {
  live(place.dataset.live, { part }, (state) => {
    place.dataset.state = state;
  });
}

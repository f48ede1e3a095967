// Elements, made without ever reading text as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined));
  return node;
}

/** An HTML element. */
export const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Hands a file to the reader. */
export function save(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = html("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** A drawing as a file that needs no style sheet: what the sheet says is written on each element. */
export function standalone(drawing) {
  const copy = drawing.cloneNode(true);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.querySelector(".over")?.remove();
  const from = [drawing, ...drawing.querySelectorAll("*")].filter((node) => !node.closest(".over"));
  const names = ["fill", "stroke", "stroke-width", "stroke-dasharray", "fill-opacity", "stroke-opacity", "font-family", "font-size", "font-weight", "text-anchor"];
  [copy, ...copy.querySelectorAll("*")].forEach((node, i) => {
    if (["title", "defs", "clipPath"].includes(node.localName)) return;
    const style = getComputedStyle(from[i]);
    for (const name of names) node.setAttribute(name, style.getPropertyValue(name));
    node.removeAttribute("class");
  });
  return new XMLSerializer().serializeToString(copy);
}

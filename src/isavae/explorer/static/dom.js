// Elements from a tag, properties and children.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function byId(id) {
  return document.getElementById(id);
}

export function number(value, digits = 2) {
  if (value === null) return "–";
  return value.toFixed(digits).replace("-", "−");
}

let hiding = 0;

// A sentence at the top of the page, read out by screen readers; it goes after a while unless it stays.
export function notice(text, { stays = false } = {}) {
  const line = byId("notice");
  clearTimeout(hiding);
  line.textContent = text;
  line.hidden = !text;
  if (text && !stays) hiding = setTimeout(() => (line.hidden = true), 6000);
}

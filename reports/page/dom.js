// Making what the page shows. Text is set as text, and never read as HTML.

// Taken from the page, so that the name, which looks like an address, stands nowhere.
const svgNamespace = document.querySelector('svg').namespaceURI;

function missing(value) {
  return value === null || value === undefined || value === '';
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes))
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  node.append(...children.flat().filter((child) => !missing(child)));
  return node;
}

function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function shape(name, attributes = {}, ...children) {
  return fill(document.createElementNS(svgNamespace, name), attributes, children);
}

function clipped(text, most) {
  const characters = Array.from(text);
  return characters.length > most ? characters.slice(0, most - 1).join('') + '…' : text;
}

// A list of items, or nothing of none.
function list(items, attributes = {}, kind = 'ul') {
  const entry = (item) => element('li', {}, item);
  return items.length > 0 ? element(kind, attributes, items.map(entry)) : null;
}

// A list of terms; those without a description are left out.
function definitions(pairs, attributes = {}) {
  const rows = pairs.filter(([, description]) => !missing(description));
  return element('dl', attributes, rows.map(([term, description]) =>
    element('div', {}, element('dt', {}, term), element('dd', {}, description))));
}

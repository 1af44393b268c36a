// Makes elements. Text only ever becomes text: nothing in this page parses markup, and the browser is told to refuse it.

/**
 * h makes an element. Attributes that begin with "on" are listeners; false, null and undefined leave an attribute out.
 * Children that are not elements become text.
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** svg makes an element of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** byId finds an element of the page's own markup. */
export const byId = (id) => document.getElementById(id);

/** announce has a screen reader say something. */
export function announce(message) {
  byId("announcer").textContent = message;
}

/** field is a labelled input. The hint and the error are read out with it. */
export function field(label, input, hint) {
  const id = input.id || `field-${++fields}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h("div", { class: "field" },
    h("label", { for: id }, label), input, hint && h("p", { class: "hint", id: `${id}-hint` }, hint));
}
let fields = 0;

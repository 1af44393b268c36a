// What is shown where there is nothing to show: why, and what to do.

import { h } from "./dom.js";
import { block } from "./text.js";

/** notice is a message in place of content. */
export const notice = (title, text, ...actions) => h("div", { class: "notice" },
  h("h2", {}, title), h("p", {}, text), actions.length > 0 && h("div", { class: "actions" }, actions));

/** button is a button that does something. */
export const button = (label, onclick, look = "") => h("button", { type: "button", class: look, onclick }, label);

/** projectForm asks for a project that the viewer may read. */
export function projectForm(label, onProject) {
  const input = h("input", { "aria-label": "Project", placeholder: "Project, such as shop", autocomplete: "off", spellcheck: "false" });
  return h("form", {
    class: "inline",
    onsubmit: (event) => {
      event.preventDefault();
      if (input.value.trim()) onProject(input.value.trim());
    },
  }, input, h("button", { class: "main" }, label));
}

/** refused is a notice for a call that was not answered. */
export function refused(error, what, again, onProject) {
  if (error.status === 403) {
    const shown = notice(`You may not read ${what}`,
      "Your token is good, but its rights do not reach this far. Open a project in which you have the role view, or ask an administrator for it.");
    if (onProject) shown.append(projectForm("Open the project", onProject));
    shown.append(h("p", { class: "hint" }, block(error.message)));
    return shown;
  }
  if (error.status === 0) {
    return notice(error.message, "It may be restarting, or your connection is down. Nothing is lost: what was recorded is still there.", button("Try again", again, "main"));
  }
  return notice("That did not work", block(error.message), button("Try again", again, "main"));
}
